// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;
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
    /// <exception cref="SystemCallException">EADDRINUSE: the port is taken in one of the protocols; others.</exception>
    public static IReadOnlyList<Listeners> Open(ushort port, int workers, bool anyAddress)
    {
        var opened = new List<Listeners>();
        try
        {
            for (int i = 0; i < workers; i++)
            {
                opened.Add(new Listeners(port));
                foreach (bool isV6 in (bool[])[false, true])
                    opened[i].OpenFamily(isV6, anyAddress);
            }

            return opened;
        }
        catch
        {
            opened.ForEach(l => l.Dispose());
            throw;
        }
    }

    public void Dispose()
    {
        Datagrams.ForEach(s => s.Dispose());
        Streams.ForEach(s => s.Dispose());
    }

    private void OpenFamily(bool isV6, bool anyAddress)
    {
        const int FamilyNotSupported = 97;
        SocketAddress any = SocketAddress.Any(isV6);
        SocketAddress address = any with { Port = Port, Address = anyAddress ? any.Address : Network.IpAddress.Parse(isV6 ? "::1" : "127.0.0.1") };
        try
        {
            Datagrams.Add(Prepare(SOCK_DGRAM, isV6)
                .Set(isV6 ? SOL_IPV6 : SOL_IP, isV6 ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR, 1)
                .Set(SOL_SOCKET, SO_RCVBUF, BufferBytes)
                .BindTo(address));
            ProxySocket stream = Prepare(SOCK_STREAM, isV6).Set(SOL_TCP, TCP_NODELAY, 1).BindTo(address);
            Streams.Add(stream);
            if (Listen(stream.Descriptor, Backlog) != 0)
                throw SystemCallException.FromLastError($"listen on {address}");
        }
        catch (SystemCallException e) when (isV6 && e.Errno is FamilyNotSupported or Errno.EADDRNOTAVAIL)
        {
            // A node without IPv6.
        }
    }

    // What the listener accepts sends with the mark of the listener.
    private static ProxySocket Prepare(int type, bool isV6)
    {
        ProxySocket socket = ProxySocket.Open(type, 0, isV6).SetTransparent().Set(SOL_SOCKET, SO_REUSEPORT, 1).Set(SOL_SOCKET, SO_REUSEADDR, 1)
            .Set(SOL_SOCKET, SO_MARK, (int)Marks.Of(default));
        return isV6 ? socket.Set(SOL_IPV6, IPV6_V6ONLY, 1) : socket;
    }
}
