// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Schemas;

namespace Axoneme.EmbeddedApi.Patching;

/// <summary>One entry of managedFields.</summary>
internal sealed record FieldOwner(string Manager, string Operation, string Subresource)
{
    public HashSet<string> Fields { get; set; } = new(StringComparer.Ordinal);

    public string Time { get; set; } = "";

    public string ApiVersion { get; set; } = "";

    public bool Is(string manager, string operation, string subresource)
        => Manager == manager && Operation == operation && Subresource == subresource;
}

/// <summary>Who owns which fields, and server-side apply, which is built on it.</summary>
internal static class FieldOwnership
{
    public static List<FieldOwner> Read(JsonObject? value)
        => [.. value.Objects("metadata", "managedFields").Select(e =>
            new FieldOwner(e.Text("manager") ?? "", e.Text("operation") ?? "", e.Text("subresource") ?? "")
            {
                Fields = FieldPaths.FromJson(e["fieldsV1"]), Time = e.Text("time") ?? "", ApiVersion = e.Text("apiVersion") ?? "",
            })];

    public static bool SameOwners(JsonObject left, JsonObject right)
    {
        static string Show(JsonObject value) => string.Join(';', value.Objects("metadata", "managedFields")
            .Select(e => e.Text("manager") + e.Text("operation") + e.Text("subresource") + JsonText.ToText(e["fieldsV1"])).Order(StringComparer.Ordinal));
        return JsonAccess.Same(left.At("metadata", "managedFields"), right.At("metadata", "managedFields")) || Show(left) == Show(right);
    }

    /// <summary>After a create, update or patch: the writer owns what it changed, others lose that, nobody owns what is gone.</summary>
    public static void Track(JsonObject? old, JsonObject next, ResourceType type, WriteContext context, string now)
    {
        if (context.Manager is not { } manager)
            return;
        List<FieldOwner> owners = Read(old);
        Dictionary<string, JsonNode?> before = FieldPaths.Of(old, type.Schema), after = FieldPaths.Of(next, type.Schema);
        var changed = after.Where(a => !before.TryGetValue(a.Key, out JsonNode? value) || !JsonAccess.Same(value, a.Value))
            .Select(a => a.Key).ToHashSet(StringComparer.Ordinal);
        if (old is null && type.HasStatus)
            changed.RemoveWhere(p => p.StartsWith("f:status", StringComparison.Ordinal));
        foreach (FieldOwner owner in owners)
            owner.Fields.RemoveWhere(f => !after.ContainsKey(f) && before.ContainsKey(f) || changed.Contains(f));
        if (changed.Count > 0)
        {
            FieldOwner me = Find(owners, manager, "Update", context.Subresource is "status" ? "status" : "");
            me.Fields.UnionWith(changed);
            me.Time = now;
            me.ApiVersion = type.ApiVersion;
        }
        Write(next, owners);
    }

    /// <summary>Server-side apply: what <paramref name="live"/> becomes when this manager wants exactly the fields of the configuration.</summary>
    /// <exception cref="ApiException">409 with a cause for each field that another manager owns with another value.</exception>
    public static JsonObject Apply(JsonObject live, JsonObject configuration, ResourceType type, ApplyRequest request)
    {
        Dictionary<string, JsonNode?> wanted = FieldPaths.Of(configuration, type.Schema);
        if (type.HasStatus && request.Subresource.Length == 0)
            foreach (string path in wanted.Keys.Where(p => p.StartsWith("f:status", StringComparison.Ordinal)).ToArray())
                wanted.Remove(path);
        Dictionary<string, JsonNode?> present = FieldPaths.Of(live, type.Schema);
        List<FieldOwner> owners = Read(live);
        FieldOwner me = Find(owners, request.Manager, "Apply", request.Subresource);
        var conflicts = new List<(string, string)>();
        foreach (FieldOwner other in owners.Where(o => o != me))
            foreach (string path in other.Fields.Where(f => wanted.ContainsKey(f)).ToArray())
                if (!present.TryGetValue(path, out JsonNode? value) || !JsonAccess.Same(value, wanted[path]))
                {
                    conflicts.Add((other.Operation == "Update" ? $"{other.Manager}\" using {other.ApiVersion}" : other.Manager, FieldPaths.Show(path)));
                    other.Fields.Remove(path);
                }
        if (conflicts.Count > 0 && !request.Force)
            throw ApiErrors.ApplyConflict([.. conflicts.Select(c => (c.Item1.TrimEnd('"'), c.Item2)).OrderBy(c => c.Item2, StringComparer.Ordinal)]);
        JsonObject merged = Merge(live.Copy(), configuration, type.Schema);
        RemoveAbandoned(merged, me, owners, wanted);
        if (!me.Fields.SetEquals(wanted.Keys))
            me.Time = request.Now;
        me.Fields = [.. wanted.Keys];
        me.ApiVersion = type.ApiVersion;
        Write(merged, owners);
        return merged;
    }

