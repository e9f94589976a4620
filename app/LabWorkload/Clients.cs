// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Axoneme.LabWorkload;

/// <summary>Clients that compare every byte they get back.</summary>
internal static class Clients
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    public static async Task<int> GetAsync(string url, int timeoutSeconds)
    {
        using var handler = new SocketsHttpHandler { UseProxy = false, UseCookies = false };
        using var client = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(timeoutSeconds) };
        try
        {
            using HttpResponseMessage response = await client.GetAsync(new Uri(url));
            Console.Out.Write(await response.Content.ReadAsStringAsync());
            return response.IsSuccessStatusCode ? 0 : 1;
        }
        catch (TaskCanceledException e) when (e.InnerException is TimeoutException)
        {
            throw new TimeoutException($"{url}: no answer within {timeoutSeconds} s");
        }
    }

    public static async Task<int> PingAsync(string host, int count, int bytes)
    {
        IPAddress address = (await Dns.GetHostAddressesAsync(host))[0];
        using var ping = new Ping();
        int lost = 0;
        for (int i = 0; i < count; i++)
        {
            PingReply reply = await ping.SendPingAsync(address, (int)Patience.TotalMilliseconds, Pattern(bytes, i), new PingOptions(64, dontFragment: true));
            bool ok = reply.Status == IPStatus.Success;
            lost += ok ? 0 : 1;
            Console.WriteLine(ok ? $"{reply.Address} {bytes} bytes {reply.RoundtripTime} ms" : $"{address} {reply.Status}");
        }

        return lost == 0 ? 0 : 1;
    }

    public static async Task<int> TcpAsync(string host, int port, int bytes)
    {
        using Socket socket = await ConnectAsync(host, port);
        await ExchangeAsync(socket, bytes, seed: 1);
        Console.WriteLine($"{socket.LocalEndPoint} -> {socket.RemoteEndPoint}: {bytes} bytes there and back");
        return 0;
    }

    public static async Task<int> UdpAsync(string host, int port, int bytes)
    {
        IPAddress address = (await Dns.GetHostAddressesAsync(host))[0];
        using var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(address, port);
        byte[] sent = Pattern(bytes, 7);
        byte[] received = new byte[bytes + 1];
        await socket.SendAsync(sent);
        using var limit = new CancellationTokenSource(Patience);
        int length = await ReceiveAsync(socket, received, limit.Token);
        if (!received.AsSpan(0, length).SequenceEqual(sent))
            throw new IOException("the datagram came back changed");
        Console.WriteLine($"{socket.LocalEndPoint} -> {socket.RemoteEndPoint}: {bytes} bytes there and back");
        return 0;
    }

    public static async Task<int> ReceiveAsync(Socket socket, Memory<byte> buffer, CancellationToken cancellation, TimeSpan? patience = null)
    {
        try
        {
            return await socket.ReceiveAsync(buffer, cancellation);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"no answer within {(patience ?? Patience).TotalSeconds} s");
        }
    }

    public static async Task<int> ParallelAsync(string host, int port, int connections)
    {
        var sockets = new List<Socket>();
        try
        {
            for (int i = 0; i < connections; i++)
                sockets.Add(await ConnectAsync(host, port));
            // All are open now; each carries data while the others do.
            await Task.WhenAll(sockets.Select((s, i) => ExchangeAsync(s, 2000, i)));
            Console.WriteLine($"{connections} connections, {connections * 2000L} bytes there and back");
            return 0;
        }
        finally
        {
            sockets.ForEach(s => s.Dispose());
        }
    }

    public static async Task<int> BulkAsync(string host, int port, int seconds)
    {
        using Socket socket = await ConnectAsync(host, port);
        byte[] block = Pattern(256 * 1024, 3);
        long sent = 0;
        Task sending = Task.Run(async () =>
        {
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
            {
                await SendAllAsync(socket, block);
                Interlocked.Add(ref sent, block.Length);
            }

            socket.Shutdown(SocketShutdown.Send);
        });
        byte[] buffer = new byte[256 * 1024];
        long received = 0;
        int length;
        while ((length = await socket.ReceiveAsync(buffer)) > 0)
        {
            Compare(buffer.AsSpan(0, length), block, received);
            received += length;
        }

        await sending;
        Console.WriteLine($"{sent} bytes sent, {received} bytes back, {received * 8 / seconds / 1_000_000} Mbit/s each way");
        return sent == received ? 0 : 1;
    }

    private static void Compare(ReadOnlySpan<byte> received, ReadOnlySpan<byte> block, long position)
    {
        while (received.Length > 0)
        {
            int at = (int)(position % block.Length);
            int length = Math.Min(received.Length, block.Length - at);
            if (!received[..length].SequenceEqual(block.Slice(at, length)))
                throw new IOException($"bytes came back changed near position {position}");
            received = received[length..];
            position += length;
        }
    }

    public static async Task<IPAddress> ResolveAsync(string host)
        => IPAddress.TryParse(host, out IPAddress? literal) ? literal : (await Dns.GetHostAddressesAsync(host))[0];

    /// <param name="sourcePort">The client's own port, or 0 for any.</param>
    public static async Task<Socket> ConnectAsync(string host, int port, int sourcePort = 0)
    {
        IPAddress address = await ResolveAsync(host);
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            if (sourcePort != 0)
            {
                // Without it, the port would rest for a minute after each use.
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                socket.Bind(new IPEndPoint(address.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, sourcePort));
            }

            await socket.ConnectAsync(address, port, limit.Token);
            return socket;
        }
        catch (OperationCanceledException)
        {
            socket.Dispose();
            throw new TimeoutException($"connect to {address} port {port}: no answer within {Patience.TotalSeconds} s");
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends bytes and reads as many back.</summary>
    public static async Task ExchangeAsync(Socket socket, int bytes, int seed)
    {
        byte[] data = Pattern(bytes, seed);
        byte[] back = new byte[bytes];
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        Task sending = SendAllAsync(socket, data);
        for (int read = 0; read < bytes;)
        {
            int length = await ReceiveAsync(socket, back.AsMemory(read), limit.Token);
            if (length == 0)
                throw new IOException($"the connection ended after {read} of {bytes} bytes");
            read += length;
        }

        await sending;
        if (!back.AsSpan().SequenceEqual(data))
            throw new IOException("bytes came back changed");
    }

    private static async Task SendAllAsync(Socket socket, ReadOnlyMemory<byte> data)
    {
        while (data.Length > 0)
            data = data[await socket.SendAsync(data)..];
    }

    private static byte[] Pattern(int bytes, int seed)
    {
        byte[] data = new byte[bytes];
        new Random(seed).NextBytes(data);
        return data;
    }
}
