// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes;

/// <summary>
/// A client of one cluster's API. Chooses among its servers, signs requests, keeps to a rate, repeats what may be repeated, and turns refusals
/// into <see cref="KubernetesException"/>. Failures to reach any server are <see cref="HttpRequestException"/>. For any number of threads.
/// </summary>
public sealed class KubernetesClient : IDisposable
{
    private readonly KubernetesConfig _config;
    private readonly ApiServers _servers;
    private readonly RequestRate _rate;
    private readonly HttpMessageInvoker _http;
    private readonly string? _basic;

    public KubernetesClient(KubernetesConfig config, KubernetesClientOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        _config = config;
        Options = options ?? new KubernetesClientOptions();
        _servers = new ApiServers(config.Servers, Options.Time);
        _rate = new RequestRate(Options.Qps, Options.Burst, Options.Time);
        if (config.Basic is { } basic)
            _basic = Convert.ToBase64String(Encoding.UTF8.GetBytes($"{basic.User}:{basic.Password}"));
        _http = new HttpMessageInvoker(new SocketsHttpHandler
        {
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.GZip,
            ConnectTimeout = Options.ConnectTimeout,
            SslOptions = ServerTrust.Options(config),
            EnableMultipleHttp2Connections = true,
            // A server that vanished without a word is noticed after 20 s, also when only watches are open.
            KeepAlivePingDelay = TimeSpan.FromSeconds(10),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(2),
        });
    }

    public KubernetesClientOptions Options { get; }

    /// <summary>Namespace that the configuration names for requests without one.</summary>
    public string DefaultNamespace => _config.Namespace;

    public IReadOnlyList<ApiServerStatus> Servers => _servers.Status;

    /// <summary>Requests about the objects of one kind.</summary>
    public ResourceClient<T> Of<T>(ResourceKind<T> kind)
        where T : Resource
        => new(this, kind);

    public void Dispose() => _http.Dispose();

