// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hosting;
using Axoneme.LoadBalancing;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Health;

/// <summary>Keeps the health-check ports as the frontends say.</summary>
internal sealed class HealthCheckFollower(Table<L4Address, Frontend> frontends, HealthCheckPorts ports, string nodeName, Modules modules)
{
    public const string ModuleName = "health-check-ports";

    // A port that somebody else holds is tried again, for as long as it is.
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(5);

    // Only those with a port to serve, which are few.
    private readonly Dictionary<L4Address, Frontend> _checked = [];

    public async Task RunAsync(CancellationToken cancellation)
    {
        _checked.Clear();
        using ChangeStream<L4Address, Frontend> stream = frontends.Watch();
        Task<ChangeBatch<L4Address, Frontend>> next = stream.NextAsync(cancellation).AsTask();
        while (true)
        {
            bool isRetry = ports.Problems.Count > 0 && await Task.WhenAny(next, Task.Delay(RetryDelay, cancellation)) != next;
            if (!isRetry)
            {
                bool isConcerned = Take(await next);
                next = stream.NextAsync(cancellation).AsTask();
                if (!isConcerned)
                    continue;
            }

            ports.Set(ChecksOf(_checked.Values, nodeName));
            Report();
        }
    }

    /// <summary>What every node with endpoints of a service tells: each pod counts once, however many ports the service has.</summary>
    internal static IReadOnlyList<HealthCheck> ChecksOf(IEnumerable<Frontend> frontends, string nodeName)
        => [.. frontends.Where(f => f.HealthCheckNodePort != 0).GroupBy(f => (f.Service, f.HealthCheckNodePort)).Select(service => new HealthCheck(
            service.Key.HealthCheckNodePort,
            service.Key.Service,
            service.SelectMany(f => f.Outside.Backends).Where(b => b.State == BackendState.Active && b.NodeName == nodeName)
                .Select(b => b.Address.Address).Distinct().Count()))];

    private bool Take(ChangeBatch<L4Address, Frontend> batch)
    {
        bool isConcerned = false;
        foreach (Change<L4Address, Frontend> change in batch.Changes)
        {
            if (change.Value is { HealthCheckNodePort: not 0 } frontend)
                _checked[change.Key] = frontend;
            else if (!_checked.Remove(change.Key))
                continue;
            isConcerned = true;
        }

        return isConcerned;
    }

    private void Report()
    {
        IReadOnlyList<string> problems = ports.Problems;
        modules.Report(ModuleName, problems.Count == 0, problems.Count == 0 ? "running" : string.Join("; ", problems));
    }
}
