// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Printing;
using Axoneme.EmbeddedApi.Schemas;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>Where the scale subresource finds its numbers, as dotted paths.</summary>
internal sealed record ScalePaths(string SpecReplicas, string StatusReplicas, string? Selector);

/// <summary>One served version of a kind.</summary>
internal sealed record ResourceType
{
    public required string Group { get; init; }

    public required string Version { get; init; }

    public required string Plural { get; init; }

    public required string Kind { get; init; }

    public required bool Namespaced { get; init; }

    public required Schema Schema { get; init; }

    public string Singular { get; init; } = "";

    public string ListKind { get; init; } = "";

    public IReadOnlyList<string> ShortNames { get; init; } = [];

    public IReadOnlyList<string> Categories { get; init; } = [];

    public IReadOnlyList<TableColumn> Columns { get; init; } = [];

    public IReadOnlyList<string> SelectableFields { get; init; } = [];

    public bool HasStatus { get; init; }

    public bool HasGeneration { get; init; }

    public ScalePaths? Scale { get; init; }

    public bool IsCustom { get; init; }

    /// <summary>Not the version that objects are stored in, or another group's view of the same objects.</summary>
    public ResourceType? Storage { get; init; }

    /// <summary>From the stored form to this version's; null only renames the version.</summary>
    public Func<JsonObject, JsonObject>? FromStorage { get; init; }

    public Func<JsonObject, JsonObject>? ToStorage { get; init; }

    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    public string QualifiedName => Group.Length == 0 ? Plural : $"{Plural}.{Group}";

    public string StorageKey => Storage?.QualifiedName ?? QualifiedName;

    /// <summary>The served form of a stored object.</summary>
    public JsonObject Present(StoredObject stored)
    {
        if (Storage is null)
            return stored.Value;
        JsonObject value = FromStorage is null ? stored.Copy() : FromStorage(stored.Copy());
        value["apiVersion"] = ApiVersion;
        return value;
    }

    public byte[] PresentJson(StoredObject stored) => Storage is null ? stored.Json : JsonText.Write(Present(stored));

    /// <summary>The stored form of an object that a client sent.</summary>
    public JsonObject Accept(JsonObject value)
    {
        if (Storage is null)
            return value;
        value = ToStorage is null ? value : ToStorage(value);
        value["apiVersion"] = Storage.ApiVersion;
        return value;
    }
}
