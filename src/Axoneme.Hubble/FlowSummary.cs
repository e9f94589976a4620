// SPDX-License-Identifier: Apache-2.0
using System.Text;

namespace Axoneme.Hubble;

/// <summary>The one-line text of a flow's last header.</summary>
internal static class FlowSummary
{
    private static readonly (int Bit, string Name)[] TcpFlagNames =
    [
        (0x002, "SYN"), (0x010, "ACK"), (0x004, "RST"), (0x001, "FIN"), (0x008, "PSH"), (0x020, "URG"), (0x040, "ECE"), (0x080, "CWR"), (0x100, "NS"),
    ];

    private static readonly string[] NoCodes = [];

    public static string Of(in FlowRecord record) => record.Dns is { } exchange ? DnsFlow.Summary(exchange) : record.Layer switch
    {
        PacketLayer.Tcp => "TCP Flags: " + TcpFlags(record.TcpFlags),
        PacketLayer.Udp => "UDP",
        PacketLayer.Sctp => "SCTP",
        PacketLayer.IcmpV4 => "ICMPv4 " + TypeText(IcmpV4(record.IcmpType), record.IcmpType, record.IcmpCode),
        PacketLayer.IcmpV6 => "ICMPv6 " + TypeText(IcmpV6(record.IcmpType), record.IcmpType, record.IcmpCode),
        PacketLayer.Igmp => "IGMP " + Igmp(record.IcmpType),
        PacketLayer.Vrrp => "VRRP VRRPv2 Advertisement",
        PacketLayer.IPv4 => "IPv4",
        PacketLayer.IPv6 => "IPv6",
        PacketLayer.Ethernet => "Ethernet",
        _ => "",
    };

    private static string TcpFlags(int bits)
    {
        var text = new StringBuilder();
        foreach ((int bit, string name) in TcpFlagNames)
        {
            if ((bits & bit) != 0)
                text.Append(text.Length > 0 ? ", " : "").Append(name);
        }

        return text.ToString();
    }

    private static string TypeText((string Name, string[] Codes)? known, byte type, byte code)
    {
        if (known is not { } found)
            return $"{type}({code})";
        if (found.Codes.Length == 0 && code == 0)
            return found.Name;
        return code < found.Codes.Length ? $"{found.Name}({found.Codes[code]})" : $"{found.Name}(Code: {code})";
    }

    private static string Igmp(byte type) => type switch
    {
        0x11 => "IGMP Membership Query",
        0x12 => "IGMPv1 Membership Report",
        0x16 => "IGMPv2 Membership Report",
        0x17 => "Leave Group",
        0x22 => "IGMPv3 Membership Report",
        _ => $"Unknown({type})",
    };

    private static (string Name, string[] Codes)? IcmpV4(byte type) => type switch
    {
        0 => ("EchoReply", NoCodes),
        3 => ("DestinationUnreachable", UnreachableV4),
        4 => ("SourceQuench", NoCodes),
        5 => ("Redirect", RedirectV4),
        8 => ("EchoRequest", NoCodes),
        9 => ("RouterAdvertisement", NoCodes),
        10 => ("RouterSolicitation", NoCodes),
        11 => ("TimeExceeded", TimeExceededV4),
        12 => ("ParameterProblem", ParameterV4),
        13 => ("TimestampRequest", NoCodes),
        14 => ("TimestampReply", NoCodes),
        15 => ("InfoRequest", NoCodes),
        16 => ("InfoReply", NoCodes),
        17 => ("AddressMaskRequest", NoCodes),
        18 => ("AddressMaskReply", NoCodes),
        _ => null,
    };

    private static (string Name, string[] Codes)? IcmpV6(byte type) => type switch
    {
        1 => ("DestinationUnreachable", UnreachableV6),
        2 => ("PacketTooBig", NoCodes),
        3 => ("TimeExceeded", TimeExceededV6),
        4 => ("ParameterProblem", ParameterV6),
        128 => ("EchoRequest", NoCodes),
        129 => ("EchoReply", NoCodes),
        133 => ("RouterSolicitation", NoCodes),
        134 => ("RouterAdvertisement", NoCodes),
        135 => ("NeighborSolicitation", NoCodes),
        136 => ("NeighborAdvertisement", NoCodes),
        137 => ("Redirect", NoCodes),
        _ => null,
    };

    private static readonly string[] UnreachableV4 =
    [
        "Net", "Host", "Protocol", "Port", "FragmentationNeeded", "SourceRoutingFailed", "NetUnknown", "HostUnknown", "SourceIsolated",
        "NetAdminProhibited", "HostAdminProhibited", "NetTOS", "HostTOS", "CommAdminProhibited", "HostPrecedence", "PrecedenceCutoff",
    ];

    private static readonly string[] RedirectV4 = ["Net", "Host", "TOS+Net", "TOS+Host"];
    private static readonly string[] TimeExceededV4 = ["TTLExceeded", "FragmentReassemblyTimeExceeded"];
    private static readonly string[] ParameterV4 = ["PointerIndicatesError", "MissingOption", "BadLength"];

    private static readonly string[] UnreachableV6 =
    [
        "NoRouteToDst", "AdminProhibited", "BeyondScopeOfSrc", "AddressUnreachable", "PortUnreachable", "SrcAddressFailedPolicy", "RejectRouteToDst",
    ];

    private static readonly string[] TimeExceededV6 = ["HopLimitExceeded", "FragmentReassemblyTimeExceeded"];
    private static readonly string[] ParameterV6 = ["ErroneousHeaderField", "UnrecognizedNextHeader", "UnrecognizedIPv6Option"];
}
