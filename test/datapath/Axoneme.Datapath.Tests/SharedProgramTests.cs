// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>How a pod's own programs reach those that all pods share, and what tells pods apart there.</summary>
public sealed class SharedProgramTests
{
    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_empty_slot_drops_and_says_so(Family f)
    {
        using var c = new Cluster(f);
        Packet packet = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        Assert.True(c.Node.Map(Maps.CiliumCallsPod).TryDelete((uint)PodCall.FromPod));
        AssertMissed(c.Node.Send(c.Client, packet), c.Client);
        Assert.Equal(1ul, c.Node.Counted((byte)DropReason.MissedTailCall, MetricDirection.Egress));
        Assert.Equal(TcVerdict.Pass, c.Node.Receive(c.Server, packet).Verdict);

        Assert.True(c.Node.Map(Maps.CiliumCallsPod).TryDelete((uint)PodCall.ToPod));
        AssertMissed(c.Node.Receive(c.Server, packet), c.Server);
        Assert.Equal(1ul, c.Node.Counted((byte)DropReason.MissedTailCall, MetricDirection.Ingress));

        void AssertMissed(Outcome outcome, Pod pod)
        {
            Assert.Equal((TcVerdict.Drop, DropReason.MissedTailCall), (outcome.Verdict, outcome.Dropped));
            Event drop = Assert.Single(outcome.Events);
            Assert.Equal((pod.Id, (byte)SourceFile.Endpoint), (drop.EndpointId, drop.SourceFile));
            Assert.Equal(f.IsV6, ((EventFlags)drop.Flags).HasFlag(EventFlags.Ipv6));
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Another_identity_counts_from_the_next_packet_on(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Node.Rule(c.Server, TrafficDirection.Ingress, 31000);
        Node.Rule(c.Server, TrafficDirection.Ingress, Cluster.RemoteIdentity);
        Packet packet = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, packet).Dropped);
        c.Node.Configure(c.Client, 31000);
        Outcome sent = c.Node.Send(c.Client, packet);
        Assert.Equal((TcVerdict.Redirect, 31000u), (sent.Verdict, sent.Trace.SourceIdentity));
        c.Node.Configure(c.Server, 31001);
        Assert.Equal(31001u, c.Node.Receive(c.Server, Packet.UdpFrom(f.At(f.Remote, 5000), f.At(f.Server, 53))).Trace.DestinationIdentity);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_without_settings_neither_sends_nor_receives(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Configure(c.Client, 0);
        Packet packet = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        Assert.Equal(DropReason.EpNotReady, c.Node.Send(c.Client, packet).Dropped);
        Assert.Equal(DropReason.EpNotReady, c.Node.Receive(c.Client, packet.Reply()).Dropped);
        Assert.Equal(1ul, c.Node.Counted((byte)DropReason.EpNotReady, MetricDirection.Egress));
        Assert.Equal(1ul, c.Node.Counted((byte)DropReason.EpNotReady, MetricDirection.Ingress));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_may_not_send_from_the_address_of_another(Family f)
    {
        using var c = new Cluster(f);
        Packet packet = Packet.UdpFrom(f.At(f.Server, 5000), f.At(f.Remote, 53));
        Assert.Equal(DropReason.InvalidSourceIp, c.Node.Send(c.Client, packet).Dropped);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Server, packet).Verdict);
    }
}
