// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Cluster;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Policies;

/// <summary>
/// The services that policies mention. Services are read from their table; of the endpoint slices only those are kept whose service selects no
/// pods, since only these stand for addresses. Called under the policy controller's lock.
/// </summary>
internal sealed class ServiceReferences(ClusterState cluster) : IServiceDirectory
{
    private const string ServiceNameLabel = "kubernetes.io/service-name";

    private readonly Dictionary<ResourceName, Dictionary<ResourceName, ImmutableArray<IpAddress>>> _addresses = [];
    private readonly Dictionary<ResourceName, ResourceName> _serviceOfSlice = [];

    public IEnumerable<Service> All => cluster.Services.Snapshot().Values;

    public Service? Find(ResourceName name) => cluster.Services.Snapshot().Find(name);

    public IEnumerable<IpAddress> AddressesOf(ResourceName service)
        => _addresses.TryGetValue(service, out Dictionary<ResourceName, ImmutableArray<IpAddress>>? slices) ? slices.Values.SelectMany(a => a) : [];

    /// <summary>Follows both kinds; <paramref name="changed"/> is called, without a lock, for each service that may mean something else now.</summary>
    public Task RunAsync(
        PolicyController policies, Action<ResourceName> changed, ILogger log, TaskCompletionSource[] complete, CancellationToken cancellation)
        => Task.WhenAll(
            cluster.Services.FollowAsync(
                change =>
                {
                    policies.Read(_ => TakeService(change.Key, change.Value));
                    changed(change.Key);
                },
                log,
                cancellation,
                complete[0]),
            cluster.EndpointSlices.FollowAsync(
                change =>
                {
                    if (policies.Read(_ => TakeSlice(change.Key, change.Value)) is { } service)
                        changed(service);
                },
                log,
                cancellation,
                complete[1]));

    private bool TakeService(ResourceName name, Service? service)
    {
        bool selectsPods = service?.Spec.Selector is { Count: > 0 };
        if (selectsPods && _addresses.Remove(name, out Dictionary<ResourceName, ImmutableArray<IpAddress>>? slices))
        {
            foreach (ResourceName slice in slices.Keys)
                _serviceOfSlice.Remove(slice);
        }

        // A service that selected pods before has slices that were not kept.
        if (service is not null && !selectsPods && !_addresses.ContainsKey(name))
        {
            foreach (EndpointSlice slice in cluster.EndpointSlices.Snapshot().Values.Where(s => ServiceOf(s) == name))
                TakeSlice(slice.ResourceName, slice);
        }

        return selectsPods;
    }

    private ResourceName? TakeSlice(ResourceName name, EndpointSlice? slice)
    {
        ResourceName? service = slice is null ? null : ServiceOf(slice);
        // A service that is not known yet may turn out to be one that selects no pods.
        bool counts = service is { } known && Find(known)?.Spec.Selector is not { Count: > 0 };
        bool was = _serviceOfSlice.Remove(name, out ResourceName before);
        if (was && _addresses.TryGetValue(before, out Dictionary<ResourceName, ImmutableArray<IpAddress>>? slices))
        {
            slices.Remove(name);
            if (slices.Count == 0)
                _addresses.Remove(before);
        }

        if (!counts)
            return was ? before : null;
        _serviceOfSlice[name] = service!.Value;
        if (!_addresses.TryGetValue(service.Value, out Dictionary<ResourceName, ImmutableArray<IpAddress>>? own))
            _addresses[service.Value] = own = [];
        own[name] = [.. (slice!.Endpoints ?? []).SelectMany(e => e.Addresses ?? []).Where(a => IpAddress.TryParse(a, out _)).Select(IpAddress.Parse)];
        return service;
    }

    private static ResourceName? ServiceOf(EndpointSlice slice)
        => slice.Metadata.Label(ServiceNameLabel) is { Length: > 0 } name ? new ResourceName(slice.Metadata.Namespace, name) : null;
}
