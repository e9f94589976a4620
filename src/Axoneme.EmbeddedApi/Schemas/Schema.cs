// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Axoneme.EmbeddedApi.Schemas;

internal enum ListMerge
{
    Atomic,
    Set,
    Map,
}

/// <summary>
/// The shape of a value: of built-in kinds from the embedded schema text, of custom ones from their definition. It says what is
/// pruned, defaulted and refused, and how lists merge.
/// </summary>
internal sealed class Schema
{
    /// <summary>object, array, string, integer, number, boolean; empty is any.</summary>
    public string Type { get; init; } = "";

    /// <summary>Set on types that the OpenAPI documents refer to by name.</summary>
    public string? Name { get; set; }

    public string? Description { get; init; }

    public string? Format { get; init; }

    public Dictionary<string, Schema> Properties { get; } = new(StringComparer.Ordinal);

    public Schema? Items { get; set; }

    /// <summary>The values of a map; null on objects with named properties only.</summary>
    public Schema? Additional { get; set; }

    public HashSet<string> Required { get; } = new(StringComparer.Ordinal);

    public JsonNode? Default { get; init; }

    public JsonArray? Enum { get; init; }

    public Regex? Pattern { get; init; }

    public double? Minimum { get; init; }

    public double? Maximum { get; init; }

    public bool ExclusiveMinimum { get; init; }

    public bool ExclusiveMaximum { get; init; }

    public long? MinLength { get; init; }

    public long? MaxLength { get; init; }

    public long? MinItems { get; init; }

    public long? MaxItems { get; init; }

    public long? MinProperties { get; init; }

    public long? MaxProperties { get; init; }

    public double? MultipleOf { get; init; }

    public bool UniqueItems { get; init; }

    public bool Nullable { get; init; }

    public bool PreserveUnknown { get; init; }

    public bool IntOrString { get; init; }

    /// <summary>The value is an object with metadata of its own.</summary>
    public bool Embedded { get; init; }

    public ListMerge ListType { get; init; }

    public IReadOnlyList<string> MapKeys { get; init; } = [];

    public bool AtomicMap { get; init; }

    /// <summary>Strategic merge: the member that names a list's items; null replaces lists of objects.</summary>
    public string? PatchMergeKey { get; init; }

    public IReadOnlyList<Schema> AllOf { get; init; } = [];

    public IReadOnlyList<Schema> AnyOf { get; init; } = [];

    public IReadOnlyList<Schema> OneOf { get; init; } = [];

    public Schema? Not { get; init; }

    /// <summary>A custom definition's own text, for the OpenAPI documents.</summary>
    public JsonObject? Source { get; init; }

    public Schema? Child(string name) => Properties.GetValueOrDefault(name) ?? Additional;

    /// <summary>Nothing is known below: values pass as they are.</summary>
    public bool IsOpen => PreserveUnknown && Properties.Count == 0 || Type.Length == 0 && Properties.Count == 0 && Items is null;
}
