// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;
using static Axoneme.Linux.SocketMessages;
using static Axoneme.Proxy.Sockets.SocketCalls;

namespace Axoneme.Proxy.Sockets;

/// <summary>
/// Buffers for many datagrams at once (recvmmsg). Those of one call are valid until the next; one set serves all sockets of a worker in turn.
/// </summary>
internal sealed unsafe class DatagramReceiver : IDisposable
{
    private const int ControlBytes = 64;

    private readonly int _count;
    private readonly int _bytes;
    private readonly byte* _memory;
    private readonly MultiMessage* _messages;

    /// <param name="count">Datagrams at once.</param>
    /// <param name="bytes">Of the largest that is wanted; longer ones are passed over.</param>
    public DatagramReceiver(int count, int bytes)
    {
        _count = count;
        _bytes = bytes;
        int each = bytes + SocketAddress.MaximalBytes + 4 + ControlBytes;
        _memory = (byte*)NativeMemory.AllocZeroed((nuint)(count * each));
        _messages = (MultiMessage*)NativeMemory.AllocZeroed((nuint)count, (nuint)(sizeof(MultiMessage) + sizeof(IoVector)));
        var vectors = (IoVector*)(_messages + count);
        for (int i = 0; i < count; i++)
        {
            byte* name = _memory + (i * (SocketAddress.MaximalBytes + 4 + ControlBytes));
            vectors[i] = new IoVector { Base = _memory + (count * (SocketAddress.MaximalBytes + 4 + ControlBytes)) + (i * bytes), Length = (nuint)bytes };
            _messages[i].Header.Name = name;
            _messages[i].Header.Vectors = vectors + i;
            _messages[i].Header.VectorCount = 1;
            _messages[i].Header.Control = name + SocketAddress.MaximalBytes + 4;
        }
    }

    /// <summary>As many as there are, at most a full set; 0 for none, or minus the error number (a datagram that an ICMP error came back for).</summary>
    public int Receive(ProxySocket socket)
    {
        for (int i = 0; i < _count; i++)
        {
            _messages[i].Header.NameLength = SocketAddress.MaximalBytes;
            _messages[i].Header.ControlLength = ControlBytes;
        }

        int received = ReceiveMany(socket.Descriptor, _messages, (uint)_count, MSG_DONTWAIT, null);
        if (received >= 0)
            return received;
        int errno = Marshal.GetLastPInvokeError();
        return errno is Errno.EAGAIN or Errno.EINTR ? 0 : -errno;
    }

    public bool IsFull(int received) => received == _count;

    /// <summary>The datagram; empty if it was longer than the buffer.</summary>
    public Span<byte> this[int index]
        => (_messages[index].Header.Flags & MSG_TRUNC) != 0 ? [] : new(_messages[index].Header.Vectors->Base, (int)_messages[index].Length);

    public SocketAddress Sender(int index) => SocketAddress.Read(new Span<byte>(_messages[index].Header.Name, SocketAddress.MaximalBytes));

    /// <summary>Where the datagram was sent to, of sockets with IP_RECVORIGDSTADDR.</summary>
    public bool TryReadDestination(int index, out SocketAddress destination)
    {
        destination = default;
        ref MessageHeader header = ref _messages[index].Header;
        var control = new ReadOnlySpan<byte>(header.Control, (int)header.ControlLength);
        while (control.Length > ControlHeaderBytes)
        {
            int length = (int)BitConverter.ToUInt64(control), level = BitConverter.ToInt32(control[8..]), type = BitConverter.ToInt32(control[12..]);
            if (length < ControlHeaderBytes || length > control.Length)
                return false;
            if (level == SOL_IP && type == IP_RECVORIGDSTADDR || level == SOL_IPV6 && type == IPV6_RECVORIGDSTADDR)
            {
                destination = SocketAddress.Read(control[ControlHeaderBytes..length]);
                return true;
            }

            control = control[Math.Min(control.Length, (length + 7) & ~7)..];
        }

        return false;
    }

    public void Dispose()
    {
        NativeMemory.Free(_memory);
        NativeMemory.Free(_messages);
    }
}
