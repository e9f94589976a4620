// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Api;

/// <summary>
/// The agent's REST interface on a unix socket for programs of this node, and its health alone on loopback for the kubelet.
/// </summary>
internal sealed class ApiServer : IAsyncDisposable
{
    // Every request is a question; the bodies that some clients send along are short or empty.
    internal const int MaximalBodyBytes = 64 << 10;

    // More than tools and probes of a node open together; beyond it nobody gets memory for a new connection.
    private const int MaximalConnections = 256;

    private static readonly TimeSpan HeadTimeout = TimeSpan.FromSeconds(10);

    private readonly WebApplication _application;

    private ApiServer(WebApplication application, string socketPath)
    {
        _application = application;
        SocketPath = socketPath;
    }

    public string SocketPath { get; }

    /// <summary>Where health is served, with real ports.</summary>
    public IReadOnlyList<Uri> HealthAddresses =>
    [
        .. _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses
            .Where(address => !address.StartsWith("http://unix:", StringComparison.Ordinal))
            .Select(address => new Uri(address)),
    ];

    /// <exception cref="IOException">The health port is in use, or the socket's path is not ours to replace.</exception>
    public static async Task<ApiServer> StartAsync(ApiSources sources, ILoggerFactory loggers, CancellationToken cancellation)
    {
        Directory.CreateDirectory(sources.Options.StateDirectory);
        string socketPath = Path.Combine(sources.Options.StateDirectory, "cilium.sock");
        // Left by a run that was killed: a socket that nobody listens on cannot be bound again.
        File.Delete(socketPath);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaximalBodyBytes;
            kestrel.Limits.MaxConcurrentConnections = MaximalConnections;
            kestrel.Limits.RequestHeadersTimeout = HeadTimeout;
            kestrel.ListenUnixSocket(socketPath, listen => listen.Protocols = HttpProtocols.Http1);
            foreach (IPAddress address in Loopbacks())
                kestrel.Listen(address, sources.Options.HealthPort, listen => listen.Protocols = HttpProtocols.Http1);
        });
        WebApplication application = builder.Build();
        var routes = new ApiRoutes(sources, loggers.CreateLogger<ApiServer>());
        var health = new HealthProbe(routes.Status);
        // Default deny: whatever has an IP address gets the probe's answer and nothing else.
        application.Run(context => context.Connection.LocalIpAddress is null ? routes.HandleAsync(context) : health.HandleAsync(context));
        try
        {
            await application.StartAsync(cancellation);
            File.SetUnixFileMode(
                socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite);
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }

        return new ApiServer(application, socketPath);
    }

    public async ValueTask DisposeAsync()
    {
        using var hurry = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _application.StopAsync(hurry.Token);
        await _application.DisposeAsync();
        File.Delete(SocketPath);
    }

    // IPv6 may be built in and yet switched off on loopback; only an attempt tells.
    private static IEnumerable<IPAddress> Loopbacks()
    {
        yield return IPAddress.Loopback;
        if (!Socket.OSSupportsIPv6)
            yield break;
        bool isUsable;
        using (var trial = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp))
        {
            try
            {
                trial.Bind(new IPEndPoint(IPAddress.IPv6Loopback, 0));
                isUsable = true;
            }
            catch (SocketException)
            {
                isUsable = false;
            }
        }

        if (isUsable)
            yield return IPAddress.IPv6Loopback;
    }
}
