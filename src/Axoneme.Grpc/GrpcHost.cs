// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Axoneme.Grpc;

/// <summary>Certificates of a listener. With client authorities, a client certificate that chains to one of them is required.</summary>
public sealed record GrpcServerTls(X509Certificate2 Certificate, X509Certificate2Collection? ClientAuthorities = null)
{
    /// <summary>Sets TLS 1.3 with this certificate on a Kestrel endpoint.</summary>
    public void Apply(HttpsConnectionAdapterOptions https)
    {
        https.SslProtocols = SslProtocols.Tls13;
        https.ServerCertificate = Certificate;
        if (ClientAuthorities is not { } authorities)
            return;
        https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
        https.ClientCertificateValidation = (certificate, _, _) => ChainsTo(certificate, authorities);
    }

    internal static bool ChainsTo(X509Certificate2 certificate, X509Certificate2Collection authorities)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(certificate);
    }
}

/// <summary>A Kestrel server with nothing but gRPC on it, on unix sockets and TCP addresses.</summary>
public sealed class GrpcHost : IAsyncDisposable
{
    private readonly WebApplication _application;

    private GrpcHost(WebApplication application) => _application = application;

    /// <summary>Addresses that were bound, with real ports where 0 was asked for.</summary>
    public IReadOnlyCollection<string> Addresses
        => [.. _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses];

    /// <summary>Listens on <paramref name="endpoints"/>; a unix endpoint is a <see cref="System.Net.Sockets.UnixDomainSocketEndPoint"/>.</summary>
    /// <exception cref="IOException">An address is in use.</exception>
    public static async Task<GrpcHost> StartAsync(
        GrpcServer server, IReadOnlyList<GrpcEndpoint> endpoints, ILoggerFactory? loggers = null, CancellationToken cancellation = default)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        if (loggers is not null)
            builder.Services.AddSingleton(loggers);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            ConfigureForGrpc(kestrel);
            foreach (GrpcEndpoint endpoint in endpoints)
                kestrel.Listen(endpoint.Address, listen => endpoint.Apply(listen));
        });
        if (endpoints.Any(e => e.Tls is not null))
            builder.WebHost.UseKestrelHttpsConfiguration();
        WebApplication application = builder.Build();
        application.Run(server.HandleAsync);
        try
        {
            await application.StartAsync(cancellation).ConfigureAwait(false);
        }
        catch
        {
            await application.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        return new GrpcHost(application);
    }

    /// <summary>Server-wide limits that long-lived streams need.</summary>
    public static void ConfigureForGrpc(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;
        // A peer that vanished without closing is noticed, and its stream's buffers are freed.
        kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
        kestrel.Limits.Http2.KeepAlivePingTimeout = TimeSpan.FromSeconds(20);
    }

    public async ValueTask DisposeAsync()
    {
        using var hurry = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _application.StopAsync(hurry.Token).ConfigureAwait(false);
        await _application.DisposeAsync().ConfigureAwait(false);
    }
}

/// <summary>Where to listen, and whether with TLS.</summary>
public sealed record GrpcEndpoint(EndPoint Address, GrpcServerTls? Tls = null)
{
    /// <summary>Makes a Kestrel endpoint speak HTTP/2 only: with prior knowledge, or over TLS.</summary>
    public void Apply(ListenOptions listen)
    {
        listen.Protocols = HttpProtocols.Http2;
        if (Tls is not null)
            listen.UseHttps(Tls.Apply);
    }
}
