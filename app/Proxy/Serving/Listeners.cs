// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Proxy.Sockets;
using static Axoneme.Proxy.Sockets.SocketCalls;

namespace Axoneme.Proxy.Serving;

/// <summary>The listening sockets of one worker. Those of all workers have the same port, among them the kernel shares out what comes.</summary>
internal sealed class Listeners : IDisposable
{
    private const int Backlog = 512;
    private const int BufferBytes = 4 << 20;

    private Listeners(ushort port) => Port = port;

    public ushort Port { get; }

    public List<ProxySocket> Datagrams { get; } = [];

    public List<ProxySocket> Streams { get; } = [];

    /// <summary>Opens sockets of both families for each worker; IPv6 is left out where the kernel has none.</summary>
    /// <param name="port">To listen on.</param>
    /// <param name="workers">How many sets.</param>
    /// <param name="anyAddress">
    /// Listens on all addresses of the node and not on the loopback address alone, to which the datapath hands packets of any destination.
    /// </param>
    /// <param name="kept">
    /// Sockets of an earlier process, in which questions may wait. All that listen where these are to listen are used, however many there are: the kernel
    /// goes on sharing out to them. They belong to the result.
    /// </param>
    /// <exception cref="SystemCallException">EADDRINUSE: the port is taken in one of the protocols; others.</exception>
    public static IReadOnlyList<Listeners> Open(ushort port, int workers, bool anyAddress, KeptSockets kept)
    {
        var opened = new List<Listeners>();
        try
        {
            for (int i = 0; i < workers; i++)
            {
                opened.Add(new Listeners(port));
                foreach (bool isV6 in (bool[])[false, true])
                    opened[i].OpenFamily(isV6, anyAddress, kept);
            }

            foreach (bool isV6 in (bool[])[false, true])
                ShareSurplus(opened, AddressOf(port, isV6, anyAddress), kept);
            return opened;
        }
        catch
        {
            opened.ForEach(l => l.Dispose());
            throw;
        }
    }

    /// <summary>Of all.</summary>
    public IEnumerable<int> Descriptors => Datagrams.Concat(Streams).Select(s => s.Descriptor);

    public void Dispose()
    {
        Datagrams.ForEach(s => s.Dispose());
        Streams.ForEach(s => s.Dispose());
    }

    private void OpenFamily(bool isV6, bool anyAddress, KeptSockets kept)
    {
        const int FamilyNotSupported = 97;
        SocketAddress address = AddressOf(Port, isV6, anyAddress);
        try
        {
            Datagrams.Add(kept.TryTake(SOCK_DGRAM, address) ?? OpenDatagrams(address));
            if (kept.TryTake(SOCK_STREAM, address) is { } stream)
                Streams.Add(stream);
            else
                OpenStream(address);
        }
        catch (SystemCallException e) when (isV6 && e.Errno is FamilyNotSupported or Errno.EADDRNOTAVAIL)
        {
            // A node without IPv6.
        }
    }

    private static SocketAddress AddressOf(ushort port, bool isV6, bool anyAddress)
        => new(anyAddress ? SocketAddress.Any(isV6).Address : IpAddress.Parse(isV6 ? "::1" : "127.0.0.1"), port);

    private static void ShareSurplus(List<Listeners> opened, SocketAddress address, KeptSockets kept)
    {
        for (int i = 0; kept.TryTake(SOCK_DGRAM, address) is { } datagrams; i++)
            opened[i % opened.Count].Datagrams.Add(datagrams);
        for (int i = 0; kept.TryTake(SOCK_STREAM, address) is { } stream; i++)
            opened[i % opened.Count].Streams.Add(stream);
    }

    private static ProxySocket OpenDatagrams(SocketAddress address)
    {
        bool isV6 = address.Address.IsV6;
        return Prepare(SOCK_DGRAM, isV6)
            .Set(isV6 ? SOL_IPV6 : SOL_IP, isV6 ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR, 1)
            .Set(SOL_SOCKET, SO_RCVBUF, BufferBytes)
            .BindTo(address);
    }

    private void OpenStream(SocketAddress address)
    {
        ProxySocket stream = Prepare(SOCK_STREAM, address.Address.IsV6).Set(SOL_TCP, TCP_NODELAY, 1).BindTo(address);
        Streams.Add(stream);
        if (Listen(stream.Descriptor, Backlog) != 0)
            throw SystemCallException.FromLastError($"listen on {address}");
    }

    // What the listener accepts sends with the mark of the listener.
    private static ProxySocket Prepare(int type, bool isV6)
    {
        ProxySocket socket = ProxySocket.Open(type, 0, isV6).SetTransparent().Set(SOL_SOCKET, SO_REUSEPORT, 1).Set(SOL_SOCKET, SO_REUSEADDR, 1)
            .Set(SOL_SOCKET, SO_MARK, (int)Marks.Of(default));
        return isV6 ? socket.Set(SOL_IPV6, IPV6_V6ONLY, 1) : socket;
    }
}
