// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Schemas;

namespace Axoneme.EmbeddedApi.Patching;

/// <summary>
/// The fields of an object as paths, in the notation of managedFields: f:NAME is a member, k:{...} a list's item by its keys, v:VALUE
/// an item of a set, and a final dot the item itself.
/// </summary>
internal static class FieldPaths
{
    public const char Separator = '\u0001';
    public const string Self = ".";

    private static readonly string[] Untracked =
    [
        "name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion", "managedFields", "selfLink", "deletionTimestamp",
        "deletionGracePeriodSeconds", "generateName",
    ];

    /// <summary>Every leaf with its value.</summary>
    public static Dictionary<string, JsonNode?> Of(JsonObject? value, Schema schema)
    {
        var paths = new Dictionary<string, JsonNode?>(StringComparer.Ordinal);
        foreach ((string name, JsonNode? child) in value ?? [])
        {
            if (name is "apiVersion" or "kind")
                continue;
            if (name == "metadata" && child is JsonObject metadata)
            {
                Schema meta = schema.Child("metadata") ?? new Schema();
                foreach ((string field, JsonNode? item) in metadata)
                    if (!Untracked.Contains(field))
                        Collect(item, meta.Child(field), $"f:metadata{Separator}f:{field}", paths);
            }
            else
                Collect(child, schema.Child(name), "f:" + name, paths);
        }
        return paths;
    }

    public static JsonObject ToJson(IEnumerable<string> paths)
    {
        var root = new JsonObject();
        foreach (string path in paths.Order(StringComparer.Ordinal))
            root.Ensure(path.Split(Separator));
        return root;
    }

    public static HashSet<string> FromJson(JsonNode? fields)
    {
        var paths = new HashSet<string>(StringComparer.Ordinal);
        void Walk(JsonObject node, string prefix)
        {
            foreach ((string name, JsonNode? child) in node)
            {
                string path = prefix.Length == 0 ? name : prefix + Separator + name;
                if (child is JsonObject { Count: > 0 } map)
                    Walk(map, path);
                else
                    paths.Add(path);
            }
        }
        Walk(fields as JsonObject ?? [], "");
        return paths;
    }

    /// <summary>The notation of conflict messages: .spec.ports[name="http"].port.</summary>
    public static string Show(string path)
    {
        var text = new System.Text.StringBuilder();
        foreach (string step in path.Split(Separator))
        {
            if (step.StartsWith("f:", StringComparison.Ordinal))
                text.Append('.').Append(step.AsSpan(2));
            else if (step.StartsWith("k:", StringComparison.Ordinal) && JsonText.Parse(step[2..]) is JsonObject keys)
                text.Append('[').AppendJoin(',', keys.Select(k => $"{k.Key}={JsonText.ToText(k.Value)}")).Append(']');
            else if (step.StartsWith("v:", StringComparison.Ordinal))
                text.Append('[').Append('=').Append(step.AsSpan(2)).Append(']');
        }
        return text.ToString();
    }

    /// <summary>Removes what a path names, if it is there.</summary>
    public static void Remove(JsonObject root, string path)
    {
        string[] steps = path.Split(Separator);
        if (steps[^1] == Self)
            steps = steps[..^1];
        JsonNode? node = root;
        foreach (string step in steps[..^1])
            node = Child(node, step);
        string last = steps[^1];
        if (node is JsonObject map && last.StartsWith("f:", StringComparison.Ordinal))
            map.Remove(last[2..]);
        else if (node is JsonArray list && Child(list, last) is { } item)
            list.Remove(item);
    }

    private static JsonNode? Child(JsonNode? node, string step) => step[..2] switch
    {
        "f:" => node.At(step[2..]),
        "k:" => (node as JsonArray)?.FirstOrDefault(i => JsonText.Parse(step[2..]) is JsonObject keys
            && keys.All(k => JsonAccess.Same(k.Value, i.At(k.Key)))),
        _ => (node as JsonArray)?.FirstOrDefault(i => JsonAccess.Same(i, JsonText.Parse(step[2..]))),
    };

    public static string ItemKey(JsonNode? item, Schema list)
    {
        var keys = new JsonObject();
        Schema? items = list.Items is null ? null : SchemaCheck.Resolve(list.Items);
        foreach (string key in list.MapKeys.Order(StringComparer.Ordinal))
            if ((item.At(key) ?? items?.Child(key)?.Default) is { } value)
                keys[key] = value.Copy();
        return "k:" + JsonText.ToText(keys);
    }

    private static void Collect(JsonNode? value, Schema? schema, string path, Dictionary<string, JsonNode?> paths)
    {
        schema = schema is null ? new Schema() : SchemaCheck.Resolve(schema);
        if (value is JsonObject { Count: > 0 } map && !schema.AtomicMap)
        {
            foreach ((string name, JsonNode? child) in map)
                Collect(child, schema.Child(name), $"{path}{Separator}f:{name}", paths);
        }
        else if (value is JsonArray { Count: > 0 } list && schema.ListType != ListMerge.Atomic)
        {
            foreach (JsonNode? item in list)
            {
                if (schema.ListType == ListMerge.Set)
                {
                    paths[$"{path}{Separator}v:{JsonText.ToText(item)}"] = item;
                    continue;
                }
                string itemPath = path + Separator + ItemKey(item, schema);
                paths[itemPath + Separator + Self] = null;
                if (item is JsonObject { Count: > 0 })
                    Collect(item, schema.Items, itemPath, paths);
            }
        }
        else
            paths[path] = value;
    }
}
