// SPDX-License-Identifier: Apache-2.0
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Schemas;
using Microsoft.AspNetCore.Http;

namespace Axoneme.EmbeddedApi.Http;

/// <summary>OpenAPI documents made from the schemas: one of version 2 for all groups, one of version 3 for each.</summary>
internal sealed class OpenApi(ResourceCatalog catalog)
{
    private readonly Lock _gate = new();
    private int _revision = -1;
    private byte[] _v2 = [];
    private byte[] _v2Protobuf = [];
    private Dictionary<string, byte[]> _v3 = [];

    public async Task AnswerV2Async(HttpContext context)
    {
        Refresh();
        string accept = context.Request.Headers.Accept.ToString();
        if (accept.Contains("application/com.github.proto-openapi.spec.v2", StringComparison.Ordinal))
            // Go's parser of media types refuses the name under which clients ask for it.
            await Responses.BytesAsync(context, _v2Protobuf, "application/octet-stream").ConfigureAwait(false);
        else if (accept.Length == 0 || accept.Contains("json", StringComparison.Ordinal) || accept.Contains("*/*", StringComparison.Ordinal))
            await Responses.BytesAsync(context, _v2, "application/json").ConfigureAwait(false);
        else
            throw ApiErrors.NotAcceptable();
    }

    public async Task AnswerV3Async(HttpContext context, string path)
    {
        Refresh();
        Dictionary<string, byte[]> documents = _v3;
        if (path.Length == 0)
        {
            var paths = new JsonObject();
            foreach ((string name, byte[] document) in documents)
                paths[name] = new JsonObject
                {
                    ["serverRelativeURL"] = $"/openapi/v3/{name}?hash={Convert.ToHexString(SHA256.HashData(document))}",
                };
            await Responses.JsonAsync(context, new JsonObject { ["paths"] = paths }).ConfigureAwait(false);
            return;
        }
        byte[] body = documents.GetValueOrDefault(path) ?? throw ApiErrors.PageNotFound();
        await Responses.BytesAsync(context, body, "application/json").ConfigureAwait(false);
    }

    private void Refresh()
    {
        lock (_gate)
        {
            int revision = catalog.Revision;
            if (_revision == revision)
                return;
            var v3 = new Dictionary<string, byte[]>(StringComparer.Ordinal);
            foreach (IGrouping<string, ResourceType> group in catalog.All.GroupBy(Root))
                v3[group.Key] = JsonText.Write(OpenApiDocument.V3(group));
            JsonObject v2 = OpenApiDocument.V2(catalog.All);
            _v3 = v3;
            _v2 = JsonText.Write(v2);
            _v2Protobuf = OpenApiProtobuf.Encode(v2);
            _revision = revision;
        }
    }

    public static string Root(ResourceType type) => type.Group.Length == 0 ? $"api/{type.Version}" : $"apis/{type.Group}/{type.Version}";
}

internal static class OpenApiDocument
{
    private static readonly string[] PatchParameters = ["dryRun", "fieldManager", "fieldValidation", "force"];

    public static JsonObject V3(IEnumerable<ResourceType> types)
    {
        (JsonObject schemas, JsonObject paths) = Parts(types, "#/components/schemas/", v3: true);
        return new JsonObject
        {
            ["openapi"] = "3.0.0",
            ["info"] = Info(),
            ["paths"] = paths,
            ["components"] = new JsonObject { ["schemas"] = schemas },
        };
    }

    public static JsonObject V2(IEnumerable<ResourceType> types)
    {
        (JsonObject schemas, JsonObject paths) = Parts(types, "#/definitions/", v3: false);
        return new JsonObject { ["swagger"] = "2.0", ["info"] = Info(), ["paths"] = paths, ["definitions"] = schemas };
    }

    private static JsonObject Info() => new() { ["title"] = "Kubernetes", ["version"] = "v1.33.0" };

    private static (JsonObject Schemas, JsonObject Paths) Parts(IEnumerable<ResourceType> types, string prefix, bool v3)
    {
        var schemas = new JsonObject();
        var paths = new JsonObject();
        var writer = new SchemaWriter(schemas, prefix, v3);
        foreach (ResourceType type in types)
        {
            writer.Define(type.Schema);
            JsonObject definition = schemas.Map(type.Schema.Name!)!;
            var kind = new JsonObject { ["group"] = type.Group, ["kind"] = type.Kind, ["version"] = type.Version };
            definition["x-kubernetes-group-version-kind"] = new JsonArray(kind);
            string root = $"/{OpenApi.Root(type)}{(type.Namespaced ? "/namespaces/{namespace}" : "")}/{type.Plural}";
            paths[root] = Path(kind, type, prefix, v3, "get", "post");
            paths[root + "/{name}"] = Path(kind, type, prefix, v3, "get", "put", "patch", "delete");
        }
        return (schemas, paths);
    }

