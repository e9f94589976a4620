// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization.Metadata;

namespace Axoneme.Kubernetes.Resources;

/// <summary>Where the objects of one kind live in the API.</summary>
/// <param name="Group">API group; empty for the core group.</param>
/// <param name="Version">Version within the group, such as v1.</param>
/// <param name="Plural">Name in paths, such as services.</param>
/// <param name="Kind">Name in objects, such as Service.</param>
/// <param name="Namespaced">False for cluster-scoped kinds.</param>
public abstract record ResourceKind(string Group, string Version, string Plural, string Kind, bool Namespaced)
{
    public string ApiVersion { get; } = Group.Length == 0 ? Version : $"{Group}/{Version}";

    /// <summary>Path of a collection: of one namespace, or of all when <paramref name="ns"/> is null or empty.</summary>
    public string CollectionPath(string? ns = null)
    {
        string root = Group.Length == 0 ? $"/api/{Version}" : $"/apis/{Group}/{Version}";
        return Namespaced && !string.IsNullOrEmpty(ns)
            ? $"{root}/namespaces/{Uri.EscapeDataString(ns)}/{Plural}"
            : $"{root}/{Plural}";
    }

    /// <summary>Path of one object or one of its subresources (status, scale ...).</summary>
    public string ObjectPath(ResourceName name, string? subresource = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name.Name);
        if (Namespaced)
            ArgumentException.ThrowIfNullOrEmpty(name.Namespace);
        string path = $"{CollectionPath(name.Namespace)}/{Uri.EscapeDataString(name.Name)}";
        return subresource is null ? path : $"{path}/{subresource}";
    }

    public sealed override string ToString() => Group.Length == 0 ? Plural : $"{Plural}.{Group}";
}

/// <summary>A kind whose objects are decoded as <typeparamref name="T"/>.</summary>
public sealed record ResourceKind<T>(string Group, string Version, string Plural, string Kind, bool Namespaced, JsonTypeInfo<T> TypeInfo)
    : ResourceKind(Group, Version, Plural, Kind, Namespaced)
    where T : Resource;
