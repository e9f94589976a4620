// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Axoneme.AgentApi;

/// <summary>The agent cannot be reached, or refused; <see cref="Status"/> is null when no answer came.</summary>
public sealed class AgentException(string message, HttpStatusCode? status = null, Exception? inner = null) : Exception(message, inner)
{
    public HttpStatusCode? Status { get; } = status;
}

/// <summary>Talks to an agent's REST API over its unix socket (or TCP, with <c>tcp://</c>).</summary>
public sealed class AgentClient : IDisposable
{
    public const string DefaultAddress = "unix:///var/run/cilium/cilium.sock";

    /// <summary>The address that is meant when none is said has somebody behind it, as far as can be seen without asking.</summary>
    public static bool IsThere
        => (Environment.GetEnvironmentVariable("CILIUM_SOCK") ?? DefaultAddress) is var address
            && (!address.StartsWith("unix://", StringComparison.Ordinal) || File.Exists(address["unix://".Length..]));

    private readonly HttpClient _http;
    private readonly string _address;

    /// <exception cref="FormatException">The address has another form than unix:///path or tcp://host:port.</exception>
    public AgentClient(string? address = null)
    {
        _address = address ?? Environment.GetEnvironmentVariable("CILIUM_SOCK") ?? DefaultAddress;
        var handler = new SocketsHttpHandler { UseProxy = false, ConnectTimeout = TimeSpan.FromSeconds(5) };
        Uri? tcp = null;
        if (_address.StartsWith("tcp://", StringComparison.Ordinal))
        {
            if (!Uri.TryCreate($"http://{_address["tcp://".Length..]}", UriKind.Absolute, out tcp))
                throw new FormatException($"'{_address}' is not an agent address such as unix:///path or tcp://host:port.");
        }
        else
        {
            string path = _address.StartsWith("unix://", StringComparison.Ordinal) ? _address["unix://".Length..] : _address;
            if (!path.StartsWith('/'))
                throw new FormatException($"'{_address}' is not an agent address such as unix:///path or tcp://host:port.");
            handler.ConnectCallback = (_, cancellation) => ConnectAsync(path, cancellation);
        }

        _http = new HttpClient(handler, disposeHandler: true) { BaseAddress = tcp ?? new Uri("http://localhost") };
    }

    /// <summary>No answer within this is an error.</summary>
    public TimeSpan Timeout
    {
        get => _http.Timeout;
        set => _http.Timeout = value;
    }

    /// <param name="isBrief">Ask for the state only, which costs the agent less.</param>
    /// <param name="cancellation">Ends the request.</param>
    public Task<StatusResponse> GetStatusAsync(bool isBrief = false, CancellationToken cancellation = default)
        => GetAsync("/healthz", AgentJson.Default.StatusResponse, cancellation, isBrief ? ("brief", "true") : null);

    public Task<DaemonConfig> GetConfigAsync(CancellationToken cancellation = default)
        => GetAsync("/config", AgentJson.Default.DaemonConfig, cancellation);

    public Task PatchConfigAsync(DaemonConfigSpec change, CancellationToken cancellation = default)
        => PatchAsync("/config", change, AgentJson.Default.DaemonConfigSpec, cancellation);

    public Task<EndpointConfigStatus> GetEndpointConfigAsync(string id, CancellationToken cancellation = default)
        => GetAsync($"/endpoint/{Uri.EscapeDataString(id)}/config", AgentJson.Default.EndpointConfigStatus, cancellation);

    public Task PatchEndpointConfigAsync(string id, EndpointSpec change, CancellationToken cancellation = default)
        => PatchAsync($"/endpoint/{Uri.EscapeDataString(id)}/config", change, AgentJson.Default.EndpointSpec, cancellation);

    private async Task PatchAsync<T>(string path, T change, JsonTypeInfo<T> type, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Patch, "/v1" + path)
        {
            Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(change, type)),
        };
        request.Content.Headers.ContentType = new("application/json");
        using HttpResponseMessage response = await SendAsync(request, cancellation).ConfigureAwait(false);
    }

