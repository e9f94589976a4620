// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>Slices by the service that they belong to: with thousands of services, looking through all of them for each change would be quadratic.</summary>
internal sealed class SliceIndex
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Namespace, string Service), ImmutableSortedDictionary<string, StoredObject>> _slices = [];

    /// <summary>Nobody else may write to the store until this returns.</summary>
    public SliceIndex(ApiMachinery machinery)
    {
        ResourceType type = machinery.Catalog.Find(SliceWriter.Resource);
        foreach (StoredObject slice in machinery.Store.Snapshot(type).All)
            Add(slice);
        machinery.Store.Changed += (changed, change) =>
        {
            if (changed.StorageKey != type.StorageKey)
                return;
            if (change.Previous is { } previous)
                Remove(previous);
            if (change.Kind != ChangeKind.Deleted)
                Add(change.Object);
        };
    }

    /// <summary>In the order of their names.</summary>
    public IEnumerable<StoredObject> Of(string ns, string service)
    {
        lock (_gate)
            return _slices.TryGetValue((ns, service), out var found) ? found.Values : [];
    }

    private void Add(StoredObject slice)
    {
        if (KeyOf(slice) is not { } key)
            return;
        lock (_gate)
            _slices[key] = (_slices.GetValueOrDefault(key) ?? ObjectSnapshot.NoObjects).SetItem(slice.Name, slice);
    }

    private void Remove(StoredObject slice)
    {
        if (KeyOf(slice) is not { } key)
            return;
        lock (_gate)
        {
            if (!_slices.TryGetValue(key, out var present))
                return;
            ImmutableSortedDictionary<string, StoredObject> left = present.Remove(slice.Name);
            if (left.IsEmpty)
                _slices.Remove(key);
            else
                _slices[key] = left;
        }
    }

    private static (string, string)? KeyOf(StoredObject slice)
        => slice.Labels.TryGetValue(SliceWriter.ServiceLabel, out string? service) ? (slice.Namespace, service) : null;
}
