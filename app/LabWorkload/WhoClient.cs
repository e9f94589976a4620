// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Axoneme.LabWorkload;

/// <summary>Asks the echo server's port 9, which says who it is and whom it sees.</summary>
internal static class WhoClient
{
    private static readonly byte[] Question = "who?"u8.ToArray();
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    public static async Task<int> RunAsync(string host, int port, int count, string protocol, int sourcePort)
    {
        for (int i = 0; i < count; i++)
            Console.Write(protocol switch
            {
                "tcp" => await AskTcpAsync(host, port, sourcePort),
                "udp" => await AskUdpAsync(host, port, sourcePort),
                _ => throw new FormatException("tcp or udp"),
            });
        return 0;
    }

    private static async Task<string> AskTcpAsync(string host, int port, int sourcePort)
    {
        using Socket socket = await Clients.ConnectAsync(host, port, sourcePort);
        var answer = new StringBuilder();
        byte[] buffer = new byte[256];
        using var limit = new CancellationTokenSource(Clients.Patience);
        while (await Clients.ReceiveAsync(socket, buffer, limit.Token) is > 0 and var length)
            answer.Append(Encoding.ASCII.GetString(buffer, 0, length));
        return answer.Length > 0 ? answer.ToString() : throw new IOException("the server said nothing");
    }

    private static async Task<string> AskUdpAsync(string host, int port, int sourcePort)
    {
        using Socket socket = await OpenAsync(host, port, sourcePort);
        await socket.SendAsync(Question);
        byte[] buffer = new byte[256];
        using var limit = new CancellationTokenSource(Clients.Patience);
        return Encoding.ASCII.GetString(buffer, 0, await Clients.ReceiveAsync(socket, buffer, limit.Token));
    }

    public static async Task<Socket> OpenAsync(string host, int port, int sourcePort = 0)
    {
        IPAddress address = await Clients.ResolveAsync(host);
        var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        if (sourcePort != 0)
            socket.Bind(new IPEndPoint(address.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, sourcePort));
        await socket.ConnectAsync(address, port);
        return socket;
    }

    /// <summary>Uses one connected socket until an error ends it, as it does when the agent closes sockets of a removed backend.</summary>
    /// <returns>0 when the socket was ended, 1 when it was not in time.</returns>
    public static async Task<int> WaitForEndAsync(string host, int port, int seconds)
    {
        using Socket socket = await OpenAsync(host, port);
        byte[] buffer = new byte[256];
        await socket.SendAsync(Question);
        using (var first = new CancellationTokenSource(Clients.Patience))
            Console.Write(Encoding.ASCII.GetString(buffer, 0, await Clients.ReceiveAsync(socket, buffer, first.Token)));
        // Only waits from here on: a client that listens for what comes would wait for ever.
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        try
        {
            while (true)
            {
                await socket.ReceiveAsync(buffer, limit.Token);
                await Task.Delay(Pause, limit.Token);
            }
        }
        catch (SocketException e)
        {
            Console.WriteLine($"ended: {e.SocketErrorCode}");
            return 0;
        }
        catch (OperationCanceledException)
        {
            Console.WriteLine($"still open after {seconds} s");
            return 1;
        }
    }
}
