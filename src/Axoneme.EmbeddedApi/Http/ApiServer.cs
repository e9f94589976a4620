// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Axoneme.EmbeddedApi.Objects;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Axoneme.EmbeddedApi.Http;

/// <summary>HTTPS in front of the machinery: listeners, certificates, who asks, and errors as Status objects.</summary>
internal sealed class ApiServer : IAsyncDisposable
{
    /// <summary>Watches end at once; other requests get this long to finish.</summary>
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(2);

    // The process belongs to the caller: no signal handlers, no start-up messages.
    private sealed class CallerLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private static readonly string[] AlwaysNamed =
    [
        "localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
    ];

    private readonly EmbeddedApiOptions _options;
    private readonly CertificateAuthority _authority;
    private readonly RequestRouter _router;
    private readonly CancellationTokenSource _stopping = new();
    private WebApplication? _app;
    private X509Certificate2? _serving;

    public ApiServer(ApiMachinery machinery, EmbeddedApiOptions options, CertificateAuthority authority)
    {
        _options = options;
        _authority = authority;
        _router = new RequestRouter(machinery, options, _stopping.Token);
    }

    public IReadOnlyList<Uri> Addresses
        => [.. (_app?.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()?.Addresses ?? [])
            .Where(a => Uri.TryCreate(a, UriKind.Absolute, out _)).Select(a => new Uri(a))];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var names = AlwaysNamed.Concat(_options.ServerNames)
            .Concat(_options.AdvertisedEndPoints.Select(e => e.Address.ToString()))
            .Concat(_options.ServiceCidrs.Select(c => c.Address.Add(1).ToString()))
            .Concat(_options.Listeners.Select(l => l.EndPoint?.Address.ToString()).OfType<string>().Where(a => a is not ("0.0.0.0" or "::")));
        _serving = _authority.IssueServing(names, _options.Clock.GetUtcNow());
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton<IHostLifetime, CallerLifetime>();
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = StopTimeout);
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(Configure);
        _app = builder.Build();
        _app.Run(HandleAsync);
        await _app.StartAsync(cancellationToken).ConfigureAwait(false);
    }

    public async Task StopAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        if (_app is not null)
            await _app.StopAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        if (_app is not null)
            await _app.DisposeAsync().ConfigureAwait(false);
        _serving?.Dispose();
        _stopping.Dispose();
    }

    private void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = _options.MaxRequestBytes;
        // A lab has as many watches per client as the client has kinds; the default of 100 is too near.
        kestrel.Limits.Http2.MaxStreamsPerConnection = 500;
        kestrel.Limits.MinResponseDataRate = null;
        foreach (ApiListener listener in _options.Listeners)
        {
            if (listener.SocketHandle is { } handle)
                kestrel.ListenHandle((ulong)handle, ConfigureListener);
            else
                kestrel.Listen(listener.EndPoint!, ConfigureListener);
        }
    }

    private void ConfigureListener(ListenOptions listener)
    {
        listener.Protocols = HttpProtocols.Http1AndHttp2;
        listener.UseHttps(new HttpsConnectionAdapterOptions
        {
            ServerCertificate = _serving,
            ServerCertificateChain = [_authority.Certificate],
            SslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ClientCertificateMode = ClientCertificateMode.AllowCertificate,
            // A certificate that is not ours makes the client anonymous; the request then says 401 in a readable way.
            ClientCertificateValidation = (_, _, _) => true,
        });
    }

    private async Task HandleAsync(HttpContext context)
    {
        try
        {
            await _router.HandleAsync(context, Identify(context)).ConfigureAwait(false);
        }
        catch (ApiException e)
        {
            await AnswerAsync(context, e).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException && context.RequestAborted.IsCancellationRequested)
        {
            // The client went away.
        }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException e)
        {
            await AnswerAsync(context, e.StatusCode == 413 ? ApiErrors.TooLarge() : ApiErrors.BadRequest(e.Message)).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            _options.Log?.Invoke($"{context.Request.Method} {context.Request.Path}: {e}");
            await AnswerAsync(context, new ApiException(500, "InternalError", $"Internal error occurred: {e.Message}", null)).ConfigureAwait(false);
        }
    }

    private static async Task AnswerAsync(HttpContext context, ApiException error)
    {
        if (context.Response.HasStarted)
        {
            context.Abort();
            return;
        }
        context.Response.StatusCode = error.Code;
        await Responses.JsonAsync(context, error.ToStatus(), error.Code).ConfigureAwait(false);
    }

    /// <returns>null: nobody that is known, and no claim to be. A wrong claim is refused.</returns>
    private ApiUser? Identify(HttpContext context)
    {
        string header = context.Request.Headers.Authorization.ToString();
        if (header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return _router.Tokens.Find(header[7..].Trim()) ?? throw ApiErrors.Unauthorized();
        if (header.Length > 0)
            throw ApiErrors.Unauthorized();
        if (context.Connection.ClientCertificate is not { } certificate)
            return null;
        ApiUser user = _authority.Identify(certificate) ?? throw ApiErrors.Unauthorized();
        return user with { Groups = [.. user.Groups, "system:authenticated"] };
    }
}
