// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>Merge patches (RFC 7386).</summary>
internal static class JsonMerge
{
    /// <summary>Changes <paramref name="target"/> and returns it. A null removes, an object merges, anything else replaces.</summary>
    public static JsonObject Apply(JsonObject target, JsonObject patch)
    {
        foreach ((string name, JsonNode? value) in patch)
        {
            if (value is null)
                target.Remove(name);
            else if (value is JsonObject child)
                target[name] = Apply(target[name] as JsonObject is { } present ? Detach(target, name, present) : [], child);
            else
                target[name] = value.Copy();
        }
        return target;
    }

    private static JsonObject Detach(JsonObject owner, string name, JsonObject child)
    {
        owner[name] = null;
        return child;
    }
}

/// <summary>JSON patches (RFC 6902).</summary>
internal static class JsonPatch
{
    /// <summary>More would only serve to keep the server busy; real API servers stop here too.</summary>
    private const int MaxOperations = 10000;

    /// <exception cref="ApiException">400 for what is no patch, 422 for one that does not fit the object.</exception>
    public static JsonNode? Apply(JsonNode target, JsonArray operations)
    {
        if (operations.Count > MaxOperations)
            throw new ApiException(413, "RequestEntityTooLarge", $"The allowed maximum operations in a JSON patch is {MaxOperations}, got {operations.Count}", null);
        JsonNode? root = target;
        foreach (JsonNode? operation in operations)
            root = Step(root, operation);
        return root;
    }

    private static JsonNode? Step(JsonNode? root, JsonNode? operation)
    {
        string path = operation.Text("path") ?? throw ApiErrors.BadRequest("json patch: an operation has no path");
        switch (operation.Text("op"))
        {
            case "add":
                return Add(root, path, JsonAccess.CopyNode(operation.At("value")));
            case "remove":
                return Remove(root, path, out _);
            case "replace":
                root = Remove(root, path, out _);
                return Add(root, path, JsonAccess.CopyNode(operation.At("value")));
            case "move":
                root = Remove(root, From(operation), out JsonNode? moved);
                return Add(root, path, moved);
            case "copy":
                return Add(root, path, JsonAccess.CopyNode(Find(root, From(operation))));
            case "test":
                return JsonAccess.Same(Find(root, path), operation.At("value")) ? root
                    : throw Unfit($"testing value {path} failed");
            default:
                throw ApiErrors.BadRequest($"json patch: unknown operation '{operation.Text("op")}'");
        }
    }

    private static string From(JsonNode? operation) => operation.Text("from") ?? throw ApiErrors.BadRequest("json patch: an operation has no from");

    private static ApiException Unfit(string problem)
        => new(422, "Invalid", $"the server rejected our request due to an error in our request: {problem}", null);

    private static string[] Tokens(string path)
        => path.Length == 0 ? [] : path[0] == '/' ? [.. path[1..].Split('/').Select(t => t.Replace("~1", "/").Replace("~0", "~"))]
            : throw ApiErrors.BadRequest($"json patch: '{path}' is no pointer");

    private static JsonNode? Find(JsonNode? root, string path)
    {
        foreach (string token in Tokens(path))
            root = root switch
            {
                JsonObject map when map.TryGetPropertyValue(token, out JsonNode? child) => child,
                JsonArray list when int.TryParse(token, out int i) && i >= 0 && i < list.Count => list[i],
                _ => throw Unfit($"'{path}' does not exist"),
            };
        return root;
    }

    private static JsonNode? Add(JsonNode? root, string path, JsonNode? value)
    {
        string[] tokens = Tokens(path);
        if (tokens.Length == 0)
            return value;
        switch (Find(root, path[..path.LastIndexOf('/')]))
        {
            case JsonObject map:
                map[tokens[^1]] = value;
                break;
            case JsonArray list when tokens[^1] == "-":
                list.Add(value);
                break;
            case JsonArray list when int.TryParse(tokens[^1], out int i) && i >= 0 && i <= list.Count:
                list.Insert(i, value);
                break;
            default:
                throw Unfit($"'{path}' does not exist");
        }
        return root;
    }

    private static JsonNode? Remove(JsonNode? root, string path, out JsonNode? removed)
    {
        removed = Find(root, path);
        string[] tokens = Tokens(path);
        if (tokens.Length == 0)
            return null;
        if (Find(root, path[..path.LastIndexOf('/')]) is JsonObject map)
            map.Remove(tokens[^1]);
        else if (Find(root, path[..path.LastIndexOf('/')]) is JsonArray list)
            list.RemoveAt(int.Parse(tokens[^1]));
        return root;
    }
}
