// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>
/// A proxy as the datapath expects it, in a node's namespace: takes connections of any destination on one port, asks the server in the
/// client's name, and puts <c>proxied</c> before its answer. It stands between clients and servers on one port.
/// </summary>
internal sealed class TransparentProxy : IDisposable
{
    private const int SO_REUSEPORT = 15;
    private const int SO_MARK = 36;
    private const int IP_TRANSPARENT = 19;
    private const int IPV6_TRANSPARENT = 75;

    private readonly NetworkNamespace _node;
    private readonly Socket _datagrams;
    private readonly Socket _listener;

    public TransparentProxy(NetworkNamespace node, bool isV6, ushort port, ushort serverPort)
    {
        _node = node;
        ServerPort = serverPort;
        var any = new IPEndPoint(isV6 ? IPAddress.IPv6Any : IPAddress.Any, 0);
        var listening = new IPEndPoint(isV6 ? IPAddress.IPv6Loopback : IPAddress.Loopback, port);
        _datagrams = Open(listening, SocketType.Dgram);
        _datagrams.SetSocketOption(isV6 ? SocketOptionLevel.IPv6 : SocketOptionLevel.IP, SocketOptionName.PacketInformation, true);
        _listener = Open(listening, SocketType.Stream);
        _listener.Listen();
        _ = ServeDatagramsAsync(any);
        _ = ServeStreamsAsync();
    }

    /// <summary>Of the servers that are asked with datagrams; which of a datagram's first port .NET does not tell.</summary>
    public ushort ServerPort { get; set; }

    /// <summary>Questions that came to the proxy.</summary>
    public int Questions;

    public void Dispose()
    {
        _datagrams.Dispose();
        _listener.Dispose();
    }

    /// <summary>A socket with an address that need not be the node's, whose packets are known for the proxy's.</summary>
    private Socket Open(IPEndPoint local, SocketType type)
    {
        bool isV6 = local.AddressFamily == AddressFamily.InterNetworkV6;
        var socket = _node.Run(() => new Socket(local.AddressFamily, type, type == SocketType.Dgram ? ProtocolType.Udp : ProtocolType.Tcp));
        socket.SetRawSocketOption(1, SO_MARK, BitConverter.GetBytes((uint)PacketMark.FromProxy));
        socket.SetRawSocketOption(isV6 ? 41 : 0, isV6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, BitConverter.GetBytes(1));
        // As proxies that serve one port with several threads have it.
        socket.SetRawSocketOption(1, SO_REUSEPORT, BitConverter.GetBytes(1));
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        socket.Bind(local);
        return socket;
    }

    private async Task ServeDatagramsAsync(IPEndPoint any)
    {
        byte[] buffer = new byte[8192];
        try
        {
            while (true)
            {
                SocketReceiveMessageFromResult question = await _datagrams.ReceiveMessageFromAsync(buffer, any);
                Interlocked.Increment(ref Questions);
                _ = AnswerAsync((IPEndPoint)question.RemoteEndPoint,
                    new IPEndPoint(question.PacketInformation.Address, ServerPort), buffer[..question.ReceivedBytes]);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The end of the test.
        }
    }

    private async Task AnswerAsync(IPEndPoint client, IPEndPoint server, byte[] question)
    {
        byte[] answer = await AskAsync(client, server, SocketType.Dgram, question);
        using Socket toClient = Open(server, SocketType.Dgram);
        await toClient.SendToAsync(answer, client);
    }

    private async Task ServeStreamsAsync()
    {
        byte[] buffer = new byte[8192];
        try
        {
            while (true)
            {
                using Socket client = await _listener.AcceptAsync();
                Interlocked.Increment(ref Questions);
                int length = await client.ReceiveAsync(buffer);
                await client.SendAsync(await AskAsync(
                    (IPEndPoint)client.RemoteEndPoint!, (IPEndPoint)client.LocalEndPoint!, SocketType.Stream, buffer[..length]));
                // Until the client closes.
                await client.ReceiveAsync(buffer);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task<byte[]> AskAsync(IPEndPoint client, IPEndPoint server, SocketType type, byte[] question)
    {
        using Socket upstream = Open(new IPEndPoint(client.Address, 0), type);
        await upstream.ConnectAsync(server);
        await upstream.SendAsync(question);
        byte[] buffer = new byte[8192];
        int length = await upstream.ReceiveAsync(buffer);
        return [.. Encoding.ASCII.GetBytes("proxied "), .. buffer[..length]];
    }
}