    private static JsonObject Path(JsonObject kind, ResourceType type, string prefix, bool v3, params string[] methods)
    {
        var path = new JsonObject();
        foreach (string method in methods)
        {
            var schema = new JsonObject { ["$ref"] = prefix + type.Schema.Name };
            var response = new JsonObject { ["description"] = "OK" };
            if (v3)
                response["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = schema } };
            else
                response["schema"] = schema;
            var operation = new JsonObject
            {
                ["operationId"] = $"{method}{type.Group.Replace(".", "")}{type.Version}{type.Kind}{(methods.Contains("post") ? "Collection" : "")}",
                ["responses"] = new JsonObject { ["200"] = response },
                ["x-kubernetes-group-version-kind"] = kind.Copy(),
            };
            if (method != "get")
                operation["parameters"] = JsonAccess.ToArray(PatchParameters.Where(p => p != "force" || method == "patch").Select(name =>
                {
                    var parameter = new JsonObject { ["name"] = name, ["in"] = "query" };
                    string parameterType = name == "force" ? "boolean" : "string";
                    if (v3)
                        parameter["schema"] = new JsonObject { ["type"] = parameterType, ["uniqueItems"] = true };
                    else
                        parameter["type"] = parameterType;
                    return parameter;
                }));
            path[method] = operation;
        }
        return path;
    }
}

/// <summary>Schemas as OpenAPI; named types become references.</summary>
internal sealed class SchemaWriter(JsonObject definitions, string prefix, bool v3)
{
    /// <summary>Members that only the third version knows, or that clients of the second misread.</summary>
    private static readonly string[] OnlyV3 = ["oneOf", "anyOf", "allOf", "not", "nullable", "default", "x-kubernetes-validations"];

    public void Define(Schema schema)
    {
        if (definitions.ContainsKey(schema.Name!))
            return;
        var definition = new JsonObject();
        definitions[schema.Name!] = definition;
        foreach ((string name, JsonNode? value) in Body(schema))
            definition[name] = value?.DeepClone();
    }

    private JsonObject Write(Schema schema)
    {
        Schema target = SchemaCheck.Resolve(schema);
        if (target.Name is null)
            return Body(target);
        Define(target);
        var reference = new JsonObject { ["$ref"] = prefix + target.Name };
        // A reference has no members of its own in the third version.
        return v3 ? new JsonObject { ["allOf"] = new JsonArray(reference) } : reference;
    }

    private JsonObject Body(Schema schema)
    {
        if (schema.Source is { } source && schema.Name is null)
            return Custom(source);
        var body = new JsonObject();
        if (schema.Description is { } description)
            body["description"] = description;
        if (schema.IntOrString)
        {
            if (v3)
                body["oneOf"] = new JsonArray(new JsonObject { ["type"] = "integer" }, new JsonObject { ["type"] = "string" });
            else
                body["type"] = "string";
            body["format"] = "int-or-string";
            return body;
        }
        if (schema.Type.Length > 0)
            body["type"] = schema.Type;
        if (schema.Format is { } format)
            body["format"] = format;
        if (schema.PreserveUnknown)
        {
            body["type"] ??= "object";
            body["x-kubernetes-preserve-unknown-fields"] = true;
        }
        if (schema.Items is { } items)
            body["items"] = Write(items);
        if (schema.Additional is { } additional)
            body["additionalProperties"] = Write(additional);
        WriteProperties(schema, body);
        WriteMerge(schema, body);
        return body;
    }

    private void WriteProperties(Schema schema, JsonObject body)
    {
        if (schema.Properties.Count > 0)
        {
            var properties = new JsonObject();
            foreach ((string name, Schema child) in schema.Properties.OrderBy(p => p.Key, StringComparer.Ordinal))
            {
                JsonObject property = Write(child);
                if (v3 && child.Default is { } preset)
                    property["default"] = JsonAccess.CopyNode(preset);
                properties[name] = property;
            }
            body["properties"] = properties;
        }
        if (schema.Required.Count > 0)
            body["required"] = JsonAccess.ToArray(schema.Required.Order());
        if (schema.Enum is { } values)
            body["enum"] = values.Copy();
    }

    private static void WriteMerge(Schema schema, JsonObject body)
    {
        if (schema.AtomicMap)
            body["x-kubernetes-map-type"] = "atomic";
        if (schema.Type != "array")
            return;
        body["x-kubernetes-list-type"] = schema.ListType.ToString().ToLowerInvariant();
        if (schema.MapKeys.Count > 0)
            body["x-kubernetes-list-map-keys"] = JsonAccess.ToArray(schema.MapKeys);
        if (schema.PatchMergeKey is { } key)
        {
            body["x-kubernetes-patch-strategy"] = "merge";
            if (key.Length > 0)
                body["x-kubernetes-patch-merge-key"] = key;
        }
    }

    private JsonObject Custom(JsonObject source)
    {
        JsonObject copy = source.Copy();
        if (!v3)
            Simplify(copy);
        return copy;
    }

    private static void Simplify(JsonNode? node)
    {
        if (node is JsonArray list)
            foreach (JsonNode? item in list)
                Simplify(item);
        if (node is not JsonObject map)
            return;
        foreach (string name in OnlyV3)
            if (map["type"] is JsonValue || map["x-kubernetes-int-or-string"] is not null || name is "oneOf" or "anyOf")
                map.Remove(name);
        foreach ((_, JsonNode? child) in map)
            Simplify(child);
    }
}
