// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Text.Json;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes;

public enum WatchEventType
{
    Added,
    Modified,
    Deleted,

    /// <summary>Nothing happened up to <see cref="WatchEvent{T}.ResourceVersion"/>.</summary>
    Bookmark,

    /// <summary>An object was added or modified, but cannot be decoded.</summary>
    Undecodable,
}

/// <param name="Name">The object concerned; empty for a bookmark.</param>
/// <param name="ResourceVersion">A watch from here goes on after this event.</param>
/// <param name="Object">For Added, Modified, and Deleted where it could be decoded.</param>
/// <param name="Problem">For Undecodable: field and reason.</param>
public readonly record struct WatchEvent<T>(
    WatchEventType Type, ResourceName Name, string ResourceVersion, T? Object = null, string? Problem = null)
    where T : Resource;

/// <summary>Cuts a watch's stream into lines, one event each, and decodes them from the receive buffer.</summary>
internal sealed class WatchDecoder<T>(ResourceKind<T> kind, string operation) : IDisposable
    where T : Resource
{
    private readonly PooledBytes _bytes = new(64 * 1024);

    // The start of an incomplete line that is known to hold no line end.
    private int _scanned;

    public ValueTask<bool> FillAsync(Stream stream, int maximum, CancellationToken cancellationToken)
        => _bytes.FillAsync(stream, maximum, cancellationToken);

    /// <summary>All events whose lines are complete.</summary>
    public List<WatchEvent<T>> Decode()
    {
        List<WatchEvent<T>> events = [];
        while (true)
        {
            int length = _bytes.Span[_scanned..].IndexOf((byte)'\n');
            if (length < 0)
            {
                _scanned = _bytes.Length;
                return events;
            }

            length += _scanned;
            ReadOnlySpan<byte> line = _bytes.Span[..length].Trim(" \r\t"u8);
            if (line.Length > 0)
                events.Add(DecodeLine(line));
            _bytes.Consume(length + 1);
            _scanned = 0;
        }
    }

    public void Dispose() => _bytes.Dispose();

    private WatchEvent<T> DecodeLine(ReadOnlySpan<byte> line)
    {
        try
        {
            (string type, ReadOnlySpan<byte> json) = Split(line);
            switch (type)
            {
                case "ADDED":
                    return DecodeObject(WatchEventType.Added, json);
                case "MODIFIED":
                    return DecodeObject(WatchEventType.Modified, json);
                case "DELETED":
                    return DecodeObject(WatchEventType.Deleted, json);
                case "BOOKMARK":
                    return new WatchEvent<T>(WatchEventType.Bookmark, new ResourceName(""), ObjectProbe.ReadMetadata(json).ResourceVersion);
                case "ERROR":
                    Status? status = JsonSerializer.Deserialize(json, KubernetesJson.Default.Status);
                    throw new KubernetesException(operation, (HttpStatusCode)(status?.Code ?? 500), status);
                default:
                    throw new IOException($"{operation}: the watch delivered an event of unknown type '{type}'.");
            }
        }
        catch (JsonException e)
        {
            throw new IOException($"{operation}: the watch delivered no valid event: {e.Message}", e);
        }
    }

    private WatchEvent<T> DecodeObject(WatchEventType type, ReadOnlySpan<byte> json)
    {
        if (ObjectProbe.TryDecode(json, kind, out T? decoded, out UndecodableObject? bad))
            return new WatchEvent<T>(type, decoded.ResourceName, decoded.Metadata.ResourceVersion ?? "", decoded);
        string version = ObjectProbe.ReadMetadata(json).ResourceVersion;
        return type == WatchEventType.Deleted
            ? new WatchEvent<T>(type, bad.Name, version)
            : new WatchEvent<T>(WatchEventType.Undecodable, bad.Name, version, null, bad.Problem);
    }

    private static SplitEvent Split(ReadOnlySpan<byte> line)
    {
        string type = "";
        ReadOnlySpan<byte> json = default;
        var reader = new Utf8JsonReader(line);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new JsonException("it is no object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("type"u8))
            {
                type = ObjectProbe.ReadText(ref reader);
                continue;
            }

            bool isObject = reader.ValueTextEquals("object"u8);
            reader.Read();
            int start = (int)reader.TokenStartIndex;
            reader.Skip();
            if (isObject)
                json = line[start..(int)reader.BytesConsumed];
        }

        return new SplitEvent(type, json);
    }

    private readonly ref struct SplitEvent(string type, ReadOnlySpan<byte> json)
    {
        private readonly string _type = type;
        private readonly ReadOnlySpan<byte> _json = json;

        public void Deconstruct(out string type, out ReadOnlySpan<byte> json)
        {
            type = _type;
            json = _json;
        }
    }
}
