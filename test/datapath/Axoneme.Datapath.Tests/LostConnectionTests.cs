// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

/// <summary>
/// Connections whose entries a full table pushed out, that a policy cut, or that never came about: what their next packets are taken for.
/// </summary>
public sealed class LostConnectionTests
{
    [Theory]
    [MemberData(nameof(FamilyAndProtocol))]
    public void A_forgotten_connection_through_a_service_comes_back_although_the_backend_speaks_first(Family f, byte protocol)
    {
        using var c = new Cluster(f, perPacketLb: true);
        c.Node.AddService(f.At(f.Service, 80), 7, protocol, f.At(f.Server, 8080));
        Packet sent = Packet.Between(f.At(f.Client, 40000), f.At(f.Service, 80), protocol) with { Flags = protocol == 6 ? Tcp.Syn : 0 };
        Packet atServer = sent.ToService(f.At(f.Server, 8080));
        c.Node.Send(c.Client, sent);
        c.Node.Send(c.Server, atServer.Reply());
        c.Node.ForgetConnections(f.IsV6);

        Packet answer = atServer.Reply(protocol == 6 ? Tcp.Ack : 0);
        c.Node.Send(c.Server, answer);
        Packet next = sent with { Flags = protocol == 6 ? Tcp.Ack : 0 };
        Assert.Equal((byte)CtState.New, c.Node.Send(c.Client, next).Trace.CtState);
        Assert.Equal(answer.FromService(f.At(f.Service, 80)).Delivered(c.Client).ToBytes(), c.Node.Send(c.Server, answer).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_client_that_asked_the_backend_itself_is_answered_by_the_service_that_it_asks_then(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        c.Node.AddService(f.At(f.Service, 53), 7, 17, f.At(f.Server, 53));
        Packet straight = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        c.Node.Send(c.Client, straight);
        Assert.Equal(straight.Reply().Delivered(c.Client).ToBytes(), c.Node.Send(c.Server, straight.Reply()).Bytes);

        c.Node.Send(c.Client, Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Service, 53)));
        Assert.Equal(straight.Reply().FromService(f.At(f.Service, 53)).Delivered(c.Client).ToBytes(), c.Node.Send(c.Server, straight.Reply()).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_forgotten_connection_comes_back_only_if_policy_still_allows_it(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        PolicyKey rule = Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity, 6, 80);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        Packet data = syn with { Flags = Tcp.Ack };
        c.Node.Send(c.Client, syn);
        c.Node.ForgetConnections(f.IsV6);
        Assert.Equal((byte)CtState.New, c.Node.Send(c.Client, data).Trace.CtState);
        c.Node.ForgetConnections(f.IsV6);
        c.Server.Policy.TryDelete(rule);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, data).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_connection_that_its_senders_policy_cut_goes_on_when_it_is_allowed_again(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        PolicyKey rule = Node.Rule(c.Client, TrafficDirection.Egress, c.Server.Identity, 6, 80);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        Packet data = syn with { Flags = Tcp.Ack };
        c.Node.Send(c.Client, syn);
        c.Node.Send(c.Server, syn.Reply());
        c.Client.Policy.TryDelete(rule);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        Outcome cut = c.Node.Send(c.Client, data);
        Assert.Equal(DropReason.PolicyDenied, cut.Dropped);
        Assert.Equal(((byte)VerdictAction.Denied, (byte)TrafficDirection.Egress, c.Client.Id),
            (Assert.Single(cut.Verdicts).PolicyAction, cut.Verdicts[0].PolicyDirection, cut.Verdicts[0].EndpointId));
        // The other end did nothing wrong, and does not begin a connection of its own.
        Outcome answer = c.Node.Send(c.Server, syn.Reply(Tcp.Ack));
        Assert.Equal((TcVerdict.Redirect, 0), (answer.Verdict, answer.Verdicts.Count));

        Node.Rule(c.Client, TrafficDirection.Egress, c.Server.Identity, 6, 80);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, data).Verdict);
        Assert.Empty(c.Node.Send(c.Client, data).Verdicts);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void No_fragment_of_a_denied_datagram_passes(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity, 17, 53);
        Packet first = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 54)) with { Fragment = 0, MoreFragments = true, FragmentId = 9 };
        Packet later = first with { Fragment = 10, MoreFragments = false };
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, first).Dropped);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, later).Dropped);
        Packet allowed = first with { ToPort = 53, FragmentId = 10 };
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, allowed).Verdict);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, allowed with { Fragment = 10, MoreFragments = false }).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_error_about_a_packet_that_was_denied_is_not_expected(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.IngressEnforced);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity, 17, 53);
        Packet allowed = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        Packet denied = allowed with { ToPort = 54 };
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, allowed).Verdict);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, denied).Dropped);

        Outcome related = c.Node.Send(c.Server, allowed.Error(f.Server, f.PortUnreachable.Type, f.PortUnreachable.Code));
        Assert.Equal((TcVerdict.Redirect, (byte)CtState.Related), (related.Verdict, related.Trace.CtState));
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Server, denied.Error(f.Server, f.PortUnreachable.Type, f.PortUnreachable.Code)).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_error_does_not_get_past_a_policy_by_quoting_a_connection_of_others(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Packet query = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Remote, 53));
        c.Node.Send(c.Client, query);
        Packet error = query.Error(f.Client, f.PortUnreachable.Type, f.PortUnreachable.Code) with { To = IpAddress.Parse(f.Server) };
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, error).Dropped);
    }

    public static TheoryData<Family, byte> FamilyAndProtocol { get; } = new()
    {
        { new Family(false), 6 }, { new Family(false), 17 }, { new Family(true), 6 }, { new Family(true), 17 },
    };
}
