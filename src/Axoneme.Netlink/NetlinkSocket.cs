// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;
using Microsoft.Win32.SafeHandles;

namespace Axoneme.Netlink;

/// <summary>What a dump calls for every message of the answer; the payload is valid during the call only.</summary>
internal delegate void MessageVisitor(ushort type, ReadOnlySpan<byte> payload);

/// <summary>
/// A netlink socket. It belongs for ever to the namespace it was opened in, whatever thread uses it later.
/// Calls are serialised by a lock: the kernel answers in the order of the requests, so there is nothing to gain from overlap.
/// </summary>
internal sealed partial class NetlinkSocket : IDisposable
{
    // The kernel queues one acknowledgement a request; 64 of them stay far below the default receive buffer of 208 KiB.
    internal const int MaximalRequestsPerSend = 64;

    // The kernel fills at most 32 KiB a datagram for a dump, and more only for a single huge object.
    private const int ReceiveBufferBytes = 64 * 1024;
    private const int DumpAttempts = 10;

    private readonly Lock _lock = new();
    private readonly SafeFileHandle _handle;
    private readonly byte[] _received = new byte[ReceiveBufferBytes];
    private uint _sequence;

    private NetlinkSocket(SafeFileHandle handle) => _handle = handle;

    /// <summary>Opens a socket of the protocol (NETLINK_*) in the given namespace, or in that of the calling thread.</summary>
    public static NetlinkSocket Open(NetworkNamespace? target, int protocol = NativeMethods.NETLINK_ROUTE)
    {
        NetlinkSocket socket = target is null ? OpenHere(protocol) : target.Run(() => OpenHere(protocol));
        try
        {
            socket.SetOption(NativeMethods.NETLINK_EXT_ACK, required: true);
            socket.SetOption(NativeMethods.NETLINK_CAP_ACK, required: true);
            // Lets the kernel filter dumps by table and device; without it we filter ourselves.
            socket.SetOption(NativeMethods.NETLINK_GET_STRICT_CHK, required: false);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public void Dispose() => _handle.Dispose();

    /// <summary>Sends the requests of the batch and gives every one its result.</summary>
    public void Execute(RequestBatch batch)
    {
        lock (_lock)
        {
            MessageBuffer buffer = batch.Buffer;
            int first = 0;
            int offset = 0;
            while (first < batch.Count)
            {
                int count = Math.Min(MaximalRequestsPerSend, batch.Count - first);
                uint sequence = _sequence + 1;
                int end = offset;
                for (int i = 0; i < count; i++)
                    end = buffer.Number(end, ++_sequence);
                Send(buffer.Bytes[offset..Math.Min(end, buffer.Length)]);
                CollectAcknowledgements(batch, first, count, sequence);
                first += count;
                offset = end;
            }
        }
    }

    /// <summary>Runs a dump (or a get of one object). When the tables changed meanwhile, calls <paramref name="restart"/> and dumps again.</summary>
    public void Query(MessageBuffer request, string operation, Action restart, MessageVisitor visit)
    {
        lock (_lock)
        {
            for (int attempt = 0; attempt < DumpAttempts; attempt++)
            {
                restart();
                request.Number(0, ++_sequence);
                Send(request.Bytes);
                if (ReceiveDump(_sequence, operation, visit))
                    return;
            }

            throw new NetlinkException(operation, Errno.EINTR, $"the table changed during each of {DumpAttempts} dumps");
        }
    }

    private bool ReceiveDump(uint sequence, string operation, MessageVisitor visit)
    {
        bool consistent = true;
        while (true)
        {
            ReadOnlySpan<byte> rest = Receive();
            while (TryTake(ref rest, out NlMsgHdr header, out ReadOnlySpan<byte> payload))
            {
                // What an interrupted earlier call left behind.
                if (header.Sequence != sequence)
                    continue;
                consistent &= (header.Flags & MessageFlags.NLM_F_DUMP_INTR) == 0;
                if (header.Type is MessageType.NLMSG_ERROR or MessageType.NLMSG_DONE)
                {
                    Result result = Result.Parse(header, payload);
                    if (result.Errno == Errno.EINTR)
                        return false;
                    return result.Errno == 0 ? consistent : throw result.ToException(operation);
                }

                visit(header.Type, payload);
            }
        }
    }

    private void CollectAcknowledgements(RequestBatch batch, int first, int count, uint sequence)
    {
        int missing = count;
        while (missing > 0)
        {
            ReadOnlySpan<byte> rest = Receive();
            while (TryTake(ref rest, out NlMsgHdr header, out ReadOnlySpan<byte> payload))
            {
                uint position = header.Sequence - sequence;
                if (header.Type != MessageType.NLMSG_ERROR || position >= count)
                    continue;
                batch.SetResult(first + (int)position, Result.Parse(header, payload));
                missing--;
            }
        }
    }

    /// <summary>Splits the first message off a datagram.</summary>
    internal static bool TryTake(ref ReadOnlySpan<byte> rest, out NlMsgHdr header, out ReadOnlySpan<byte> payload)
    {
        header = default;
        payload = default;
        if (rest.Length < NlMsgHdr.Size)
            return false;
        header = MemoryMarshal.Read<NlMsgHdr>(rest);
        if (header.Length < NlMsgHdr.Size || header.Length > rest.Length)
            return false;
        payload = rest[NlMsgHdr.Size..(int)header.Length];
        rest = rest[Math.Min(((int)header.Length + 3) & ~3, rest.Length)..];
        return true;
    }

    private unsafe void Send(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* data = bytes)
        {
            while (NativeMethods.Send(_handle, data, (nuint)bytes.Length, 0) < 0)
            {
                if (Marshal.GetLastPInvokeError() != Errno.EINTR)
                    throw SystemCallException.FromLastError("send netlink request");
            }
        }
    }

    private unsafe ReadOnlySpan<byte> Receive()
    {
        fixed (byte* data = _received)
        {
            nint length;
            while ((length = NativeMethods.Receive(_handle, data, ReceiveBufferBytes, NativeMethods.MSG_TRUNC)) < 0)
            {
                if (Marshal.GetLastPInvokeError() != Errno.EINTR)
                    throw SystemCallException.FromLastError("receive netlink answer");
            }

            if (length > ReceiveBufferBytes)
                throw new NetlinkException("receive netlink answer", Errno.ENOBUFS, $"a datagram of {length} bytes");
            return _received.AsSpan(0, (int)length);
        }
    }

    private static NetlinkSocket OpenHere(int protocol)
    {
        int fd = NativeMethods.Socket(Family.Netlink, NativeMethods.SOCK_RAW | NativeMethods.SOCK_CLOEXEC, protocol);
        return fd < 0
            ? throw SystemCallException.FromLastError("open netlink socket")
            : new NetlinkSocket(new SafeFileHandle(fd, ownsHandle: true));
    }

    private unsafe void SetOption(int option, bool required)
    {
        int on = 1;
        if (NativeMethods.SetSocketOption(_handle, NativeMethods.SOL_NETLINK, option, &on, sizeof(int)) != 0 && required)
            throw SystemCallException.FromLastError($"set netlink socket option {option}");
    }
}
