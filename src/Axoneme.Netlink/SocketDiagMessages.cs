// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>struct inet_diag_sockid: which socket. Ports and addresses in network order; IPv4 in the first four bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct InetDiagSockId
{
    public ushort SourcePort;
    public ushort DestinationPort;
    public InetDiagAddress Source;
    public InetDiagAddress Destination;
    public uint Interface;
    public uint CookieLow;
    public uint CookieHigh;

    public readonly ulong Cookie => ((ulong)CookieHigh << 32) | CookieLow;
}

[System.Runtime.CompilerServices.InlineArray(4)]
internal struct InetDiagAddress
{
    private uint _word;
}

/// <summary>struct inet_diag_req_v2.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct InetDiagRequest
{
    public byte Family;
    public byte Protocol;
    public byte Extensions;
    public byte Pad;
    public uint States;
    public InetDiagSockId Id;

    public const int Size = 56;
}

/// <summary>struct inet_diag_msg.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct InetDiagMessage
{
    public byte Family;
    public byte State;
    public byte Timer;
    public byte Retransmissions;
    public InetDiagSockId Id;
    public uint Expires;
    public uint ReceiveQueue;
    public uint SendQueue;
    public uint User;
    public uint Inode;

    public const int Size = 72;
}

/// <summary>SOCK_DIAG_BY_FAMILY and SOCK_DESTROY for TCP and UDP.</summary>
internal static class SocketDiagMessages
{
    private const ushort INET_DIAG_SKV6ONLY = 11;

    public static InetDiagRequest ListRequest(L4Protocol protocol, bool isV6, SocketStates states)
        => new() { Family = Family.Of(isV6), Protocol = (byte)protocol, States = (uint)states };

    public static InetDiagRequest DestroyRequest(DiagnosedSocket socket)
        => new() { Family = socket.Family, Protocol = (byte)socket.Protocol, States = uint.MaxValue, Id = socket.Id };

    public static DiagnosedSocket Parse(L4Protocol protocol, ReadOnlySpan<byte> payload)
    {
        InetDiagMessage message = MemoryMarshal.Read<InetDiagMessage>(payload);
        bool isV6Only = false;
        var attributes = new AttributeReader(payload[InetDiagMessage.Size..]);
        while (attributes.Next())
        {
            if (attributes.Type == INET_DIAG_SKV6ONLY)
                isV6Only = attributes.AsByte() != 0;
        }

        return new DiagnosedSocket(message.Family, message.Id)
        {
            State = (SocketStates)(1u << message.State),
            Local = Endpoint(message.Family, message.Id.Source, message.Id.SourcePort, protocol),
            Remote = Endpoint(message.Family, message.Id.Destination, message.Id.DestinationPort, protocol),
            IsV6Only = isV6Only,
        };
    }

    private static L4Address Endpoint(byte family, in InetDiagAddress address, ushort port, L4Protocol protocol)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes((ReadOnlySpan<uint>)address);
        ushort number = BinaryPrimitives.ReverseEndianness(port);
        return family == Family.Inet6
            ? new L4Address(Unmapped(bytes), number, protocol)
            : new L4Address(IpAddress.FromBytes(bytes[..4]), number, protocol);
    }

    // ::ffff:a.b.c.d is an IPv6 socket that speaks IPv4.
    private static IpAddress Unmapped(ReadOnlySpan<byte> bytes)
        => BinaryPrimitives.ReadUInt64BigEndian(bytes) == 0 && BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]) == 0xffff
            ? IpAddress.FromBytes(bytes[12..])
            : IpAddress.FromBytes(bytes);
}
