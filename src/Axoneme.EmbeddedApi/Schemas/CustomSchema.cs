// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Schemas;

/// <summary>The structural schema (OpenAPI v3) of a custom resource definition.</summary>
internal static class CustomSchema
{
    /// <summary>Far more than the checks of one field need; a pattern that backtracks longer is refused as not matching.</summary>
    private static readonly TimeSpan PatternTimeout = TimeSpan.FromMilliseconds(100);

    public static Schema Root(JsonNode? source, Schema objectMeta)
    {
        Schema root = source is JsonObject map ? Parse(map) : new Schema { Type = "object", PreserveUnknown = true };
        root.Properties["apiVersion"] = new Schema { Type = "string" };
        root.Properties["kind"] = new Schema { Type = "string" };
        root.Properties["metadata"] = objectMeta;
        return root;
    }

    /// <exception cref="ArgumentException">A pattern is not a regular expression.</exception>
    private static Schema Parse(JsonObject source)
    {
        var schema = new Schema
        {
            Source = source,
            Type = source.Text("type") ?? "",
            Description = source.Text("description"),
            Format = source.Text("format"),
            Default = source["default"],
            Enum = source["enum"] as JsonArray,
            Pattern = source.Text("pattern") is { } pattern ? new Regex(GoPattern(pattern), RegexOptions.CultureInvariant, PatternTimeout) : null,
            Minimum = source["minimum"].Real(),
            Maximum = source["maximum"].Real(),
            ExclusiveMinimum = source.Flag("exclusiveMinimum"),
            ExclusiveMaximum = source.Flag("exclusiveMaximum"),
            MultipleOf = source["multipleOf"].Real(),
            MinLength = source.Whole("minLength"),
            MaxLength = source.Whole("maxLength"),
            MinItems = source.Whole("minItems"),
            MaxItems = source.Whole("maxItems"),
            MinProperties = source.Whole("minProperties"),
            MaxProperties = source.Whole("maxProperties"),
            UniqueItems = source.Flag("uniqueItems"),
            Nullable = source.Flag("nullable"),
            PreserveUnknown = source.Flag("x-kubernetes-preserve-unknown-fields"),
            IntOrString = source.Flag("x-kubernetes-int-or-string"),
            Embedded = source.Flag("x-kubernetes-embedded-resource"),
            AtomicMap = source.Text("x-kubernetes-map-type") == "atomic",
            MapKeys = [.. source.Texts("x-kubernetes-list-map-keys")],
            ListType = source.Text("x-kubernetes-list-type") switch { "map" => ListMerge.Map, "set" => ListMerge.Set, _ => ListMerge.Atomic },
            AllOf = [.. source.Objects("allOf").Select(Parse)],
            AnyOf = [.. source.Objects("anyOf").Select(Parse)],
            OneOf = [.. source.Objects("oneOf").Select(Parse)],
            Not = source.Map("not") is { } not ? Parse(not) : null,
            Items = source.Map("items") is { } items ? Parse(items) : null,
            Additional = source.Map("additionalProperties") is { } additional ? Parse(additional)
                : source.Flag("additionalProperties") ? new Schema { PreserveUnknown = true } : null,
        };
        foreach ((string name, JsonNode? property) in source.Map("properties") ?? [])
            if (property is JsonObject child)
                schema.Properties[name] = Parse(child);
        schema.Required.UnionWith(source.Texts("required"));
        return schema;
    }

    // Go writes a one-letter Unicode class without braces.
    private static string GoPattern(string pattern) => Regex.Replace(pattern, @"\\([pP])([A-Z])", @"\$1{$2}");
}
