// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Axoneme.Agent.Cluster;
using Axoneme.Datapath;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Metrics;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Metrics;

/// <summary>How often services change, and how long a change takes from its event to the kernel.</summary>
internal sealed class ServiceMetrics
{
    private const string ServiceNameLabel = "kubernetes.io/service-name";

    // Changes that the kernel never hears of, such as of a label, are forgotten instead of measured.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Counter _events;
    private readonly Histogram _delays;
    private readonly TimeProvider _time;
    private readonly ConcurrentDictionary<ResourceName, Waiting> _waiting = new();
    private readonly HashSet<ResourceName> _known = [];
    private long _lookedOver;

    public ServiceMetrics(MetricRegistry registry, TimeProvider time)
    {
        _time = time;
        _lookedOver = time.GetTimestamp();
        _events = registry.AddCounter("services_events_total", "Changes of services", "action");
        _delays = registry.AddHistogram(
            "service_implementation_delay", "Seconds from the event of a service or of its endpoints to the write into the kernel",
            Histogram.DefaultBounds, "action");
    }

    private sealed record Waiting(string Action, long Since);

    /// <summary>Counts events until cancelled. The first list is the state and no event.</summary>
    public Task RunAsync(ClusterState cluster, ILogger log, CancellationToken cancellation)
    {
        var services = new TaskCompletionSource();
        var slices = new TaskCompletionSource();
        return Task.WhenAll(
            cluster.Services.FollowAsync(change => Take(change, services.Task.IsCompleted), log, cancellation, services),
            cluster.EndpointSlices.FollowAsync(change => Take(change, slices.Task.IsCompleted), log, cancellation, slices));
    }

    /// <summary>The kernel has these frontends now, or has them no more.</summary>
    public void NoteWritten(IEnumerable<ServiceMapKey> keys, TableSnapshot<L4Address, Frontend> frontends)
    {
        if (_waiting.IsEmpty)
            return;
        foreach (ServiceMapKey key in keys)
        {
            if (frontends.Find(key.Frontend) is { } frontend && _waiting.TryRemove(frontend.Service, out Waiting? waiting))
                Observe(waiting);
        }
    }

    /// <summary>The kernel has removed frontends; whose they were is known by what is waited for.</summary>
    public void NoteDeleted()
    {
        foreach ((ResourceName service, Waiting waiting) in _waiting)
        {
            if (waiting.Action == "delete" && _waiting.TryRemove(service, out _))
                Observe(waiting);
        }
    }

    private void Take(Change<ResourceName, Service> change, bool isEvent)
    {
        bool isNew = !change.IsDelete && _known.Add(change.Key);
        if (change.IsDelete)
            _known.Remove(change.Key);
        if (!isEvent)
            return;
        string action = change.IsDelete ? "delete" : isNew ? "add" : "update";
        _events.With(action).Increment();
        Expect(change.Key, action);
    }

    private void Take(Change<ResourceName, EndpointSlice> change, bool isEvent)
    {
        if (isEvent && change.Value?.Metadata is { Labels: { } labels } metadata && labels.TryGetValue(ServiceNameLabel, out string? service))
            Expect(new ResourceName(metadata.Namespace, service), "update");
    }

    internal void Expect(ResourceName service, string action)
    {
        // The first of several events that one write answers counts: its sender waited longest.
        Waiting waiting = _waiting.GetOrAdd(service, static (_, made) => made, new Waiting(action, _time.GetTimestamp()));
        if (action == "delete" && waiting.Action != action)
            _waiting[service] = waiting with { Action = action };
        ForgetLate();
    }

    private void ForgetLate()
    {
        // Events come by the thousand; one look over all in a while is enough to bound their number.
        if (_time.GetElapsedTime(Interlocked.Read(ref _lookedOver)) < Patience)
            return;
        Interlocked.Exchange(ref _lookedOver, _time.GetTimestamp());
        foreach ((ResourceName late, Waiting old) in _waiting)
        {
            if (_time.GetElapsedTime(old.Since) > Patience)
                _waiting.TryRemove(late, out _);
        }
    }

    private void Observe(Waiting waiting) => _delays.With(waiting.Action).Observe(_time.GetElapsedTime(waiting.Since).TotalSeconds);
}
