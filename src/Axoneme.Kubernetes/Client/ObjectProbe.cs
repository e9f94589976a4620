// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes;

/// <summary>Decodes single objects, and finds out whose an undecodable one is.</summary>
internal static class ObjectProbe
{
    public static bool TryDecode<T>(
        ReadOnlySpan<byte> json, ResourceKind<T> kind, [NotNullWhen(true)] out T? decoded, [NotNullWhen(false)] out UndecodableObject? bad)
        where T : Resource
    {
        bad = null;
        decoded = null;
        try
        {
            decoded = JsonSerializer.Deserialize(json, kind.TypeInfo);
            if (decoded is not null && decoded.Metadata.Name.Length > 0)
                return true;
            bad = new UndecodableObject(new ResourceName(""), "it has no name");
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException)
        {
            (ResourceName name, _) = ReadMetadata(json);
            bad = new UndecodableObject(name, e is JsonException { Path: { } path } ? $"{path.TrimStart('$', '.')}: {Reason(e)}" : e.Message);
        }

        return false;
    }

    /// <summary>Name and resource version of any object, empty where missing or malformed.</summary>
    public static (ResourceName Name, string ResourceVersion) ReadMetadata(ReadOnlySpan<byte> json)
    {
        string ns = "", name = "", version = "";
        try
        {
            var reader = new Utf8JsonReader(json);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject || !Find(ref reader, "metadata"u8))
                return (new ResourceName(ns, name), version);
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("name"u8))
                    name = ReadText(ref reader);
                else if (reader.ValueTextEquals("namespace"u8))
                    ns = ReadText(ref reader);
                else if (reader.ValueTextEquals("resourceVersion"u8))
                    version = ReadText(ref reader);
                else if (reader.Read())
                    reader.Skip();
            }
        }
        catch (JsonException)
        {
        }

        return (new ResourceName(ns, name), version);
    }

    /// <summary>The text that follows a property name; empty for anything else.</summary>
    public static string ReadText(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.String)
            return reader.GetString()!;
        reader.Skip();
        return "";
    }

    // Leaves the reader inside the object of that name.
    private static bool Find(ref Utf8JsonReader reader, ReadOnlySpan<byte> property)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool found = reader.ValueTextEquals(property);
            reader.Read();
            if (found && reader.TokenType == JsonTokenType.StartObject)
                return true;
            reader.Skip();
        }

        return false;
    }

    // The serializer repeats path, line and position in its message; the line is of no use to a user, whose file was another one.
    private static string Reason(Exception e)
    {
        int end = e.Message.IndexOf(" Path: ", StringComparison.Ordinal);
        return end < 0 ? e.Message : e.Message[..end];
    }
}
