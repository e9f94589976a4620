// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Services;
using Axoneme.Agent.Sockets;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

/// <summary>From tables of API objects to the rows of the maps.</summary>
public sealed class ServiceControllerTests : IAsyncLifetime
{
    private static readonly IpAddress Node = IpAddress.Parse("172.30.0.11");
    private readonly KubernetesClient _client = new(new KubernetesConfig { Servers = [new Uri("http://127.0.0.1:1")] }, new KubernetesClientOptions());
    private readonly CancellationTokenSource _stop = new();
    private readonly Table<L4Address, NodeListener> _listeners = new("node-listeners", l => l.Address);
    private readonly ClusterState _cluster;
    private readonly ServiceController _services;
    private Task _running = Task.CompletedTask;

    public ServiceControllerTests()
    {
        _listeners.RegisterInitializer("sock-diag");
        var options = new AgentOptions
        {
            NodeName = "one",
            Services = new ServiceOptions { ReplaceKubeProxy = true, Mode = LoadBalancerMode.Hybrid, LocalRedirectPolicies = true },
        };
        _cluster = new ClusterState(_client, options, new TableCatalog(), NullLogger<ClusterState>.Instance);
        _services = new ServiceController(
            _cluster, _listeners, options, new EventRecorder(_client, "test", "one"), NullLogger<ServiceController>.Instance);
    }

    public ValueTask InitializeAsync()
    {
        _running = _services.RunAsync(_stop.Token);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ContinueWith(_ => { }, TaskScheduler.Default);
        _client.Dispose();
        _stop.Dispose();
    }

