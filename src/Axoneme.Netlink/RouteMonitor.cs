// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using System.Threading.Channels;
using Axoneme.Linux;
using Microsoft.Win32.SafeHandles;

namespace Axoneme.Netlink;

/// <summary>What a monitor listens to.</summary>
[Flags]
public enum RouteEventKinds
{
    Links = 1,
    Addresses = 2,
    Routes = 4,
    Neighbors = 8,
    All = 15,
}

/// <summary>Something changed in a namespace.</summary>
public abstract record RouteEvent(bool Removed);

public sealed record LinkEvent(Link Link, bool Removed) : RouteEvent(Removed);

public sealed record AddressEvent(LinkAddress Address, bool Removed) : RouteEvent(Removed);

public sealed record RouteChangeEvent(Route Route, bool Removed) : RouteEvent(Removed);

public sealed record NeighborEvent(Neighbor Neighbor, bool Removed) : RouteEvent(Removed);

/// <summary>Events were lost, because the reader was too slow: list everything again.</summary>
public sealed record ResyncEvent() : RouteEvent(Removed: false);

/// <summary>
/// Listens to changes of one network namespace on a thread of its own. It listens from its creation on, so that listing everything
/// after that and then reading the events misses nothing.
/// </summary>
public sealed class RouteMonitor : IDisposable
{
    private const int DatagramBytes = 64 * 1024;

    // Each notification occupies about 1 KiB of kernel memory; a node with a thousand endpoints coming up at once stays below.
    private const int ReceiveBufferBytes = 4 * 1024 * 1024;

    // When the reader is this far behind, events wait in the kernel's buffer and, when that is full, become one resync.
    private const int QueuedEvents = 4096;

    private readonly SafeFileHandle _handle;
    private readonly Channel<RouteEvent> _events = Channel.CreateBounded<RouteEvent>(
        new BoundedChannelOptions(QueuedEvents) { SingleReader = true, SingleWriter = true });

    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;

    private RouteMonitor(SafeFileHandle handle)
    {
        _handle = handle;
        _thread = new Thread(Receive) { IsBackground = true, Name = "route-monitor" };
        _thread.Start();
    }

