// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>
/// One version of an object. Immutable: <see cref="Value"/> is shared by all readers and never written; its serialised form is made
/// once, for lists and watches alike.
/// </summary>
internal sealed class StoredObject
{
    private static readonly FrozenDictionary<string, string> NoLabels = FrozenDictionary<string, string>.Empty;
    private byte[]? _json;

    public StoredObject(JsonObject value, long version)
    {
        Value = value;
        Version = version;
        value.Ensure("metadata")["resourceVersion"] = version.ToString();
        Namespace = value.Text("metadata", "namespace") ?? "";
        Name = value.Text("metadata", "name") ?? "";
        Uid = value.Text("metadata", "uid") ?? "";
        Labels = value.Map("metadata", "labels") is { Count: > 0 } labels
            ? labels.ToDictionary(p => p.Key, p => p.Value.Text() ?? "", StringComparer.Ordinal)
            : NoLabels;
    }

    public JsonObject Value { get; }

    public long Version { get; }

    /// <summary>Empty for objects of the cluster.</summary>
    public string Namespace { get; }

    public string Name { get; }

    public string Uid { get; }

    public IReadOnlyDictionary<string, string> Labels { get; }

    public bool IsDeleting => Value.Text("metadata", "deletionTimestamp") is not null;

    // Two readers may both serialise; the results are equal and either may stay.
    public byte[] Json => _json ??= JsonText.Write(Value);

    public JsonObject Copy() => Value.Copy();

    /// <summary>A copy whose numbers convert to every numeric type, as code that did not make them expects.</summary>
    public JsonObject ToCaller() => (JsonObject)JsonNode.Parse(Json)!;
}

internal enum ChangeKind
{
    Added,
    Modified,
    Deleted,
}

/// <summary>One write. A deletion's object is the last version with the deletion's own resource version.</summary>
internal sealed record ObjectChange(ChangeKind Kind, StoredObject Object, StoredObject? Previous)
{
    public string TypeName => Kind switch
    {
        ChangeKind.Added => "ADDED",
        ChangeKind.Modified => "MODIFIED",
        _ => "DELETED",
    };
}

/// <summary>All objects of a kind at one resource version, ordered by namespace and name.</summary>
internal sealed record ObjectSnapshot(
    long Version, ImmutableSortedDictionary<string, ImmutableSortedDictionary<string, StoredObject>> Namespaces)
{
    public static readonly ImmutableSortedDictionary<string, StoredObject> NoObjects =
        ImmutableSortedDictionary.Create<string, StoredObject>(StringComparer.Ordinal);

    public static readonly ObjectSnapshot Empty = new(0,
        ImmutableSortedDictionary.Create<string, ImmutableSortedDictionary<string, StoredObject>>(StringComparer.Ordinal));

    public IEnumerable<StoredObject> All => Namespaces.SelectMany(n => n.Value.Values);

    public StoredObject? Find(string? ns, string name) => Namespaces.GetValueOrDefault(ns ?? "")?.GetValueOrDefault(name);

    /// <param name="ns">null means all.</param>
    public IEnumerable<StoredObject> InNamespace(string? ns)
        => ns is null ? All : Namespaces.TryGetValue(ns, out var objects) ? objects.Values : [];

    public ObjectSnapshot With(StoredObject value, long version)
    {
        var objects = Namespaces.GetValueOrDefault(value.Namespace) ?? NoObjects;
        return new(version, Namespaces.SetItem(value.Namespace, objects.SetItem(value.Name, value)));
    }

    public ObjectSnapshot Without(StoredObject value, long version)
    {
        var objects = Namespaces[value.Namespace].Remove(value.Name);
        return new(version, objects.IsEmpty ? Namespaces.Remove(value.Namespace) : Namespaces.SetItem(value.Namespace, objects));
    }
}
