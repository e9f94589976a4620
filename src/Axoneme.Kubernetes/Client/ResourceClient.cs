// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes;

/// <summary>Which objects of a kind.</summary>
/// <param name="Namespace">Null or empty for all.</param>
/// <param name="LabelSelector">As kubectl's -l; <see cref="Resources.LabelSelector.ToString"/> writes it.</param>
/// <param name="FieldSelector">Such as spec.nodeName=n1.</param>
public sealed record ResourceQuery(string? Namespace = null, string? LabelSelector = null, string? FieldSelector = null)
{
    public static readonly ResourceQuery All = new();
}

public enum PatchKind
{
    /// <summary>RFC 7396: null removes, lists are replaced.</summary>
    Merge,

    /// <summary>RFC 6902: a list of operations.</summary>
    Json,

    /// <summary>Lists are merged by their keys; built-in kinds only.</summary>
    StrategicMerge,
}

/// <param name="Propagation">Background, Foreground or Orphan; null for the kind's default.</param>
/// <param name="GracePeriodSeconds">Null for the object's own.</param>
/// <param name="Uid">Only the object with this uid is deleted.</param>
/// <param name="ResourceVersion">Only the object in this version is deleted.</param>
public sealed record DeleteOptions(
    string? Propagation = null, long? GracePeriodSeconds = null, string? Uid = null, string? ResourceVersion = null);

