// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Printing;
using Microsoft.AspNetCore.Http;

namespace Axoneme.EmbeddedApi.Http;

internal enum Rendering
{
    Object,
    Table,
    Metadata,
}

/// <summary>The form of the answer that the client accepts.</summary>
internal sealed record AcceptedForm(Rendering Rendering, string Version)
{
    public static readonly AcceptedForm Plain = new(Rendering.Object, "v1");

    /// <exception cref="ApiException">406: none of the accepted forms is JSON.</exception>
    public static AcceptedForm Parse(string accept)
    {
        if (accept.Length == 0)
            return Plain;
        foreach (string part in accept.Split(','))
        {
            string[] words = part.Split(';', StringSplitOptions.TrimEntries);
            if (words[0] is not ("application/json" or "*/*" or "application/*" or "text/plain"))
                continue;
            string? kind = words.FirstOrDefault(w => w.StartsWith("as=", StringComparison.Ordinal))?[3..];
            string version = words.FirstOrDefault(w => w.StartsWith("v=", StringComparison.Ordinal))?[2..] ?? "v1";
            if (kind is not null && !words.Contains("g=meta.k8s.io"))
                continue;
            switch (kind)
            {
                case null:
                    return Plain;
                case "Table" when version is "v1" or "v1beta1":
                    return new(Rendering.Table, version);
                case "PartialObjectMetadata" or "PartialObjectMetadataList" when version is "v1" or "v1beta1":
                    return new(Rendering.Metadata, version);
            }
        }
        throw ApiErrors.NotAcceptable();
    }
}

internal static class Responses
{
    public static async Task JsonAsync(HttpContext context, JsonNode value, int code = 200)
    {
        await BytesAsync(context, JsonText.Write(value), "application/json", code).ConfigureAwait(false);
    }

    public static async Task BytesAsync(HttpContext context, ReadOnlyMemory<byte> body, string contentType, int code = 200)
    {
        context.Response.StatusCode = code;
        context.Response.ContentType = contentType;
        context.Response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.BodyWriter.WriteAsync(body, context.RequestAborted).ConfigureAwait(false);
    }

    public static JsonObject Metadata(ResourceType type, StoredObject stored, string version = "v1") => new()
    {
        ["kind"] = "PartialObjectMetadata",
        ["apiVersion"] = "meta.k8s.io/" + version,
        ["metadata"] = type.Present(stored)["metadata"]!.Copy(),
    };

    /// <summary>Rows as a server-side Table; <paramref name="include"/> is None, Metadata or Object.</summary>
    public static JsonObject Table(
        ResourceType type, IEnumerable<StoredObject> objects, string include, string version, DateTimeOffset now, bool columns = true)
    {
        var rows = new JsonArray();
        foreach (StoredObject each in objects)
        {
            JsonObject value = type.Present(each);
            var cells = new JsonArray();
            foreach (TableColumn column in type.Columns)
                cells.Add(column.Cell(value, now));
            var row = new JsonObject { ["cells"] = cells };
            row["object"] = include switch
            {
                "None" => null,
                "Object" => value.Copy(),
                _ => Metadata(type, each, version),
            };
            rows.Add((JsonNode)row);
        }
        return new JsonObject
        {
            ["kind"] = "Table",
            ["apiVersion"] = "meta.k8s.io/" + version,
            ["metadata"] = new JsonObject(),
            ["columnDefinitions"] = columns ? Columns(type) : null,
            ["rows"] = rows,
        };
    }

    /// <summary>A list made of the objects' own serialised forms.</summary>
    public static ReadOnlyMemory<byte> List(ResourceType type, IReadOnlyList<StoredObject> objects, JsonObject metadata, Rendering rendering)
    {
        var buffer = new ArrayBufferWriter<byte>(objects.Sum(o => rendering == Rendering.Object && type.Storage is null ? o.Json.Length + 1 : 512) + 512);
        bool whole = rendering == Rendering.Object;
        Append(buffer, $"{{\"kind\":\"{(whole ? type.ListKind : "PartialObjectMetadataList")}\",\"apiVersion\":\"{(whole ? type.ApiVersion : "meta.k8s.io/v1")}\",\"metadata\":");
        JsonText.Write(metadata, buffer);
        Append(buffer, ",\"items\":[");
        for (int i = 0; i < objects.Count; i++)
        {
            if (i > 0)
                Append(buffer, ",");
            if (whole)
                buffer.Write(type.PresentJson(objects[i]));
            else
                JsonText.Write(Metadata(type, objects[i]), buffer);
        }
        Append(buffer, "]}\n");
        return buffer.WrittenMemory;
    }

    public static void Append(IBufferWriter<byte> buffer, string text)
        => buffer.Advance(Encoding.UTF8.GetBytes(text, buffer.GetSpan(Encoding.UTF8.GetMaxByteCount(text.Length))));

    private static JsonArray Columns(ResourceType type)
    {
        var columns = new JsonArray();
        foreach (TableColumn column in type.Columns)
            columns.Add((JsonNode)new JsonObject
            {
                ["name"] = column.Name,
                ["type"] = column.Type,
                ["format"] = column.Format,
                ["description"] = column.Description,
                ["priority"] = column.Priority,
            });
        return columns;
    }
}