    private static Service Web => new()
    {
        Metadata = new ObjectMeta { Namespace = "shop", Name = "web", CreationTimestamp = DateTimeOffset.UnixEpoch },
        Spec = new ServiceSpec
        {
            Type = "LoadBalancer",
            ClusterIP = "10.96.0.1",
            ClusterIPs = ["10.96.0.1"],
            ExternalTrafficPolicy = "Local",
            SessionAffinity = "ClientIP",
            LoadBalancerSourceRanges = ["192.0.2.0/24"],
            Ports = [new ServicePort { Port = 80, Protocol = "TCP", NodePort = 30080 }],
        },
        Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "203.0.113.1" }] } },
    };

    private static EndpointSlice Slice(params IEnumerable<(string Address, string Node, bool Ready)> endpoints) => new()
    {
        Metadata = new ObjectMeta
        {
            Namespace = "shop",
            Name = "web-1",
            Labels = new Dictionary<string, string> { ["kubernetes.io/service-name"] = "web" },
        },
        AddressType = "IPv4",
        Ports = [new SlicePort { Port = 8080, Protocol = "TCP" }],
        Endpoints =
        [
            .. endpoints.Select(e => new SliceEndpoint
            {
                Addresses = [e.Address],
                NodeName = e.Node,
                Conditions = new SliceEndpointConditions { Ready = e.Ready, Serving = true, Terminating = !e.Ready },
            }),
        ],
    };

    private void CompleteEverything()
    {
        foreach (string kind in new[] { "services", "endpointslices", "pods", "ciliumlocalredirectpolicies", "nodes", "ciliumnodes" })
            Complete(kind);
        _listeners.MarkInitialized("sock-diag");
        _services.SetNodeAddresses([Node], [Node]);
    }

    private void Complete(string kind)
    {
        string source = "kubernetes/k8s-" + kind;
        switch (kind)
        {
            case "services": _cluster.Services.MarkInitialized(source); break;
            case "endpointslices": _cluster.EndpointSlices.MarkInitialized(source); break;
            case "pods": _cluster.Pods.MarkInitialized(source); break;
            case "nodes": _cluster.OwnNode.MarkInitialized(source); break;
            case "ciliumnodes": _cluster.CiliumNodes.MarkInitialized(source); break;
            default: _cluster.CiliumLocalRedirectPolicies.MarkInitialized(source); break;
        }
    }

    private async Task<TableSnapshot<ServiceMapKey, ServiceMapEntry>> RowsAsync(Predicate<TableSnapshot<ServiceMapKey, ServiceMapEntry>> expected)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        using ChangeStream<ServiceMapKey, ServiceMapEntry> stream = _services.Maps.Watch();
        while (true)
        {
            ChangeBatch<ServiceMapKey, ServiceMapEntry> batch = await stream.NextAsync(limit.Token);
            if (batch.IsInitialized && expected(batch.Snapshot))
                return batch.Snapshot;
        }
    }

    private static ServiceMapKey Key(string address, ushort port, LbScope scope = LbScope.External)
        => new(new L4Address(IpAddress.Parse(address), port, L4Protocol.Tcp), scope);

    private static string Backends(ServiceMapEntry? row)
        => row is null ? "none" : $"{row.UsableCount} of {string.Join(' ', row.Backends.Select(b => $"{b.Address.Address}:{b.State}"))}";

    [Fact]
    public async Task Rows_say_of_each_frontend_what_its_type_and_policies_mean()
    {
        _cluster.Services.Upsert(Web);
        _cluster.EndpointSlices.Upsert(Slice(("10.0.0.1", "one", true), ("10.0.0.2", "two", true), ("10.0.0.3", "one", false)));
        CompleteEverything();
        TableSnapshot<ServiceMapKey, ServiceMapEntry> rows = await RowsAsync(r => r.Count > 0);

        const LbFlags External = LbFlags.Routable | LbFlags.Affinity | LbFlags.ExternalLocal;
        ServiceMapEntry ingress = rows.Find(Key("203.0.113.1", 80))!;
        Assert.Equal(External | LbFlags.LoadBalancer | LbFlags.SourceRanges, ingress.Flags);
        Assert.Equal(LbFlags2.TwoScopes | LbFlags2.Dsr, ingress.Flags2);
        Assert.Equal("1 of 10.0.0.1:Active 10.0.0.3:Terminating", Backends(ingress));
        Assert.Equal([IpPrefix.Parse("192.0.2.0/24")], ingress.SourceRanges);
        Assert.Equal(10800u, ingress.AffinityTimeoutSeconds);

        ServiceMapEntry inside = rows.Find(Key("203.0.113.1", 80, LbScope.Internal))!;
        Assert.Equal((ingress.Flags, LbFlags2.TwoScopes), (inside.Flags, inside.Flags2));
        Assert.Equal("2 of 10.0.0.1:Active 10.0.0.2:Active 10.0.0.3:Terminating", Backends(inside));

        ServiceMapEntry cluster = rows.Find(Key("10.96.0.1", 80))!;
        Assert.Equal((LbFlags.Affinity, (LbFlags2)0), (cluster.Flags, cluster.Flags2));
        Assert.Null(rows.Find(Key("10.96.0.1", 80, LbScope.Internal)));
        Assert.Equal(External | LbFlags.NodePort, rows.Find(Key("172.30.0.11", 30080))!.Flags);
        // No packet from outside has this destination.
        Assert.Equal((LbFlags2)0, rows.Find(Key("0.0.0.0", 30080))!.Flags2);
        Assert.Equal(Backends(inside), Backends(rows.Find(Key("0.0.0.0", 30080))));
        Assert.Equal(
            ["10.96.0.1", "203.0.113.1"],
            rows.Values.Where(r => r.Key.Frontend.Port == 0).Select(r => r.Key.Frontend.Address.ToString()).Order(StringComparer.Ordinal));
        Assert.Equal(8, rows.Count);
    }

    [Fact]
    public async Task Nothing_is_published_before_every_kind_is_complete()
    {
        _cluster.Services.Upsert(Web);
        foreach (string kind in new[] { "services", "pods", "ciliumlocalredirectpolicies", "nodes", "ciliumnodes" })
            Complete(kind);
        _listeners.MarkInitialized("sock-diag");
        _services.SetNodeAddresses([Node], [Node]);
        Assert.False(_services.Maps.IsInitialized);
        _cluster.EndpointSlices.Upsert(Slice(("10.0.0.1", "one", true)));
        Complete("endpointslices");
        // The first thing to be seen of the service has its backend.
        using ChangeStream<ServiceMapKey, ServiceMapEntry> stream = _services.Maps.Watch();
        while (true)
        {
            ChangeBatch<ServiceMapKey, ServiceMapEntry> batch = await stream.NextAsync(TestContext.Current.CancellationToken);
            if (batch.Snapshot.Find(Key("10.96.0.1", 80)) is { } row)
            {
                Assert.Equal("1 of 10.0.0.1:Active", Backends(row));
                return;
            }
        }
    }

    [Fact]
    public async Task Inner_row_goes_when_the_two_sides_are_alike_again()
    {
        _cluster.Services.Upsert(Web);
        _cluster.EndpointSlices.Upsert(Slice(("10.0.0.1", "one", true), ("10.0.0.2", "two", true)));
        CompleteEverything();
        ServiceMapKey inner = Key("203.0.113.1", 80, LbScope.Internal);
        await RowsAsync(r => r.Contains(inner));
        _cluster.EndpointSlices.Upsert(Slice(("10.0.0.1", "one", true)));
        TableSnapshot<ServiceMapKey, ServiceMapEntry> rows = await RowsAsync(r => !r.Contains(inner));
        Assert.False(rows.Find(Key("203.0.113.1", 80))!.Flags2.HasFlag(LbFlags2.TwoScopes));
        _cluster.Services.Remove(new ResourceName("shop", "web"));
        await RowsAsync(r => r.Count == 0);
    }

    [Fact]
    public async Task Listener_of_the_node_keeps_its_port_and_the_service_is_told()
    {
        var taken = new L4Address(IpAddress.FromV4(0), 30080, L4Protocol.Tcp);
        _listeners.Upsert(new NodeListener(taken));
        _cluster.Services.Upsert(Web);
        CompleteEverything();
        TableSnapshot<ServiceMapKey, ServiceMapEntry> rows = await RowsAsync(r => r.Count > 0);
        Assert.DoesNotContain(rows.Keys, k => k.Frontend.Port == 30080);
        CatalogProblems problems = _services.Problems.Snapshot().Find(new CatalogObject(CatalogObjectKind.Service, new ResourceName("shop", "web")))!;
        Assert.Equal(
            [
                "spec.ports: 172.30.0.11:30080/TCP is withheld, because a process of the node listens there",
                "spec.ports: 0.0.0.0:30080/TCP is withheld, because a process of the node listens there",
            ], problems.Texts);
        _listeners.Remove(taken);
        await RowsAsync(r => r.Contains(Key("172.30.0.11", 30080)));
    }
}