/// <summary>
/// Requests about the objects of one kind. Failures are <see cref="KubernetesException"/> (the API refused) or
/// <see cref="HttpRequestException"/> and <see cref="IOException"/> (no answer).
/// </summary>
public sealed class ResourceClient<T>
    where T : Resource
{
    private readonly KubernetesClient _client;

    internal ResourceClient(KubernetesClient client, ResourceKind<T> kind)
    {
        _client = client;
        Kind = kind;
    }

    public ResourceKind<T> Kind { get; }

    public KubernetesClient Client => _client;

    public Task<T> GetAsync(ResourceName name, CancellationToken cancellationToken = default)
        => ObjectAsync(HttpMethod.Get, Kind.ObjectPath(name), null, cancellationToken);

    /// <summary>The object, or null when there is none.</summary>
    public async Task<T?> FindAsync(ResourceName name, CancellationToken cancellationToken = default)
    {
        try
        {
            return await GetAsync(name, cancellationToken);
        }
        catch (KubernetesException e) when (e.IsNotFound)
        {
            return null;
        }
    }

    public Task<T> CreateAsync(T value, string? fieldManager = null, CancellationToken cancellationToken = default)
        => ObjectAsync(
            HttpMethod.Post, Kind.CollectionPath(value.Metadata.Namespace) + Query(("fieldManager", fieldManager)), Body(value), cancellationToken);

    /// <summary>Replaces the object; a conflict if it changed since <paramref name="value"/> was read.</summary>
    public Task<T> UpdateAsync(T value, string? fieldManager = null, CancellationToken cancellationToken = default)
        => ObjectAsync(
            HttpMethod.Put, Kind.ObjectPath(value.ResourceName) + Query(("fieldManager", fieldManager)), Body(value), cancellationToken);

    /// <summary>Replaces the object's status, and nothing else.</summary>
    public Task<T> UpdateStatusAsync(T value, string? fieldManager = null, CancellationToken cancellationToken = default)
        => ObjectAsync(
            HttpMethod.Put, Kind.ObjectPath(value.ResourceName, "status") + Query(("fieldManager", fieldManager)), Body(value), cancellationToken);

    /// <summary>Reads, changes and writes back, again when somebody else was faster. Null from <paramref name="change"/> leaves it as it is.</summary>
    public async Task<T> ModifyAsync(ResourceName name, Func<T, T?> change, CancellationToken cancellationToken = default)
    {
        const int Attempts = 8;
        for (int attempt = 1; ; attempt++)
        {
            T present = await GetAsync(name, cancellationToken);
            if (change(present) is not { } changed)
                return present;
            try
            {
                return await UpdateAsync(changed, null, cancellationToken);
            }
            catch (KubernetesException e) when (e.IsConflict && attempt < Attempts)
            {
                await _client.PauseAsync(attempt, null, cancellationToken);
            }
        }
    }

    /// <param name="patch">JSON of the patch.</param>
    /// <param name="subresource">Such as status; null for the object.</param>
    public Task<T> PatchAsync(
        ResourceName name, PatchKind kind, string patch, string? subresource = null, CancellationToken cancellationToken = default)
    {
        string mediaType = kind switch
        {
            PatchKind.Merge => "application/merge-patch+json",
            PatchKind.Json => "application/json-patch+json",
            PatchKind.StrategicMerge => "application/strategic-merge-patch+json",
            _ => throw new ArgumentOutOfRangeException(nameof(kind)),
        };
        return ObjectAsync(HttpMethod.Patch, Kind.ObjectPath(name, subresource), (Encoding.UTF8.GetBytes(patch), mediaType), cancellationToken);
    }

    /// <summary>
    /// Server-side apply: creates the object or sets exactly the fields that <paramref name="value"/> has, and gives up those that the same
    /// manager applied earlier and this value lacks.
    /// </summary>
    /// <param name="force">Takes fields over from other managers instead of failing with a conflict.</param>
    public Task<T> ApplyAsync(
        T value, string fieldManager, bool force = false, string? subresource = null, CancellationToken cancellationToken = default)
        => ObjectAsync(
            HttpMethod.Patch,
            Kind.ObjectPath(value.ResourceName, subresource) + Query(("fieldManager", fieldManager), ("force", force ? "true" : null)),
            Body(value) with { MediaType = "application/apply-patch+yaml" },
            cancellationToken);

    /// <returns>False when there is no such object.</returns>
    public async Task<bool> DeleteAsync(ResourceName name, DeleteOptions? options = null, CancellationToken cancellationToken = default)
    {
        (ReadOnlyMemory<byte>, string)? body = options is null ? null : (DeleteBody(options), "application/json");
        try
        {
            using HttpResponseMessage response = await _client.SendAsync(HttpMethod.Delete, Kind.ObjectPath(name), body, cancellationToken);
            return true;
        }
        catch (KubernetesException e) when (e.IsNotFound)
        {
            return false;
        }
    }

    /// <summary>
    /// All objects, fetched page by page. When the server forgets the list's version midway, the list starts again, the last time in one piece.
    /// </summary>
    public async Task<ResourceList<T>> ListAsync(ResourceQuery? query = null, CancellationToken cancellationToken = default)
    {
        for (int pageSize = _client.Options.PageSize; ;)
        {
            try
            {
                return await ListPagesAsync(query ?? ResourceQuery.All, pageSize, cancellationToken);
            }
            catch (KubernetesException e) when (e.IsGone && pageSize > 0)
            {
                pageSize = 0;
            }
        }
    }

    /// <summary>
    /// One watch connection from <paramref name="resourceVersion"/> on: first an empty batch when the server has accepted it, then batches of what
    /// arrived together, until the server ends it, which is normal.
    /// </summary>
    /// <exception cref="KubernetesException">With IsGone: the version is too old, list again.</exception>
    /// <exception cref="TimeoutException">Nothing came for the client's idle time.</exception>
    /// <exception cref="IOException">The connection broke or delivered garbage.</exception>
    public async IAsyncEnumerable<IReadOnlyList<WatchEvent<T>>> WatchAsync(
        ResourceQuery? query, string resourceVersion, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        query ??= ResourceQuery.All;
        // Between five and ten minutes, so that the watches of many clients do not end together.
        int seconds = 300 + _client.Options.Random.Next(300);
        string path = Kind.CollectionPath(query.Namespace) + Query(
            ("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", resourceVersion), ("timeoutSeconds", seconds.ToString()),
            ("labelSelector", query.LabelSelector), ("fieldSelector", query.FieldSelector));
        using HttpResponseMessage response = await _client.SendAsync(HttpMethod.Get, path, null, cancellationToken);
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        using var decoder = new WatchDecoder<T>(Kind, $"GET {path}");
        using var idle = new IdleTimeout(_client.Options.WatchIdleTimeout, _client.Options.Time, cancellationToken);
        yield return [];
        while (await idle.RunAsync(token => decoder.FillAsync(stream, _client.Options.MaximumBytes, token)))
        {
            if (decoder.Decode() is { Count: > 0 } events)
                yield return events;
        }
    }

    private async Task<ResourceList<T>> ListPagesAsync(ResourceQuery query, int pageSize, CancellationToken cancellationToken)
    {
        List<T> items = [];
        List<UndecodableObject> undecodable = [];
        string next = "";
        while (true)
        {
            string path = Kind.CollectionPath(query.Namespace) + Query(
                ("limit", pageSize > 0 ? pageSize.ToString() : null), ("continue", next),
                ("labelSelector", query.LabelSelector), ("fieldSelector", query.FieldSelector));
            using HttpResponseMessage response = await _client.SendAsync(HttpMethod.Get, path, null, cancellationToken);
            using PooledBytes body = await ReadBodyAsync(response, cancellationToken);
            (string version, next) = Decoded(() => ListDecoder.Decode(body.Span, Kind, items, undecodable), path);
            if (next.Length == 0)
                return new ResourceList<T>(items, version, undecodable);
        }
    }

    private async Task<T> ObjectAsync(
        HttpMethod method, string path, (ReadOnlyMemory<byte> Bytes, string MediaType)? body, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await _client.SendAsync(method, path, body, cancellationToken);
        using PooledBytes content = await ReadBodyAsync(response, cancellationToken);
        return Decoded(() => JsonSerializer.Deserialize(content.Span, Kind.TypeInfo) ?? throw new JsonException("it is null"), path);
    }

    private async Task<PooledBytes> ReadBodyAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(_client.Options.RequestTimeout, _client.Options.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            return await BodyReader.ReadAllAsync(response, _client.Options.MaximumBytes, either.Token);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"The API server's answer did not end within {_client.Options.RequestTimeout.TotalSeconds} s.", e);
        }
    }

    private static TResult Decoded<TResult>(Func<TResult> decode, string path)
    {
        try
        {
            return decode();
        }
        catch (JsonException e)
        {
            throw new IOException($"The API server's answer to {path} cannot be decoded: {e.Message}", e);
        }
    }

    private (ReadOnlyMemory<byte> Bytes, string MediaType) Body(T value)
        => (JsonSerializer.SerializeToUtf8Bytes(value, Kind.TypeInfo), "application/json");

    private static ReadOnlyMemory<byte> DeleteBody(DeleteOptions options)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(buffer);
        json.WriteStartObject();
        json.WriteString("apiVersion", "v1");
        json.WriteString("kind", "DeleteOptions");
        if (options.Propagation is { } propagation)
            json.WriteString("propagationPolicy", propagation);
        if (options.GracePeriodSeconds is { } seconds)
            json.WriteNumber("gracePeriodSeconds", seconds);
        if (options.Uid is not null || options.ResourceVersion is not null)
        {
            json.WriteStartObject("preconditions");
            if (options.Uid is { } uid)
                json.WriteString("uid", uid);
            if (options.ResourceVersion is { } version)
                json.WriteString("resourceVersion", version);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.Flush();
        return buffer.WrittenMemory;
    }

    private static string Query(params ReadOnlySpan<(string Name, string? Value)> parameters)
    {
        var text = new StringBuilder();
        foreach ((string name, string? value) in parameters)
        {
            if (!string.IsNullOrEmpty(value))
                text.Append(text.Length == 0 ? '?' : '&').Append(name).Append('=').Append(Uri.EscapeDataString(value));
        }

        return text.ToString();
    }
}
