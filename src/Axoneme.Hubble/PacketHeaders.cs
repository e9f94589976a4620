// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using Axoneme.Network;

namespace Axoneme.Hubble;

/// <summary>Which header was the last that could be read.</summary>
internal enum PacketLayer : byte
{
    None,
    Ethernet,
    IPv4,
    IPv6,
    Tcp,
    Udp,
    Sctp,
    IcmpV4,
    IcmpV6,
    Igmp,
    Vrrp,
}

/// <summary>
/// Addresses and ports of a captured packet. Parsing never fails: it stops at the first header that is cut short, malformed or
/// unknown, and <see cref="Layer"/> says how far it came.
/// </summary>
internal struct PacketHeaders
{
    private const ushort EtherTypeIPv4 = 0x0800;
    private const ushort EtherTypeIPv6 = 0x86DD;
    private const ushort EtherTypeVlan = 0x8100;
    private const ushort EtherTypeQinQ = 0x88A8;
    private const int MaximalVlanTags = 2;
    private const int MaximalExtensionHeaders = 6;

    public PacketLayer Layer;

    /// <summary>Lower six bytes; meaningful when <see cref="HasEthernet"/>.</summary>
    public ulong SourceMac;
    public ulong DestinationMac;
    public bool HasEthernet;
    public IpAddress Source;
    public IpAddress Destination;
    public byte Protocol;
    public ushort SourcePort;
    public ushort DestinationPort;

    /// <summary>TCP flags with NS as bit 8.</summary>
    public ushort TcpFlags;

    /// <summary>ICMP and IGMP: type; VRRP: virtual router id. An IGMP group and a VRRP type are in the ports.</summary>
    public byte Type;

    /// <summary>ICMP: code; VRRP: priority.</summary>
    public byte Code;

    public readonly bool HasIp => Layer >= PacketLayer.IPv4;

    public static PacketHeaders Parse(ReadOnlySpan<byte> packet, bool startsAtIp)
    {
        var headers = default(PacketHeaders);
        if (!startsAtIp)
        {
            headers.ParseEthernet(packet);
            return headers;
        }

        if (packet.IsEmpty)
            return headers;
        if (packet[0] >> 4 == 4)
            headers.ParseIPv4(packet);
        else if (packet[0] >> 4 == 6)
            headers.ParseIPv6(packet);
        return headers;
    }

    private void ParseEthernet(ReadOnlySpan<byte> packet)
    {
        if (packet.Length < 14)
            return;
        DestinationMac = ReadMac(packet);
        SourceMac = ReadMac(packet[6..]);
        HasEthernet = true;
        Layer = PacketLayer.Ethernet;
        ushort type = BinaryPrimitives.ReadUInt16BigEndian(packet[12..]);
        ReadOnlySpan<byte> rest = packet[14..];
        for (int tags = 0; type is EtherTypeVlan or EtherTypeQinQ; tags++)
        {
            if (tags == MaximalVlanTags || rest.Length < 4)
                return;
            type = BinaryPrimitives.ReadUInt16BigEndian(rest[2..]);
            rest = rest[4..];
        }

        if (type == EtherTypeIPv4)
            ParseIPv4(rest);
        else if (type == EtherTypeIPv6)
            ParseIPv6(rest);
    }

    private void ParseIPv4(ReadOnlySpan<byte> packet)
    {
        if (packet.Length < 20 || packet[0] >> 4 != 4)
            return;
        int headerLength = (packet[0] & 0xf) * 4;
        if (headerLength < 20)
            return;
        Layer = PacketLayer.IPv4;
        Protocol = packet[9];
        Source = IpAddress.FromBytes(packet.Slice(12, 4));
        Destination = IpAddress.FromBytes(packet.Slice(16, 4));
        // A later fragment has no transport header: what follows is data.
        int fragmentOffset = BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x1fff;
        if (fragmentOffset == 0 && packet.Length > headerLength)
            ParseTransport(packet[headerLength..]);
    }

    private void ParseIPv6(ReadOnlySpan<byte> packet)
    {
        if (packet.Length < 40 || packet[0] >> 4 != 6)
            return;
        Layer = PacketLayer.IPv6;
        Source = IpAddress.FromBytes(packet.Slice(8, 16));
        Destination = IpAddress.FromBytes(packet.Slice(24, 16));
        Protocol = packet[6];
        ReadOnlySpan<byte> rest = packet[40..];
        for (int i = 0; i < MaximalExtensionHeaders && IsExtension(Protocol); i++)
        {
            if (rest.Length < 8)
                return;
            bool isFragment = Protocol == 44;
            // The authentication header counts words of four bytes, less two; the others words of eight, less one.
            int length = isFragment ? 8 : Protocol == 51 ? (rest[1] + 2) * 4 : (rest[1] + 1) * 8;
            bool isLaterFragment = isFragment && (BinaryPrimitives.ReadUInt16BigEndian(rest[2..]) & 0xfff8) != 0;
            Protocol = rest[0];
            if (isLaterFragment || rest.Length < length)
                return;
            rest = rest[length..];
        }

        ParseTransport(rest);
    }

    private static bool IsExtension(byte protocol) => protocol is 0 or 43 or 44 or 51 or 60 or 135;

    private void ParseTransport(ReadOnlySpan<byte> segment)
    {
        bool isV6 = Layer == PacketLayer.IPv6;
        switch (Protocol)
        {
            case 6 when segment.Length >= 14:
                ReadPorts(segment);
                TcpFlags = (ushort)(segment[13] | ((segment[12] & 1) << 8));
                Layer = PacketLayer.Tcp;
                break;
            case 17 when segment.Length >= 8:
                ReadPorts(segment);
                Layer = PacketLayer.Udp;
                break;
            case 132 when segment.Length >= 12:
                ReadPorts(segment);
                Layer = PacketLayer.Sctp;
                break;
            case 1 when !isV6 && segment.Length >= 4:
                ReadTypeAndCode(segment, PacketLayer.IcmpV4);
                break;
            case 58 when isV6 && segment.Length >= 4:
                ReadTypeAndCode(segment, PacketLayer.IcmpV6);
                break;
            case 2 when !isV6 && segment.Length >= 8:
                ReadTypeAndCode(segment, PacketLayer.Igmp);
                ReadPorts(segment[4..]);
                break;
            case 112 when segment.Length >= 8:
                SourcePort = (ushort)(segment[0] & 0xf);
                Type = segment[1];
                Code = segment[2];
                Layer = PacketLayer.Vrrp;
                break;
        }
    }

    private void ReadPorts(ReadOnlySpan<byte> segment)
    {
        SourcePort = BinaryPrimitives.ReadUInt16BigEndian(segment);
        DestinationPort = BinaryPrimitives.ReadUInt16BigEndian(segment[2..]);
    }

    private void ReadTypeAndCode(ReadOnlySpan<byte> segment, PacketLayer layer)
    {
        Type = segment[0];
        Code = segment[1];
        Layer = layer;
    }

    private static ulong ReadMac(ReadOnlySpan<byte> bytes)
        => ((ulong)BinaryPrimitives.ReadUInt16BigEndian(bytes) << 32) | BinaryPrimitives.ReadUInt32BigEndian(bytes[2..]);
}
