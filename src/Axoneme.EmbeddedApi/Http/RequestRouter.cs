// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Microsoft.AspNetCore.Http;

namespace Axoneme.EmbeddedApi.Http;

/// <summary>A request for objects: what its path and query say.</summary>
internal sealed record ApiRequest(HttpContext Context, ResourceType Type, ApiUser User)
{
    public string? Namespace { get; init; }

    public string? Name { get; init; }

    public string? Subresource { get; init; }

    public string? Query(string name) => Context.Request.Query.TryGetValue(name, out var value) ? value.ToString() : null;

    public bool Flag(string name) => Query(name) is "true" or "1" or "True";

    public string Manager
    {
        get
        {
            if (Query("fieldManager") is { Length: > 0 } manager)
                return manager;
            string agent = Context.Request.Headers.UserAgent.ToString();
            int end = agent.IndexOf('/');
            return agent.Length == 0 ? "unknown" : end > 0 ? agent[..end] : agent;
        }
    }

    public WriteContext Write(List<string> warnings) => new()
    {
        Manager = Manager,
        Subresource = Subresource,
        DryRun = Query("dryRun") == "All",
        Warnings = warnings,
        UnknownFields = Query("fieldValidation") switch
        {
            "Strict" => UnknownFields.Refuse,
            "Ignore" => UnknownFields.Ignore,
            _ => UnknownFields.Warn,
        },
    };

    /// <exception cref="ApiException">400, 413 or 415.</exception>
    public async Task<JsonNode?> ReadBodyAsync(List<string>? warnings = null)
    {
        byte[] body = await ReadBytesAsync(Context).ConfigureAwait(false);
        if (body.Length == 0)
            return null;
        string contentType = Context.Request.ContentType ?? "application/json";
        if (ProtobufBody.Is(contentType))
            return ProtobufBody.Read(body);
        if (contentType.Contains("protobuf", StringComparison.Ordinal) || contentType.Contains("cbor", StringComparison.Ordinal))
            throw ApiErrors.UnsupportedMediaType($"the body of the request was in an unknown format - accepted media types include: application/json, application/yaml");
        try
        {
            bool yaml = contentType.Contains("yaml", StringComparison.Ordinal) && body.AsSpan().TrimStart(" \r\n\t"u8) is not [(byte)'{', ..];
            if (yaml)
                return YamlDocuments.Read(Encoding.UTF8.GetString(body)).FirstOrDefault();
            var duplicates = new List<string>();
            JsonNode? node = JsonText.Parse(body, duplicates);
            if (duplicates.Count > 0 && Query("fieldValidation") == "Strict")
                throw ApiErrors.BadRequest($"strict decoding error: {string.Join(", ", duplicates.Select(d => $"duplicate field \"{d}\""))}");
            if (Query("fieldValidation") != "Ignore")
                warnings?.AddRange(duplicates.Select(d => $"duplicate field \"{d}\""));
            return node;
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException)
        {
            throw ApiErrors.BadRequest($"the object provided is unrecognized (must be of type {Type.Kind}): couldn't get version/kind; json parse error: {e.Message}");
        }
    }

    private static async Task<byte[]> ReadBytesAsync(HttpContext context)
    {
        using var memory = new MemoryStream();
        await context.Request.Body.CopyToAsync(memory, context.RequestAborted).ConfigureAwait(false);
        return memory.ToArray();
    }
}

/// <summary>Paths to handlers.</summary>
internal sealed class RequestRouter
{
    private static readonly HashSet<string> Open = ["/healthz", "/livez", "/readyz", "/version"];
    private readonly ApiMachinery _machinery;
    private readonly Discovery _discovery;
    private readonly OpenApi _openApi;
    private readonly ReadHandler _reads;
    private readonly WriteHandler _writes;

    public RequestRouter(ApiMachinery machinery, EmbeddedApiOptions options, CancellationToken stopping)
    {
        _machinery = machinery;
        Tokens = new TokenBook(options.Tokens);
        _discovery = new Discovery(machinery.Catalog);
        _openApi = new OpenApi(machinery.Catalog);
        _reads = new ReadHandler(machinery, stopping);
        _writes = new WriteHandler(machinery, Tokens);
    }

    public TokenBook Tokens { get; }

