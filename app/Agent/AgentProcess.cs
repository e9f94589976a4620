// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Api;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Cni;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Dns;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Flows;
using Axoneme.Agent.Health;
using Axoneme.Agent.HostPolicy;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Metrics;
using Axoneme.Agent.Nodes;
using Axoneme.Agent.Policies;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Hubble;
using Axoneme.Ipam;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;
using EventSource = Axoneme.Datapath.EventSource;

namespace Axoneme.Agent;

/// <summary>
/// The order in which the agent starts. A restart, an upgrade and a start after <c>kill -9</c> are the same: what the kernel and
/// the disk hold is taken over first, the API is asked then, and nothing is removed before the desired state is complete.
/// </summary>
internal sealed class AgentProcess(
    AgentOptions options, IReadOnlyList<string> configWarnings, IReadOnlyList<ConfigOverride> overrides, ILoggerFactory loggers)
{
    private static readonly TimeSpan StartRetryDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan DeviceCheckInterval = TimeSpan.FromSeconds(30);

    private readonly ILogger<AgentProcess> _log = loggers.CreateLogger<AgentProcess>();
    private readonly Modules _modules = new(TimeProvider.System, loggers.CreateLogger<Modules>());
    private volatile string? _notReady = "the agent is starting";

    public async Task RunAsync(CancellationToken cancellation)
    {
        Directory.CreateDirectory(options.StateDirectory);
        using var control = new ControlPlane(options, Connect(options), loggers);
        var discovery = new LocalNodeDiscovery(control.Cluster, options, loggers.CreateLogger<LocalNodeDiscovery>());
        control.Catalog.Add(OverrideTable());
        var sources = new ApiSources(options, configWarnings, control, _modules) { NotReadyReason = () => discovery.Waiting ?? _notReady };
        await using ApiServer api = await ApiServer.StartAsync(sources, loggers, cancellation);

        _modules.Start("api-watches", control.Cluster.RunAsync, cancellation);
        _modules.Start("node-listeners", control.Listeners.RunAsync, cancellation);
        _modules.Start(
            "service-metrics", cancel => sources.Metrics.Services.RunAsync(control.Cluster, _log, cancel), cancellation);
        if (options.PrometheusAddress is { } prometheus)
        {
            _modules.Start(
                "prometheus", cancel => sources.Metrics.ServeAsync(prometheus, loggers.CreateLogger<AgentMetrics>(), cancel), cancellation);
        }

        if (options.Services.KubeProxyHealthz is { } healthz)
            _modules.Start("kube-proxy-healthz", cancel => ServeKubeProxyHealthzAsync(healthz, sources, cancel), cancellation);
        LocalNode node = await discovery.DiscoverAsync(cancellation);
        var host = HostEndpoint.Load(options.StateDirectory);
        using NodeDatapath datapath = await StartDatapathAsync(node, host, cancellation);
        using var events = new EventSource(datapath.Maps);

        var remotePods = new RemotePods(control, node, TimeProvider.System, loggers.CreateLogger<RemotePods>());
        _modules.Start("remote-pods", remotePods.RunAsync, cancellation);
        EndpointParts endpoints = await RestoreEndpointsAsync(control, node, host, datapath);
        using EndpointLifecycle lifecycle = endpoints.Lifecycle;
        control.Ipcache.Set(new IpcacheRecord(IpPrefix.Parse("0.0.0.0/0"), WorldIdentity.Of(isV6: false, options), null, IpcacheSource.World, ""));
        control.Ipcache.Set(new IpcacheRecord(IpPrefix.Parse("::/0"), WorldIdentity.Of(isV6: true, options), null, IpcacheSource.World, ""));
        using var names = new NodeNames(options, control, endpoints.Tables.Endpoints, datapath, loggers);
        names.Restore();
        RestorePrefixIdentities(control, datapath);
        HostFirewall? firewall = await RestoreHostPolicyAsync(control, node, endpoints.Tables, datapath, cancellation);
        control.Policies.RevisionBase = new PolicyTarget(datapath.Maps).LatestRevision();

        control.NodeConditions.Register(PolicyMapForecast.Topic);
        control.Start(_modules, cancellation);
        var reconciliation = new Reconciliation(control.Catalog, _modules, loggers.CreateLogger<Reconciliation>());
        StartReconcilers(reconciliation, control, endpoints, node, datapath, cancellation);
        names.Start(_modules, cancellation);
        using var services = new NodeServices(sources, datapath, loggers);
        services.Start(reconciliation, node, endpoints.Tables, endpoints.Namespaces, cancellation);
        HubbleObserver observer = StartHubble(sources, endpoints, node, events, names, cancellation);
        StartNodeLoops(control, endpoints, node, datapath, cancellation);
        var pressure = new MapPressure(new MapCensus(datapath.Maps), control.Policies.Table, _modules);
        _modules.Start(MapPressure.ModuleName, pressure.RunAsync, cancellation);
        var forecast = new PolicyMapForecast(
            control.Policies, control.Cluster, control.Events, control.NodeConditions, _modules, loggers.CreateLogger<PolicyMapForecast>());
        control.Catalog.Add(forecast.Table);
        _modules.Start(PolicyMapForecast.ModuleName, cancel => forecast.RunAsync(datapath.Maps.PolicyEntries, cancel), cancellation);
        sources.Running = new RunningNode
        {
            Local = node,
            Endpoints = endpoints.Tables,
            Ipam = endpoints.Ipam,
            Datapath = datapath,
            Services = services.Target,
            Sockets = services.Sockets,
            Collector = services.Collector,
            Nat = services.Nat,
            MapPressure = pressure,
            Names = names,
            HostFirewall = firewall,
            Observer = observer,
            Events = events,
            Reconcilers = () => reconciliation.Views,
        };

        await ReleasePoliciesAsync(control, names, host, firewall, cancellation);
        _notReady = "waiting for services to be written";
        await services.WhenWrittenAsync(cancellation);
        _notReady = null;
        if (options.CniConfigFile is { } file)
            CniConfigFile.Write(file, options.Debug);
        _log.LogInformation("Ready: node {Node}, pods {Ranges}", node.Name, string.Join(' ', node.PodRanges));
        await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _modules.WhenStoppedAsync();
        if (firewall is not null)
            await firewall.LeaveAsync(datapath.Maps);
    }

    public static KubernetesClient Connect(AgentOptions options)
    {
        KubernetesConfig config = KubernetesConfig.Load(options.KubeConfigPath);
        if (!options.ApiServerUrls.IsEmpty)
            config = config with { Servers = [.. options.ApiServerUrls.Select(url => new Uri(url))] };
        return new KubernetesClient(config, new KubernetesClientOptions { UserAgent = "cilium-agent", Qps = 50, Burst = 100 });
    }

    /// <summary>Which settings are this node's own, and from which objects.</summary>
    private Table<string, ConfigOverride> OverrideTable()
    {
        var table = new Table<string, ConfigOverride>(
            "config-overrides", o => o.Key, columns: [new("Key", o => o.Key), new("Value", o => o.Value), new("Source", o => o.Source)]);
        foreach (ConfigOverride entry in overrides)
            table.Upsert(entry);
        return table;
    }

    private async Task<NodeDatapath> StartDatapathAsync(LocalNode node, HostEndpoint host, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                DatapathOptions settings = DatapathSettings.For(options with { Devices = Uplinks.Find(options, node) }, node, host);
                NodeDatapath datapath = NodeDatapath.Start(settings);
                _log.LogInformation("Datapath: {Report}", datapath.Report);
                foreach (string repair in datapath.Report.Repaired)
                    _log.LogInformation("Repaired: {What}", repair);
                foreach (string refused in datapath.Report.Refused)
                    _log.LogWarning("Done without: {What}", refused);
                return datapath;
            }
            catch (Exception e) when (e is IOException or InvalidOperationException)
            {
                _notReady = $"the datapath cannot be brought up: {e.Message}";
                _log.LogError(e, "The datapath cannot be brought up");
            }

            await Task.Delay(StartRetryDelay, cancellation);
        }
    }

    private async Task<EndpointParts> RestoreEndpointsAsync(ControlPlane control, LocalNode node, HostEndpoint host, NodeDatapath datapath)
    {
        var tables = new EndpointTables(control.Ipcache) { Host = host };
        control.Catalog.Add(tables.Endpoints);
        control.Catalog.Add(tables.Addresses);
        var ipam = new NodeIpam(node.PodRanges, options.EnableIPv4, options.EnableIPv6);
        foreach (IpAddress router in node.Routers)
            ipam.Reserve(router, "router");

        var pods = new PodDirectory(control.Cluster, options, LabelFilter.Parse(string.Join(' ', options.IdentityLabels)));
        var files = new EndpointStateFile(options.StateDirectory, loggers.CreateLogger<EndpointStateFile>());
        var namespaces = new EndpointNamespaces(datapath.Netlink, options.StateDirectory, options.ProcDirectory);
        var attachment = new NodeAttachment(node, datapath.DeviceMtu, () => _notReady);
        var lifecycle = new EndpointLifecycle(
            new EndpointServices(datapath.Endpoints, tables, files, namespaces, ipam, pods, control.Identities, control.Policies),
            attachment,
            loggers.CreateLogger<EndpointLifecycle>());
        lifecycle.Reserve(host.Id);
        tables.PublishHost(node, options.HostFirewall.Enabled ? Uplinks.Addresses(datapath.Netlink, datapath.Options.Devices) : []);
        var report = new DatapathReport();
        await lifecycle.RestoreAsync(report);
        _log.LogInformation("Endpoints: {Report}", report);
        return new EndpointParts(tables, ipam, lifecycle, attachment, namespaces);
    }

    /// <summary>The numbers of address blocks are this node's own; connections know them.</summary>
    private static void RestorePrefixIdentities(ControlPlane control, NodeDatapath datapath)
    {
        foreach ((IpPrefix prefix, IpcacheEntry entry) in new IpcacheTarget(datapath.Maps).Read())
        {
            if (entry.Identity.IsLocalCidr)
                _ = control.Policies.ChangeAsync(engine => engine.RestorePrefix(prefix, entry.Identity));
        }
    }

    private void StartReconcilers(
        Reconciliation reconciliation,
        ControlPlane control,
        EndpointParts endpoints,
        LocalNode node,
        NodeDatapath datapath,
        CancellationToken cancellation)
    {
        Reconciler<ushort, Datapath.EndpointPolicy> policies = reconciliation.Start(
            control.Policies.Table, new PolicyTarget(datapath.Maps, options.Policies.LockdownOnOverflow, endpoints.Tables.Host!.Id), cancellation);
        control.Policies.WhenInKernelAsync = policies.WaitAsync;
        Reconciler<IpAddress, EndpointMapEntry> addresses =
            reconciliation.Start(endpoints.Tables.Addresses, new EndpointMapTarget(datapath.Maps), cancellation);
        endpoints.Attachment.WhenAddressInKernelAsync = (address, cancel) =>
            addresses.WaitAsync(address, endpoints.Tables.Addresses.Snapshot().RevisionOf(address), cancel);
        Reconciler<IpPrefix, IpcacheEntry> ipcache =
            reconciliation.Start(control.Ipcache.Table, new IpcacheTarget(datapath.Maps), cancellation);
        // The revision of the table, as a prefix that was removed has none of its own.
        control.Policies.WhenAddressInKernelAsync = (prefix, cancel) => ipcache.WaitAsync(prefix, control.Ipcache.Table.Revision, cancel);
        reconciliation.Start(control.RemoteNodes.Routes, new NodeRouteTarget(datapath), cancellation);
        reconciliation.Start(
            endpoints.Tables.Endpoints, new CiliumEndpointTarget(control.Client, control.Cluster, endpoints.Tables, node), cancellation);
    }

    private async Task ServeKubeProxyHealthzAsync(ListenAddress address, ApiSources sources, CancellationToken cancellation)
    {
        var page = new KubeProxyHealthz(sources.NotReadyReason, TimeProvider.System);
        using HttpResponder responder = page.Listen(address, loggers.CreateLogger<HttpResponder>());
        await Task.Delay(Timeout.Infinite, cancellation);
    }

    private HubbleObserver StartHubble(
        ApiSources sources, EndpointParts endpoints, LocalNode node, EventSource events, NodeNames names, CancellationToken cancellation)
    {
        ControlPlane control = sources.Control;
        var enrichment = new FlowEnrichment(
            options,
            control.Cluster,
            endpoints.Tables,
            control.Ipcache,
            control.Identities,
            control.Policies,
            control.Services,
            names.Link.Names,
            loggers.CreateLogger<FlowEnrichment>());
        var observer = new HubbleObserver(
            new HubbleOptions
            {
                ClusterName = options.ClusterName,
                NodeName = options.NodeName,
                Version = AgentVersion.Text,
                Capacity = options.HubbleEventBufferCapacity,
            },
            enrichment,
            TimeProvider.System);
        if (!options.EnableHubble)
            return observer;
        names.Link.OnQuery = record =>
        {
            DnsFlows.Publish(observer, record);
            sources.Metrics.Names.Note(record);
        };
        var hubble = new HubbleServer(options, node, observer, control.RemoteNodes, events, control.Policies.WhenReleased, loggers);
        _modules.Start("flow-names", enrichment.RunAsync, cancellation);
        _modules.Start("flow-events", hubble.ConsumeAsync, cancellation);
        _modules.Start("flow-losses", hubble.ReportLossesAsync, cancellation);
        _modules.Start("hubble-peers", hubble.FollowPeersAsync, cancellation);
        _modules.Start("hubble-server", hubble.ServeAsync, cancellation);
        return observer;
    }

    private void StartNodeLoops(
        ControlPlane control, EndpointParts endpoints, LocalNode node, NodeDatapath datapath, CancellationToken cancellation)
    {
        var publisher = new CiliumNodePublisher(control.Client, control.Cluster, node, loggers.CreateLogger<CiliumNodePublisher>());
        var relabelling = new PodRelabelling(control.Cluster, endpoints.Lifecycle, loggers.CreateLogger<PodRelabelling>());
        var cni = new CniServer(Path.Combine(options.StateDirectory, "cni.sock"), endpoints.Lifecycle, loggers.CreateLogger<CniServer>());
        _modules.Start("node-object", publisher.RunAsync, cancellation);
        _modules.Start("pod-labels", relabelling.RunAsync, cancellation);
        _modules.Start("cni-server", cni.RunAsync, cancellation);
        _modules.Start("pod-ranges", cancel => WatchPodRangesAsync(control, node, cancel), cancellation);
        _modules.Start("device-check", cancel => CheckDevicesAsync(datapath, cancel), cancellation);
    }

    /// <summary>A node that was registered anew may have other pod ranges than the one whose state is on disk.</summary>
    private Task WatchPodRangesAsync(ControlPlane control, LocalNode node, CancellationToken cancellation) => control.Cluster.OwnNode.FollowAsync(
        change =>
        {
            List<IpPrefix> ranges = [.. (change.Value?.Spec.PodCIDRs ?? []).Where(text => IpPrefix.TryParse(text, out _)).Select(IpPrefix.Parse)];
            if (ranges.Count > 0 && !node.PodRanges.All(ranges.Contains))
            {
                throw new InvalidOperationException(
                    $"Node {node.Name} has pod ranges {string.Join(' ', ranges)} in the API and {string.Join(' ', node.PodRanges)} here; drain it, remove {options.StateDirectory}/state and restart the agent");
            }
        },
        _log,
        cancellation);

    private async Task CheckDevicesAsync(NodeDatapath datapath, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(DeviceCheckInterval);
        while (await timer.WaitForNextTickAsync(cancellation))
        {
            foreach (string repair in datapath.Repair().Repaired)
                _log.LogWarning("Repaired: {What}", repair);
        }
    }

    /// <summary>The node's own policy, before objects come in. Null where the host firewall is off.</summary>
    private async Task<HostFirewall?> RestoreHostPolicyAsync(
        ControlPlane control, LocalNode node, EndpointTables tables, NodeDatapath datapath, CancellationToken cancellation)
    {
        HostEndpoint host = tables.Host!;
        HostFirewall? firewall = options.HostFirewall.Enabled ? new HostFirewall(control, options, host, () => Connect(options), loggers) : null;
        if (firewall is not null)
        {
            await firewall.RestoreAsync(datapath.Maps, cancellation);
            var uplinks = new UplinkFollower(datapath.Options.Devices, node, tables, loggers.CreateLogger<UplinkFollower>());
            firewall.Start(_modules, uplinks, cancellation);
        }

        void Relabelled() => firewall?.Relabelled();
        new HostIdentity(options, node, control.ApiServers, labels => host.Relabel(labels, null, control.Policies, Relabelled)).Start();
        _modules.Start(
            "node-labels",
            cancel => control.Cluster.OwnNode.FollowAsync(change => host.Relabel(null, change.Value, control.Policies, Relabelled), _log, cancel),
            cancellation);
        return firewall;
    }

    private async Task ReleasePoliciesAsync(
        ControlPlane control, NodeNames names, HostEndpoint host, HostFirewall? firewall, CancellationToken cancellation)
    {
        _notReady = "waiting for policies and identities from the API";
        await control.PolicyObjects.WhenCompleteAsync(cancellation);
        await control.IdentityFollower.WhenCompleteAsync(cancellation);
        await names.WhenCompleteAsync(cancellation);
        await control.Cluster.OwnNode.WhenInitializedAsync(cancellation);
        // Which policies are for this node depends on its labels.
        Node? resource = control.Cluster.OwnNode.Snapshot().Find(new ResourceName(options.NodeName));
        host.Relabel(null, resource, control.Policies, () => firewall?.Relabelled());
        firewall?.Open();
        await control.Policies.ReleaseAsync();
        await control.Policies.ChangeAsync(engine => engine.ReleaseRestoredPrefixes());
    }

    private sealed record EndpointParts(EndpointTables Tables, NodeIpam Ipam, EndpointLifecycle Lifecycle, NodeAttachment Attachment, EndpointNamespaces Namespaces);
}
