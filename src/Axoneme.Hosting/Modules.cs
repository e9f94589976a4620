// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Axoneme.Hosting;

/// <summary>How one part of a program is doing.</summary>
public sealed record ModuleState(string Name, bool IsHealthy, string Message, DateTimeOffset Since);

/// <summary>Runs a program's loops. One that fails is reported and started again; the others go on.</summary>
public sealed class Modules(TimeProvider time, ILogger<Modules> log)
{
    private static readonly TimeSpan RestartDelay = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, ModuleState> _states = new();
    private readonly List<Task> _loops = [];

    public IEnumerable<ModuleState> States => _states.Values.OrderBy(s => s.Name, StringComparer.Ordinal);

    public void Start(string name, Func<CancellationToken, Task> loop, CancellationToken cancellation)
    {
        lock (_loops)
            _loops.Add(Task.Run(() => KeepRunningAsync(name, loop, cancellation), CancellationToken.None));
    }

    public void Report(string name, bool healthy, string message)
        => _states.AddOrUpdate(
            name,
            _ => new ModuleState(name, healthy, message, time.GetUtcNow()),
            (_, before) => before.IsHealthy == healthy && before.Message == message ? before : new ModuleState(name, healthy, message, time.GetUtcNow()));

    /// <summary>Waits for all loops after their cancellation.</summary>
    public Task WhenStoppedAsync()
    {
        lock (_loops)
            return Task.WhenAll(_loops);
    }

    private async Task KeepRunningAsync(string name, Func<CancellationToken, Task> loop, CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                Report(name, healthy: true, "running");
                await loop(cancellation);
                return;
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                log.LogError(e, "{Module} failed and is started again", name);
                Report(name, healthy: false, e.Message);
            }

            try
            {
                await Task.Delay(RestartDelay, time, cancellation);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }
}
