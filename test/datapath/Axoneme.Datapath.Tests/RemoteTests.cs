// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Traffic with other nodes and the outside.</summary>
public sealed class RemoteTests
{
    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Another_nodes_pod_is_reached_directly(Family f)
    {
        using var c = new Cluster(f);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Remote, 80));
        Outcome sent = c.Node.Send(c.Client, syn);
        Assert.Equal(TcVerdict.Redirect, sent.Verdict);
        Assert.Equal(syn.Routed().ToBytes(), sent.Bytes);
        Assert.Equal(((byte)TracePoint.ToNetwork, Node.Uplink), (sent.Trace.Point, sent.Trace.Ifindex));

        Outcome answered = c.Node.FromNetwork(syn.Reply());
        Assert.Equal(TcVerdict.Redirect, answered.Verdict);
        Assert.Equal(syn.Reply().Delivered(c.Client).ToBytes(), answered.Bytes);
        Assert.Equal(((byte)CtState.Reply, Cluster.RemoteIdentity), (answered.Trace.CtState, answered.Trace.SourceIdentity));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void In_tunnel_mode_it_leaves_by_the_tunnel(Family f)
    {
        using var c = new Cluster(f, tunnel: true);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Remote, 80));
        Outcome sent = c.Node.Send(c.Client, syn);
        Assert.Equal(TcVerdict.Redirect, sent.Verdict);
        Assert.Equal(syn.Routed().ToBytes(), sent.Bytes);
        Assert.Equal(((byte)TracePoint.ToOverlay, Node.Tunnel), (sent.Trace.Point, sent.Trace.Ifindex));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_comes_out_of_a_tunnel_without_its_key_is_dropped(Family f)
    {
        using var c = new Cluster(f, tunnel: true);
        Packet packet = Packet.UdpFrom(f.At(f.Remote, 5000), f.At(f.Client, 53));
        Outcome outcome = c.Node.Run(c.Node.Overlay.Program(OverlayObject.FromOverlay), packet.ToBytes());
        Assert.Equal(DropReason.ErrorRetrievingTunnelKey, outcome.Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_is_too_large_goes_to_the_stack_which_tells_the_sender(Family f)
    {
        using var c = new Cluster(f, tunnel: true);
        Packet large = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Remote, 53)) with { Payload = new byte[1440] };
        Outcome outcome = c.Node.Send(c.Client, large);
        Assert.Equal(TcVerdict.Pass, outcome.Verdict);
        Assert.Equal(large.ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_aggregate_counts_by_its_segments(Family f)
    {
        using var c = new Cluster(f, tunnel: true);
        Packet aggregate = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Remote, 80), Tcp.Ack) with { Payload = new byte[2600] };
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, aggregate, segment: 1300).Verdict);
        Assert.Equal(TcVerdict.Pass, c.Node.Send(c.Client, aggregate, segment: 1440).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void The_outside_is_left_to_the_host_stack(Family f)
    {
        using var c = new Cluster(f);
        Packet query = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Outside, 53));
        Outcome sent = c.Node.Send(c.Client, query);
        Assert.Equal(((byte)TracePoint.ToStack, TcVerdict.Pass), (sent.Trace.Point, sent.Verdict));
        Assert.Equal(query.ToBytes(), sent.Bytes);
        c.Node.Enforce(c.Client, PolicyStateFlags.IngressEnforced);
        Assert.Equal(TcVerdict.Pass, c.Node.Receive(c.Client, query.Reply()).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void From_the_network_a_pod_is_guarded_by_its_policy(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Node.Rule(c.Server, TrafficDirection.Ingress, Cluster.PrefixIdentity, 6, 80);
        Packet syn = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Server, 80));
        Outcome allowed = c.Node.FromNetwork(syn);
        Assert.Equal(TcVerdict.Redirect, allowed.Verdict);
        Assert.Equal(syn.Delivered(c.Server).ToBytes(), allowed.Bytes);
        Assert.Equal(DropReason.PolicyDenied, c.Node.FromNetwork(syn with { ToPort = 81 }).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_is_not_for_a_pod_is_the_hosts_however_broken(Family f)
    {
        using var c = new Cluster(f);
        byte[] garbage = Packet.UdpFrom(f.At(f.Outside, 1), f.At(f.Host, 2)).ToBytes();
        garbage[14] = 0;
        Assert.Equal(TcVerdict.Pass, c.Node.Run(c.Node.Host.Program(HostObject.FromNetdev), garbage).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void The_host_reaches_a_pod_by_its_device_where_policy_is_asked(Family f)
    {
        using var c = new Cluster(f);
        Packet probe = Packet.TcpFrom(f.At(f.Host, 40000), f.At(f.Server, 80));
        Outcome sent = c.Node.FromHost(probe);
        Assert.Equal(TcVerdict.Redirect, sent.Verdict);
        Assert.Equal(probe.Delivered(c.Server).ToBytes(), sent.Bytes);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Receive(c.Server, probe.Delivered(c.Server)).Dropped);
        Node.Rule(c.Server, TrafficDirection.Ingress, 1);
        Assert.Equal(TcVerdict.Pass, c.Node.Receive(c.Server, probe.Delivered(c.Server)).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_may_not_send_tunnel_packets_to_nodes(Family f)
    {
        using var c = new Cluster(f);
        Assert.Equal(DropReason.EncapsulationTrafficIsProhibited, c.Node.Send(c.Client, Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Host, 8472))).Dropped);
    }
}