    /// <summary>
    /// Sends a request and returns the answer's head; the body is read by the caller, who disposes it. For paths that
    /// <see cref="ResourceClient{T}"/> does not know, such as <c>/version</c>.
    /// </summary>
    /// <param name="body">Content with its media type.</param>
    /// <exception cref="KubernetesException">The server refused.</exception>
    /// <exception cref="HttpRequestException">No server could be reached.</exception>
    public async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string pathAndQuery, (ReadOnlyMemory<byte> Bytes, string MediaType)? body, CancellationToken cancellationToken)
    {
        bool isRead = method == HttpMethod.Get;
        for (int attempt = 1; ; attempt++)
        {
            await _rate.WaitAsync(cancellationToken);
            Uri server = _servers.Current;
            try
            {
                HttpResponseMessage response = await SendInTimeAsync(server, method, pathAndQuery, body, cancellationToken);
                _servers.Succeeded(server);
                if (response.IsSuccessStatusCode)
                    return response;
                using (response)
                    throw await ReadErrorAsync($"{method} {pathAndQuery}", response, cancellationToken);
            }
            catch (KubernetesException e) when (attempt < Options.Attempts && MayRepeat(e, isRead))
            {
                if (e.Code is HttpStatusCode.ServiceUnavailable or HttpStatusCode.BadGateway)
                    _servers.Failed(server, e.Message);
                await PauseAsync(attempt, e.RetryAfter, cancellationToken);
            }
            catch (HttpRequestException e) when (!cancellationToken.IsCancellationRequested)
            {
                _servers.Failed(server, e.Message);
                if (attempt >= Options.Attempts || !(isRead || WasNotSent(e)))
                    throw new HttpRequestException(e.HttpRequestError, $"{method} {server.GetLeftPart(UriPartial.Authority)}{pathAndQuery}: {e.Message}", e);
                // Another server is asked at once; only when all have failed is there something to wait for.
                if (attempt >= _servers.Count)
                    await PauseAsync(attempt, null, cancellationToken);
            }
        }
    }

    // The time-out covers everything up to the head of the answer; who reads the body watches over that.
    private async Task<HttpResponseMessage> SendInTimeAsync(
        Uri server, HttpMethod method, string pathAndQuery, (ReadOnlyMemory<byte> Bytes, string MediaType)? body, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(Options.RequestTimeout, Options.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            return await SendOnceAsync(server, method, pathAndQuery, body, either.Token);
        }
        catch (OperationCanceledException e) when (late.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new HttpRequestException(
                HttpRequestError.Unknown, $"no answer within {Options.RequestTimeout.TotalSeconds} s", e);
        }
    }

    private async Task<HttpResponseMessage> SendOnceAsync(
        Uri server, HttpMethod method, string pathAndQuery, (ReadOnlyMemory<byte> Bytes, string MediaType)? body, CancellationToken cancellationToken)
    {
        for (bool second = false; ; second = true)
        {
            using HttpRequestMessage request = new(method, new Uri(server, server.AbsolutePath.TrimEnd('/') + pathAndQuery));
            if (server.Scheme == Uri.UriSchemeHttps)
            {
                request.Version = HttpVersion.Version20;
                request.VersionPolicy = HttpVersionPolicy.RequestVersionOrLower;
            }

            request.Headers.TryAddWithoutValidation("User-Agent", Options.UserAgent);
            request.Headers.TryAddWithoutValidation("Accept", "application/json");
            if (body is { } content)
            {
                request.Content = new ReadOnlyMemoryContent(content.Bytes);
                request.Content.Headers.ContentType = new MediaTypeHeaderValue(content.MediaType);
            }

            if (_config.Token is { } source)
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", await source.GetTokenAsync(cancellationToken));
            else if (_basic is not null)
                request.Headers.Authorization = new AuthenticationHeaderValue("Basic", _basic);

            HttpResponseMessage response = await _http.SendAsync(request, cancellationToken);
            if (response.StatusCode != HttpStatusCode.Unauthorized || _config.Token is null || second)
                return response;

            // The token may have been rotated since we read it: once more with a fresh one.
            response.Dispose();
            _config.Token.Invalidate();
        }
    }

    // The server says itself that it did not do it (429, and 503 for reads): any request. What may have been done: only reads.
    private static bool MayRepeat(KubernetesException e, bool isRead) => e.Code switch
    {
        HttpStatusCode.TooManyRequests => true,
        HttpStatusCode.ServiceUnavailable or HttpStatusCode.BadGateway or HttpStatusCode.GatewayTimeout or HttpStatusCode.InternalServerError => isRead,
        _ => false,
    };

    private static bool WasNotSent(HttpRequestException e)
        => e.HttpRequestError is HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError;

    internal Task PauseAsync(int failures, TimeSpan? atLeast, CancellationToken cancellationToken)
    {
        TimeSpan delay = Backoff(failures, TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(10));
        if (atLeast is { } minimum && minimum > delay)
            delay = minimum;
        return Task.Delay(delay, Options.Time, cancellationToken);
    }

    /// <summary>Doubles with each failure up to the maximum, spread over half to one and a half of that, so that clients do not move in step.</summary>
    internal TimeSpan Backoff(int failures, TimeSpan minimum, TimeSpan maximum)
    {
        double factor = Math.Pow(2, Math.Clamp(failures - 1, 0, 30));
        TimeSpan delay = minimum * factor < maximum ? minimum * factor : maximum;
        return delay * (0.5 + Options.Random.NextDouble());
    }

    private static async Task<KubernetesException> ReadErrorAsync(string operation, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        const int MaximumErrorBytes = 64 * 1024;
        Status? status = null;
        using (var content = await BodyReader.ReadAllAsync(response, MaximumErrorBytes, cancellationToken))
        {
            try
            {
                status = JsonSerializer.Deserialize(content.Span, KubernetesJson.Default.Status);
            }
            catch (JsonException)
            {
                // Proxies and load balancers answer in their own words.
                string text = Encoding.UTF8.GetString(content.Span[..Math.Min(content.Span.Length, 512)]).Trim();
                status = new Status { Message = text, Code = (int)response.StatusCode };
            }
        }

        TimeSpan? retryAfter = response.Headers.RetryAfter?.Delta
            ?? (status?.Details?.RetryAfterSeconds is { } seconds ? TimeSpan.FromSeconds(seconds) : null);
        return new KubernetesException(operation, response.StatusCode, status, retryAfter);
    }
}
