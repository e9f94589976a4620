// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Printing;
using Axoneme.EmbeddedApi.Schemas;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>The kinds served at the moment: built-in ones and those of custom resource definitions.</summary>
internal sealed class ResourceCatalog
{
    private readonly Lock _gate = new();
    private readonly IReadOnlyList<ResourceType> _builtin = BuiltinResources.All;
    private readonly Dictionary<string, IReadOnlyList<ResourceType>> _custom = new(StringComparer.Ordinal);
    private volatile IReadOnlyList<ResourceType> _all;
    private int _revision;

    public ResourceCatalog() => _all = _builtin;

    public IReadOnlyList<ResourceType> All => _all;

    /// <summary>Moves with every change of the set; documents made from it are cached by this.</summary>
    public int Revision => Volatile.Read(ref _revision);

    /// <param name="name">Plural, with the group after a dot unless it is the core group.</param>
    public ResourceType Find(string name)
        => _all.FirstOrDefault(t => t.QualifiedName == name && t.Storage is null)
            ?? throw new ArgumentException($"The API serves no resource '{name}'.", nameof(name));

    public ResourceType? Find(string group, string version, string plural)
        => _all.FirstOrDefault(t => t.Plural == plural && t.Version == version && t.Group == group);

    public ResourceType? FindKind(string apiVersion, string kind)
        => _all.FirstOrDefault(t => t.Kind == kind && t.ApiVersion == apiVersion);

    /// <summary>Groups in order of preference, each with its versions, the preferred first.</summary>
    public IEnumerable<(string Group, IReadOnlyList<string> Versions)> Groups
        => _all.GroupBy(t => t.Group).Select(g => (g.Key, (IReadOnlyList<string>)[.. g.Select(t => t.Version).Distinct().OrderBy(VersionRank)]));

    public void SetCustom(JsonObject definition)
    {
        lock (_gate)
        {
            _custom[definition.Text("metadata", "name")!] = [.. FromDefinition(definition)];
            Publish();
        }
    }

    public void RemoveCustom(string definitionName)
    {
        lock (_gate)
        {
            _custom.Remove(definitionName);
            Publish();
        }
    }

    public static IEnumerable<ResourceType> FromDefinition(JsonObject definition)
    {
        JsonObject[] versions = [.. definition.Objects("spec", "versions")];
        JsonObject? stored = versions.FirstOrDefault(v => v.Flag("storage"));
        if (stored is null)
            yield break;
        ResourceType storage = FromVersion(definition, stored);
        foreach (JsonObject version in versions.Where(v => v.Flag("served")))
            yield return version == stored ? storage : FromVersion(definition, version) with { Storage = storage };
    }

    private static ResourceType FromVersion(JsonObject definition, JsonObject version)
    {
        JsonObject names = definition.Map("spec", "names")!;
        Schema schema = CustomSchema.Root(version.At("schema", "openAPIV3Schema"), SchemaText.Builtin["ObjectMeta"]);
        string group = definition.Text("spec", "group")!;
        string kind = names.Text("kind")!;
        string name = version.Text("name")!;
        schema.Name = $"{string.Join('.', group.Split('.').Reverse())}.{name}.{kind}";
        JsonObject? scale = version.Map("subresources", "scale");
        return new ResourceType
        {
            Group = group,
            Version = name,
            Plural = names.Text("plural")!,
            Kind = kind,
            IsCustom = true,
            Schema = schema,
            Singular = names.Text("singular") ?? kind.ToLowerInvariant(),
            ListKind = names.Text("listKind") ?? kind + "List",
            Namespaced = definition.Text("spec", "scope") == "Namespaced",
            HasGeneration = true,
            ShortNames = [.. names.Texts("shortNames")],
            Categories = [.. names.Texts("categories")],
            HasStatus = version.At("subresources", "status") is not null,
            Scale = scale is null ? null : new(scale.Text("specReplicasPath")!.TrimStart('.'), scale.Text("statusReplicasPath")!.TrimStart('.'),
                scale.Text("labelSelectorPath")?.TrimStart('.')),
            SelectableFields = [.. version.Objects("selectableFields").Select(f => f.Text("jsonPath")?.TrimStart('.') ?? "")],
            Columns = CustomColumns.Of(version),
        };
    }

    // v1 before v1beta2 before v1beta1 before v1alpha1, and larger numbers first, as API servers order versions.
    private static (int, int, int, string) VersionRank(string version)
    {
        var match = System.Text.RegularExpressions.Regex.Match(version, "^v([0-9]+)(?:(alpha|beta)([0-9]+))?$");
        if (!match.Success)
            return (3, 0, 0, version);
        int stage = match.Groups[2].Value switch { "" => 0, "beta" => 1, _ => 2 };
        _ = int.TryParse(match.Groups[3].Value, out int minor);
        return (stage, -int.Parse(match.Groups[1].Value), -minor, version);
    }

    private void Publish()
    {
        _all = [.. _builtin, .. _custom.OrderBy(c => c.Key, StringComparer.Ordinal).SelectMany(c => c.Value)];
        Interlocked.Increment(ref _revision);
    }
}
