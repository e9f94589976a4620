// SPDX-License-Identifier: Apache-2.0
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
        var identity = new ProxyHello(listeners[0].Port, time.GetUtcNow().ToUnixTimeSeconds());
        saver.Begin(identity);
        Worker[] workers = [.. listeners.Select((l, i) => new Worker(shared, l, i, listeners.Count))];
        using var server = DnsProxyServer.Listen(Path.Combine(settings.StateDirectory, ProxyMessage.SocketName), () => identity);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        foreach (Worker worker in workers)
            worker.Start();
        log.Info($"listening on port {identity.Port} with {workers.Length} workers, {shared.Endpoints.All.Count} endpoints known");
        var link = new AgentLink(shared, rules, workers, () => ipcache.Reopen(), log);
        try
        {
            Task[] parts =
            [
                server.RunAsync(link.ServeAsync, ending.Token),
                saver.RunAsync(ending.Token),
                KeepHouseAsync(shared, workers, ending.Token),
            ];
            Task first = await Task.WhenAny(parts);
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

    private IReadOnlyList<Listeners> Listen(ushort lastPort)
    {
        if (settings.Port != 0)
            return Listeners.Open(settings.Port, settings.WorkerCount, settings.AnyAddress);
        ushort port = lastPort != 0 ? lastPort : RandomPort();
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return Listeners.Open(port, settings.WorkerCount, settings.AnyAddress);
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
