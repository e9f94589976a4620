// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Numerics;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

[Flags]
public enum Tcp : byte
{
    Fin = 1,
    Syn = 2,
    Rst = 4,
    Ack = 16,
    SynAck = Syn | Ack,
}

/// <summary>
/// A frame as a test thinks of it; <see cref="ToBytes"/> writes it with right lengths and checksums. Expected packets are made from sent
/// ones, so a test compares whole packets, checksums included.
/// </summary>
public sealed record Packet
{
    public const string PodMac = "0a0000000001";
    public const string GatewayMac = "0a00000000fe";

    public string SourceMac { get; init; } = PodMac;
    public string DestinationMac { get; init; } = GatewayMac;
    public required IpAddress From { get; init; }
    public required IpAddress To { get; init; }
    public byte HopLimit { get; init; } = 64;
    public required byte Protocol { get; init; }
    public ushort FromPort { get; init; }
    public ushort ToPort { get; init; }
    public Tcp Flags { get; init; }
    public byte IcmpType { get; init; }
    public byte IcmpCode { get; init; }
    public ushort IcmpId { get; init; }

    /// <summary>MTU that an error names.</summary>
    public ushort IcmpMtu { get; init; }

    public bool DontFragment { get; init; }
    public byte[] Payload { get; init; } = "axoneme"u8.ToArray();

    /// <summary>Offset of a fragment in units of eight bytes; null when the packet is whole.</summary>
    public ushort? Fragment { get; init; }

    public bool MoreFragments { get; init; }
    public ushort FragmentId { get; init; }

    /// <summary>IPv6 headers between the IP header and the rest: type and content without the next-header byte.</summary>
    public IReadOnlyList<(byte Type, byte[] Content)> Extensions { get; init; } = [];

    private bool IsV6 => From.IsV6;

    private bool HasHeader => Fragment is null or 0;

    public static Packet TcpFrom(string from, string to, Tcp flags = Tests.Tcp.Syn) => Between(from, to, 6) with { Flags = flags };

    public static Packet UdpFrom(string from, string to) => Between(from, to, 17);

    public static Packet Ping(string from, string to, ushort id = 77)
    {
        IpAddress source = IpAddress.Parse(from);
        return new Packet
        {
            From = source,
            To = IpAddress.Parse(to),
            Protocol = source.IsV6 ? (byte)58 : (byte)1,
            IcmpType = source.IsV6 ? (byte)128 : (byte)8,
            IcmpId = id,
        };
    }

    /// <summary>From and to as ADDRESS:PORT or [ADDRESS]:PORT.</summary>
    public static Packet Between(string from, string to, byte protocol)
    {
        (IpAddress source, ushort sourcePort) = Endpoint(from);
        (IpAddress destination, ushort destinationPort) = Endpoint(to);
        return new Packet { From = source, FromPort = sourcePort, To = destination, ToPort = destinationPort, Protocol = protocol };
    }

    public static (IpAddress Address, ushort Port) Endpoint(string text)
    {
        int colon = text.LastIndexOf(':');
        return (IpAddress.Parse(text[..colon].Trim('[', ']')), ushort.Parse(text[(colon + 1)..]));
    }

    /// <summary>What the other side answers.</summary>
    public Packet Reply(Tcp flags = Tests.Tcp.SynAck) => this with
    {
        SourceMac = PodMac,
        DestinationMac = GatewayMac,
        From = To,
        To = From,
        FromPort = ToPort,
        ToPort = FromPort,
        HopLimit = 64,
        Flags = Protocol == 6 ? flags : 0,
        IcmpType = Protocol switch { 1 => 0, 58 => 129, _ => 0 },
    };

    /// <summary>The same packet one router further, in a frame for a pod.</summary>
    public Packet Delivered(Pod pod) => this with { HopLimit = (byte)(HopLimit - 1), DestinationMac = pod.Mac, SourceMac = pod.NodeMac };

    /// <summary>The same packet one router further; the frame's addresses are not decided yet.</summary>
    public Packet Routed() => this with { HopLimit = (byte)(HopLimit - 1) };

    public Packet ToService(string address)
    {
        (IpAddress to, ushort port) = Endpoint(address);
        return this with { To = to, ToPort = port };
    }

    public Packet FromService(string address)
    {
        (IpAddress from, ushort port) = Endpoint(address);
        return this with { From = from, FromPort = port };
    }

