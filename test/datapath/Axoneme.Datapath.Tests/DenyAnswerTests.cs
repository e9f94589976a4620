// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>What a pod hears of packets that policy drops (policy-deny-response).</summary>
public sealed class DenyAnswerTests
{
    private static readonly EdgeOptions Telling = new() { TellDenied = true };

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Pod_is_told_that_its_own_policy_denies_a_new_connection(Family f)
    {
        using var c = new Cluster(f, edge: Telling);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Remote, 80));
        AssertTold(f, syn, f.Remote, c.Node.Send(c.Client, syn), DropReason.PolicyDenied);
        Packet local = Packet.UdpFrom(f.At(f.Client, 40000), f.At(f.Server, 53));
        Node.Rule(c.Client, TrafficDirection.Egress, c.Server.Identity, deny: true);
        AssertTold(f, local, f.Server, c.Node.Send(c.Client, local), DropReason.PolicyDeny);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Pod_is_told_that_a_connection_is_cut(Family f)
    {
        using var c = new Cluster(f, edge: Telling);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Remote, 80));
        c.Node.Send(c.Client, syn);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        Packet data = syn with { Flags = Tcp.Ack };
        AssertTold(f, data, f.Remote, c.Node.Send(c.Client, data), DropReason.PolicyDenied);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Nobody_hears_of_what_the_receiver_does_not_let_in(Family f)
    {
        using var c = new Cluster(f, edge: Telling with { NodePorts = true });
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        AssertSilent(c.Node.Send(c.Client, Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80))));
        AssertSilent(c.Node.FromNetwork(Packet.TcpFrom(f.At(f.Remote, 40000), f.At(f.Server, 80))));
        AssertSilent(c.Node.FromNetwork(Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Server, 80))));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Errors_and_packets_for_many_are_not_answered(Family f)
    {
        using var c = new Cluster(f, edge: Telling);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        Packet about = Packet.UdpFrom(f.At(f.Remote, 4000), f.At(f.Client, 4001));
        AssertSilent(c.Node.Send(c.Client, about.Error(f.Client, f.PortUnreachable.Type, f.PortUnreachable.Code)));
        AssertSilent(c.Node.Send(c.Client, Packet.UdpFrom(f.At(f.Client, 5353), f.At(f.IsV6 ? "ff02::fb" : "224.0.0.251", 5353))));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Nothing_is_answered_unless_asked_for(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        AssertSilent(c.Node.Send(c.Client, Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Remote, 80))));
    }

    private static void AssertTold(Family f, Packet about, string receiver, Outcome outcome, DropReason reason)
    {
        Assert.Equal(reason, outcome.Dropped);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Packet answer = about.Error(receiver, f.Prohibited.Type, f.Prohibited.Code) with
        {
            Payload = about.ToBytes()[14..],
            SourceMac = about.DestinationMac,
            DestinationMac = about.SourceMac,
            HopLimit = 65,
        };
        Assert.Equal(answer.ToBytes(), outcome.Bytes);
    }

    private static void AssertSilent(Outcome outcome)
    {
        Assert.Equal(DropReason.PolicyDenied, outcome.Dropped);
        Assert.Equal(TcVerdict.Drop, outcome.Verdict);
    }
}
