// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>ICMP errors through translations of services, and those that the node's edge sends itself.</summary>
public sealed class EdgeErrorTests
{
    private const ushort Port = 30053;
    private static readonly EdgeOptions NodePorts = new() { NodePorts = true };

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_backends_error_reaches_the_client_as_the_services(Family f)
    {
        using Cluster c = Serving(f, f.At(f.Remote, 5353));
        Packet atServer = Query(f).ToService(f.At(f.Remote, 5353)).FromService(f.At(f.Host, 40000)).Routed();
        c.Node.FromNetwork(Query(f));
        Outcome outcome = c.Node.FromNetwork(atServer.Error(f.Remote, f.PortUnreachable.Type, f.PortUnreachable.Code));
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Errors.AssertSame(Query(f).Routed().Error(f.Host, f.PortUnreachable.Type, f.PortUnreachable.Code).Routed(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_routers_error_keeps_its_sender(Family f)
    {
        using Cluster c = Serving(f, f.At(f.Remote, 5353));
        Packet atServer = Query(f).ToService(f.At(f.Remote, 5353)).FromService(f.At(f.Host, 40000)).Routed();
        c.Node.FromNetwork(Query(f));
        Outcome outcome = c.Node.FromNetwork(atServer.Error(f.RemoteNode, f.PacketTooBig.Type, f.PacketTooBig.Code));
        Errors.AssertSame(Query(f).Routed().Error(f.RemoteNode, f.PacketTooBig.Type, f.PacketTooBig.Code).Routed(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_error_about_an_answer_reaches_the_backend_elsewhere(Family f)
    {
        using Cluster c = Serving(f, f.At(f.Remote, 5353));
        c.Node.FromNetwork(Query(f));
        Packet answer = Query(f).Reply();
        Outcome outcome = c.Node.FromNetwork(answer.Error(f.Outside, f.PacketTooBig.Type, f.PacketTooBig.Code));
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Packet sent = answer.FromService(f.At(f.Remote, 5353)).ToService(f.At(f.Host, 40000));
        Errors.AssertSame(sent.Error(f.Host, f.PacketTooBig.Type, f.PacketTooBig.Code).Routed(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_error_about_an_answer_reaches_the_pod_here(Family f)
    {
        using Cluster c = Serving(f, f.At(f.Server, 5353));
        c.Node.FromNetwork(Query(f));
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Packet answer = Query(f).Reply();
        Outcome outcome = c.Node.FromNetwork(answer.Error(f.Outside, f.PacketTooBig.Type, f.PacketTooBig.Code));
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal((byte)CtState.Related, outcome.Trace.CtState);
        Errors.AssertSame(answer.FromService(f.At(f.Server, 5353)).Error(f.Outside, f.PacketTooBig.Type, f.PacketTooBig.Code).Delivered(c.Server), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_heres_error_leaves_as_the_services(Family f)
    {
        using Cluster c = Serving(f, f.At(f.Server, 5353));
        Packet atServer = Query(f).ToService(f.At(f.Server, 5353)).Delivered(c.Server);
        c.Node.FromNetwork(Query(f));
        Outcome outcome = c.Node.Send(c.Server, atServer.Error(f.Server, f.PortUnreachable.Type, f.PortUnreachable.Code));
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Errors.AssertSame(Query(f).Routed().Error(f.Host, f.PortUnreachable.Type, f.PortUnreachable.Code).Routed(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void The_nodes_own_error_leaves_as_the_services(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Service, 53), 7, 17, [f.At(f.Host, 5353)]);
        Packet query = Packet.UdpFrom(f.At(f.Outside, 40000), f.At(f.Service, 53));
        c.Node.FromNetwork(query);
        Packet error = query.ToService(f.At(f.Host, 5353)).Error(f.Host, f.PortUnreachable.Type, f.PortUnreachable.Code);
        Errors.AssertSame(query.Error(f.Service, f.PortUnreachable.Type, f.PortUnreachable.Code), c.Node.ToNetwork(error).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Without_a_backend_the_client_is_told(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 17, []);
        Outcome outcome = c.Node.FromNetwork(Query(f));
        Assert.Equal(DropReason.ServiceBackendNotFound, outcome.Dropped);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal(Whole(Query(f), f.Host, f.PortUnreachable.Type, f.PortUnreachable.Code).ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Without_a_backend_nobody_is_told_where_that_is_switched_off(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts with { Reject = false });
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 17, []);
        Outcome outcome = c.Node.FromNetwork(Query(f));
        Assert.Equal(DropReason.ServiceBackendNotFound, outcome.Dropped);
        Assert.Equal(TcVerdict.Drop, outcome.Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_port_that_a_service_address_does_not_serve_is_refused(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Service, 80), 7, 6, [f.At(f.Server, 8080)], LbFlags.Routable | LbFlags.LoadBalancer);
        c.Node.AddWildcard(f.Service);
        Packet syn = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Service, 81));
        Outcome outcome = c.Node.FromNetwork(syn);
        Assert.Equal(DropReason.ServiceBackendNotFound, outcome.Dropped);
        Assert.Equal(Whole(syn, f.Service, f.PortUnreachable.Type, f.PortUnreachable.Code).ToBytes(), outcome.Bytes);
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(syn with { ToPort = 80 }).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_the_tunnel_does_not_carry_is_answered_with_what_it_does(Family f)
    {
        using var c = new Cluster(f, tunnel: true, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 17, [f.At(f.Remote, 5353)]);
        Packet large = Query(f) with { Payload = new byte[1440], DontFragment = true };
        Outcome outcome = c.Node.FromNetwork(large);
        Assert.Equal(DropReason.FragmentationNeeded, outcome.Dropped);
        Packet quoted = Whole(large, f.Host, f.PacketTooBig.Type, f.PacketTooBig.Code);
        Assert.Equal((quoted with { IcmpMtu = 1450, Payload = quoted.Payload[..96] }).ToBytes(), outcome.Bytes);
        // Without the wish to stay whole it is the outer packet that is cut.
        if (!f.IsV6)
            Assert.Null(c.Node.FromNetwork(large with { DontFragment = false }).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_packet_at_the_end_of_its_hops_is_answered(Family f)
    {
        using Cluster c = Serving(f, f.At(f.Remote, 5353));
        Packet last = Query(f) with { HopLimit = 1 };
        Outcome outcome = c.Node.FromNetwork(last);
        Assert.Equal(DropReason.TtlExceeded, outcome.Dropped);
        Assert.Equal(Whole(last, f.Host, f.IsV6 ? (byte)3 : (byte)11, 0).ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_answer_at_the_end_of_its_hops_is_answered(Family f)
    {
        using Cluster c = Serving(f, f.At(f.Remote, 5353));
        c.Node.FromNetwork(Query(f));
        Packet last = Query(f).ToService(f.At(f.Remote, 5353)).FromService(f.At(f.Host, 40000)).Reply() with { HopLimit = 1 };
        Outcome outcome = c.Node.FromNetwork(last);
        Assert.Equal(DropReason.TtlExceeded, outcome.Dropped);
        Assert.Equal(Whole(last, f.Host, f.IsV6 ? (byte)3 : (byte)11, 0).ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_is_told_that_a_service_has_no_backend(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true, edge: NodePorts);
        c.Node.AddService(f.At(f.Service, 53), 7, 17);
        Packet query = Packet.UdpFrom(f.At(f.Client, 40000), f.At(f.Service, 53));
        Outcome outcome = c.Node.Send(c.Client, query);
        Assert.Equal(DropReason.ServiceBackendNotFound, outcome.Dropped);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Packet expected = Whole(query, f.Service, f.PortUnreachable.Type, f.PortUnreachable.Code);
        Assert.Equal((expected with { HopLimit = 65, SourceMac = query.DestinationMac, DestinationMac = query.SourceMac }).ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_is_told_that_its_answer_through_a_service_is_too_large_for_the_way(Family f)
    {
        using Cluster c = Serving(f, f.At(f.Server, 5353));
        c.Node.FromNetwork(Query(f));
        AssertToldOfSize(c, f, Query(f).ToService(f.At(f.Server, 5353)).Reply());
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_is_told_that_its_direct_answer_is_too_large_for_the_way(Family f)
    {
        using var c = new Cluster(f, edge: NodePorts with { Dsr = true });
        Packet query = Packet.UdpFrom(f.At(f.Outside, 40000), f.At(f.Server, 5353));
        c.Node.Run(c.Node.Host.Program(HostObject.FromNetdev), DsrTests.Told(query, f));
        AssertToldOfSize(c, f, query.Reply());
    }

    private static void AssertToldOfSize(Cluster c, Family f, Packet reply)
    {
        Packet large = reply with { Payload = new byte[1500], DontFragment = true };
        Outcome outcome = c.Node.Send(c.Server, large);
        Assert.Equal(DropReason.FragmentationNeeded, outcome.Dropped);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Packet quoted = Whole(large, f.Outside, f.PacketTooBig.Type, f.PacketTooBig.Code);
        Packet told = quoted with { IcmpMtu = 1500, Payload = quoted.Payload[..96], HopLimit = 65, SourceMac = large.DestinationMac, DestinationMac = large.SourceMac };
        Assert.Equal(told.ToBytes(), outcome.Bytes);
        Assert.Null(c.Node.Send(c.Server, large with { Payload = new byte[1400] }).Dropped);
        // Without the wish to stay whole it may be cut on its way.
        if (!f.IsV6)
            Assert.Null(c.Node.Send(c.Server, large with { DontFragment = false }).Dropped);
    }

    private static Cluster Serving(Family f, string backend)
    {
        var cluster = new Cluster(f, edge: NodePorts);
        cluster.Node.AddFrontend(f.At(f.Host, Port), 7, 17, [backend]);
        return cluster;
    }

    private static Packet Query(Family f) => Packet.UdpFrom(f.At(f.Outside, 40000), f.At(f.Host, Port));

    // An error that quotes all there is.
    private static Packet Whole(Packet about, string sender, byte type, byte code)
        => about.Error(sender, type, code) with { Payload = about.ToBytes()[14..] };
}