    public Task<IReadOnlyList<EndpointModel>> GetEndpointsAsync(CancellationToken cancellation = default)
        => GetAsync("/endpoint", AgentJson.Default.IReadOnlyListEndpointModel, cancellation);

    /// <param name="id">A number or one of the prefixed forms, such as <c>pod-name:NS/NAME</c>.</param>
    /// <param name="cancellation">Ends the request.</param>
    public Task<EndpointModel> GetEndpointAsync(string id, CancellationToken cancellation = default)
        => GetAsync($"/endpoint/{Uri.EscapeDataString(id)}", AgentJson.Default.EndpointModel, cancellation);

    public Task<IReadOnlyList<IdentityModel>> GetIdentitiesAsync(CancellationToken cancellation = default)
        => GetAsync("/identity", AgentJson.Default.IReadOnlyListIdentityModel, cancellation);

    public Task<IReadOnlyList<IdentityInUse>> GetEndpointIdentitiesAsync(CancellationToken cancellation = default)
        => GetAsync("/identity/endpoints", AgentJson.Default.IReadOnlyListIdentityInUse, cancellation);

    public Task<IdentityModel> GetIdentityAsync(string id, CancellationToken cancellation = default)
        => GetAsync($"/identity/{Uri.EscapeDataString(id)}", AgentJson.Default.IdentityModel, cancellation);

    public Task<IReadOnlyList<IpEntry>> GetIpsAsync(CancellationToken cancellation = default)
        => GetAsync("/ip", AgentJson.Default.IReadOnlyListIpEntry, cancellation);

    public Task<IReadOnlyList<ServiceModel>> GetServicesAsync(CancellationToken cancellation = default)
        => GetAsync("/service", AgentJson.Default.IReadOnlyListServiceModel, cancellation);

    public Task<IReadOnlyList<RedirectPolicyModel>> GetRedirectPoliciesAsync(CancellationToken cancellation = default)
        => GetAsync("/lrp", AgentJson.Default.IReadOnlyListRedirectPolicyModel, cancellation);

    public Task<ClusterNodes> GetNodesAsync(CancellationToken cancellation = default)
        => GetAsync("/cluster/nodes", AgentJson.Default.ClusterNodes, cancellation);

    public Task<BpfMapList> GetMapsAsync(CancellationToken cancellation = default)
        => GetAsync("/map", AgentJson.Default.BpfMapList, cancellation);

    public Task<BpfMapModel> GetMapAsync(string name, CancellationToken cancellation = default)
        => GetAsync($"/map/{Uri.EscapeDataString(name)}", AgentJson.Default.BpfMapModel, cancellation);

    public Task<PolicyModel> GetPolicyAsync(CancellationToken cancellation = default)
        => GetAsync("/policy", AgentJson.Default.PolicyModel, cancellation);

    public Task<IReadOnlyList<SelectorModel>> GetSelectorsAsync(CancellationToken cancellation = default)
        => GetAsync("/policy/selectors", AgentJson.Default.IReadOnlyListSelectorModel, cancellation);

    public Task<IReadOnlyList<MetricSeries>> GetMetricsAsync(CancellationToken cancellation = default)
        => GetAsync("/metrics", AgentJson.Default.IReadOnlyListMetricSeries, cancellation);

    public Task<IReadOnlyList<TableSummary>> GetTablesAsync(CancellationToken cancellation = default)
        => GetAsync("/tables", AgentJson.Default.IReadOnlyListTableSummary, cancellation);

    public Task<TableContents> GetTableAsync(string name, CancellationToken cancellation = default)
        => GetAsync($"/tables/{Uri.EscapeDataString(name)}", AgentJson.Default.TableContents, cancellation);

    /// <summary>Everything that the agent computes policy from. Large in a large cluster.</summary>
    public Task<PolicyInputs> GetPolicyInputsAsync(CancellationToken cancellation = default)
        => GetAsync("/axoneme/objects", AgentJson.Default.PolicyInputs, cancellation);

