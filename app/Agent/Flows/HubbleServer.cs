// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Nodes;
using Axoneme.Datapath;
using Axoneme.Grpc;
using Axoneme.Hubble;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Flows;

/// <summary>Kernel events into the ring of flows, and the ring to Hubble clients on the unix socket and on TCP.</summary>
internal sealed class HubbleServer(
    AgentOptions options, LocalNode node, HubbleObserver observer, RemoteNodes nodes, EventSource events, Task whenExplained,
    ILoggerFactory loggers)
{
    private const int DefaultPort = 4244;
    private static readonly TimeSpan LossInterval = TimeSpan.FromSeconds(1);

    // The kernel wakes a reader only at the first event after it has caught up. A reader that rests a little before it looks again is
    // woken once for a batch instead of once for each event, which is processor time that the pods' connections would pay.
    private static readonly TimeSpan BatchTime = TimeSpan.FromMilliseconds(5);

    // After a start the kernel's events wait in their rings until the rules behind them are known; but not for an API server that is away,
    // as the rings would overflow.
    private static readonly TimeSpan ExplanationPatience = TimeSpan.FromSeconds(10);

    // Nobody waits longer for the agent to end.
    private static readonly TimeSpan IdleTime = TimeSpan.FromMilliseconds(500);

    private readonly ILogger<HubbleServer> _log = loggers.CreateLogger<HubbleServer>();
    private readonly PeerDirectory _peers = new();

    /// <summary>Decodes events until cancelled, on a thread of its own.</summary>
    public async Task ConsumeAsync(CancellationToken cancellation)
    {
        await whenExplained.WaitAsync(ExplanationPatience, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Task.Factory.StartNew(() => Consume(cancellation), cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>Tells clients of events that found no room in the kernel's buffers.</summary>
    public async Task ReportLossesAsync(CancellationToken cancellation)
    {
        ulong reported = 0;
        using var timer = new PeriodicTimer(LossInterval);
        while (await timer.WaitForNextTickAsync(cancellation))
        {
            ulong lost = events.Lost;
            if (lost > reported)
                observer.ReportLost(lost - reported, cpu: 0);
            reported = lost;
        }
    }

    public Task FollowPeersAsync(CancellationToken cancellation) => nodes.Table.FollowAsync(_ => PublishPeers(), _log, cancellation);

    public async Task ServeAsync(CancellationToken cancellation)
    {
        PublishPeers();
        var server = new GrpcServerBuilder { Logger = _log };
        observer.AddTo(server);
        _peers.AddTo(server);
        var health = new HealthService();
        health.Set(HubbleObserver.HealthName, isServing: true);
        health.AddTo(server);
        await using GrpcHost host = await GrpcHost.StartAsync(server.Build(), [.. Listeners()], loggers, cancellation);
        File.SetUnixFileMode(options.HubbleSocketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite);
        await Task.Delay(Timeout.Infinite, cancellation);
    }

    private void Consume(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            if (events.Poll(Ingest, IdleTime) > 0)
                cancellation.WaitHandle.WaitOne(BatchTime);
        }
    }

    private void Ingest(int ring, ReadOnlySpan<byte> sample)
    {
        if (KernelEvent.TryRead(sample, out KernelEvent kernel))
            observer.Ingest(kernel);
    }

    private void PublishPeers()
    {
        int port = TryParseListener(out IPEndPoint? own) ? own!.Port : DefaultPort;
        List<HubblePeer> peers = [];
        if (node.NodeAddresses.FirstOrDefault() is var address)
            peers.Add(new HubblePeer($"{options.ClusterName}/{node.Name}", address.ToIPAddress(), port));
        foreach (RemoteNode remote in nodes.Table.Snapshot().Values)
        {
            if (remote.AddressFor(isV6: false) is { } remoteAddress)
                peers.Add(new HubblePeer($"{options.ClusterName}/{remote.Name}", remoteAddress.ToIPAddress(), port));
        }

        _peers.Set(peers);
    }

    private IEnumerable<GrpcEndpoint> Listeners()
    {
        File.Delete(options.HubbleSocketPath);
        yield return new GrpcEndpoint(new UnixDomainSocketEndPoint(options.HubbleSocketPath));
        if (!TryParseListener(out IPEndPoint? address))
            yield break;
        if (options.HubbleDisableTls)
            yield return new GrpcEndpoint(address!);
        else if (LoadTls() is { } tls)
            yield return new GrpcEndpoint(address!, tls);
    }

    private bool TryParseListener(out IPEndPoint? address)
    {
        address = null;
        string? text = options.HubbleListenAddress;
        if (string.IsNullOrEmpty(text))
            return false;
        // ":4244" means every address, both families.
        if (text.StartsWith(':') && ushort.TryParse(text.AsSpan(1), out ushort port))
            address = new IPEndPoint(IPAddress.IPv6Any, port);
        else if (!IPEndPoint.TryParse(text, out address))
            _log.LogError("hubble-listen-address: '{Text}' is not ADDRESS:PORT; Hubble is not served on TCP", text);
        return address is not null;
    }

    private GrpcServerTls? LoadTls()
    {
        if (options.HubbleTlsCertFile is null || options.HubbleTlsKeyFile is null || options.HubbleTlsClientCaFiles.IsEmpty)
        {
            _log.LogWarning("Hubble is not served on {Address}: TLS is on, and hubble-tls-cert-file, hubble-tls-key-file and hubble-tls-client-ca-files are not all set", options.HubbleListenAddress);
            return null;
        }

        try
        {
            var authorities = new X509Certificate2Collection();
            foreach (string file in options.HubbleTlsClientCaFiles)
                authorities.ImportFromPemFile(file);
            return new GrpcServerTls(X509Certificate2.CreateFromPemFile(options.HubbleTlsCertFile, options.HubbleTlsKeyFile), authorities);
        }
        catch (Exception e) when (e is IOException or System.Security.Cryptography.CryptographicException)
        {
            _log.LogError("Hubble is not served on {Address}: {Reason}", options.HubbleListenAddress, e.Message);
            return null;
        }
    }
}
