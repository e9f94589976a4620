// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Network;

namespace Axoneme.Netlink.KernelTests;

public sealed class SocketDiagTests
{
    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1", false)]
    [InlineData("::1", "::1", true)]
    [InlineData("127.0.0.1", "::ffff:127.0.0.1", true)]
    public void Destroyed_datagram_socket_fails_at_once_where_it_waits(string serverAddress, string dialled, bool isV6Socket)
    {
        using var node = new TestNamespace();
        using Socket server = node.Namespace.Run(() => Bound(IPAddress.Parse(serverAddress), ProtocolType.Udp));
        using Socket client = node.Namespace.Run(() => Connected(IPAddress.Parse(dialled), PortOf(server), ProtocolType.Udp));
        using SocketDiag sockets = SocketDiag.Open(node.Namespace);
        var expected = new L4Address(IpAddress.Parse(serverAddress), PortOf(server), L4Protocol.Udp);

        DiagnosedSocket found = Assert.Single(sockets.List(L4Protocol.Udp, SocketStates.Established, s => s.Remote == expected));
        Assert.Equal(isV6Socket, found.IsV6Socket);
        Assert.Equal(CookieOf(client), found.Cookie);
        Assert.Equal(1, sockets.Destroy([found]));

        Assert.Equal(SocketError.ConnectionAborted, Assert.Throws<SocketException>(() => client.Receive(new byte[1])).SocketErrorCode);
        Assert.Empty(sockets.List(L4Protocol.Udp, SocketStates.Established));
        Assert.Single(sockets.List(L4Protocol.Udp, SocketStates.Close, s => s.Local == expected));
    }

    [Fact]
    public void Destroyed_stream_socket_fails_and_its_peer_sees_a_reset()
    {
        using var node = new TestNamespace();
        using Socket listener = node.Namespace.Run(() => Bound(IPAddress.Loopback, ProtocolType.Tcp));
        using Socket client = node.Namespace.Run(() => Connected(IPAddress.Loopback, PortOf(listener), ProtocolType.Tcp));
        using Socket accepted = listener.Accept();
        using SocketDiag sockets = SocketDiag.Open(node.Namespace);

        DiagnosedSocket found = Assert.Single(sockets.List(L4Protocol.Tcp, SocketStates.Established, s => s.Remote.Port == PortOf(listener)));
        sockets.Destroy([found]);

        Assert.Equal(SocketError.ConnectionAborted, Assert.Throws<SocketException>(() => client.Receive(new byte[1])).SocketErrorCode);
        Assert.Equal(SocketError.ConnectionReset, Assert.Throws<SocketException>(() => accepted.Receive(new byte[1])).SocketErrorCode);
    }

    [Fact]
    public void Socket_that_was_closed_meanwhile_is_no_error()
    {
        using var node = new TestNamespace();
        using Socket server = node.Namespace.Run(() => Bound(IPAddress.Loopback, ProtocolType.Udp));
        Socket client = node.Namespace.Run(() => Connected(IPAddress.Loopback, PortOf(server), ProtocolType.Udp));
        using SocketDiag sockets = SocketDiag.Open(node.Namespace);
        IReadOnlyList<DiagnosedSocket> found = sockets.List(L4Protocol.Udp, SocketStates.Established);
        client.Dispose();
        Assert.Equal(0, sockets.Destroy(found));
    }

    [Fact]
    public void This_kernel_can_destroy_sockets()
    {
        using SocketDiag sockets = SocketDiag.Open();
        Assert.True(sockets.CanDestroy());
    }

    [Fact]
    public void Listeners_are_told_by_address_and_whether_they_take_both_families()
    {
        using var node = new TestNamespace();
        using Socket both = node.Namespace.Run(() => Bound(IPAddress.IPv6Any, ProtocolType.Tcp, dualMode: true));
        using Socket only = node.Namespace.Run(() => Bound(IPAddress.IPv6Any, ProtocolType.Tcp));
        using Socket v4 = node.Namespace.Run(() => Bound(IPAddress.Loopback, ProtocolType.Tcp));
        using SocketDiag sockets = SocketDiag.Open(node.Namespace);

        IReadOnlyList<DiagnosedSocket> listeners = sockets.List(L4Protocol.Tcp, SocketStates.Listen);
        Assert.Equal(3, listeners.Count);
        Assert.False(listeners.Single(s => s.Local.Port == PortOf(both)).IsV6Only);
        Assert.True(listeners.Single(s => s.Local.Port == PortOf(only)).IsV6Only);
        Assert.Equal(IpAddress.Parse("127.0.0.1"), listeners.Single(s => s.Local.Port == PortOf(v4)).Local.Address);
    }

    [Fact]
    public void Many_sockets_are_listed_and_destroyed_in_one_go()
    {
        // More than fit into one datagram of the list, and into one send of requests.
        const int Count = 600;
        using var node = new TestNamespace();
        using Socket server = node.Namespace.Run(() => Bound(IPAddress.Loopback, ProtocolType.Udp));
        Socket[] clients = node.Namespace.Run(
            () => Enumerable.Range(0, Count).Select(_ => Connected(IPAddress.Loopback, PortOf(server), ProtocolType.Udp)).ToArray());
        using SocketDiag sockets = SocketDiag.Open(node.Namespace);
        Assert.Equal(Count, sockets.Destroy(sockets.List(L4Protocol.Udp, SocketStates.Established)));
        Assert.Empty(sockets.List(L4Protocol.Udp, SocketStates.Established));
        foreach (Socket client in clients)
            client.Dispose();
    }

    [Fact]
    public void Network_namespaces_have_numbers_of_their_own()
    {
        using var one = new TestNamespace();
        using var other = new TestNamespace();
        ulong cookie = one.Namespace.ReadCookie();
        Assert.NotEqual(0ul, cookie);
        Assert.Equal(cookie, one.Namespace.ReadCookie());
        Assert.NotEqual(cookie, other.Namespace.ReadCookie());
    }

    private static Socket Bound(IPAddress address, ProtocolType protocol, bool dualMode = false)
    {
        var socket = new Socket(address.AddressFamily, TypeOf(protocol), protocol);
        if (address.AddressFamily == AddressFamily.InterNetworkV6)
            socket.DualMode = dualMode;
        socket.Bind(new IPEndPoint(address, 0));
        if (protocol == ProtocolType.Tcp)
            socket.Listen();
        return socket;
    }

    private static Socket Connected(IPAddress address, ushort port, ProtocolType protocol)
    {
        var socket = new Socket(address.AddressFamily, TypeOf(protocol), protocol);
        if (address.IsIPv4MappedToIPv6)
            socket.DualMode = true;
        socket.Connect(new IPEndPoint(address, port));
        return socket;
    }

    private static SocketType TypeOf(ProtocolType protocol) => protocol == ProtocolType.Tcp ? SocketType.Stream : SocketType.Dgram;

    private static ushort PortOf(Socket socket) => (ushort)((IPEndPoint)socket.LocalEndPoint!).Port;

    private static ulong CookieOf(Socket socket)
    {
        const int SOL_SOCKET = 1;
        const int SO_COOKIE = 57;
        Span<byte> value = stackalloc byte[8];
        socket.GetRawSocketOption(SOL_SOCKET, SO_COOKIE, value);
        return BitConverter.ToUInt64(value);
    }
}
