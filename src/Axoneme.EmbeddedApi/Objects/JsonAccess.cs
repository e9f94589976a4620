// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>Reading and building of objects whose shape is known only in part: whatever is not there reads as null or nothing.</summary>
internal static class JsonAccess
{
    public static JsonNode? At(this JsonNode? node, params ReadOnlySpan<string> path)
    {
        foreach (string name in path)
            node = node is JsonObject map && map.TryGetPropertyValue(name, out JsonNode? child) ? child : null;
        return node;
    }

    public static string? Text(this JsonNode? node, params ReadOnlySpan<string> path)
        => node.At(path) is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    public static bool Flag(this JsonNode? node, params ReadOnlySpan<string> path)
        => node.At(path) is JsonValue value && value.TryGetValue(out bool flag) && flag;

    public static long? Whole(this JsonNode? node, params ReadOnlySpan<string> path)
    {
        if (node.At(path) is not JsonValue value)
            return null;
        if (value.TryGetValue(out long whole))
            return whole;
        if (value.TryGetValue(out int small))
            return small;
        return value.TryGetValue(out double real) && double.IsInteger(real) && Math.Abs(real) < 9e15 ? (long)real : null;
    }

    public static double? Real(this JsonNode? node)
        => node is not JsonValue value ? null
            : value.TryGetValue(out double real) ? real
            : value.TryGetValue(out decimal exact) ? (double)exact
            : value.Whole() is { } whole ? whole : null;

    public static JsonObject? Map(this JsonNode? node, params ReadOnlySpan<string> path) => node.At(path) as JsonObject;

    /// <summary>The objects of a list; other items are passed over.</summary>
    public static IEnumerable<JsonObject> Objects(this JsonNode? node, params ReadOnlySpan<string> path)
        => node.At(path) is JsonArray list ? list.OfType<JsonObject>() : [];

    public static IEnumerable<string> Texts(this JsonNode? node, params ReadOnlySpan<string> path)
        => node.At(path) is JsonArray list ? list.Select(i => i.Text()).OfType<string>() : [];

    public static IEnumerable<KeyValuePair<string, string>> TextMap(this JsonNode? node, params ReadOnlySpan<string> path)
        => node.At(path) is JsonObject map
            ? map.Where(p => p.Value.Text() is not null).Select(p => KeyValuePair.Create(p.Key, p.Value.Text()!))
            : [];

    /// <summary>The object at the path, made where it is missing.</summary>
    public static JsonObject Ensure(this JsonObject map, params ReadOnlySpan<string> path)
    {
        foreach (string name in path)
        {
            if (map[name] is not JsonObject child)
                map[name] = child = [];
            map = child;
        }
        return map;
    }

    public static T Copy<T>(this T node) where T : JsonNode => (T)CopyNode(node)!;

    // JsonNode.DeepClone keeps nodes that come from a JsonElement lazy, and those are not safe to read from several threads.
    public static JsonNode? CopyNode(JsonNode? node)
    {
        switch (node)
        {
            case JsonObject map:
                var copy = new JsonObject();
                foreach ((string name, JsonNode? value) in map)
                    copy.Add(name, CopyNode(value));
                return copy;
            case JsonArray list:
                var items = new JsonArray();
                foreach (JsonNode? item in list)
                    items.Add(CopyNode(item));
                return items;
            default:
                return node?.DeepClone();
        }
    }

    /// <summary>Equality of content; 1 and 1.0 are the same number, the order of an object's members means nothing.</summary>
    public static bool Same(JsonNode? left, JsonNode? right)
    {
        if (ReferenceEquals(left, right))
            return true;
        if (left is JsonObject a && right is JsonObject b)
        {
            if (a.Count != b.Count)
                return false;
            foreach ((string name, JsonNode? value) in a)
                if (!b.TryGetPropertyValue(name, out JsonNode? other) || !Same(value, other))
                    return false;
            return true;
        }
        if (left is JsonArray x && right is JsonArray y)
        {
            if (x.Count != y.Count)
                return false;
            for (int i = 0; i < x.Count; i++)
                if (!Same(x[i], y[i]))
                    return false;
            return true;
        }
        if (left is not JsonValue v || right is not JsonValue w || v.GetValueKind() != w.GetValueKind())
            return false;
        return v.GetValueKind() switch
        {
            JsonValueKind.String => v.Text() == w.Text(),
            JsonValueKind.Number => v.Whole() is { } whole ? whole == w.Whole() : v.Real() == w.Real(),
            _ => true,
        };
    }

    public static JsonArray ToArray(IEnumerable<string> texts)
    {
        var list = new JsonArray();
        foreach (string text in texts)
            list.Add((JsonNode)text);
        return list;
    }

    public static JsonArray ToArray(IEnumerable<JsonObject> objects)
    {
        var list = new JsonArray();
        foreach (JsonObject each in objects)
            list.Add((JsonNode)each);
        return list;
    }

    public static JsonObject ToMap(IEnumerable<KeyValuePair<string, string>> texts)
    {
        var map = new JsonObject();
        foreach ((string key, string value) in texts)
            map[key] = value;
        return map;
    }
}