    public static RouteMonitor Open(RouteEventKinds kinds, NetworkNamespace? target = null)
    {
        int fd = target is null ? OpenHere() : target.Run(OpenHere);
        var handle = new SafeFileHandle(fd, ownsHandle: true);
        try
        {
            Bind(handle);
            foreach (int group in Groups(kinds))
                Configure(handle, NativeMethods.SOL_NETLINK, NativeMethods.NETLINK_ADD_MEMBERSHIP, group);
            Configure(handle, NativeMethods.SOL_SOCKET, NativeMethods.SO_RCVBUFFORCE, ReceiveBufferBytes);
            // struct timeval: how soon the thread notices that it shall end.
            Configure(handle, NativeMethods.SOL_SOCKET, NativeMethods.SO_RCVTIMEO, new UInt128(200_000, 0));
            return new RouteMonitor(handle);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _stop.Cancel();
        _thread.Join();
        _handle.Dispose();
        _stop.Dispose();
    }

    /// <summary>The events, for one reader; a <see cref="ResyncEvent"/> stands for those that were lost.</summary>
    public IAsyncEnumerable<RouteEvent> ReadAsync(CancellationToken cancellation) => _events.Reader.ReadAllAsync(cancellation);

    private void Receive()
    {
        byte[] datagram = new byte[DatagramBytes];
        List<RouteEvent> events = [];
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                events.Clear();
                int length = ReceiveDatagram(datagram);
                if (length >= 0)
                    Parse(datagram.AsSpan(0, length), events);
                else if (length == -Errno.ENOBUFS)
                    events.Add(new ResyncEvent());
                else if (length is not (-Errno.EAGAIN or -Errno.EINTR))
                    throw new SystemCallException("receive netlink events", -length);
                foreach (RouteEvent change in events)
                    _events.Writer.WriteAsync(change, _stop.Token).AsTask().GetAwaiter().GetResult();
            }

            _events.Writer.TryComplete();
        }
        catch (Exception e)
        {
            _events.Writer.TryComplete(e is OperationCanceledException ? null : e);
        }
    }

    private unsafe int ReceiveDatagram(byte[] buffer)
    {
        fixed (byte* data = buffer)
        {
            nint length = NativeMethods.Receive(_handle, data, (nuint)buffer.Length, 0);
            return length >= 0 ? (int)length : -Marshal.GetLastPInvokeError();
        }
    }

    internal static void Parse(ReadOnlySpan<byte> datagram, List<RouteEvent> events)
    {
        while (NetlinkSocket.TryTake(ref datagram, out NlMsgHdr header, out ReadOnlySpan<byte> payload))
        {
            if (payload.Length < MinimalLength(header.Type))
                continue;
            RouteEvent? change = header.Type switch
            {
                MessageType.RTM_NEWLINK or MessageType.RTM_DELLINK
                    => new LinkEvent(LinkMessages.Parse(payload), header.Type == MessageType.RTM_DELLINK),
                MessageType.RTM_NEWADDR or MessageType.RTM_DELADDR when AddressMessages.Parse(payload) is { } address
                    => new AddressEvent(address, header.Type == MessageType.RTM_DELADDR),
                MessageType.RTM_NEWROUTE or MessageType.RTM_DELROUTE when RouteMessages.Parse(payload) is { } route
                    => new RouteChangeEvent(route, header.Type == MessageType.RTM_DELROUTE),
                MessageType.RTM_NEWNEIGH or MessageType.RTM_DELNEIGH when NeighborMessages.Parse(payload) is { } neighbor
                    => new NeighborEvent(neighbor, header.Type == MessageType.RTM_DELNEIGH),
                _ => null,
            };
            if (change is not null)
                events.Add(change);
        }
    }

    private static int MinimalLength(ushort type) => type switch
    {
        MessageType.RTM_NEWLINK or MessageType.RTM_DELLINK => IfInfoMsg.Size,
        MessageType.RTM_NEWADDR or MessageType.RTM_DELADDR => IfAddrMsg.Size,
        _ => RtMsg.Size,
    };

    // Numbers of rtnetlink_groups.
    private static IEnumerable<int> Groups(RouteEventKinds kinds)
    {
        if (kinds.HasFlag(RouteEventKinds.Links))
            yield return 1;
        if (kinds.HasFlag(RouteEventKinds.Neighbors))
            yield return 3;
        if (kinds.HasFlag(RouteEventKinds.Addresses))
        {
            yield return 5;
            yield return 9;
        }

        if (kinds.HasFlag(RouteEventKinds.Routes))
        {
            yield return 7;
            yield return 11;
        }
    }

    private static int OpenHere()
    {
        int fd = NativeMethods.Socket(
            Family.Netlink, NativeMethods.SOCK_RAW | NativeMethods.SOCK_CLOEXEC, NativeMethods.NETLINK_ROUTE);
        return fd < 0 ? throw SystemCallException.FromLastError("open netlink monitor socket") : fd;
    }

    // The kernel takes a socket without a port for the sender of its own notifications (port 0), and spares it them.
    private static unsafe void Bind(SafeFileHandle handle)
    {
        const int AddressLength = 12;
        byte* address = stackalloc byte[AddressLength];
        new Span<byte>(address, AddressLength).Clear();
        address[0] = Family.Netlink;
        if (NativeMethods.Bind(handle, address, AddressLength) != 0)
            throw SystemCallException.FromLastError("bind netlink monitor socket");
    }

    private static unsafe void Configure<T>(SafeFileHandle handle, int level, int option, T value)
        where T : unmanaged
    {
        if (NativeMethods.SetSocketOption(handle, level, option, &value, (uint)sizeof(T)) != 0)
            throw SystemCallException.FromLastError($"set netlink monitor option {level}/{option}");
    }
}
