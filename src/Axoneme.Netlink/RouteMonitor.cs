// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Axoneme.Linux;

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
/// Listens to changes of one network namespace. It listens from its creation on, so that listing everything after that and then
/// reading the events misses nothing.
/// </summary>
public sealed class RouteMonitor : IDisposable
{
    private const int DatagramBytes = 64 * 1024;

    // Each notification occupies about 1 KiB of kernel memory; a node with a thousand endpoints coming up at once stays below.
    private const int ReceiveBufferBytes = 4 * 1024 * 1024;

    private readonly Socket _socket;

    private RouteMonitor(Socket socket) => _socket = socket;

    public static RouteMonitor Open(RouteEventKinds kinds, NetworkNamespace? target = null)
    {
        int fd = target is null ? OpenHere() : target.Run(OpenHere);
        var handle = new SafeSocketHandle(fd, ownsHandle: true);
        try
        {
            foreach (int group in Groups(kinds))
                Configure(handle, NativeMethods.SOL_NETLINK, NativeMethods.NETLINK_ADD_MEMBERSHIP, group);
            Configure(handle, NativeMethods.SOL_SOCKET, NativeMethods.SO_RCVBUFFORCE, ReceiveBufferBytes);
            return new RouteMonitor(new Socket(handle));
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>The events, for one reader; a <see cref="ResyncEvent"/> stands for those that were lost.</summary>
    public async IAsyncEnumerable<RouteEvent> ReadAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        byte[] datagram = new byte[DatagramBytes];
        List<RouteEvent> events = [];
        while (true)
        {
            events.Clear();
            try
            {
                int length = await _socket.ReceiveAsync(datagram.AsMemory(), SocketFlags.None, cancellation);
                Parse(datagram.AsSpan(0, length), events);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.NoBufferSpaceAvailable)
            {
                events.Add(new ResyncEvent());
            }

            foreach (RouteEvent change in events)
                yield return change;
        }
    }

    internal static void Parse(ReadOnlySpan<byte> datagram, List<RouteEvent> events)
    {
        while (NetlinkSocket.TryTake(ref datagram, out NlMsgHdr header, out ReadOnlySpan<byte> payload))
        {
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
            Family.Netlink, NativeMethods.SOCK_RAW | NativeMethods.SOCK_CLOEXEC | NativeMethods.SOCK_NONBLOCK, NativeMethods.NETLINK_ROUTE);
        return fd < 0 ? throw SystemCallException.FromLastError("open netlink monitor socket") : fd;
    }

    private static unsafe void Configure(SafeSocketHandle handle, int level, int option, int value)
    {
        if (NativeMethods.SetSocketOption(handle, level, option, &value, sizeof(int)) != 0)
            throw SystemCallException.FromLastError($"set netlink monitor option {level}/{option}");
    }
}
