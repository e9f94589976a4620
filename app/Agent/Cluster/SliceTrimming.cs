// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Agent.Cluster;

/// <summary>
/// Endpoint slices are most of what an agent knows of a large cluster, and most of a slice is of no use to it: the pods behind the endpoints,
/// and the same few names and conditions, once more for each endpoint. For one reflector, which calls from one task at a time.
/// </summary>
internal sealed class SliceTrimming
{
    private static readonly IReadOnlyDictionary<string, string> NoLabels = new Dictionary<string, string>();

    // A cluster has fewer nodes and zones than this. When they come and go for years, starting anew costs memory and nothing else.
    private const int Capacity = 1 << 16;

    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private readonly Dictionary<SliceEndpointConditions, SliceEndpointConditions> _conditions = [];
    private readonly Dictionary<SlicePort, SlicePort> _ports = [];

    public EndpointSlice Trim(EndpointSlice slice) => slice with
    {
        ApiVersion = slice.Definition.ApiVersion,
        Kind = slice.Definition.Kind,
        AddressType = string.Intern(slice.AddressType),
        Metadata = Trim(slice.Metadata),
        Ports = slice.Ports is { } ports ? [.. ports.Select(p => Shared(_ports, p))] : null,
        Endpoints = slice.Endpoints is { } endpoints ? [.. endpoints.Select(Trim)] : null,
    };

    private static ObjectMeta Trim(ObjectMeta metadata) => new()
    {
        Name = metadata.Name,
        Namespace = metadata.Namespace,
        Uid = metadata.Uid,
        ResourceVersion = metadata.ResourceVersion,
        CreationTimestamp = metadata.CreationTimestamp,
        Labels = Only(metadata.Labels, static key => key == "kubernetes.io/service-name") ?? NoLabels,
        Annotations = Only(metadata.Annotations, static key => key.StartsWith("service.cilium.io/", StringComparison.Ordinal)),
    };

    private SliceEndpoint Trim(SliceEndpoint endpoint) => new()
    {
        // All of them mean the same pod, and only the first is used.
        Addresses = endpoint.Addresses is [var first, ..] ? [first] : null,
        Conditions = endpoint.Conditions is { } conditions ? Shared(_conditions, conditions) : null,
        NodeName = Shared(endpoint.NodeName),
        Zone = Shared(endpoint.Zone),
        Hints = endpoint.Hints,
    };

    private static Dictionary<string, string>? Only(IReadOnlyDictionary<string, string>? all, Func<string, bool> isNeeded)
    {
        Dictionary<string, string>? kept = null;
        foreach ((string key, string value) in all ?? NoLabels)
        {
            if (isNeeded(key))
                (kept ??= new Dictionary<string, string>(1))[string.Intern(key)] = value;
        }

        return kept;
    }

    private string? Shared(string? name)
    {
        if (name is null)
            return null;
        if (_names.TryGetValue(name, out string? known))
            return known;
        if (_names.Count == Capacity)
            _names.Clear();
        _names.Add(name);
        return name;
    }

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
