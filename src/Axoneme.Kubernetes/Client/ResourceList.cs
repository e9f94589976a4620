// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes;

/// <summary>An object that the server sent and that cannot be decoded, for example because a field has the wrong type.</summary>
/// <param name="Name">Empty where not even the name can be read.</param>
/// <param name="Problem">Field and reason.</param>
public sealed record UndecodableObject(ResourceName Name, string Problem);

/// <summary>The objects of a kind at one resource version.</summary>
/// <param name="ResourceVersion">A watch from here misses nothing.</param>
/// <param name="Undecodable">Objects that exist but are not among the items.</param>
public sealed record ResourceList<T>(IReadOnlyList<T> Items, string ResourceVersion, IReadOnlyList<UndecodableObject> Undecodable);

/// <summary>Takes a list apart item by item, so that one bad item does not spoil the others.</summary>
internal static class ListDecoder
{
    /// <returns>Resource version and continuation (empty at the end).</returns>
    /// <exception cref="JsonException">The list itself is not valid.</exception>
    public static (string ResourceVersion, string Continue) Decode<T>(
        ReadOnlySpan<byte> json, ResourceKind<T> kind, List<T> items, List<UndecodableObject> undecodable)
        where T : Resource
    {
        string version = "", next = "";
        var reader = new Utf8JsonReader(json);
        Expect(ref reader, JsonTokenType.StartObject);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("metadata"u8))
                (version, next) = ReadListMeta(ref reader);
            else if (reader.ValueTextEquals("items"u8))
                ReadItems(ref reader, json, kind, items, undecodable);
            else
                Skip(ref reader);
        }

        return (version, next);
    }

    private static (string ResourceVersion, string Continue) ReadListMeta(ref Utf8JsonReader reader)
    {
        string version = "", next = "";
        Expect(ref reader, JsonTokenType.StartObject);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("resourceVersion"u8))
                version = ObjectProbe.ReadText(ref reader);
            else if (reader.ValueTextEquals("continue"u8))
                next = ObjectProbe.ReadText(ref reader);
            else
                Skip(ref reader);
        }

        return (version, next);
    }

    private static void ReadItems<T>(
        ref Utf8JsonReader reader, ReadOnlySpan<byte> json, ResourceKind<T> kind, List<T> items, List<UndecodableObject> undecodable)
        where T : Resource
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Null)
            return;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            int start = (int)reader.TokenStartIndex;
            reader.Skip();
            ReadOnlySpan<byte> item = json[start..(int)reader.BytesConsumed];
            if (ObjectProbe.TryDecode(item, kind, out T? decoded, out UndecodableObject? bad))
                items.Add(decoded);
            else
                undecodable.Add(bad);
        }
    }

    private static void Skip(ref Utf8JsonReader reader)
    {
        reader.Read();
        reader.Skip();
    }

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType type)
    {
        if (!reader.Read() || reader.TokenType != type)
            throw new JsonException($"The API server's list holds {reader.TokenType} where {type} belongs.");
    }
}
