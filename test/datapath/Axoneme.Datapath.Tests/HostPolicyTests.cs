// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>The host firewall: what the node itself may receive and send.</summary>
public sealed class HostPolicyTests
{
    private const ushort HostId = 900;
    private const PolicyStateFlags Both = PolicyStateFlags.IngressEnforced | PolicyStateFlags.EgressEnforced;
    private static readonly EdgeOptions Firewall = new() { HostEndpoint = HostId };
    private static readonly EdgeOptions Busy = Firewall with { NodePorts = true, Masquerade = true };

    public static TheoryData<Family, bool> FamiliesAndEdges { get; } = new((new Family(false), false), (new Family(true), false), (new Family(false), true), (new Family(true), true));

    [Theory, MemberData(nameof(FamiliesAndEdges))]
    public void What_comes_in_for_the_node_needs_a_rule(Family f, bool busy)
    {
        using Scene s = new(f, busy ? Busy : Firewall, PolicyStateFlags.IngressEnforced);
        (Cluster c, Pod host) = s;
        Packet syn = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, 22));
        Outcome denied = c.Node.FromNetwork(syn);
        Assert.Equal((TcVerdict.Drop, DropReason.PolicyDenied), (denied.Verdict, denied.Dropped));
        Event verdict = Assert.Single(denied.Verdicts);
        Assert.Equal(
            (HostId, (byte)TrafficDirection.Ingress, Cluster.PrefixIdentity, 1u),
            (verdict.EndpointId, verdict.PolicyDirection, verdict.SourceIdentity, verdict.DestinationIdentity));
        Assert.Equal(HostId, denied.Events.Single(e => e.Type == (byte)EventType.Drop).EndpointId);

        Node.Rule(host, TrafficDirection.Ingress, Cluster.PrefixIdentity, 6, 22);
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(syn).Verdict);
        Assert.Equal(DropReason.PolicyDenied, c.Node.FromNetwork(syn with { ToPort = 23 }).Dropped);
    }

    [Theory, MemberData(nameof(FamiliesAndEdges))]
    public void What_the_node_sends_needs_a_rule(Family f, bool busy)
    {
        using Scene s = new(f, busy ? Busy : Firewall, PolicyStateFlags.EgressEnforced);
        (Cluster c, Pod host) = s;
        Packet syn = Packet.TcpFrom(f.At(f.Host, 40000), f.At(f.Outside, 443));
        Outcome denied = c.Node.ToNetwork(syn);
        Assert.Equal((TcVerdict.Drop, DropReason.PolicyDenied), (denied.Verdict, denied.Dropped));
        Assert.Equal((HostId, (byte)TrafficDirection.Egress), (denied.Verdicts[0].EndpointId, denied.Verdicts[0].PolicyDirection));

        Node.Rule(host, TrafficDirection.Egress, Cluster.PrefixIdentity, 6, 443);
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(syn).Verdict);
        Assert.Equal(DropReason.PolicyDenied, c.Node.ToNetwork(syn with { ToPort = 80 }).Dropped);
    }

    [Theory, MemberData(nameof(FamiliesAndEdges))]
    public void Answers_need_no_rule_in_either_direction(Family f, bool busy)
    {
        using Scene s = new(f, busy ? Busy : Firewall, Both);
        (Cluster c, Pod host) = s;
        Node.Rule(host, TrafficDirection.Egress, 0, 17, 53);
        Node.Rule(host, TrafficDirection.Ingress, 0, 6, 22);
        Packet query = Packet.UdpFrom(f.At(f.Host, 5000), f.At(f.Outside, 53));
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(query).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(query.Reply()).Verdict);
        Assert.Equal(DropReason.PolicyDenied, c.Node.FromNetwork(query.Reply() with { FromPort = 54 }).Dropped);
        Packet syn = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, 22));
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(syn).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(syn.Reply()).Verdict);
        Assert.Equal(DropReason.PolicyDenied, c.Node.ToNetwork(syn.Reply() with { ToPort = 40001 }).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_new_revision_cuts_a_connection_that_is_no_longer_allowed(Family f)
    {
        using Scene s = new(f, Firewall, PolicyStateFlags.IngressEnforced);
        (Cluster c, Pod host) = s;
        PolicyKey rule = Node.Rule(host, TrafficDirection.Ingress, Cluster.PrefixIdentity, 6, 22);
        Packet syn = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, 22));
        Packet data = syn with { Flags = Tcp.Ack };
        c.Node.FromNetwork(syn);
        c.Node.ToNetwork(syn.Reply());
        host.Policy.TryDelete(rule);
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(data).Verdict);
        c.Node.Enforce(host, PolicyStateFlags.IngressEnforced);
        Assert.Equal(DropReason.PolicyDenied, c.Node.FromNetwork(data).Dropped);
        Node.Rule(host, TrafficDirection.Ingress, Cluster.PrefixIdentity, 6, 22);
        c.Node.Enforce(host, PolicyStateFlags.IngressEnforced);
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(data).Verdict);
    }

    [Theory, MemberData(nameof(FamiliesAndEdges))]
    public void An_error_about_a_connection_of_the_node_passes(Family f, bool busy)
    {
        using Scene s = new(f, busy ? Busy : Firewall, Both);
        (Cluster c, Pod host) = s;
        Node.Rule(host, TrafficDirection.Egress, 0, 17, 53);
        Packet query = Packet.UdpFrom(f.At(f.Host, 5000), f.At(f.Outside, 53));
        c.Node.ToNetwork(query);
        (byte type, byte code) = f.PortUnreachable;
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(query.Error(f.Outside, type, code)).Verdict);
        Outcome unrelated = c.Node.FromNetwork((query with { ToPort = 54 }).Error(f.Outside, type, code));
        // Errors of IPv6 are what keeps its connections alive, and are never refused.
        Assert.Equal(f.IsV6 ? TcVerdict.Pass : TcVerdict.Drop, unrelated.Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_of_the_node_is_judged_at_both_ends(Family f)
    {
        using Scene s = new(f, Firewall, Both);
        (Cluster c, Pod host) = s;
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Host, 10250));
        Outcome denied = c.Node.Send(c.Client, syn);
        Assert.Equal(DropReason.PolicyDenied, denied.Dropped);
        Assert.Equal((HostId, (byte)TrafficDirection.Ingress), (denied.Verdicts[0].EndpointId, denied.Verdicts[0].PolicyDirection));
        Node.Rule(host, TrafficDirection.Ingress, Cluster.ClientIdentity, 6, 10250);
        Assert.Equal(TcVerdict.Pass, c.Node.Send(c.Client, syn).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.Receive(c.Client, syn.Reply()).Verdict);

        c.Node.Enforce(c.Server, PolicyStateFlags.EgressEnforced);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Server, Packet.TcpFrom(f.At(f.Server, 40000), f.At(f.Host, 10250))).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_the_node_sends_to_its_pod_is_judged_at_both_ends(Family f)
    {
        using Scene s = new(f, Firewall, Both);
        (Cluster c, Pod host) = s;
        Packet probe = Packet.TcpFrom(f.At(f.Host, 40000), f.At(f.Server, 8080));
        Outcome denied = c.Node.Receive(c.Server, probe);
        Assert.Equal(DropReason.PolicyDenied, denied.Dropped);
        Assert.Equal((HostId, (byte)TrafficDirection.Egress), (denied.Verdicts[0].EndpointId, denied.Verdicts[0].PolicyDirection));
        Node.Rule(host, TrafficDirection.Egress, Cluster.ServerIdentity, 6, 8080);
        Assert.Equal(TcVerdict.Pass, c.Node.Receive(c.Server, probe).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.Send(c.Server, probe.Reply()).Verdict);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Receive(c.Server, probe with { FromPort = 40001 }).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Traffic_of_pods_does_not_concern_the_node(Family f)
    {
        using Scene s = new(f, Busy, Both);
        (Cluster c, Pod host) = s;
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Outside, 443));
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, syn).Verdict);
        Packet left = syn.Routed();
        Outcome masqueraded = c.Node.ToNetwork(left);
        Assert.Equal(TcVerdict.Pass, masqueraded.Verdict);
        Translation translation = Assert.Single(c.Node.Translations(f.IsV6, NatDirection.Out));
        Packet answer = left.Reply().ToService(f.At(translation.Becomes, translation.BecomesPort));
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(answer).Verdict);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80))).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pods_packet_that_the_stack_gave_the_nodes_address_is_not_the_nodes(Family f)
    {
        using Scene s = new(f, Firewall, Both);
        (Cluster c, Pod host) = s;
        Outcome sent = c.Node.Send(c.Client, Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Outside, 443)));
        Assert.Equal((TcVerdict.Pass, (uint)PacketMark.Pod), (sent.Verdict, sent.Mark));
        Packet masqueraded = Packet.TcpFrom(f.At(f.Host, 40000), f.At(f.Outside, 443));
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(masqueraded, sent.Mark).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(masqueraded.Reply()).Verdict);
        Assert.Equal(TcVerdict.Drop, c.Node.ToNetwork(masqueraded with { FromPort = 40001 }).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Service_traffic_that_is_only_forwarded_does_not_concern_the_node(Family f)
    {
        using Scene s = new(f, Busy, Both);
        (Cluster c, Pod host) = s;
        c.Node.AddFrontend(f.At(f.Host, 30080), 7, 6, [f.At(f.Server, 8080)]);
        c.Node.AddFrontend(f.At(f.Host, 30081), 8, 6, [f.At(f.Remote, 8080)]);
        Packet toPod = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, 30080));
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(toPod).Verdict);
        Packet toRemote = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, 30081));
        Outcome forwarded = c.Node.FromNetwork(toRemote);
        Assert.Equal(TcVerdict.Redirect, forwarded.Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(forwarded.Bytes, forwarded.Mark).Verdict);
        Packet answer = toRemote.ToService(f.At(f.Remote, 8080)).FromService(f.At(f.Host, 40000)).Reply();
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(answer).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_backend_on_the_nodes_own_network_is_judged_by_its_port(Family f)
    {
        using Scene s = new(f, Busy, Both);
        (Cluster c, Pod host) = s;
        c.Node.AddFrontend(f.At(f.Service, 80), 7, 6, [f.At(f.Host, 8080)], LbFlags.Routable | LbFlags.LoadBalancer);
        Packet sent = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Service, 80));
        Outcome denied = c.Node.FromNetwork(sent);
        Assert.Equal(DropReason.PolicyDenied, denied.Dropped);
        Assert.Equal(8080, denied.Verdicts[0].PolicyPort.Value);
        Node.Rule(host, TrafficDirection.Ingress, 0, 6, 8080);
        Packet atHost = sent.ToService(f.At(f.Host, 8080));
        Outcome there = c.Node.FromNetwork(sent);
        Assert.Equal(TcVerdict.Pass, there.Verdict);
        Assert.Equal(atHost.ToBytes(), there.Bytes);
        Outcome back = c.Node.ToNetwork(atHost.Reply());
        Assert.Equal(TcVerdict.Pass, back.Verdict);
        Assert.Equal(atHost.Reply().FromService(f.At(f.Service, 80)).ToBytes(), back.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_keeps_the_link_alive_always_passes(Family f)
    {
        using Scene s = new(f, Firewall, Both);
        (Cluster c, Pod host) = s;
        (ushort client, ushort server) = f.IsV6 ? ((ushort)546, (ushort)547) : ((ushort)68, (ushort)67);
        Packet lease = Packet.UdpFrom(f.At(f.Host, client), f.At(f.Gateway, server));
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(lease).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(lease.Reply()).Verdict);
        Assert.Equal(TcVerdict.Drop, c.Node.FromNetwork(lease.Reply() with { ToPort = 69 }).Verdict);
        if (!f.IsV6)
            return;
        for (byte type = 133; type <= 137; type++)
        {
            Packet discovery = Packet.Ping(f.Gateway, f.Host) with { IcmpType = type, HopLimit = 255 };
            Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(discovery).Verdict);
            Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(Packet.Ping(f.Host, f.Gateway) with { IcmpType = type, HopLimit = 255 }).Verdict);
        }

        Assert.Equal(TcVerdict.Drop, c.Node.FromNetwork(Packet.Ping(f.Gateway, f.Host)).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Outer_packets_of_the_tunnel_are_the_nodes(Family f)
    {
        using Scene s = new(f, Busy, Both, tunnel: true);
        (Cluster c, Pod host) = s;
        c.Node.AddIdentity(f.RemoteNode, 6);
        Packet incoming = Packet.UdpFrom(f.At(f.RemoteNode, 50000), f.At(f.Host, 8472));
        Packet outgoing = Packet.UdpFrom(f.At(f.Host, 50000), f.At(f.RemoteNode, 8472));
        Assert.Equal(TcVerdict.Drop, c.Node.FromNetwork(incoming).Verdict);
        Assert.Equal(TcVerdict.Drop, c.Node.ToNetwork(outgoing).Verdict);
        Node.Rule(host, TrafficDirection.Ingress, 6);
        Node.Rule(host, TrafficDirection.Egress, 6);
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(incoming).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(outgoing).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_the_node_sends_through_the_tunnel_needs_a_rule(Family f)
    {
        using Scene s = new(f, Busy, Both, tunnel: true);
        (Cluster c, Pod host) = s;
        Packet syn = Packet.TcpFrom(f.At(f.Host, 40000), f.At(f.Remote, 8080));
        Assert.Equal(DropReason.PolicyDenied, c.Node.FromHost(syn).Dropped);
        Node.Rule(host, TrafficDirection.Egress, Cluster.RemoteIdentity, 6, 8080);
        Assert.Equal(TcVerdict.Redirect, c.Node.FromHost(syn).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_the_proxy_sends_is_not_the_nodes(Family f)
    {
        using Scene s = new(f, Firewall, Both);
        (Cluster c, Pod host) = s;
        Packet sent = Packet.UdpFrom(f.At(f.Host, 5000), f.At(f.Outside, 53));
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(sent, (uint)PacketMark.FromProxy).Verdict);
        Assert.Equal(TcVerdict.Drop, c.Node.ToNetwork(sent).Verdict);
    }

    [Theory, MemberData(nameof(FamiliesAndEdges))]
    public void Later_fragments_go_the_way_of_the_first(Family f, bool busy)
    {
        using Scene s = new(f, busy ? Busy : Firewall, Both);
        (Cluster c, Pod host) = s;
        Node.Rule(host, TrafficDirection.Ingress, 0, 17, 53);
        Packet whole = Packet.UdpFrom(f.At(f.Outside, 5000), f.At(f.Host, 53)) with { FragmentId = 9, Payload = new byte[64] };
        Packet later = whole with { Fragment = 9, Payload = new byte[16] };
        Assert.Equal(DropReason.FirstLogicalDatagramFragmentNotFound, c.Node.FromNetwork(later).Dropped);
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(whole with { Fragment = 0, MoreFragments = true }).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(later).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Audit_lets_pass_at_each_end_and_says_so(Family f)
    {
        using Scene s = new(f, Firewall, Both | PolicyStateFlags.Audit);
        (Cluster c, Pod host) = s;
        Outcome[] audited =
        [
            c.Node.FromNetwork(Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, 22))),
            c.Node.ToNetwork(Packet.TcpFrom(f.At(f.Host, 40000), f.At(f.Outside, 443))),
            c.Node.Send(c.Client, Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Host, 10250))),
            c.Node.Receive(c.Client, Packet.TcpFrom(f.At(f.Host, 40000), f.At(f.Client, 8080))),
        ];
        TrafficDirection[] directions = [TrafficDirection.Ingress, TrafficDirection.Egress, TrafficDirection.Ingress, TrafficDirection.Egress];
        foreach ((Outcome outcome, TrafficDirection direction) in audited.Zip(directions))
        {
            Assert.Equal(TcVerdict.Pass, outcome.Verdict);
            Assert.DoesNotContain(outcome.Events, e => e.Type == (byte)EventType.Drop);
            Event verdict = Assert.Single(outcome.Verdicts, v => v.EndpointId == HostId);
            Assert.Equal(
                ((byte)VerdictAction.Audited, (byte)DropReason.PolicyDenied, (byte)direction), (verdict.PolicyAction, verdict.Reason, verdict.PolicyDirection));
        }

        // What passed meanwhile is judged when the audit ends.
        c.Node.Enforce(host, Both);
        Assert.Equal(
            DropReason.PolicyDenied, c.Node.FromNetwork(Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, 22)) with { Flags = Tcp.Ack }).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_node_without_a_first_policy_is_open(Family f)
    {
        using var c = new Cluster(f, edge: Firewall);
        Packet syn = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, 22));
        Assert.Equal(TcVerdict.Pass, c.Node.FromNetwork(syn).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(syn.Reply()).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.Send(c.Client, Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Host, 22))).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.Receive(c.Client, Packet.TcpFrom(f.At(f.Host, 40000), f.At(f.Client, 22))).Verdict);
    }

    /// <summary>What the proxy then asks the node passes no program.</summary>
    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void The_node_is_asked_about_what_a_pod_sends_to_it_through_the_proxy(Family f)
    {
        using Scene s = new(f, Firewall, PolicyStateFlags.IngressEnforced);
        (Cluster c, Pod host) = s;
        PolicyKey redirect = Node.Rule(c.Client, TrafficDirection.Egress, 1, 17, 53);
        c.Client.Policy.Update(redirect, new PolicyEntry { PrefixLen = 24, ProxyPort = 1 });
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        Packet question = Packet.UdpFrom(f.At(f.Client, 40000), f.At(f.Host, 53));
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, question).Dropped);
        PolicyKey rule = Node.Rule(host, TrafficDirection.Ingress, c.Client.Identity, 17, 53);
        // On its way to the proxy, which is not there.
        Assert.Equal(DropReason.SocketLookupFailed, c.Node.Send(c.Client, question).Dropped);
        host.Policy.TryDelete(rule);
        c.Node.Enforce(host, PolicyStateFlags.IngressEnforced);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, question).Dropped);
    }

    /// <summary>A node whose own policy says nothing but which directions are closed.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly Cluster _cluster;
        private readonly Pod _host;

        public Scene(Family f, EdgeOptions edge, PolicyStateFlags flags, bool tunnel = false)
        {
            _cluster = new Cluster(f, tunnel: tunnel, edge: edge);
            // The device that test runs are on.
            _cluster.Node.AddDevice(1, "172.30.0.11", "fd00:30::11");
            _host = _cluster.Node.AddHost(f.Host);
            _cluster.Node.Enforce(_host, flags);
        }

        public void Deconstruct(out Cluster cluster, out Pod host) => (cluster, host) = (_cluster, _host);

        public void Dispose() => _cluster.Dispose();
    }
}