    public async Task HandleAsync(HttpContext context, ApiUser? user)
    {
        string path = context.Request.Path.Value ?? "/";
        if (path.Length > 1)
            path = path.TrimEnd('/');
        if (user is null && !Open.Any(o => path == o || path.StartsWith(o + "/", StringComparison.Ordinal)))
            throw path == "/" ? ApiErrors.ForbiddenToAnonymous(path) : ApiErrors.Unauthorized();
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        switch (parts)
        {
            case ["healthz" or "livez" or "readyz", ..]:
                await Responses.BytesAsync(context, "ok"u8.ToArray(), "text/plain; charset=utf-8").ConfigureAwait(false);
                break;
            case ["version"]:
                await Responses.JsonAsync(context, Discovery.VersionInfo()).ConfigureAwait(false);
                break;
            case ["openapi", "v2"]:
                await _openApi.AnswerV2Async(context).ConfigureAwait(false);
                break;
            case ["openapi", "v3", ..]:
                await _openApi.AnswerV3Async(context, string.Join('/', parts[2..])).ConfigureAwait(false);
                break;
            case [] or ["api"] or ["api", "v1"] or ["apis"] or ["apis", _] or ["apis", _, _]:
                await _discovery.AnswerAsync(context, parts).ConfigureAwait(false);
                break;
            case ["apis", "authorization.k8s.io" or "authentication.k8s.io", "v1", ..]:
                await Reviews.AnswerAsync(context, user!, parts[^1]).ConfigureAwait(false);
                break;
            default:
                await HandleObjectsAsync(Parse(context, parts, user!)).ConfigureAwait(false);
                break;
        }
    }

    private ApiRequest Parse(HttpContext context, string[] parts, ApiUser user)
    {
        (string group, string version, string[] rest) = parts switch
        {
            ["api", string v, .. var tail] => ("", v, tail),
            ["apis", string g, string v, .. var tail] => (g, v, tail),
            _ => throw ApiErrors.PageNotFound(),
        };
        string? ns = null;
        // "namespaces" is a resource of its own as well as the way to others.
        if (rest is ["namespaces", string name, string next, ..] && !(group.Length == 0 && next is "status" or "finalize"))
        {
            ns = name;
            rest = rest[2..];
        }
        if (rest.Length is 0 or > 4)
            throw ApiErrors.PageNotFound();
        ResourceType type = _machinery.Catalog.Find(group, version, rest[0]) ?? throw ApiErrors.PageNotFound();
        if (ns is not null && !type.Namespaced || ns is null && type.Namespaced && rest.Length > 1)
            throw ApiErrors.PageNotFound();
        return new ApiRequest(context, type, user)
        {
            Namespace = ns,
            Name = rest.Length > 1 ? Uri.UnescapeDataString(rest[1]) : null,
            Subresource = rest.Length > 2 ? rest[2] : null,
        };
    }

    private Task HandleObjectsAsync(ApiRequest request)
    {
        string method = request.Context.Request.Method;
        if (request.Subresource is { } subresource && !Discovery.Subresources(request.Type).Any(s => s.Name == subresource))
            throw ApiErrors.PageNotFound();
        return (method, request.Name) switch
        {
            ("GET" or "HEAD", null) => _reads.ListAsync(request),
            ("GET" or "HEAD", _) => _reads.GetAsync(request),
            ("POST", null) => _writes.CreateAsync(request),
            ("POST", _) when request.Subresource is not null => _writes.ConnectAsync(request),
            ("PUT", not null) => _writes.UpdateAsync(request),
            ("PATCH", not null) => _writes.PatchAsync(request),
            ("DELETE", null) => _writes.DeleteCollectionAsync(request),
            ("DELETE", _) when request.Subresource is null => _writes.DeleteAsync(request),
            _ => throw ApiErrors.MethodNotAllowed(),
        };
    }
}

/// <summary>Bearer tokens: those of the options, and those issued for service accounts since the start.</summary>
internal sealed class TokenBook(IReadOnlyDictionary<string, ApiUser> configured)
{
    /// <summary>Older ones are forgotten first; pods renew theirs long before that many were issued.</summary>
    private const int MaxIssued = 10000;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, ApiUser> _issued = new(StringComparer.Ordinal);
    private readonly Queue<string> _order = new();

    public ApiUser? Find(string token)
    {
        ApiUser? user = configured.GetValueOrDefault(token);
        lock (_gate)
            user ??= _issued.GetValueOrDefault(token);
        return user is null ? null : user with { Groups = [.. user.Groups, "system:authenticated"] };
    }

    public string Issue(string ns, string serviceAccount)
    {
        string token = Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(32));
        lock (_gate)
        {
            _issued[token] = new ApiUser($"system:serviceaccount:{ns}:{serviceAccount}", "system:serviceaccounts", $"system:serviceaccounts:{ns}");
            _order.Enqueue(token);
            if (_order.Count > MaxIssued)
                _issued.Remove(_order.Dequeue());
        }
        return token;
    }
}
