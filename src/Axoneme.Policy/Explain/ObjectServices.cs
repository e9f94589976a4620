// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>The services among the objects, for rules that name them.</summary>
internal sealed class ObjectServices(ClusterObjects objects) : IServiceDirectory
{
    public IEnumerable<Service> All => objects.Of<Service>();

    public Service? Find(ResourceName name) => All.FirstOrDefault(s => s.ResourceName == name);

    public IEnumerable<IpAddress> AddressesOf(ResourceName service)
    {
        IEnumerable<EndpointSlice> slices = objects.Of<EndpointSlice>().Where(s =>
            s.Metadata.Namespace == service.Namespace && s.Metadata.Label("kubernetes.io/service-name") == service.Name);
        foreach (string text in slices.SelectMany(s => s.Endpoints ?? []).SelectMany(e => e.Addresses ?? []))
        {
            if (IpAddress.TryParse(text, out IpAddress address))
                yield return address;
        }
    }
}
