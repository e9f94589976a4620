// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Services for clients outside, whose packets this node receives.</summary>
public sealed class NodePortTests
{
    private const ushort Port = 30080;
    private static readonly EdgeOptions NodePorts = new() { NodePorts = true };

    [Theory, MemberData(nameof(FamiliesAndProtocols))]
    public void A_pod_here_gets_the_packet_and_its_answer_leaves_from_the_node(Family f, byte protocol)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, protocol, [f.At(f.Server, 8080)]);
        Packet sent = FromOutside(f, protocol);
        Packet atServer = sent.ToService(f.At(f.Server, 8080)).Delivered(c.Server);
        Outcome there = c.Node.FromNetwork(sent);
        Assert.Equal(TcVerdict.Redirect, there.Verdict);
        Assert.Equal(atServer.ToBytes(), there.Bytes);
        Assert.Equal((Port, Cluster.PrefixIdentity), (there.Trace.OriginalPort.Value, there.Trace.SourceIdentity));

        Packet reply = atServer.Reply();
        Outcome back = c.Node.Send(c.Server, reply);
        Assert.Equal(TcVerdict.Redirect, back.Verdict);
        Assert.Equal(reply.FromService(f.At(f.Host, Port)).Routed().ToBytes(), back.Bytes);
        Assert.Equal(((byte)TracePoint.ToNetwork, Node.Uplink), (back.Trace.Point, back.Trace.Ifindex));
    }

    [Theory, MemberData(nameof(FamiliesAndProtocols))]
    public void A_pod_elsewhere_sees_this_node_and_the_client_sees_the_service(Family f, byte protocol)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, protocol, [f.At(f.Remote, 8080)]);
        Packet sent = FromOutside(f, protocol);
        Packet atServer = sent.ToService(f.At(f.Remote, 8080)).FromService(f.At(f.Host, 40000)).Routed();
        Outcome there = c.Node.FromNetwork(sent);
        Assert.Equal(TcVerdict.Redirect, there.Verdict);
        Assert.Equal(atServer.ToBytes(), there.Bytes);
        Assert.Equal(((byte)TracePoint.ToNetwork, Node.Uplink), (there.Trace.Point, there.Trace.Ifindex));

        Packet reply = atServer.Reply();
        Outcome back = c.Node.FromNetwork(reply);
        Assert.Equal(TcVerdict.Redirect, back.Verdict);
        Assert.Equal(reply.FromService(f.At(f.Host, Port)).ToService(f.At(f.Outside, 40000)).Routed().ToBytes(), back.Bytes);
        Packet next = sent with { Flags = protocol == 6 ? Tcp.Ack : 0 };
        Assert.Equal((atServer with { Flags = next.Flags }).ToBytes(), c.Node.FromNetwork(next).Bytes);
    }

    [Theory, MemberData(nameof(FamiliesAndProtocols))]
    public void Through_the_tunnel_answers_come_back_to_the_router_address(Family f, byte protocol)
    {
        using var c = new Cluster(f, tunnel: true, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, protocol, [f.At(f.Remote, 8080)]);
        Packet sent = FromOutside(f, protocol);
        Outcome there = c.Node.FromNetwork(sent);
        Assert.Equal(TcVerdict.Redirect, there.Verdict);
        Assert.Equal(sent.ToService(f.At(f.Remote, 8080)).FromService(f.At(Node.Router(f.IsV6), 40000)).Routed().ToBytes(), there.Bytes);
        // The block that the client is in has a name on this node only.
        Assert.Equal(((byte)TracePoint.ToOverlay, Node.World), (there.Trace.Point, there.Trace.SourceIdentity));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_backend_on_this_nodes_own_network_is_hidden_by_the_service_address(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Service, 80), 7, 6, [f.At(f.Host, 8080)], LbFlags.Routable | LbFlags.LoadBalancer);
        Packet sent = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Service, 80));
        Packet atHost = sent.ToService(f.At(f.Host, 8080));
        Outcome there = c.Node.FromNetwork(sent);
        Assert.Equal(TcVerdict.Pass, there.Verdict);
        Assert.Equal(atHost.ToBytes(), there.Bytes);
        Outcome back = c.Node.ToNetwork(atHost.Reply());
        Assert.Equal(TcVerdict.Pass, back.Verdict);
        Assert.Equal(atHost.Reply().FromService(f.At(f.Service, 80)).ToBytes(), back.Bytes);
        Packet other = Packet.TcpFrom(f.At(f.Host, 8080), f.At(f.Outside, 40001), Tcp.SynAck);
        Assert.Equal(other.ToBytes(), c.Node.ToNetwork(other).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_delegated_service_leaves_packets_as_they_are_where_the_node_itself_is_the_backend(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Service, 80), 7, 6, [f.At(f.Host, 8080)], LbFlags.Routable | LbFlags.LoadBalancer, LbFlags2.Delegate);
        c.Node.AddFrontend(f.At(f.Service, 81), 8, 6, [f.At(f.Server, 8080)], LbFlags.Routable | LbFlags.LoadBalancer, LbFlags2.Delegate);
        Packet sent = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Service, 80));
        Outcome there = c.Node.FromNetwork(sent);
        Assert.Equal(TcVerdict.Pass, there.Verdict);
        Assert.Equal(sent.ToBytes(), there.Bytes);
        Assert.Equal(sent.Reply().ToBytes(), c.Node.ToNetwork(sent.Reply()).Bytes);
        Packet toPod = sent with { ToPort = 81 };
        Assert.Equal(toPod.ToService(f.At(f.Server, 8080)).Delivered(c.Server).ToBytes(), c.Node.FromNetwork(toPod).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Without_backends_a_service_may_leave_its_address_to_others(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts with { Claim = false });
        c.Node.AddFrontend(f.At(f.Service, 80), 7, 6, [], LbFlags.Routable | LbFlags.LoadBalancer);
        Packet sent = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Service, 80));
        Outcome outcome = c.Node.FromNetwork(sent);
        Assert.Equal(TcVerdict.Pass, outcome.Verdict);
        Assert.Equal(sent.ToBytes(), outcome.Bytes);
        // Other nodes may have backends, but what came here is not theirs.
        c.Node.AddFrontend(f.At(f.Service, 80), 7, 6, [], LbFlags.Routable | LbFlags.LoadBalancer | LbFlags.ExternalLocal);
        Assert.Equal(DropReason.ServiceBackendNotFound, c.Node.FromNetwork(sent).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_backend_on_another_nodes_own_network_is_reached_directly_also_beside_a_tunnel(Family f)
    {
        using var c = new Cluster(f, tunnel: true, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.RemoteNode, 8080)]);
        Packet sent = FromOutside(f, 6);
        Outcome there = c.Node.FromNetwork(sent);
        Assert.Equal(sent.ToService(f.At(f.RemoteNode, 8080)).FromService(f.At(f.Host, 40000)).Routed().ToBytes(), there.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_client_that_is_its_own_backend_sees_this_node_also_where_others_are_answered_directly(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts with { Dsr = true });
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.RemoteNode, 8080)], flags2: LbFlags2.Dsr);
        Packet sent = Packet.TcpFrom(f.At(f.RemoteNode, 40000), f.At(f.Host, Port));
        Packet atServer = sent.ToService(f.At(f.RemoteNode, 8080)).FromService(f.At(f.Host, 40000)).Routed();
        Assert.Equal(atServer.ToBytes(), c.Node.FromNetwork(sent).Bytes);
        Packet atClient = atServer.Reply().FromService(f.At(f.Host, Port)).ToService(f.At(f.RemoteNode, 40000)).Routed();
        Assert.Equal(atClient.ToBytes(), c.Node.FromNetwork(atServer.Reply()).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void The_nodes_answer_to_a_pod_behind_the_tunnel_comes_from_the_service(Family f)
    {
        using var c = new Cluster(f, tunnel: true, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.Host, 8080)]);
        Packet sent = Packet.TcpFrom(f.At(f.Remote, 40000), f.At(f.Host, Port));
        Assert.Equal(sent.ToService(f.At(f.Host, 8080)).ToBytes(), c.Node.FromNetwork(sent).Bytes);
        Packet reply = sent.ToService(f.At(f.Host, 8080)).Reply();
        Outcome back = c.Node.FromHost(reply);
        Assert.Equal(TcVerdict.Redirect, back.Verdict);
        Assert.Equal(reply.FromService(f.At(f.Host, Port)).Routed().ToBytes(), back.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_tunnels_own_packets_are_left_alone(Family f)
    {
        using var c = new Cluster(f, tunnel: true, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, 8472), 7, 17, [f.At(f.Server, 8080)]);
        Packet outer = Packet.UdpFrom(f.At(f.RemoteNode, 40000), f.At(f.Host, 8472));
        Outcome outcome = c.Node.FromNetwork(outer);
        Assert.Equal(TcVerdict.Pass, outcome.Verdict);
        Assert.Equal(outer.ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void The_pods_policy_sees_the_client_and_the_pods_port(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.Server, 8080)]);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Assert.Equal(DropReason.PolicyDenied, c.Node.FromNetwork(FromOutside(f, 6)).Dropped);
        Node.Rule(c.Server, TrafficDirection.Ingress, Cluster.PrefixIdentity, 6, 8080);
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(FromOutside(f, 6)).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void After_a_lost_entry_the_clients_next_packet_puts_the_answers_right(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 17, [f.At(f.Server, 8080)]);
        Packet sent = FromOutside(f, 17);
        Packet reply = sent.ToService(f.At(f.Server, 8080)).Reply();
        c.Node.FromNetwork(sent);
        c.Node.ForgetConnections(f.IsV6);
        c.Node.Send(c.Server, reply); // seems to be the first packet of a connection of the pod's own
        c.Node.FromNetwork(sent);
        Assert.Equal(reply.FromService(f.At(f.Host, Port)).Routed().ToBytes(), c.Node.Send(c.Server, reply).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_cluster_address_is_not_for_the_outside(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Service, 80), 7, 6, [f.At(f.Server, 8080)], 0);
        Assert.Equal(DropReason.IsAClusterip, c.Node.FromNetwork(Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Service, 80))).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Only_allowed_sources_are_served(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Service, 80), 7, 6, [f.At(f.Server, 8080)], LbFlags.Routable | LbFlags.LoadBalancer | LbFlags.SourceRanges);
        c.Node.AddSourceRange(7, f.OutsidePrefix);
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Service, 80))).Verdict);
        Assert.Equal(DropReason.DeniedByLbSrcRangeCheck, c.Node.FromNetwork(Packet.TcpFrom(f.At(f.RemoteNode, 40000), f.At(f.Service, 80))).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Denied_sources_are_not_served(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Service, 80), 7, 6, [f.At(f.Server, 8080)], LbFlags.Routable | LbFlags.LoadBalancer | LbFlags.SourceRanges, LbFlags2.SourceRangesDeny);
        c.Node.AddSourceRange(7, f.OutsidePrefix);
        Assert.Equal(DropReason.DeniedByLbSrcRangeCheck, c.Node.FromNetwork(Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Service, 80))).Dropped);
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(Packet.TcpFrom(f.At(f.RemoteNode, 40000), f.At(f.Service, 80))).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_no_service_asks_for_is_the_hosts(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.Remote, 8080)]);
        foreach (Packet packet in (Packet[])[Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, 22)), Packet.UdpFrom(f.At(f.Outside, 40000), f.At(f.Host, Port)), Packet.TcpFrom(f.At(f.Outside, 80), f.At(f.Host, 40000), Tcp.SynAck), Packet.Ping(f.Outside, f.Host)])
        {
            Outcome outcome = c.Node.FromNetwork(packet);
            Assert.Equal(TcVerdict.Pass, outcome.Verdict);
            Assert.Equal(packet.ToBytes(), outcome.Bytes);
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Fragments_follow_the_first_both_ways(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 17, [f.At(f.Remote, 8080)]);
        Packet first = FromOutside(f, 17) with { Fragment = 0, MoreFragments = true, FragmentId = 9, Payload = new byte[24] };
        Packet later = first with { Fragment = 4, MoreFragments = false };
        Packet atServer = first.ToService(f.At(f.Remote, 8080)).FromService(f.At(f.Host, 40000)).Routed();
        Assert.Equal(atServer.ToBytes(), c.Node.FromNetwork(first).Bytes);
        Assert.Equal((atServer with { Fragment = 4, MoreFragments = false }).ToBytes(), c.Node.FromNetwork(later).Bytes);
        Packet back = atServer.Reply() with { FragmentId = 10 };
        Packet atClient = back.FromService(f.At(f.Host, Port)).ToService(f.At(f.Outside, 40000)).Routed();
        Assert.Equal(atClient.ToBytes(), c.Node.FromNetwork(back).Bytes);
        Assert.Equal((atClient with { Fragment = 4, MoreFragments = false }).ToBytes(), c.Node.FromNetwork(back with { Fragment = 4, MoreFragments = false }).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Switched_off_nothing_of_it_happens(Family f)
    {
        using var c = new Cluster(f);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.Server, 8080)]);
        Packet sent = FromOutside(f, 6);
        Outcome outcome = c.Node.FromNetwork(sent);
        Assert.Equal(TcVerdict.Pass, outcome.Verdict);
        Assert.Equal(sent.ToBytes(), outcome.Bytes);
    }

    public static TheoryData<Family, byte> FamiliesAndProtocols()
    {
        var cases = new TheoryData<Family, byte>();
        foreach (bool v6 in (bool[])[false, true])
        {
            foreach (byte protocol in (byte[])[6, 17, 132])
                cases.Add(new Family(v6), protocol);
        }

        return cases;
    }

    private static Packet FromOutside(Family f, byte protocol)
        => Packet.Between(f.At(f.Outside, 40000), f.At(f.Host, Port), protocol) with { Flags = protocol == 6 ? Tcp.Syn : 0 };
}
