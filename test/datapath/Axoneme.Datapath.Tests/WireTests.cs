// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

/// <summary>Load balancing before the stack.</summary>
public sealed class WireTests
{
    private const LbFlags Outside = LbFlags.NodePort | LbFlags.Routable;

    [Theory, MemberData(nameof(FamilyAndProtocol))]
    public void A_packet_to_a_service_leaves_to_the_backends_node_and_the_answer_to_the_client(Family f, byte protocol)
    {
        using var wire = new Wire(f);
        Service(f, protocol).Install(wire.Node);
        Packet sent = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, 30080), protocol);
        WireOutcome there = wire.Receive(sent);
        Packet forwarded = wire.Forwarded(sent, f.At(f.Remote, 8080), there.Bytes);
        Assert.Equal((XdpVerdict.Transmit, Hex(forwarded)), (there.Verdict, Convert.ToHexString(there.Bytes)));
        Assert.InRange(forwarded.FromPort, 32768, 65535);
        Assert.Equal(there.Bytes, wire.Receive(sent).Bytes);

        Packet answer = forwarded.Reply() with { SourceMac = Uplink.NodeMac, DestinationMac = Uplink.Mac };
        Packet atClient = answer.Routed().FromService(f.At(f.Host, 30080)).ToService(f.At(f.Outside, 40000))
            with
        { SourceMac = Uplink.Mac, DestinationMac = Uplink.GatewayMac };
        WireOutcome back = wire.Receive(answer);
        Assert.Equal((XdpVerdict.Transmit, Hex(atClient)), (back.Verdict, Convert.ToHexString(back.Bytes)));
        Assert.Equal(3ul, wire.Node.Counted(0, MetricDirection.Egress));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Connections_of_one_client_leave_by_ports_of_their_own(Family f)
    {
        using var wire = new Wire(f);
        Service(f).Install(wire.Node);
        HashSet<ushort> ports = [];
        for (ushort port = 20000; port < 20100; port++)
        {
            Packet sent = Wire.FromClient(f.At(f.Outside, port), f.At(f.Host, 30080));
            Assert.True(ports.Add(wire.Forwarded(sent, f.At(f.Remote, 8080), wire.Receive(sent).Bytes).FromPort));
        }
    }

    [Fact]
    public void A_datagram_without_checksum_gets_none()
    {
        var f = new Family(false);
        using var wire = new Wire(f);
        Service(f, 17).Install(wire.Node);
        byte[] frame = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, 30080), 17).ToBytes();
        frame[40] = frame[41] = 0;
        WireOutcome outcome = wire.Receive(frame);
        Assert.Equal((XdpVerdict.Transmit, 0, 0), (outcome.Verdict, outcome.Bytes[40], outcome.Bytes[41]));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_the_link_fills_a_short_frame_up_with_stays(Family f)
    {
        using var wire = new Wire(f);
        Service(f, 17).Install(wire.Node);
        Packet sent = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, 30080), 17) with { Payload = [] };
        byte[] padding = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];
        WireOutcome outcome = wire.Receive([.. sent.ToBytes(), .. padding]);
        Assert.Equal(Hex(wire.Forwarded(sent, f.At(f.Remote, 8080), outcome.Bytes)) + Convert.ToHexString(padding), Convert.ToHexString(outcome.Bytes));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_is_not_plain_passes_as_it_came(Family f)
    {
        using var wire = new Wire(f);
        Service(f).Install(wire.Node);
        Service(f, 132).Install(wire.Node);
        Packet plain = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, 30080));
        Assert.Equal(XdpVerdict.Transmit, wire.Receive(plain).Verdict);
        AssertPasses(wire, (plain with { HopLimit = 1 }).ToBytes());
        AssertPasses(wire, (plain with { Fragment = 0, MoreFragments = true, FragmentId = 7 }).ToBytes());
        AssertPasses(wire, (plain with { Fragment = 10, FragmentId = 7 }).ToBytes());
        AssertPasses(wire, (plain with { Protocol = 132 }).ToBytes());
        AssertPasses(wire, (plain with { DestinationMac = Uplink.NodeMac }).ToBytes());
        AssertPasses(wire, (plain with { ToPort = 30081 }).ToBytes());
        AssertPasses(wire, plain.ToBytes()[..40]);
        byte[] tagged = [.. plain.ToBytes()[..12], 0x81, 0, 0, 5, .. plain.ToBytes()[12..]];
        AssertPasses(wire, tagged);
        byte[] odd = plain.ToBytes();
        odd[14] = f.IsV6 ? (byte)0x50 : (byte)0x46;
        AssertPasses(wire, odd);
        if (f.IsV6)
            AssertPasses(wire, (plain with { Extensions = [(60, [0, 1, 4, 0, 0, 0, 0])] }).ToBytes());
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_comes_in_by_a_device_that_is_no_uplink_any_more_passes_soon(Family f)
    {
        // Direct return needs none of the device's addresses, whose absence makes frames pass as well.
        using var wire = new Wire(f, constants => constants with { ServiceDsr = true });
        (Service(f) with { Flags2 = LbFlags2.Dsr }).Install(wire.Node);
        byte[] frame = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, 30080)).ToBytes();
        wire.OnOneProcessor(receive =>
        {
            Assert.Equal(XdpVerdict.Transmit, receive(frame).Verdict);
            wire.RemoveDevice();
            Assert.True(SpinWait.SpinUntil(() => receive(frame).Verdict == XdpVerdict.Pass, TimeSpan.FromSeconds(30)), "the program goes on as if the device were an uplink");
            Assert.Equal(frame, receive(frame).Bytes);
        });
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_must_be_answered_or_waited_for_passes(Family f)
    {
        using var wire = new Wire(f);
        Packet sent = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, 30080));
        (Service(f) with { Backends = [] }).Install(wire.Node);
        AssertPasses(wire, sent.ToBytes());
        (Service(f) with { Flags = Outside | LbFlags.SourceRanges }).Install(wire.Node);
        AssertPasses(wire, sent.ToBytes());
        (Service(f) with { Flags = 0 }).Install(wire.Node);
        AssertPasses(wire, sent.ToBytes());
        wire.ForgetRemoteNode();
        Service(f).Install(wire.Node);
        AssertPasses(wire, sent.ToBytes());
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_backend_on_this_node_is_left_to_the_stack(Family f)
    {
        using var wire = new Wire(f);
        wire.Node.AddPod(6, Cluster.ServerIdentity, new Family(false).Server, new Family(true).Server);
        (Service(f) with { Backends = [f.At(f.Server, 8080)] }).Install(wire.Node);
        AssertPasses(wire, Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, 30080)).ToBytes());
        wire.Node.AddHostAddress(f.Host);
        (Service(f) with { Backends = [f.At(f.Host, 8080)], ReverseNat = 8 }).Install(wire.Node);
        AssertPasses(wire, Wire.FromClient(f.At(f.Outside, 40001), f.At(f.Host, 30080)).ToBytes());
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Another_uplink_is_used_only_if_it_takes_such_frames(Family f)
    {
        using var strict = new Wire(f, constants => constants with { UplinkIfindex = 999 });
        Service(f).Install(strict.Node);
        AssertPasses(strict, Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, 30080)).ToBytes());
        using var routed = new Wire(f, constants => constants with { UplinkIfindex = 0 });
        Service(f).Install(routed.Node);
        Assert.Equal(XdpVerdict.Transmit, routed.Receive(Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, 30080))).Verdict);
    }

    public static TheoryData<Family, byte> FamilyAndProtocol { get; } = new()
    {
        { new Family(false), 6 }, { new Family(false), 17 }, { new Family(true), 6 }, { new Family(true), 17 },
    };

    private static TestService Service(Family f, byte protocol = 6)
        => new(f.At(f.Host, 30080), 7, protocol) { Flags = Outside, Backends = [f.At(f.Remote, 8080)] };

    private static string Hex(Packet packet) => Convert.ToHexString(packet.ToBytes());

    private static void AssertPasses(Wire wire, byte[] frame)
    {
        WireOutcome outcome = wire.Receive(frame);
        Assert.Equal((XdpVerdict.Pass, Convert.ToHexString(frame)), (outcome.Verdict, Convert.ToHexString(outcome.Bytes)));
    }
}
