// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;

namespace Axoneme.Hubble.Filters;

internal static class Transport
{
    public static (uint Source, uint Destination)? Ports(Layer4? l4) => l4?.ProtocolCase switch
    {
        Layer4.ProtocolOneofCase.TCP => (l4.TCP.SourcePort, l4.TCP.DestinationPort),
        Layer4.ProtocolOneofCase.UDP => (l4.UDP.SourcePort, l4.UDP.DestinationPort),
        Layer4.ProtocolOneofCase.SCTP => (l4.SCTP.SourcePort, l4.SCTP.DestinationPort),
        _ => null,
    };

    public static Predicate<Flow> ProtocolMatch(string name) => name.ToLowerInvariant() switch
    {
        "icmp" => static flow => Is(flow, Layer4.ProtocolOneofCase.ICMPv4) || Is(flow, Layer4.ProtocolOneofCase.ICMPv6),
        "icmpv4" => static flow => Is(flow, Layer4.ProtocolOneofCase.ICMPv4),
        "icmpv6" => static flow => Is(flow, Layer4.ProtocolOneofCase.ICMPv6),
        "tcp" => static flow => Is(flow, Layer4.ProtocolOneofCase.TCP),
        "udp" => static flow => Is(flow, Layer4.ProtocolOneofCase.UDP),
        "sctp" => static flow => Is(flow, Layer4.ProtocolOneofCase.SCTP),
        "vrrp" => static flow => Is(flow, Layer4.ProtocolOneofCase.VRRP),
        "igmp" => static flow => Is(flow, Layer4.ProtocolOneofCase.IGMP),
        "dns" => static flow => flow.L7?.RecordCase == Layer7.RecordOneofCase.Dns,
        "http" => static flow => flow.L7?.RecordCase == Layer7.RecordOneofCase.Http,
        "kafka" => static flow => flow.L7?.RecordCase == Layer7.RecordOneofCase.Kafka,
        _ => throw new FormatException($"invalid protocol filter '{name}'"),
    };

    /// <summary>Every flag that is asked for is set; others may be.</summary>
    public static bool HasAll(TCPFlags actual, TCPFlags wanted)
        => (actual.FIN || !wanted.FIN) && (actual.SYN || !wanted.SYN) && (actual.RST || !wanted.RST)
            && (actual.PSH || !wanted.PSH) && (actual.ACK || !wanted.ACK) && (actual.URG || !wanted.URG)
            && (actual.ECE || !wanted.ECE) && (actual.CWR || !wanted.CWR) && (actual.NS || !wanted.NS);

    private static bool Is(Flow flow, Layer4.ProtocolOneofCase protocol) => flow.L4?.ProtocolCase == protocol;
}