    private static void RemoveAbandoned(
        JsonObject merged, FieldOwner me, List<FieldOwner> owners, Dictionary<string, JsonNode?> wanted)
    {
        foreach (string path in me.Fields.Where(f => !wanted.ContainsKey(f)).OrderByDescending(f => f.Length))
        {
            string item = path.EndsWith(FieldPaths.Self) ? path[..^1] : path;
            bool shared = owners.Any(o => o != me && (o.Fields.Contains(path) || path != item && o.Fields.Any(f => f.StartsWith(item, StringComparison.Ordinal))))
                || path != item && wanted.Keys.Any(w => w.StartsWith(item, StringComparison.Ordinal));
            if (!shared)
                FieldPaths.Remove(merged, path);
        }
    }

    private static JsonObject Merge(JsonObject live, JsonObject wanted, Schema schema)
    {
        schema = SchemaCheck.Resolve(schema);
        foreach ((string name, JsonNode? value) in wanted)
        {
            Schema child = SchemaCheck.Resolve(schema.Child(name) ?? new Schema());
            JsonNode? present = live[name];
            // Detached, but its place among the members is kept.
            if (present is not null)
                live[name] = null;
            live[name] = value switch
            {
                JsonObject map when present is JsonObject before && !child.AtomicMap => Merge(before, map, child),
                JsonArray list when present is JsonArray items && child.ListType == ListMerge.Map => MergeByKeys(items, list, child),
                JsonArray list when present is JsonArray items && child.ListType == ListMerge.Set =>
                    new JsonArray([.. items.Concat(list.Where(v => !items.Any(i => JsonAccess.Same(i, v)))).Select(JsonAccess.CopyNode)]),
                _ => JsonAccess.CopyNode(value),
            };
        }
        return live;
    }

    private static JsonArray MergeByKeys(JsonArray present, JsonArray wanted, Schema list)
    {
        var merged = new JsonArray();
        var left = present.Select(p => (Key: FieldPaths.ItemKey(p, list), Item: p)).ToList();
        foreach (JsonNode? item in wanted)
        {
            string key = FieldPaths.ItemKey(item, list);
            int at = left.FindIndex(l => l.Key == key);
            merged.Add(at >= 0 && left[at].Item is JsonObject before && item is JsonObject map
                ? Merge(before.Copy(), map, list.Items!) : JsonAccess.CopyNode(item));
            if (at >= 0)
                left.RemoveAt(at);
        }
        foreach ((_, JsonNode? item) in left)
            merged.Add(JsonAccess.CopyNode(item));
        return merged;
    }

    private static FieldOwner Find(List<FieldOwner> owners, string manager, string operation, string subresource)
    {
        FieldOwner? owner = owners.Find(o => o.Is(manager, operation, subresource));
        if (owner is null)
            owners.Add(owner = new FieldOwner(manager, operation, subresource));
        return owner;
    }

    private static void Write(JsonObject value, List<FieldOwner> owners)
    {
        var entries = new JsonArray();
        foreach (FieldOwner owner in owners.Where(o => o.Fields.Count > 0))
        {
            var entry = new JsonObject
            {
                ["manager"] = owner.Manager,
                ["operation"] = owner.Operation,
                ["apiVersion"] = owner.ApiVersion,
                ["time"] = owner.Time,
                ["fieldsType"] = "FieldsV1",
                ["fieldsV1"] = FieldPaths.ToJson(owner.Fields),
            };
            if (owner.Subresource.Length > 0)
                entry["subresource"] = owner.Subresource;
            entries.Add((JsonNode)entry);
        }
        if (entries.Count > 0)
            value.Ensure("metadata")["managedFields"] = entries;
        else
            value.Ensure("metadata").Remove("managedFields");
    }
}

internal sealed record ApplyRequest(string Manager, bool Force, string Subresource, string Now);