    /// <param name="pattern">Names to list, as <c>matchPattern</c> says; null: all.</param>
    /// <param name="cidr">Block of the addresses to list; null: all.</param>
    /// <param name="cancellation">Ends the request.</param>
    public Task<IReadOnlyList<NameLookup>> GetNameCacheAsync(
        string? pattern = null, string? cidr = null, CancellationToken cancellation = default)
        => GetAsync(
            $"/fqdn/cache?matchpattern={Uri.EscapeDataString(pattern ?? "")}&cidr={Uri.EscapeDataString(cidr ?? "")}",
            AgentJson.Default.IReadOnlyListNameLookup, cancellation);

    public Task<NamePolicies> GetNamePoliciesAsync(CancellationToken cancellation = default)
        => GetAsync("/fqdn/names", AgentJson.Default.NamePolicies, cancellation);

    /// <summary>Forgets names, and with them the access that they gave.</summary>
    /// <param name="pattern">Those that match; null: all.</param>
    /// <param name="cancellation">Ends the request.</param>
    public async Task CleanNameCacheAsync(string? pattern = null, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Delete, $"/v1/fqdn/cache?matchpattern={Uri.EscapeDataString(pattern ?? "")}");
        using HttpResponseMessage response = await SendAsync(request, cancellation).ConfigureAwait(false);
    }

    public void Dispose() => _http.Dispose();

    private async Task<T> GetAsync<T>(
        string path, JsonTypeInfo<T> type, CancellationToken cancellation, (string Name, string Value)? header = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1" + path);
        if (header is { } extra)
            request.Headers.TryAddWithoutValidation(extra.Name, extra.Value);
        using HttpResponseMessage response = await SendAsync(request, cancellation).ConfigureAwait(false);
        try
        {
            await using Stream body = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
            return await JsonSerializer.DeserializeAsync(body, type, cancellation).ConfigureAwait(false)
                ?? throw new AgentException($"GET /v1{path}: the agent answered null", response.StatusCode);
        }
        catch (JsonException e)
        {
            throw new AgentException($"GET /v1{path}: the answer is not what was asked for: {e.Message}", response.StatusCode, e);
        }
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        HttpResponseMessage response;
        try
        {
            response = await _http.SendAsync(request, cancellation).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            throw new AgentException(Explain(e), null, e);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new AgentException($"the agent at {_address} did not answer within {_http.Timeout.TotalSeconds:0.#} s", null, e);
        }

        if (response.IsSuccessStatusCode)
            return response;
        using (response)
        {
            string text = await response.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false);
            string reason = ErrorText(text) ?? response.ReasonPhrase ?? "";
            throw new AgentException(
                $"{request.Method} {request.RequestUri?.OriginalString}: {(int)response.StatusCode} {reason}", response.StatusCode);
        }
    }

    // What the system says of a socket is no help to somebody who wants to know about the agent.
    private string Explain(HttpRequestException failure) => (failure.InnerException as SocketException)?.SocketErrorCode switch
    {
        SocketError.ConnectionRefused or SocketError.AddressNotAvailable
            => $"the agent does not listen on {Place}; is cilium-agent running on this node?",
        SocketError.AccessDenied => $"the agent's socket {Place} may not be opened by this user; it needs root",
        _ => $"cannot reach the agent at {Place}: {(failure.InnerException ?? failure).Message}",
    };

    private string Place => _address.StartsWith("unix://", StringComparison.Ordinal) ? _address["unix://".Length..] : _address;

    // The agent answers errors with a JSON text or {"message": ...}; anything else is shown as it is, within reason.
    private static string? ErrorText(string body)
    {
        if (body.Length == 0)
            return null;
        try
        {
            using JsonDocument json = JsonDocument.Parse(body);
            if (json.RootElement.ValueKind == JsonValueKind.String)
                return json.RootElement.GetString();
            if (json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("message", out JsonElement message))
                return message.ToString();
        }
        catch (JsonException)
        {
            // Not JSON: shown below.
        }

        return body.Length > 200 ? body[..200] : body.TrimEnd();
    }

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
