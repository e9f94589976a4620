// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Tests;

/// <summary>A running API on a free port of the loopback device, and a client that trusts it.</summary>
public sealed class TestApi : IAsyncDisposable
{
    public const string Token = "test-token";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private TestApi(EmbeddedApiHost host)
    {
        Host = host;
        Http = Client(Token);
    }

    public EmbeddedApiHost Host { get; }

    public HttpClient Http { get; }

    public ObjectClient Objects => Host.Objects;

    public static async Task<TestApi> StartAsync(Func<EmbeddedApiOptions, EmbeddedApiOptions>? configure = null)
    {
        var options = new EmbeddedApiOptions
        {
            Listeners = [ApiListener.On(new IPEndPoint(IPAddress.Loopback, 0))],
            Tokens = new Dictionary<string, ApiUser> { [Token] = new("tester", "system:masters") },
        };
        var host = new EmbeddedApiHost(configure?.Invoke(options) ?? options);
        await host.StartAsync();
        return new TestApi(host);
    }

    public HttpClient Client(string? token, X509Certificate2? certificate = null)
    {
        X509Certificate2 ca = X509Certificate2.CreateFromPem(Host.CaCertificatePem);
        var handler = new SocketsHttpHandler();
        handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            CustomTrustStore = { ca },
            RevocationMode = X509RevocationMode.NoCheck,
        };
        if (certificate is not null)
            handler.SslOptions.ClientCertificates = [certificate];
        var client = new HttpClient(handler) { BaseAddress = Host.Addresses[0], DefaultRequestVersion = HttpVersion.Version20 };
        if (token is not null)
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return client;
    }

    public async Task<(int Code, JsonNode Body)> SendAsync(
        string method, string path, string? body = null, string contentType = "application/json", string? accept = null)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (body is not null)
            request.Content = new StringContent(body, Encoding.UTF8, contentType);
        if (accept is not null)
            request.Headers.TryAddWithoutValidation("Accept", accept);
        using HttpResponseMessage response = await Http.SendAsync(request);
        return ((int)response.StatusCode, JsonNode.Parse(await response.Content.ReadAsStringAsync())!);
    }

    /// <summary>Polls for what controllers do in their own time.</summary>
    public static async Task<T> EventuallyAsync<T>(Func<T?> probe, string what) where T : class
    {
        DateTime end = DateTime.UtcNow + Patience;
        while (DateTime.UtcNow < end)
        {
            if (probe() is { } value)
                return value;
            await Task.Delay(20);
        }
        throw new TimeoutException($"{what} did not come about.");
    }

    public static string Pod(string name, string extra = "") => $$$"""
        {"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{name}}}","labels":{"app":"{{{name}}}"}{{{extra}}}},
         "spec":{"containers":[{"name":"c","image":"echo","ports":[{"name":"http","containerPort":8080}]}]}}
        """;

    public static string ConfigMap(string name, string value = "1")
        => $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{name}}}"},"data":{"k":"{{{value}}}"}}""";

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await Host.DisposeAsync();
    }
}
