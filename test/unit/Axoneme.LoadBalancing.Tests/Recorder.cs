// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing.Tests;

/// <summary>A catalogue that commits after every event.</summary>
internal sealed class Recorder(CatalogOptions options)
{
    public ServiceCatalog Catalog { get; } = new(options);

    public int Count => Catalog.Frontends.Count();

    public CatalogChange Do(Action<ServiceCatalog> change)
    {
        change(Catalog);
        return Catalog.Commit();
    }

    public CatalogChange Upsert(Service service) => Do(c => c.Upsert(service));

    public CatalogChange Upsert(EndpointSlice slice) => Do(c => c.Upsert(slice));

    public CatalogChange Upsert(LocalPod pod) => Do(c => c.Upsert(pod));

    public CatalogChange Upsert(CiliumLocalRedirectPolicy policy) => Do(c => c.Upsert(policy));

    public CatalogChange DeleteService(ResourceName name) => Do(c => c.DeleteService(name));

    public CatalogChange DeleteSlice(ResourceName name) => Do(c => c.DeleteSlice(name));

    public CatalogChange SetNode(IEnumerable<string> nodePorts, IEnumerable<string>? others = null, IEnumerable<KeyValuePair<string, string>>? labels = null)
    {
        ImmutableArray<IpAddress> addresses = [.. nodePorts.Select(IpAddress.Parse)];
        return Do(c => c.SetNode(new NodeFacts
        {
            NodePortAddresses = addresses,
            Addresses = addresses.Concat((others ?? []).Select(IpAddress.Parse)).ToFrozenSet(),
            Labels = (labels ?? []).ToFrozenDictionary(),
        }));
    }

    public Frontend? Find(L4Address address) => Catalog.Find(address);

    public ImmutableArray<string> ProblemsOf(Service service)
        => Catalog.ProblemsOf(new CatalogObject(CatalogObjectKind.Service, service.ResourceName));
}
