// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Services;

/// <summary>Services and endpoint slices into frontends, and those into what the load-balancing maps hold.</summary>
internal sealed class ServiceController
{
    private const string Initializer = "services";

    private readonly ClusterState _cluster;
    private readonly ServiceCatalog _catalog;
    private readonly ILogger<ServiceController> _log;

    // The catalog has one owner at a time; services and slices arrive on two tasks.
    private readonly Lock _gate = new();
    private bool _isComplete;

    public ServiceController(ClusterState cluster, ServiceCatalog catalog, ILogger<ServiceController> log)
    {
        _cluster = cluster;
        _catalog = catalog;
        _log = log;
        Maps.RegisterInitializer(Initializer);
    }

    public Table<L4Address, Frontend> Frontends { get; } = new(
        "frontends",
        frontend => frontend.Address,
        columns:
        [
            new("Address", f => f.Address.ToString()),
            new("Type", f => f.Type.ToString()),
            new("Service", f => f.Service.ToString()),
            new("Backends", f => string.Join(' ', f.Backends.Select(b => b.Address))),
        ]);

    /// <summary>What the kernel has to know.</summary>
    public Table<ServiceMapKey, ServiceMapEntry> Maps { get; } = new(
        "lb-services",
        entry => entry.Key,
        columns: [new("Frontend", e => e.Key.ToString()), new("Backends", e => string.Join(' ', e.Backends.Select(b => b.Address)))]);

    /// <summary>What is wrong with services, by name; for status and events.</summary>
    public Table<ResourceName, ServiceProblems> Problems { get; } = new("service-problems", p => p.Service);

    public async Task RunAsync(CancellationToken cancellation)
    {
        var services = new TaskCompletionSource();
        var slices = new TaskCompletionSource();
        await Task.WhenAll(
            _cluster.Services.FollowAsync(Take, _log, cancellation, services),
            _cluster.EndpointSlices.FollowAsync(Take, _log, cancellation, slices),
            CompleteAsync(services.Task, slices.Task, cancellation));
    }

    /// <summary>
    /// A service without its slices has no backends. Until both kinds are complete nothing is published, and the kernel goes on with
    /// what an earlier run left.
    /// </summary>
    private async Task CompleteAsync(Task services, Task slices, CancellationToken cancellation)
    {
        await Task.WhenAll(services, slices).WaitAsync(cancellation);
        lock (_gate)
        {
            _isComplete = true;
            Write([], _catalog.Frontends);
        }

        Maps.MarkInitialized(Initializer);
    }

    private void Take(Change<ResourceName, Service> change)
    {
        lock (_gate)
            Publish(change.IsDelete ? _catalog.DeleteService(change.Key) : _catalog.Upsert(change.Value!));
    }

    private void Take(Change<ResourceName, EndpointSlice> change)
    {
        lock (_gate)
            Publish(change.IsDelete ? _catalog.DeleteSlice(change.Key) : _catalog.Upsert(change.Value!));
    }

    private void Publish(CatalogChange change)
    {
        foreach (ResourceName service in change.Concerned)
            Report(service);
        if (_isComplete && !change.IsEmpty)
            Write(change.Deletes, change.Upserts);
    }

    private void Write(IEnumerable<Frontend> deletes, IEnumerable<Frontend> upserts)
    {
        Maps.WriteWith(Frontends, (maps, frontends) =>
        {
            foreach (Frontend frontend in deletes)
            {
                maps.Remove(new ServiceMapKey(frontend.Address));
                frontends.Remove(frontend.Address);
            }

            foreach (Frontend frontend in upserts)
            {
                frontends.Upsert(frontend);
                // Only cluster addresses so far; the maps must not claim the node's own.
                if (frontend.Type == FrontendType.ClusterIP)
                    maps.Upsert(Translate(frontend));
            }
        });
    }

    private void Report(ResourceName service)
    {
        IReadOnlyList<string> problems = _catalog.ProblemsOf(service);
        if (problems.Count == 0)
        {
            Problems.Remove(service);
            return;
        }

        string text = string.Join("; ", problems);
        if (Problems.Snapshot().Find(service)?.Text == text)
            return;
        Problems.Upsert(new ServiceProblems(service, text));
        _log.LogWarning("Service {Service}: {Problems}", service, text);
    }

    private static ServiceMapEntry Translate(Frontend frontend) => new(new ServiceMapKey(frontend.Address))
    {
        // Those behind the usable ones are named only so that their established connections go on.
        Backends =
        [
            .. frontend.Backends.Select((backend, slot) => new BackendMapEntry(backend.Address)
            {
                State = slot < frontend.UsableCount ? LbBackendState.Active : (LbBackendState)backend.State,
            }),
        ],
    };
}

internal sealed record ServiceProblems(ResourceName Service, string Text);
