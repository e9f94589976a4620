// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

/// <summary>
/// What every Kubernetes object has. Objects are immutable; a list or map that is null was omitted, which is not the same as empty
/// (policies depend on that). Equality of records with lists is by reference; compare versions with <see cref="ResourceVersionComparer{T}"/>.
/// </summary>
public abstract record Resource
{
    [JsonPropertyOrder(-3)]
    public string ApiVersion { get => field ?? Definition.ApiVersion; init; }

    [JsonPropertyOrder(-2)]
    public string Kind { get => field ?? Definition.Kind; init; }

    [JsonPropertyOrder(-1)]
    public ObjectMeta Metadata { get => field ?? ObjectMeta.Empty; init; }

    /// <summary>Where objects of this type live in the API.</summary>
    [JsonIgnore]
    public abstract ResourceKind Definition { get; }

    [JsonIgnore]
    public ResourceName ResourceName => new(Metadata.Namespace, Metadata.Name);
}

/// <summary>Namespace and name of an object; the namespace is empty for cluster-scoped kinds. Prints as <c>namespace/name</c> or <c>name</c>.</summary>
public readonly record struct ResourceName(string Namespace, string Name) : IComparable<ResourceName>
{
    public ResourceName(string name)
        : this("", name)
    {
    }

    public int CompareTo(ResourceName other)
    {
        int order = string.CompareOrdinal(Namespace, other.Namespace);
        return order != 0 ? order : string.CompareOrdinal(Name, other.Name);
    }

    public override string ToString() => Namespace.Length == 0 ? Name : $"{Namespace}/{Name}";

    public static bool operator <(ResourceName left, ResourceName right) => left.CompareTo(right) < 0;

    public static bool operator >(ResourceName left, ResourceName right) => left.CompareTo(right) > 0;

    public static bool operator <=(ResourceName left, ResourceName right) => left.CompareTo(right) <= 0;

    public static bool operator >=(ResourceName left, ResourceName right) => left.CompareTo(right) >= 0;
}

/// <summary>Two copies of an object are equal when the API gave them the same uid and resource version.</summary>
public sealed class ResourceVersionComparer<T> : IEqualityComparer<T>
    where T : Resource
{
    public static readonly ResourceVersionComparer<T> Instance = new();

    public bool Equals(T? x, T? y)
    {
        if (ReferenceEquals(x, y))
            return true;
        return x?.Metadata.ResourceVersion is { Length: > 0 } version && version == y?.Metadata.ResourceVersion
            && x.Metadata.Uid == y.Metadata.Uid;
    }

    public int GetHashCode(T obj) => HashCode.Combine(obj.Metadata.Uid, obj.Metadata.ResourceVersion);
}

public sealed record ObjectMeta
{
    public static readonly ObjectMeta Empty = new();

    /// <summary>Empty when not set.</summary>
    [JsonIgnore]
    public string Name { get => WrittenName ?? ""; init => WrittenName = value.Length == 0 ? null : value; }

    /// <summary>Empty for cluster-scoped objects.</summary>
    [JsonIgnore]
    public string Namespace { get => WrittenNamespace ?? ""; init => WrittenNamespace = value.Length == 0 ? null : value; }

    // An empty name is left out of the JSON, which a property that never is null cannot express.
    [JsonInclude]
    [JsonPropertyName("name")]
    internal string? WrittenName { get; init; }

    [JsonInclude]
    [JsonPropertyName("namespace")]
    internal string? WrittenNamespace { get; init; }

    public string? GenerateName { get; init; }

    public string? Uid { get; init; }

    public string? ResourceVersion { get; init; }

    public long? Generation { get; init; }

    public DateTimeOffset? CreationTimestamp { get; init; }

    public DateTimeOffset? DeletionTimestamp { get; init; }

    public long? DeletionGracePeriodSeconds { get; init; }

    public IReadOnlyDictionary<string, string>? Labels { get; init; }

    public IReadOnlyDictionary<string, string>? Annotations { get; init; }

    public IReadOnlyList<OwnerReference>? OwnerReferences { get; init; }

    public IReadOnlyList<string>? Finalizers { get; init; }

    /// <summary>As the server sent it; the client drops it on read to save memory (<see cref="KubernetesJson.Lean"/>).</summary>
    [JsonConverter(typeof(ManagedFieldsConverter))]
    public JsonElement? ManagedFields { get; init; }

    /// <summary>The label's value, or null.</summary>
    public string? Label(string key) => Labels is not null && Labels.TryGetValue(key, out string? value) ? value : null;

    /// <summary>The annotation's value, or null.</summary>
    public string? Annotation(string key)
        => Annotations is not null && Annotations.TryGetValue(key, out string? value) ? value : null;
}

public sealed record OwnerReference
{
    public string ApiVersion { get => field ?? ""; init; }

    public string Kind { get => field ?? ""; init; }

    public string Name { get => field ?? ""; init; }

    public string Uid { get => field ?? ""; init; }

    public bool? Controller { get; init; }

    public bool? BlockOwnerDeletion { get; init; }
}

/// <summary>A condition as most kinds have it; nodes and pods add heartbeat and probe times.</summary>
public sealed record Condition
{
    public string Type { get => field ?? ""; init; }

    /// <summary>True, False or Unknown.</summary>
    public string Status { get => field ?? ""; init; }

    public long? ObservedGeneration { get; init; }

    public DateTimeOffset? LastHeartbeatTime { get; init; }

    public DateTimeOffset? LastProbeTime { get; init; }

    public DateTimeOffset? LastTransitionTime { get; init; }

    public string? Reason { get; init; }

    public string? Message { get; init; }
}

/// <summary>Names another object, within the same namespace where none is given.</summary>
public sealed record ObjectReference
{
    public string? ApiVersion { get; init; }

    public string? Kind { get; init; }

    public string? Namespace { get; init; }

    public string? Name { get; init; }

    public string? Uid { get; init; }

    public string? ResourceVersion { get; init; }

    public string? FieldPath { get; init; }
}
