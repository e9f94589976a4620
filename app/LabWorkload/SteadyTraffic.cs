// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net.Sockets;

namespace Axoneme.LabWorkload;

/// <summary>Traffic that notices any interruption: one connection that lives throughout, and new ones all the time.</summary>
internal static class SteadyTraffic
{
    // Often enough to hit a gap of some ten milliseconds, seldom enough not to exhaust ports.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);

    public static async Task<int> RunAsync(string host, int port, int seconds)
    {
        long start = Stopwatch.GetTimestamp();
        long end = start + seconds * Stopwatch.Frequency;
        Task<int> old = RepeatAsync(end, "established", await KeepAsync(host, port));
        Task<int> fresh = RepeatAsync(end, "new", async () =>
        {
            using Socket socket = await Clients.ConnectAsync(host, port);
            await Clients.ExchangeAsync(socket, 100, seed: 2);
        });
        // The first line tells a script that traffic flows.
        Console.WriteLine("started");
        int failures = await old + await fresh;
        return failures == 0 ? 0 : 1;
    }

    private static async Task<Func<Task>> KeepAsync(string host, int port)
    {
        Socket socket = await Clients.ConnectAsync(host, port);
        await Clients.ExchangeAsync(socket, 100, seed: 1);
        return () => Clients.ExchangeAsync(socket, 100, seed: 1);
    }

    private static async Task<int> RepeatAsync(long end, string what, Func<Task> exchange)
    {
        int done = 0;
        int failed = 0;
        while (Stopwatch.GetTimestamp() < end)
        {
            try
            {
                await exchange();
                done++;
            }
            catch (Exception e) when (e is SocketException or IOException or TimeoutException)
            {
                failed++;
                Console.WriteLine($"{what}: {e.Message}");
            }

            await Task.Delay(Pause);
        }

        Console.WriteLine($"{what}: {done} exchanges, {failed} failed");
        return failed;
    }
}
