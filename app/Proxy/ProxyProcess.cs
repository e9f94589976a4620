// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.DnsProxy;
using Axoneme.Linux;
using Axoneme.Proxy.Control;
using Axoneme.Proxy.Names;
using Axoneme.Proxy.Serving;

namespace Axoneme.Proxy;

/// <summary>The parts of the process, put together.</summary>
internal sealed class ProxyProcess(ProxySettings settings, TimeProvider time, ProxyLog log)
{
    // What upstream chooses from; the range that hosts give to outgoing connections begins above.
    private const int FirstPort = 10_000, LastPort = 20_000;
    private const int PortAttempts = 100;
    private static readonly TimeSpan HousekeepingInterval = TimeSpan.FromSeconds(5);

    // Clients ask again after 5 s: what waits for the successor meanwhile must still be wanted.
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan DrainPoll = TimeSpan.FromMilliseconds(5);

    /// <summary>Serves until cancelled. Listens before it returns for the first time.</summary>
    /// <exception cref="SystemCallException">The configured port is taken, or a permission is missing.</exception>
    public async Task RunAsync(CancellationToken cancellation)
    {
        Directory.CreateDirectory(settings.StateDirectory);
        using var ipcache = new PinnedIpcache(settings.BpfRoot);
        ipcache.Reopen();
        var shared = new ProxyShared(time, ipcache);
        var rules = new RuleState(shared);
        var saver = new StateSaver(settings.StateDirectory, shared, rules, log);
        IReadOnlyList<Listeners> listeners = Listen(saver.Restore());
        int[] descriptors = [.. listeners.SelectMany(l => l.Descriptors)];
        var identity = new ProxyHello(listeners[0].Port, time.GetUtcNow().ToUnixTimeSeconds());
        saver.Begin(identity);
        Worker[] workers = [.. listeners.Select((l, i) => new Worker(shared, l, i, listeners.Count))];
        using var server = DnsProxyServer.Listen(Path.Combine(settings.StateDirectory, ProxyMessage.SocketName), () => identity);
        using var ending = new CancellationTokenSource();
        foreach (Worker worker in workers)
            worker.Start();
        log.Info($"listening on port {identity.Port} with {workers.Length} workers, {shared.Endpoints.All.Count} endpoints known");
        var link = new AgentLink(shared, rules, workers, () => ipcache.Reopen(), () => KeepListeners(descriptors), log);
        try
        {
            Task[] parts =
            [
                server.RunAsync(link.ServeAsync, ending.Token),
                saver.RunAsync(ending.Token),
                KeepHouseAsync(shared, workers, ending.Token),
            ];
            Task first = await Task.WhenAny([.. parts, Task.Delay(Timeout.Infinite, cancellation)]);
            // The agent is still there for what is new in the last answers.
            if (cancellation.IsCancellationRequested)
                await DrainAsync(workers, ListenerKeeper.TryKeepAt(KeeperPath, descriptors));
            await ending.CancelAsync();
            await Task.WhenAll(parts).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await first;
        }
        finally
        {
            foreach (Worker worker in workers)
            {
                worker.Stop();
                worker.Dispose();
            }
        }
    }

    private string KeeperPath => Path.Combine(settings.StateDirectory, ListenerKeeper.SocketName);

    private void KeepListeners(IReadOnlyList<int> descriptors)
    {
        if (!ListenerKeeper.TryKeepAt(KeeperPath, descriptors))
            log.Warn("the agent does not keep the listening sockets: a restart of this process loses questions");
    }

    // From the agent they come back with all that was asked while no proxy was there.
    private IReadOnlyList<Listeners> Listen(ushort lastPort)
    {
        using var kept = new KeptSockets(ListenerKeeper.TakeFrom(KeeperPath, out string? problem));
        if (problem is not null)
            log.Warn(problem);
        if (kept.Count > 0)
            log.Info($"{kept.Count} listening sockets were kept");
        if (settings.Port != 0)
            return Listeners.Open(settings.Port, settings.WorkerCount, settings.AnyAddress, kept);
        ushort port = kept.Port != 0 ? kept.Port : lastPort != 0 ? lastPort : RandomPort();
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return Listeners.Open(port, settings.WorkerCount, settings.AnyAddress, kept);
            }
            catch (SystemCallException e) when (e.Errno == AddressInUse && attempt < PortAttempts)
            {
                log.Warn($"port {port} is taken, another is chosen");
                port = RandomPort();
            }
        }
    }

    private const int AddressInUse = 98;

    private static ushort RandomPort() => (ushort)Random.Shared.Next(FirstPort, LastPort);

    private static async Task DrainAsync(IReadOnlyList<Worker> workers, bool areListenersKept)
    {
        foreach (Worker worker in workers)
            worker.Drain(areListenersKept);
        long start = Stopwatch.GetTimestamp();
        while (workers.Any(w => !w.IsDrained && w.Failure is null) && Stopwatch.GetElapsedTime(start) < DrainLimit)
            await Task.Delay(DrainPoll);
    }

    private static async Task KeepHouseAsync(ProxyShared shared, IReadOnlyList<Worker> workers, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(HousekeepingInterval, shared.Time);
        while (await timer.WaitForNextTickAsync(cancellation))
        {
            // Whoever started the process does it again: half a proxy would be worse.
            if (workers.FirstOrDefault(w => w.Failure is not null)?.Failure is { } failure)
                throw new InvalidOperationException("a worker ended", failure);
            shared.Names.Sweep();
        }
    }
}
