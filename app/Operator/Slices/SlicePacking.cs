// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Operator.Slices;

/// <summary>A slice as it should be.</summary>
/// <param name="Content">Null: the slice goes.</param>
internal sealed record SliceChange(string Name, string Namespace, CiliumEndpointSlice? Content);

/// <summary>
/// Packs the endpoints of each namespace into slices: a new one goes to the fullest slice of its namespace that still has room, and stays there.
/// Slices that exist are taken over as they are, so that a restart moves nothing. Not thread-safe.
/// </summary>
/// <param name="capacity">Endpoints of a slice.</param>
/// <param name="newName">Gives a name for a new slice; asked again when the name is taken.</param>
internal sealed class SlicePacking(int capacity, Func<string> newName)
{
    private readonly Dictionary<string, Slice> _slices = [];
    private readonly Dictionary<ResourceName, Slice> _places = [];
    private readonly HashSet<Slice> _changed = [];

    /// <summary>Endpoints in all slices.</summary>
    public int Count => _places.Count;

    /// <summary>Those that are in some slice.</summary>
    public IReadOnlyCollection<ResourceName> Endpoints => _places.Keys;

    /// <summary>Takes over a slice that exists.</summary>
    public void Adopt(CiliumEndpointSlice existing)
    {
        var slice = new Slice(existing.Metadata.Name, existing.Namespace ?? "");
        _slices[slice.Name] = slice;
        foreach (CoreCiliumEndpoint endpoint in existing.Endpoints ?? [])
        {
            var name = new ResourceName(slice.Namespace, endpoint.Name ?? "");
            // Of two mentions, which a crash between two writes can leave, one goes.
            if (endpoint.Name is null || !_places.TryAdd(name, slice))
                _changed.Add(slice);
            else
                slice.Endpoints[endpoint.Name] = (endpoint, Text(endpoint));
        }

        if (slice.Endpoints.Count == 0)
            _changed.Add(slice);
    }

    public void Upsert(CiliumEndpoint endpoint)
    {
        CoreCiliumEndpoint core = CoreOf(endpoint);
        string text = Text(core);
        if (!_places.TryGetValue(endpoint.ResourceName, out Slice? slice))
            _places[endpoint.ResourceName] = slice = Choose(endpoint.Metadata.Namespace);
        else if (slice.Endpoints[endpoint.Metadata.Name].Text == text)
            return;
        slice.Endpoints[endpoint.Metadata.Name] = (core, text);
        _changed.Add(slice);
    }

    public void Remove(ResourceName endpoint)
    {
        if (!_places.Remove(endpoint, out Slice? slice))
            return;
        slice.Endpoints.Remove(endpoint.Name);
        _changed.Add(slice);
    }

    /// <summary>Takes up to so many changed slices, those of the namespaces that go first before the others.</summary>
    public IReadOnlyList<SliceChange> TakeChanges(int count, Func<string, bool> goesFirst)
    {
        Slice[] taken = [.. _changed.OrderBy(s => goesFirst(s.Namespace) ? 0 : 1).Take(count)];
        foreach (Slice slice in taken)
        {
            _changed.Remove(slice);
            if (slice.Endpoints.Count == 0)
                _slices.Remove(slice.Name);
        }

        return [.. taken.Select(ChangeOf)];
    }

    /// <summary>A change that could not be written is to be taken again.</summary>
    public void PutBack(SliceChange change)
    {
        if (!_slices.TryGetValue(change.Name, out Slice? slice))
            _slices[change.Name] = slice = new Slice(change.Name, change.Namespace);
        _changed.Add(slice);
    }

    public bool HasChanges => _changed.Count > 0;

    private Slice Choose(string space)
    {
        // Scanned: a cluster has some hundred slices, and endpoints come at the speed of pods.
        Slice? best = null;
        foreach (Slice slice in _slices.Values)
        {
            if (slice.Namespace == space && slice.Endpoints.Count < capacity && slice.Endpoints.Count > (best?.Endpoints.Count ?? -1))
                best = slice;
        }

        if (best is not null)
            return best;
        string name;
        do
            name = newName();
        while (_slices.ContainsKey(name));
        return _slices[name] = new Slice(name, space);
    }

    private static SliceChange ChangeOf(Slice slice) => new(slice.Name, slice.Namespace, slice.Endpoints.Count == 0 ? null : new CiliumEndpointSlice
    {
        Metadata = new ObjectMeta { Name = slice.Name },
        Namespace = slice.Namespace,
        Endpoints = [.. slice.Endpoints.OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => e.Value.Endpoint)],
    });

    private static CoreCiliumEndpoint CoreOf(CiliumEndpoint endpoint) => new()
    {
        Name = endpoint.Metadata.Name,
        Id = endpoint.Status?.Identity?.Id ?? 0,
        PodUid = endpoint.Metadata.OwnerReferences?.FirstOrDefault(o => o.Kind == "Pod")?.Uid,
        Networking = endpoint.Status?.Networking,
        Encryption = endpoint.Status?.Encryption,
        NamedPorts = endpoint.Status?.NamedPorts,
        ServiceAccount = endpoint.Status?.ServiceAccount,
    };

    private static string Text(CoreCiliumEndpoint endpoint) => JsonSerializer.Serialize(endpoint, KubernetesJson.Lean.CoreCiliumEndpoint);

    private sealed class Slice(string name, string space)
    {
        public string Name { get; } = name;

        public string Namespace { get; } = space;

        public Dictionary<string, (CoreCiliumEndpoint Endpoint, string Text)> Endpoints { get; } = [];
    }
}
