// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

/// <summary>A node with several devices that lead out (uplink_ifindex 0): the routing table says which one a packet takes.</summary>
public sealed class SeveralUplinkTests
{
    private const ushort Port = 30080;
    private static readonly EdgeOptions NodePorts = new() { NodePorts = true };

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Another_nodes_pod_is_reached_by_the_route_to_it(Family f)
    {
        using Uplink uplink = NewUplink(f);
        using var c = new Cluster(f, uplink: null);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Remote, 80));
        Outcome outcome = Send(c, uplink, c.Client, syn);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal(syn.Routed().ToBytes(), outcome.Bytes);
        Assert.Equal(((byte)TracePoint.ToNetwork, (uint)uplink.Index), (outcome.Trace.Point, outcome.Trace.Ifindex));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_client_outside_is_balanced_with_the_address_of_the_device_that_leads_to_the_backend(Family f)
    {
        using Uplink uplink = NewUplink(f);
        using var c = new Cluster(f, uplink: null, edge: NodePorts);
        c.Node.AddDevice((uint)uplink.Index, "172.30.0.11", "fd00:30::11");
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.Remote, 8080)]);
        Packet sent = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, Port));
        Outcome there = Run(c, uplink, c.Node.Host.Program(HostObject.FromNetdev), sent);
        Assert.Equal(TcVerdict.Redirect, there.Verdict);
        Assert.Equal(sent.ToService(f.At(f.Remote, 8080)).FromService(f.At(f.Host, 40000)).Routed().ToBytes(), there.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pods_answer_that_the_device_to_its_client_does_not_carry_is_refused_with_what_it_does(Family f)
    {
        using Uplink uplink = NewUplink(f);
        uplink.SetMtu(1400);
        using var c = new Cluster(f, uplink: null, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 17, [f.At(f.Server, 5353)]);
        Packet query = Packet.UdpFrom(f.At(f.Outside, 40000), f.At(f.Host, Port));
        c.Node.FromNetwork(query);
        Packet large = query.ToService(f.At(f.Server, 5353)).Reply() with { Payload = new byte[1400], DontFragment = true };
        Outcome outcome = Send(c, uplink, c.Server, large);
        Assert.Equal(DropReason.FragmentationNeeded, outcome.Dropped);
        Packet quoted = large.Error(f.Outside, f.PacketTooBig.Type, f.PacketTooBig.Code) with { Payload = large.ToBytes()[14..110] };
        Packet told = quoted with { IcmpMtu = 1400, HopLimit = 65, SourceMac = large.DestinationMac, DestinationMac = large.SourceMac };
        Assert.Equal(told.ToBytes(), outcome.Bytes);
        Assert.Null(Send(c, uplink, c.Server, large with { Payload = new byte[1300] }).Dropped);
    }

    private static Uplink NewUplink(Family f)
        => new(IpAddress.Parse(f.Host), IpAddress.Parse(f.RemoteNode), IpAddress.Parse(f.Gateway), IpPrefix.Parse(f.IsV6 ? "fd00:244:0:1::/64" : "10.244.1.0/24"));

    private static Outcome Send(Cluster c, Uplink uplink, Pod pod, Packet packet)
        => Run(c, uplink, pod.Programs.Program(EndpointObject.EndpointEgress), packet);

    private static Outcome Run(Cluster c, Uplink uplink, BpfProgram program, Packet packet)
        => uplink.Inside(() => c.Node.Run(program, packet.ToBytes(), at: (uint)uplink.Index));
}