    /// <summary>The error that a router (or the receiver itself) sends about this packet.</summary>
    public Packet Error(string router, byte type, byte code)
    {
        byte[] quoted = this.ToBytes()[14..];
        return new Packet
        {
            From = IpAddress.Parse(router),
            To = From,
            Protocol = IsV6 ? (byte)58 : (byte)1,
            IcmpType = type,
            IcmpCode = code,
            Payload = quoted[..Math.Min(quoted.Length, IsV6 ? 48 : 28)],
        };
    }

    public static bool HasRightIcmpChecksum(byte[] frame, bool isV6)
    {
        byte[] message = frame[(isV6 ? 54 : 34)..];
        byte[] pseudo = isV6 ? [.. frame[22..54], 0, 58, (byte)(message.Length >> 8), (byte)message.Length] : [];
        return Checksum([.. pseudo, .. message]) == 0;
    }

    public byte[] ToBytes()
    {
        byte[] transport = HasHeader ? Transport() : Payload;
        byte[] packet = [.. Convert.FromHexString(DestinationMac), .. Convert.FromHexString(SourceMac), .. IpHeader(transport.Length), .. transport];
        return packet;
    }

    private byte[] IpHeader(int length) => IsV6 ? [0x86, 0xdd, .. Ip6Header(length)] : [0x08, 0x00, .. Ip4Header(length)];

    private byte[] Ip4Header(int length)
    {
        byte[] header = new byte[20];
        header[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)(20 + length));
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(4), FragmentId);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(6), (ushort)((Fragment ?? 0) | (MoreFragments ? 0x2000 : 0) | (DontFragment ? 0x4000 : 0)));
        header[8] = HopLimit;
        header[9] = Protocol;
        From.WriteBytes(header.AsSpan(12));
        To.WriteBytes(header.AsSpan(16));
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(10), Checksum(header));
        return header;
    }

    private byte[] Ip6Header(int length)
    {
        var chain = new List<(byte Type, byte[] Content)>(Extensions);
        if (Fragment is { } offset)
        {
            byte[] rest = new byte[7];
            BinaryPrimitives.WriteUInt16BigEndian(rest.AsSpan(1), (ushort)((offset << 3) | (MoreFragments ? 1 : 0)));
            BinaryPrimitives.WriteUInt32BigEndian(rest.AsSpan(3), FragmentId);
            chain.Add((44, rest));
        }

        var extensions = new List<byte>();
        for (int i = 0; i < chain.Count; i++)
        {
            extensions.Add(i + 1 < chain.Count ? chain[i + 1].Type : Protocol);
            extensions.AddRange(chain[i].Content);
        }

        byte[] header = new byte[40];
        header[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(4), (ushort)(extensions.Count + length));
        header[6] = chain.Count > 0 ? chain[0].Type : Protocol;
        header[7] = HopLimit;
        From.WriteBytes(header.AsSpan(8));
        To.WriteBytes(header.AsSpan(24));
        return [.. header, .. extensions];
    }

    private byte[] Transport()
    {
        byte[] header = new byte[Protocol switch { 6 => 20, 17 or 1 or 58 => 8, 132 => 12, _ => 0 }];
        int checksum = Protocol switch { 6 => 16, 17 => 6, 1 or 58 => 2, _ => -1 };
        if (Protocol is 6 or 17 or 132)
        {
            BinaryPrimitives.WriteUInt16BigEndian(header, FromPort);
            BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), ToPort);
        }

        switch (Protocol)
        {
            case 6:
                header[12] = 0x50;
                header[13] = (byte)Flags;
                break;
            case 17:
                BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(4), (ushort)(8 + Payload.Length));
                break;
            case 1 or 58:
                header[0] = IcmpType;
                header[1] = IcmpCode;
                BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(4), IcmpId);
                BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(6), IcmpMtu);
                break;
        }

        byte[] bytes = [.. header, .. Payload];
        if (Protocol == 132)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), ~bytes.Aggregate(uint.MaxValue, BitOperations.Crc32C));
        if (checksum >= 0)
        {
            byte[] pseudo = Protocol == 1 ? [] : PseudoHeader(bytes.Length);
            BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(checksum), Checksum([.. pseudo, .. bytes]));
        }

        return bytes;
    }

    private byte[] PseudoHeader(int length)
    {
        int size = From.ByteCount;
        byte[] header = new byte[(size * 2) + 4];
        From.WriteBytes(header);
        To.WriteBytes(header.AsSpan(size));
        header[(size * 2) + 1] = Protocol;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan((size * 2) + 2), (ushort)length);
        return header;
    }

    public static ushort Checksum(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i++)
            sum += (uint)bytes[i] << (i % 2 == 0 ? 8 : 0);
        while (sum > 0xffff)
            sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }
}
