// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Agent.Cluster;

/// <summary>
/// Endpoint slices are most of what an agent knows of a large cluster, and most of a slice is of no use to it: the pods behind the endpoints,
/// and the same few names and conditions, once more for each endpoint. For one reflector, which calls from one task at a time.
/// </summary>
internal sealed class SliceTrimming
{
    // There are eight conditions and hardly more ports than services have; port numbers bound the rest.
    private const int Capacity = 1 << 16;

    private readonly NamePool _names = new();
    private readonly Dictionary<SliceEndpointConditions, SliceEndpointConditions> _conditions = [];
    private readonly Dictionary<SlicePort, SlicePort> _ports = [];

    public EndpointSlice Trim(EndpointSlice slice) => slice with
    {
        ApiVersion = slice.Definition.ApiVersion,
        Kind = slice.Definition.Kind,
        AddressType = _names.Share(slice.AddressType)!,
        Metadata = Trim(slice.Metadata),
        Ports = slice.Ports is { } ports ? [.. ports.Select(p => Shared(_ports, p))] : null,
        Endpoints = slice.Endpoints is { } endpoints ? [.. endpoints.Select(Trim)] : null,
    };

    private ObjectMeta Trim(ObjectMeta metadata) => new()
    {
        Name = metadata.Name,
        Namespace = _names.Share(metadata.Namespace)!,
        Uid = metadata.Uid,
        ResourceVersion = metadata.ResourceVersion,
        CreationTimestamp = metadata.CreationTimestamp,
        Labels = _names.Share(metadata.Labels, static key => key == "kubernetes.io/service-name"),
        Annotations = _names.Share(metadata.Annotations, static key => key.StartsWith("service.cilium.io/", StringComparison.Ordinal)),
    };

    private SliceEndpoint Trim(SliceEndpoint endpoint) => new()
    {
        // All of them mean the same pod, and only the first is used.
        Addresses = endpoint.Addresses is [var first, ..] ? [first] : null,
        Conditions = endpoint.Conditions is { } conditions ? Shared(_conditions, conditions) : null,
        NodeName = _names.Share(endpoint.NodeName),
        Zone = _names.Share(endpoint.Zone),
        Hints = endpoint.Hints,
    };

    private static T Shared<T>(Dictionary<T, T> known, T value)
        where T : notnull
    {
        if (known.TryGetValue(value, out T? present))
            return present;
        if (known.Count == Capacity)
            known.Clear();
        return known[value] = value;
    }
}
