// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Axoneme.LabWorkload;

/// <summary>Small servers. They end on SIGTERM, as any process does; the echo server can be asked to take its time.</summary>
internal static class Servers
{
    private const int EchoPort = 7;
    private const int WhoPort = 9;

    /// <param name="drainSeconds">How long SIGTERM leaves everything as it is, but for open HTTP connections, which are told to close.</param>
    public static async Task<int> EchoAsync(int httpPort, int drainSeconds)
    {
        using var drain = new Drain(TimeSpan.FromSeconds(drainSeconds));
        Task<int> serving = FirstAsync(
            HttpServer.RunAsync(httpPort, drain), ServeTcpEchoAsync(), ServeDatagramsAsync(EchoPort, (data, _) => data),
            AcceptAsync(ListenTcp(WhoPort), c => c.SendAsync(Who(c.RemoteEndPoint))), ServeDatagramsAsync(WhoPort, (_, from) => Who(from)));
        return await Task.WhenAny(serving, drain.Ended) == serving ? await serving : 0;
    }

    public static async Task<int> HttpAsync(int port)
    {
        using var drain = new Drain(TimeSpan.Zero);
        Task<int> serving = FirstAsync(HttpServer.RunAsync(port, drain));
        return await Task.WhenAny(serving, drain.Ended) == serving ? await serving : 0;
    }

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
    private static async Task ServeDatagramsAsync(int port, Func<ReadOnlyMemory<byte>, EndPoint, ReadOnlyMemory<byte>> answer)
    {
        using Socket all = BindUdp(port);
        var sockets = new Dictionary<IPAddress, Socket>();
        byte[] buffer = new byte[64 * 1024];
        while (true)
        {
            SocketReceiveMessageFromResult from = await all.ReceiveMessageFromAsync(buffer, new IPEndPoint(IPAddress.IPv6Any, 0));
            IPAddress own = from.PacketInformation.Address;
            if (!sockets.TryGetValue(own, out Socket? socket))
            {
                sockets[own] = socket = BindUdp(port, own);
                _ = AnswerAsync(socket, answer);
            }

            await SendAsync(socket, answer(buffer.AsMemory(0, from.ReceivedBytes), from.RemoteEndPoint), from.RemoteEndPoint);
        }
    }

    private static async Task AnswerAsync(Socket socket, Func<ReadOnlyMemory<byte>, EndPoint, ReadOnlyMemory<byte>> answer)
    {
        byte[] buffer = new byte[64 * 1024];
        while (true)
        {
            SocketReceiveFromResult from = await socket.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.IPv6Any, 0));
            await SendAsync(socket, answer(buffer.AsMemory(0, from.ReceivedBytes), from.RemoteEndPoint), from.RemoteEndPoint);
        }
    }

    private static async Task SendAsync(Socket socket, ReadOnlyMemory<byte> data, EndPoint to)
    {
        try
        {
            await socket.SendToAsync(data, to);
        }
        catch (SocketException)
        {
            // No way back to this one; the others want their answers.
        }
    }

    private static byte[] Who(EndPoint? client) => Encoding.ASCII.GetBytes($"{Environment.MachineName} {Address(client)}\n");

    /// <summary>An address as people write it: an IPv4 client of a dual-stack socket by its IPv4 address.</summary>
    public static string Address(EndPoint? point)
        => point is not IPEndPoint ip ? "" : ip.Address.IsIPv4MappedToIPv6 ? $"{ip.Address.MapToIPv4()}:{ip.Port}" : ip.ToString();
}
