// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Api;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Health;
using Axoneme.Agent.Metrics;
using Axoneme.Agent.Nodes;
using Axoneme.Agent.Services;
using Axoneme.Agent.Sockets;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent;

/// <summary>Everything about services that needs the kernel: the maps, the sockets that go on with them, and the ports that tell of them.</summary>
internal sealed class NodeServices(ApiSources sources, NodeDatapath datapath, ILoggerFactory loggers) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly HealthCheckPorts _healthPorts = new(loggers.CreateLogger<HealthCheckPorts>());
    private Reconciler<ServiceMapKey, ServiceMapEntry>? _maps;

    public ServiceTarget Target { get; } = new(datapath.Maps, MaglevFilling.For(sources.Options.Services));

    /// <summary>Removes what connections and translations leave behind; set by <see cref="Start"/>.</summary>
    public ConntrackCollector? Collector { get; private set; }

    /// <summary>Which destinations hold most source ports; set by <see cref="Start"/>.</summary>
    public NatStatistics? Nat { get; private set; }

    /// <summary>Set by <see cref="Start"/>.</summary>
    public SocketTermination? Sockets { get; private set; }

    /// <summary>
    /// Completes when the kernel has the services that the API told of at first: an agent that ends before leaves backends that are gone. One that
    /// cannot be written does not hold it up for longer than <see cref="Patience"/>.
    /// </summary>
    public async Task WhenWrittenAsync(CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(Patience);
        try
        {
            Table<ServiceMapKey, ServiceMapEntry> services = sources.Control.Services.Maps;
            await services.WhenInitializedAsync(patience.Token);
            TableSnapshot<ServiceMapKey, ServiceMapEntry> rows = services.Snapshot();
            await Task.WhenAll(rows.Keys.Select(key => _maps!.WaitAsync(key, rows.RevisionOf(key), patience.Token)));
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // Their reconciler reports what is stuck.
        }
    }

    private AgentOptions Options => sources.Options;

    public void Start(
        Reconciliation reconciliation, LocalNode node, EndpointTables endpoints, EndpointNamespaces namespaces, CancellationToken cancellation)
    {
        ServiceController services = sources.Control.Services;
        Modules modules = sources.Modules;
        var addresses = new NodeAddressFollower(Options, node, services, loggers.CreateLogger<NodeAddressFollower>());
        modules.Start("node-addresses", addresses.RunAsync, cancellation);

        var removed = new RemovedBackends(new TimedServiceTarget(Target, services.Frontends, sources.Metrics.Services));
        _maps = reconciliation.Start(services.Maps, removed, cancellation);
        reconciliation.Start(services.Exemptions.Table, new SkippedTranslationTarget(datapath.Maps), cancellation);
        var pods = new ExemptPods(endpoints.Endpoints, services.Exemptions, loggers.CreateLogger<ExemptPods>());
        modules.Start("redirect-exemptions", pods.RunAsync, cancellation);

        MapOptions upkeep = Options.Maps;
        var collection = new CollectorOptions { Interval = upkeep.ConntrackGcInterval, OnPass = sources.Metrics.Collector.NotePass };
        if (upkeep.ConntrackGcMaxInterval is { } longest)
            collection = collection with { LongestInterval = longest };
        Collector = new ConntrackCollector(datapath.Maps, TimeProvider.System, collection, Target);
        modules.Start("conntrack-collector", Collector.RunAsync, cancellation);
        StartNatStatistics(cancellation);
        if (Options.Masquerade.IpMasqAgent)
        {
            var exceptions = new MasqueradeExceptions(Options.Masquerade.IpMasqAgentConfig, TimeProvider.System, modules);
            reconciliation.Start(exceptions.Table, new MasqueradeExceptionTarget(datapath.Maps), cancellation);
            modules.Start(MasqueradeExceptions.ModuleName, exceptions.RunAsync, cancellation);
        }

        Sockets = new SocketTermination(
            removed, new TranslatedSockets(datapath.Maps), endpoints, namespaces, Options.Services, modules, loggers.CreateLogger<SocketTermination>());
        if (Options.Services.SocketTranslation)
            modules.Start(SocketTermination.ModuleName, Sockets.RunAsync, cancellation);
        if (Options.Services is { ReplaceKubeProxy: true, HealthCheckNodePort: true })
        {
            var follower = new HealthCheckFollower(services.Frontends, _healthPorts, Options.NodeName, modules);
            modules.Start(HealthCheckFollower.ModuleName, follower.RunAsync, cancellation);
        }
    }

    private void StartNatStatistics(CancellationToken cancellation)
    {
        (ushort first, ushort last) = datapath.Options.Services.NatPorts;
        Nat = new NatStatistics(new NatCensus(datapath.Maps), last - first + 1, Options.Maps);
        sources.Control.Catalog.Add(Nat.Table);
        sources.Modules.Start(NatStatistics.ModuleName, Nat.RunAsync, cancellation);
    }

    public void Dispose() => _healthPorts.Dispose();
}
