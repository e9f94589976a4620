// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Axoneme.LabWorkload;

/// <summary>
/// Clients as they should be written, for servers that come and go: a connection that is refused is tried again, a datagram without an
/// answer is sent again, and a kept connection is replaced when the server says so. What fails in spite of that is a failure.
/// </summary>
internal static class Load
{
    private const int Attempts = 3;

    // Often enough to meet a gap of some ten milliseconds, seldom enough not to exhaust ports.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromMilliseconds(500);
    private static readonly byte[] Request = Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: load\r\n\r\n");

    public static async Task<int> RunAsync(string host, int httpPort, int udpPort, int seconds)
    {
        long end = Stopwatch.GetTimestamp() + seconds * Stopwatch.Frequency;
        var fresh = new Tally("new connections");
        var kept = new Tally("kept connection");
        var datagrams = new Tally("datagrams");
        Task all = Task.WhenAll(
            RepeatAsync(end, fresh, () => AskOnceAsync(host, httpPort, fresh)),
            KeepAsync(end, host, httpPort, kept),
            SendDatagramsAsync(end, host, udpPort, datagrams));
        // Tells a script that traffic flows.
        Console.WriteLine("started");
        await all;
        return fresh.Report() + kept.Report() + datagrams.Report() == 0 ? 0 : 1;
    }

    private static async Task RepeatAsync(long end, Tally tally, Func<Task> exchange)
    {
        while (Stopwatch.GetTimestamp() < end)
        {
            try
            {
                await exchange();
                tally.Done++;
            }
            catch (Exception e) when (e is SocketException or IOException or TimeoutException or OperationCanceledException)
            {
                tally.Fail(e);
            }

            await Task.Delay(Pause);
        }
    }

    private static async Task AskOnceAsync(string host, int port, Tally tally)
    {
        using Socket socket = await ConnectAsync(host, port, tally);
        await AskAsync(socket);
    }

    private static async Task KeepAsync(long end, string host, int port, Tally tally)
    {
        Socket? socket = null;
        await RepeatAsync(end, tally, async () =>
        {
            socket ??= await ConnectAsync(host, port, tally);
            try
            {
                if (await AskAsync(socket))
                    return;
            }
            catch
            {
                socket.Dispose();
                socket = null;
                throw;
            }

            socket.Dispose();
            socket = null;
        });
        socket?.Dispose();
    }

    private static async Task SendDatagramsAsync(long end, string host, int port, Tally tally)
    {
        Socket? socket = null;
        byte[] buffer = new byte[256];
        await RepeatAsync(end, tally, async () =>
        {
            for (int attempt = 1; ; attempt++)
            {
                try
                {
                    socket ??= await WhoClient.OpenAsync(host, port);
                    await socket.SendAsync(Request);
                    using var limit = new CancellationTokenSource(AnswerLimit);
                    await socket.ReceiveAsync(buffer, limit.Token);
                    return;
                }
                catch (Exception e) when (attempt < Attempts && e is SocketException or OperationCanceledException)
                {
                    tally.Retry(e);
                    socket?.Dispose();
                    socket = null;
                }
            }
        });
        socket?.Dispose();
    }

    private static async Task<Socket> ConnectAsync(string host, int port, Tally tally)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await Clients.ConnectAsync(host, port);
            }
            catch (Exception e) when (attempt < Attempts && e is SocketException or TimeoutException)
            {
                tally.Retry(e);
            }
        }
    }

    /// <returns>Whether the server keeps the connection.</returns>
    private static async Task<bool> AskAsync(Socket socket)
    {
        await socket.SendAsync(Request);
        using var limit = new CancellationTokenSource(Clients.Patience);
        using var reader = new StreamReader(new NetworkStream(socket), Encoding.ASCII, leaveOpen: true);
        if (await reader.ReadLineAsync(limit.Token) is not { } status)
            throw new IOException("the connection ended instead of an answer");
        if (!status.Contains(" 200 ", StringComparison.Ordinal))
            throw new IOException(status);
        bool keep = true;
        int length = 0;
        while (await reader.ReadLineAsync(limit.Token) is { Length: > 0 } header)
        {
            keep &= !header.Equals("Connection: close", StringComparison.OrdinalIgnoreCase);
            if (header.StartsWith("Content-Length: ", StringComparison.OrdinalIgnoreCase))
                length = int.Parse(header.AsSpan("Content-Length: ".Length));
        }

        char[] body = new char[length];
        if (await reader.ReadBlockAsync(body, limit.Token) < length)
            throw new IOException("the connection ended within an answer");
        return keep;
    }

    private sealed class Tally(string what)
    {
        private int _retried;
        private int _failed;

        public int Done { get; set; }

        public void Retry(Exception e)
        {
            _retried++;
            Console.WriteLine($"{what}: tried again: {e.Message}");
        }

        public void Fail(Exception e)
        {
            _failed++;
            Console.WriteLine($"{what}: failed: {e.Message}");
        }

        /// <returns>How many failed.</returns>
        public int Report()
        {
            Console.WriteLine($"{what}: {Done} done, {_retried} tried again, {_failed} failed");
            return _failed;
        }
    }
}
