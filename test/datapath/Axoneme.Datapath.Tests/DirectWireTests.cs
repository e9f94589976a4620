// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Direct server return before the stack.</summary>
public sealed class DirectWireTests
{
    private const ushort Port = 30080;
    private const LbFlags Outside = LbFlags.NodePort | LbFlags.Routable;

    [Theory, MemberData(nameof(WireTests.FamilyAndProtocol), MemberType = typeof(WireTests))]
    public void The_first_packet_tells_the_backends_node_the_service_address(Family f, byte protocol)
    {
        using Wire wire = Direct(f, protocol);
        Packet sent = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, Port), protocol);
        AssertForwarded(wire.Receive(sent), DsrTests.Told(AtBackend(f, sent), f));
        Assert.Equal(1ul, wire.Node.Counted(0, MetricDirection.Egress));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Later_packets_of_a_connection_need_not(Family f)
    {
        using Wire wire = Direct(f, 6);
        Packet syn = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, Port));
        wire.Receive(syn);
        AssertForwarded(wire.Receive(syn with { Flags = Tcp.Ack }), AtBackend(f, syn with { Flags = Tcp.Ack }).ToBytes());
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_would_not_fit_with_the_address_passes(Family f)
    {
        using Wire wire = Direct(f, 17);
        int headers = (f.IsV6 ? 40 : 20) + 8;
        int option = f.IsV6 ? 24 : 8;
        Packet largest = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, Port), 17) with { Payload = new byte[1500 - headers - option] };
        Assert.Equal(XdpVerdict.Transmit, wire.Receive(largest).Verdict);
        Packet larger = largest with { Payload = new byte[1500 - headers - option + 1] };
        WireOutcome outcome = wire.Receive(larger);
        Assert.Equal((XdpVerdict.Pass, Convert.ToHexString(larger.ToBytes())), (outcome.Verdict, Convert.ToHexString(outcome.Bytes)));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_service_that_is_not_for_it_is_translated_all_the_same(Family f)
    {
        using Wire wire = Direct(f, 6);
        Service(f, 6).Install(wire.Node);
        Packet sent = Wire.FromClient(f.At(f.Outside, 40000), f.At(f.Host, Port));
        WireOutcome outcome = wire.Receive(sent);
        AssertForwarded(outcome, wire.Forwarded(sent, f.At(f.Remote, 8080), outcome.Bytes).ToBytes());
    }

    private static Wire Direct(Family f, byte protocol)
    {
        var wire = new Wire(f, constants => constants with { ServiceDsr = true });
        (Service(f, protocol) with { Flags2 = LbFlags2.Dsr }).Install(wire.Node);
        return wire;
    }

    private static TestService Service(Family f, byte protocol)
        => new(f.At(f.Host, Port), 7, protocol) { Flags = Outside, Backends = [f.At(f.Remote, 8080)] };

    private static Packet AtBackend(Family f, Packet sent)
        => sent.ToService(f.At(f.Remote, 8080)).Routed() with { SourceMac = Uplink.Mac, DestinationMac = Uplink.NodeMac };

    private static void AssertForwarded(WireOutcome outcome, byte[] expected)
        => Assert.Equal((XdpVerdict.Transmit, Convert.ToHexString(expected)), (outcome.Verdict, Convert.ToHexString(outcome.Bytes)));
}
