// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Axoneme.LabWorkload;

/// <summary>Small servers. They end on SIGTERM, as any process does.</summary>
internal static class Servers
{
    private const int EchoPort = 7;

    public static Task<int> EchoAsync(int httpPort) => FirstAsync(ServeHttpAsync(httpPort), ServeTcpEchoAsync(), ServeUdpEchoAsync());

    public static Task<int> HttpAsync(int port) => FirstAsync(ServeHttpAsync(port));

    public static Task<int> IdleAsync() => FirstAsync(Task.Delay(Timeout.Infinite));

    /// <summary>Awaits the first to end: servers end only by failing.</summary>
    public static async Task<int> FirstAsync(params Task[] servers)
    {
        await await Task.WhenAny(servers);
        return 1;
    }

    public static Socket ListenTcp(int port)
    {
        var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = true };
        socket.Bind(new IPEndPoint(IPAddress.IPv6Any, port));
        socket.Listen(4096);
        return socket;
    }

    public static Socket BindUdp(int port, IPAddress? address = null)
    {
        var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp) { DualMode = true };
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        socket.Bind(new IPEndPoint(address ?? IPAddress.IPv6Any, port));
        return socket;
    }

    public static async Task AcceptAsync(Socket listener, Func<Socket, Task> serve)
    {
        while (true)
            _ = ServeOneAsync(await listener.AcceptAsync(), serve);
    }

    private static async Task ServeOneAsync(Socket connection, Func<Socket, Task> serve)
    {
        using (connection)
            try
            {
                await serve(connection);
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // The client is gone.
            }
    }

    private static Task ServeTcpEchoAsync() => AcceptAsync(ListenTcp(EchoPort), async connection =>
    {
        connection.NoDelay = true;
        byte[] buffer = new byte[64 * 1024];
        int length;
        while ((length = await connection.ReceiveAsync(buffer)) > 0)
            for (int sent = 0; sent < length;)
                sent += await connection.SendAsync(buffer.AsMemory(sent, length - sent));
    });

    // A socket on all addresses answers from the address that the route back prefers, and the client takes that for a stranger.
    // So each address that is asked gets a socket of its own, to which the kernel gives its further datagrams.
    private static async Task ServeUdpEchoAsync()
    {
        using Socket all = BindUdp(EchoPort);
        var sockets = new Dictionary<IPAddress, Socket>();
        byte[] buffer = new byte[64 * 1024];
        while (true)
        {
            SocketReceiveMessageFromResult from = await all.ReceiveMessageFromAsync(buffer, new IPEndPoint(IPAddress.IPv6Any, 0));
            IPAddress own = from.PacketInformation.Address;
            if (!sockets.TryGetValue(own, out Socket? socket))
            {
                sockets[own] = socket = BindUdp(EchoPort, own);
                _ = EchoDatagramsAsync(socket);
            }

            await socket.SendToAsync(buffer.AsMemory(0, from.ReceivedBytes), from.RemoteEndPoint);
        }
    }

    private static async Task EchoDatagramsAsync(Socket socket)
    {
        byte[] buffer = new byte[64 * 1024];
        while (true)
        {
            SocketReceiveFromResult from = await socket.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.IPv6Any, 0));
            await socket.SendToAsync(buffer.AsMemory(0, from.ReceivedBytes), from.RemoteEndPoint);
        }
    }

    private static Task ServeHttpAsync(int port) => AcceptAsync(ListenTcp(port), async connection =>
    {
        using var reader = new StreamReader(new NetworkStream(connection), Encoding.ASCII);
        while (await reader.ReadLineAsync() is { } request)
        {
            while (await reader.ReadLineAsync() is { Length: > 0 })
            {
            }

            string body = $"pod: {Environment.MachineName}\nserver: {Address(connection.LocalEndPoint)}\n"
                + $"client: {Address(connection.RemoteEndPoint)}\nrequest: {request}\n";
            await connection.SendAsync(Encoding.ASCII.GetBytes(
                $"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {body.Length}\r\n\r\n{body}"));
        }
    });

    private static string Address(EndPoint? point)
        => point is not IPEndPoint ip ? "" : ip.Address.IsIPv4MappedToIPv6 ? $"{ip.Address.MapToIPv4()}:{ip.Port}" : ip.ToString();
}
