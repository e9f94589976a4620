// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Axoneme.Bench.Workers;

/// <summary>One measurement for a fixed time over one connection (or one connection after the other).</summary>
internal static class TrafficClient
{
    private const int MessageBytes = 64;
    private const int BulkWriteBytes = 1 << 17;

    public static TrafficResult Run(string pattern, IPEndPoint server, TimeSpan duration)
    {
        if (pattern != "bulk")
            OneProcessor.Stay();
        return pattern switch
        {
            "ping-pong" => new TrafficResult(PingPong(server, duration), null),
            "connect-close" => ConnectClose(server, duration),
            "bulk" => new TrafficResult(Bulk(server, duration), null),
            _ => throw new ArgumentException($"'{pattern}' is not one of ping-pong, connect-close, bulk", nameof(pattern)),
        };
    }

    /// <summary>Round trips of 64 bytes.</summary>
    private static double PingPong(IPEndPoint server, TimeSpan duration)
    {
        using Socket socket = Connect(server);
        var buffer = new byte[MessageBytes];
        long rounds = 0;
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < duration)
        {
            socket.Send(buffer);
            for (int got = 0; got < MessageBytes;)
            {
                int count = socket.Receive(buffer, got, MessageBytes - got, SocketFlags.None);
                if (count == 0)
                    throw new IOException($"{server} closed the connection");
                got += count;
            }

            rounds++;
        }

        return rounds / clock.Elapsed.TotalSeconds;
    }

    /// <summary>Connections, each with one message either way.</summary>
    private static TrafficResult ConnectClose(IPEndPoint server, TimeSpan duration)
    {
        Span<byte> buffer = stackalloc byte[1];
        // Room for more than any machine does, so that growing costs nothing while it is timed.
        var times = new List<double>((int)(duration.TotalSeconds * 100_000) + 1);
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < duration)
        {
            long start = Stopwatch.GetTimestamp();
            using Socket socket = Connect(server);
            socket.Send(buffer);
            socket.Receive(buffer);
            // Reset instead of TIME_WAIT: a minute of those would run out of ports.
            socket.LingerState = new LingerOption(enable: true, seconds: 0);
            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }

        double rate = times.Count / clock.Elapsed.TotalSeconds;
        double[] sorted = [.. times.Order()];
        return new TrafficResult(rate, [Row.Quantile(sorted, 0.5), Row.Quantile(sorted, 0.99), Row.Quantile(sorted, 0.999)]);
    }

    /// <summary>Gigabits of one stream.</summary>
    private static double Bulk(IPEndPoint server, TimeSpan duration)
    {
        using Socket socket = Connect(server);
        var buffer = new byte[BulkWriteBytes];
        long bytes = 0;
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < duration)
            bytes += socket.Send(buffer);
        return bytes * 8 / 1e9 / clock.Elapsed.TotalSeconds;
    }

    private static Socket Connect(IPEndPoint server)
    {
        var socket = new Socket(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Connect(server);
        return socket;
    }
}
