// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>Manifests as JSON nodes.</summary>
internal static class YamlDocuments
{
    /// <exception cref="FormatException">Not YAML, or a document is no mapping.</exception>
    public static IEnumerable<JsonObject> Read(string yaml) => ManifestYaml.Read(yaml).Select(document => document.Content);

    /// <summary>The objects of a List, or the object itself.</summary>
    public static IEnumerable<JsonObject> Items(JsonObject document)
        => document.Text("kind") == "List" && document.Text("apiVersion") == "v1"
            ? [.. document.Objects("items").Select(i => i.Copy())]
            : [document];
}
