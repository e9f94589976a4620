// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Axoneme.Linux;
using Axoneme.Network;
using static Axoneme.Linux.SocketMessages;
using static Axoneme.Proxy.Sockets.SocketCalls;

namespace Axoneme.Proxy.Sockets;

/// <summary>
/// Sends datagrams to pods that come from the server they asked. A raw socket, since a UDP socket with the server's address and port would also receive
/// what is sent to the server. It is bound to an address that nobody has, so that the kernel does not give it a copy of all the node's UDP.
/// </summary>
internal sealed unsafe class ReplySender : IDisposable
{
    private const int BatchSize = 32;
    private const int UdpHeaderBytes = 8;

    // Header of the control message (16), then struct in6_pktinfo (20), aligned to 8.
    private const int ControlBytes = 40;
    private const int SlotBytes = SocketAddress.MaximalBytes + 4 + ControlBytes + UdpHeaderBytes;
    private const byte UdpProtocol = 17;

    private readonly ProxySocket _socket;
    private readonly byte* _memory;
    private readonly MultiMessage* _messages;
    private readonly IoVector* _vectors;
    private int _count;

    public ReplySender(bool isV6, uint mark)
    {
        _socket = ProxySocket.Open(SOCK_RAW, IPPROTO_UDP, isV6).SetTransparent().Set(SOL_SOCKET, SO_MARK, (int)mark).Set(SOL_SOCKET, SO_SNDBUF, 4 << 20);
        // 100::/64 is the discard prefix (RFC 6666).
        _socket.BindTo(new SocketAddress(IpAddress.Parse(isV6 ? "100::1" : "127.127.127.127"), 0));
        _memory = (byte*)NativeMemory.AllocZeroed(BatchSize, SlotBytes);
        _messages = (MultiMessage*)NativeMemory.AllocZeroed(BatchSize, (nuint)(sizeof(MultiMessage) + (2 * sizeof(IoVector))));
        _vectors = (IoVector*)(_messages + BatchSize);
    }

    /// <summary>Replies that the kernel did not take (no buffer, no route).</summary>
    public long Lost { get; private set; }

    /// <summary>Takes a datagram, which must stay where it is until <see cref="Flush"/>.</summary>
    public void Add(in SocketAddress from, in SocketAddress to, byte* payload, int length)
    {
        byte* name = _memory + (_count * SlotBytes), control = name + SocketAddress.MaximalBytes + 4, header = control + ControlBytes;
        ref MessageHeader message = ref _messages[_count].Header;
        IoVector* vectors = _vectors + (2 * _count);
        // Raw sockets take a protocol for the port.
        message.NameLength = (uint)(to with { Port = 0 }).Write(new Span<byte>(name, SocketAddress.MaximalBytes));
        message.Name = name;
        message.Control = control;
        message.ControlLength = (nuint)WriteSource(from.Address, new Span<byte>(control, ControlBytes));
        message.Vectors = vectors;
        message.VectorCount = 2;
        message.Flags = 0;
        vectors[0] = new IoVector { Base = header, Length = UdpHeaderBytes };
        vectors[1] = new IoVector { Base = payload, Length = (nuint)length };
        WriteHeader(from, to, new ReadOnlySpan<byte>(payload, length), new Span<byte>(header, UdpHeaderBytes));
        if (++_count == BatchSize)
            Flush();
    }

    public void Flush()
    {
        int sent = 0;
        while (sent < _count)
        {
            int result = SendMany(_socket.Descriptor, _messages + sent, (uint)(_count - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (result > 0)
            {
                sent += result;
                continue;
            }

            if (Marshal.GetLastPInvokeError() == Errno.EINTR)
                continue;
            // The first of them failed: the others may do better.
            sent++;
            Lost++;
        }

        _count = 0;
    }

    public void Dispose()
    {
        _socket.Dispose();
        NativeMemory.Free(_memory);
        NativeMemory.Free(_messages);
    }

    private static int WriteSource(IpAddress source, Span<byte> control)
    {
        control.Clear();
        int data = source.IsV6 ? 20 : 12;
        BitConverter.TryWriteBytes(control, (ulong)(16 + data));
        BitConverter.TryWriteBytes(control[8..], source.IsV6 ? SOL_IPV6 : SOL_IP);
        BitConverter.TryWriteBytes(control[12..], source.IsV6 ? IPV6_PKTINFO : IP_PKTINFO);
        // struct in_pktinfo begins with the interface, struct in6_pktinfo ends with it.
        source.WriteBytes(control[(source.IsV6 ? 16 : 20)..]);
        return (16 + data + 7) & ~7;
    }

    private static void WriteHeader(in SocketAddress from, in SocketAddress to, ReadOnlySpan<byte> payload, Span<byte> header)
    {
        int length = UdpHeaderBytes + payload.Length;
        BinaryPrimitives.WriteUInt16BigEndian(header, from.Port);
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], to.Port);
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], (ushort)length);
        ulong sum = (ulong)length + UdpProtocol + from.Port + to.Port + (ulong)length;
        sum += Sum(from.Address) + Sum(to.Address);
        int i = 0;
        for (; i + 4 <= payload.Length; i += 4)
            sum += BinaryPrimitives.ReadUInt32BigEndian(payload[i..]);
        for (; i < payload.Length; i++)
            sum += (uint)payload[i] << (24 - (8 * (i & 3)));
        while (sum > ushort.MaxValue)
            sum = (sum & 0xFFFF) + (sum >> 16);
        // 0 would say that there is no checksum (RFC 768).
        var checksum = (ushort)~sum;
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], checksum == 0 ? ushort.MaxValue : checksum);
    }

    private static ulong Sum(IpAddress address)
    {
        UInt128 number = address.Number;
        return (uint)(number >> 96) + (ulong)(uint)(number >> 64) + (uint)(number >> 32) + (uint)number;
    }
}
