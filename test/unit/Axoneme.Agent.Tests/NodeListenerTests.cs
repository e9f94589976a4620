// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Agent.Sockets;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Agent.Tests;

public sealed class NodeListenerTests
{
    [Fact]
    public void Listeners_come_and_go_with_their_sockets_and_clients_are_none()
    {
        using SocketDiag sockets = SocketDiag.Open();
        var listeners = new NodeListeners();
        using var stream = new TcpListener(IPAddress.Loopback, 0);
        stream.Start();
        L4Address streamAddress = AddressOf(stream.Server, L4Protocol.Tcp);
        using var client = new TcpClient();
        client.Connect(IPAddress.Loopback, streamAddress.Port);
        L4Address clientAddress = AddressOf(client.Client, L4Protocol.Tcp);
        using var everywhere = new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp) { DualMode = true };
        everywhere.Bind(new IPEndPoint(IPAddress.IPv6Any, 0));
        ushort port = AddressOf(everywhere, L4Protocol.Udp).Port;

        Assert.False(listeners.Table.IsInitialized);
        listeners.Refresh(sockets);
        Assert.True(listeners.Table.IsInitialized);
        Assert.True(listeners.Table.Snapshot().Contains(streamAddress));
        Assert.False(listeners.Table.Snapshot().Contains(clientAddress));
        Assert.True(listeners.Table.Snapshot().Contains(new L4Address(IpAddress.Parse("::"), port, L4Protocol.Udp)));
        Assert.True(listeners.Table.Snapshot().Contains(new L4Address(IpAddress.Parse("0.0.0.0"), port, L4Protocol.Udp)));

        stream.Stop();
        listeners.Refresh(sockets);
        Assert.False(listeners.Table.Snapshot().Contains(streamAddress));
    }

    private static L4Address AddressOf(Socket socket, L4Protocol protocol)
    {
        var local = (IPEndPoint)socket.LocalEndPoint!;
        return new L4Address(IpAddress.From(local.Address), (ushort)local.Port, protocol);
    }
}
