// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Schemas;

namespace Axoneme.EmbeddedApi.Patching;

/// <summary>
/// Strategic merge patches: merge patches whose lists merge by the keys of the schema, with the directives $patch, $retainKeys,
/// $setElementOrder/LIST and $deleteFromPrimitiveList/LIST.
/// </summary>
internal static class StrategicMerge
{
    private const string OrderPrefix = "$setElementOrder/";
    private const string DeletePrefix = "$deleteFromPrimitiveList/";

    public static JsonObject Apply(JsonObject target, JsonObject patch, Schema schema)
    {
        schema = SchemaCheck.Resolve(schema);
        if (patch.Text("$patch") == "replace")
            target = [];
        if (patch["$retainKeys"] is JsonArray retained)
            foreach (string name in target.Select(p => p.Key).Except(retained.Texts()).ToArray())
                target.Remove(name);
        foreach ((string name, JsonNode? value) in patch)
            if (!name.StartsWith('$'))
                ApplyMember(target, name, value, schema.Child(name));
        foreach ((string name, JsonNode? value) in patch)
        {
            if (name.StartsWith(DeletePrefix, StringComparison.Ordinal) && target[name[DeletePrefix.Length..]] is JsonArray primitives)
                foreach (JsonNode? item in primitives.Where(p => ((value as JsonArray) ?? []).Any(v => JsonAccess.Same(p, v))).ToArray())
                    primitives.Remove(item);
            if (name.StartsWith(OrderPrefix, StringComparison.Ordinal) && target[name[OrderPrefix.Length..]] is JsonArray list && value is JsonArray order)
                target[name[OrderPrefix.Length..]] = Reorder(list, order, schema.Child(name[OrderPrefix.Length..])?.PatchMergeKey);
        }
        return target;
    }

    private static void ApplyMember(JsonObject target, string name, JsonNode? value, Schema? schema)
    {
        if (value is null)
        {
            target.Remove(name);
            return;
        }
        schema = schema is null ? new Schema() : SchemaCheck.Resolve(schema);
        switch (value)
        {
            case JsonObject map when map.Text("$patch") == "delete":
                target.Remove(name);
                break;
            case JsonObject map:
                JsonNode? present = Detach(target, name);
                target[name] = Apply(schema.AtomicMap || present is not JsonObject ? [] : (JsonObject)present, map, schema);
                break;
            case JsonArray list when schema.PatchMergeKey is { } key:
                JsonNode? items = Detach(target, name);
                target[name] = MergeList(items as JsonArray ?? [], list, key, schema.Items ?? new Schema());
                break;
            default:
                target[name] = value.Copy();
                break;
        }
    }

    // The member keeps its place.
    private static JsonNode? Detach(JsonObject owner, string name)
    {
        JsonNode? child = owner[name];
        if (child is not null)
            owner[name] = null;
        return child;
    }

    private static JsonArray MergeList(JsonArray present, JsonArray patch, string key, Schema items)
    {
        if (patch.Any(p => p.Text("$patch") == "replace"))
            return [.. patch.Where(p => p.Text("$patch") != "replace").Select(p => JsonAccess.CopyNode(p))];
        foreach (JsonNode? item in patch)
        {
            int at = IndexOf(present, key, item);
            if (item is JsonObject map && key.Length > 0)
            {
                if (map[key] is null)
                    throw ApiErrors.BadRequest($"map: {JsonText.ToText(map)} does not contain declared merge key: {key}");
                if (map.Text("$patch") == "delete")
                {
                    // Keys of lists that are named by several members need not be unique by the first.
                    for (; at >= 0; at = IndexOf(present, key, item))
                        present.RemoveAt(at);
                    continue;
                }
                JsonObject before = at >= 0 ? (JsonObject)present[at]! : [];
                if (at >= 0)
                    present[at] = null;
                JsonObject merged = Apply(before, map, items);
                if (at >= 0)
                    present[at] = merged;
                else
                    present.Add((JsonNode)merged);
            }
            else if (at < 0)
                present.Add(JsonAccess.CopyNode(item));
        }
        return present;
    }

    private static int IndexOf(JsonArray list, string key, JsonNode? item)
    {
        for (int i = 0; i < list.Count; i++)
            if (key.Length == 0 ? JsonAccess.Same(list[i], item) : list[i].At(key) is { } value && JsonAccess.Same(value, item.At(key)))
                return i;
        return -1;
    }

    private static JsonArray Reorder(JsonArray list, JsonArray order, string? key)
    {
        JsonNode?[] items = [.. list];
        list.Clear();
        int Rank(JsonNode? item)
        {
            for (int i = 0; i < order.Count; i++)
                if (string.IsNullOrEmpty(key) ? JsonAccess.Same(order[i], item) : JsonAccess.Same(order[i].At(key), item.At(key)))
                    return i;
            return int.MaxValue;
        }
        return [.. items.OrderBy(Rank)];
    }
}
