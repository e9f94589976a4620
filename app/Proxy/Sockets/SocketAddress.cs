// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using Axoneme.Network;

namespace Axoneme.Proxy.Sockets;

/// <summary>An address and a port.</summary>
internal readonly record struct SocketAddress(IpAddress Address, ushort Port)
{
    /// <summary>Of <c>struct sockaddr_in6</c>, the larger of the two.</summary>
    public const int MaximalBytes = 28;

    private const int BytesV4 = 16;

    public static SocketAddress Any(bool isV6) => new(isV6 ? IpAddress.FromV6(0) : IpAddress.FromV4(0), 0);

    /// <summary>Writes <c>struct sockaddr_in</c> or <c>sockaddr_in6</c> and returns its length.</summary>
    public int Write(Span<byte> destination)
    {
        int length = Address.IsV6 ? MaximalBytes : BytesV4;
        destination[..length].Clear();
        BitConverter.TryWriteBytes(destination, (ushort)(Address.IsV6 ? SocketCalls.AF_INET6 : SocketCalls.AF_INET));
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], Port);
        Address.WriteBytes(destination[(Address.IsV6 ? 8 : 4)..]);
        return length;
    }

    public static SocketAddress Read(ReadOnlySpan<byte> source)
    {
        ushort port = BinaryPrimitives.ReadUInt16BigEndian(source[2..]);
        return BitConverter.ToUInt16(source) == SocketCalls.AF_INET6
            ? new(IpAddress.FromBytes(source.Slice(8, 16)), port)
            : new(IpAddress.FromBytes(source.Slice(4, 4)), port);
    }

    public override string ToString() => Address.IsV6 ? $"[{Address}]:{Port}" : $"{Address}:{Port}";
}
