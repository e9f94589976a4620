// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Errors, fragments, extension headers and garbage.</summary>
public sealed class OddPacketTests
{
    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_routers_error_about_a_connection_passes_without_a_rule(Family f)
    {
        using var c = new Cluster(f);
        Packet query = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Remote, 53));
        c.Node.Send(c.Client, query);
        c.Node.Enforce(c.Client, PolicyStateFlags.IngressEnforced);
        Packet error = query.Error(f.RemoteNode, f.PortUnreachable.Type, f.PortUnreachable.Code);
        Outcome outcome = c.Node.FromNetwork(error);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal((byte)CtState.Related, outcome.Trace.CtState);
        Packet foreign = (query with { FromPort = 5001 }).Error(f.RemoteNode, f.PortUnreachable.Type, f.PortUnreachable.Code);
        Assert.Equal(DropReason.PolicyDenied, c.Node.FromNetwork(foreign).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Later_fragments_follow_the_first(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity, 17, 53);
        Packet first = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53)) with { Fragment = 0, MoreFragments = true, FragmentId = 9, Payload = new byte[24] };
        Packet later = first with { Fragment = 4, MoreFragments = false };
        Assert.Equal(DropReason.FirstLogicalDatagramFragmentNotFound, c.Node.Send(c.Client, later).Dropped);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, first).Verdict);
        Outcome outcome = c.Node.Send(c.Client, later);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal(later.Delivered(c.Server).ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Garbage_is_dropped_with_the_reason(Family f)
    {
        using var c = new Cluster(f);
        byte[] whole = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80)).ToBytes();
        Assert.Equal(DropReason.InvalidPacket, Sent(c, whole[..^8]).Dropped);
        byte[] version = [.. whole];
        version[14] ^= 0x20;
        Assert.Equal(DropReason.InvalidPacket, Sent(c, version).Dropped);
        byte[] offset = [.. whole];
        offset[(f.IsV6 ? 54 : 34) + 12] = 0x40;
        Assert.Equal(DropReason.CtTruncatedOrInvalidHeader, Sent(c, offset).Dropped);
        byte[] otherProtocol = (Packet.Between(f.At(f.Client, 0), f.At(f.Server, 0), f.IsV6 ? (byte)1 : (byte)58) with { IcmpType = 8 }).ToBytes();
        Assert.Equal(DropReason.CtUnknownL4Protocol, Sent(c, otherProtocol).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_protocol_without_ports_is_a_connection_between_addresses(Family f)
    {
        using var c = new Cluster(f);
        Packet gre = Packet.Between(f.At(f.Client, 0), f.At(f.Server, 0), 47);
        Assert.Equal((byte)CtState.New, c.Node.Send(c.Client, gre).Trace.CtState);
        Assert.Equal((byte)CtState.Reply, c.Node.Send(c.Server, gre.Reply()).Trace.CtState);
    }

    [Fact]
    public void Extension_headers_are_walked_but_not_for_ever()
    {
        var f = new Family(IsV6: true);
        using var c = new Cluster(f);
        (byte, byte[]) options = (60, new byte[7]);
        Packet udp = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        Outcome outcome = c.Node.Send(c.Client, udp with { Extensions = [(0, new byte[7]), options] });
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal((byte)CtState.Reply, c.Node.Send(c.Server, udp.Reply()).Trace.CtState);
        Outcome endless = c.Node.Send(c.Client, udp with { Extensions = [.. Enumerable.Repeat(options, 8)] });
        Assert.Equal(DropReason.InvalidIpv6ExtensionHeader, endless.Dropped);
    }

    [Fact]
    public void The_link_is_the_stacks_business_but_a_pod_is_no_router()
    {
        var f = new Family(IsV6: true);
        using var c = new Cluster(f);
        Packet solicitation = Packet.Ping("fe80::5", "ff02::1:ff00:1") with { IcmpType = 135, HopLimit = 255, Payload = new byte[16] };
        Assert.Equal(TcVerdict.Pass, c.Node.Send(c.Client, solicitation).Verdict);
        Assert.Equal(DropReason.InvalidPacket, c.Node.Send(c.Client, solicitation with { HopLimit = 64 }).Dropped);
        Assert.Equal(DropReason.ForbiddenIcmpv6Message, c.Node.Send(c.Client, solicitation with { IcmpType = 134 }).Dropped);
        Assert.Equal(DropReason.InvalidSourceIp, c.Node.Send(c.Client, Packet.UdpFrom("[fe80::5]:1", f.At(f.Server, 53))).Dropped);
    }

    [Fact]
    public void Arp_passes_and_other_protocols_do_not()
    {
        using var c = new Cluster(new Family(IsV6: false));
        byte[] frame = new byte[60];
        (frame[12], frame[13]) = (0x08, 0x06);
        Assert.Equal(TcVerdict.Pass, Sent(c, frame).Verdict);
        (frame[12], frame[13]) = (0x88, 0xcc);
        Assert.Equal(DropReason.UnsupportedL2Protocol, Sent(c, frame).Dropped);
    }

    private static Outcome Sent(Cluster cluster, byte[] frame) => cluster.Node.Run(cluster.Client.Programs.Program(EndpointObject.EndpointEgress), frame);
}
