// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Health;
using Axoneme.Agent.Metrics;
using Axoneme.AgentApi;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Metrics;
using Axoneme.Network;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

public sealed class MetricTests
{
    private static readonly L4Address Dns = new(IpAddress.Parse("10.96.0.10"), 53, L4Protocol.Udp);
    private static readonly ResourceName Service = new("kube-system", "kube-dns");

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_the_agent_knows_is_counted_under_upstream_names()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        IReadOnlyList<MetricSeries> metrics = await agent.Client.GetMetricsAsync(Cancelled);
        Assert.Equal(1, Value("cilium_endpoint_state", "endpoint_state", "ready"));
        Assert.Equal(1, Value("cilium_endpoint"));
        Assert.Equal(2, Value("cilium_nodes_all_num"));
        Assert.True(Value("cilium_ip_addresses", "family", "ipv4") > 0);
        Assert.True(Value("cilium_process_resident_memory_bytes") > 1e6);
        Assert.Equal(1, Value("cilium_feature_datapath_internet_protocol", "address_family", "ipv4-ipv6-dual-stack"));
        Assert.Equal(AgentVersion.Text, metrics.Single(m => m.Name == "cilium_version").Labels!["version"]);

        double Value(string name, string? label = null, string? value = null)
            => metrics.Single(m => m.Name == name && (label is null || m.Labels![label] == value)).Value;
    }

    [Fact]
    public async Task The_page_is_served_to_scrapers_and_nothing_else_is()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var address = new ListenAddress(IpAddress.Parse("127.0.0.1"), FreePort());
        Task serving = agent.Sources.Metrics.ServeAsync(address, NullLogger.Instance, stop.Token);
        using var http = new HttpClient();
        using HttpResponseMessage page = await http.GetAsync(new Uri($"http://{address}/metrics"), Cancelled);
        Assert.Equal("0.0.4", page.Content.Headers.ContentType!.Parameters.Single(p => p.Name == "version").Value);
        Assert.Contains("\ncilium_endpoint 1\n", await page.Content.ReadAsStringAsync(Cancelled), StringComparison.Ordinal);
        using HttpResponseMessage other = await http.GetAsync(new Uri($"http://{address}/v1/endpoint"), Cancelled);
        Assert.Equal(HttpStatusCode.NotFound, other.StatusCode);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => serving);
    }

    [Fact]
    public void A_change_is_measured_once_from_its_event_to_the_kernel()
    {
        var registry = new MetricRegistry();
        var time = new ManualTime();
        var metrics = new ServiceMetrics(registry, time);
        var frontends = new Tables.Table<L4Address, Frontend>("frontends", f => f.Address);
        frontends.Upsert(new Frontend { Address = Dns, Type = FrontendType.ClusterIP, Service = Service });

        metrics.Expect(Service, "update");
        time.Advance(TimeSpan.FromMilliseconds(40));
        metrics.Expect(Service, "update");
        time.Advance(TimeSpan.FromMilliseconds(40));
        metrics.NoteWritten([new ServiceMapKey(Dns)], frontends.Snapshot());
        metrics.NoteWritten([new ServiceMapKey(Dns)], frontends.Snapshot());

        MetricSample delay = Assert.Single(MetricSnapshot.Take(registry), s => s.Name == "service_implementation_delay");
        Assert.Equal(1, delay.Buckets[^1].Count);
        Assert.Equal(0.08, delay.Value, 6);
    }

    [Fact]
    public void A_change_that_the_kernel_never_hears_of_is_forgotten()
    {
        var registry = new MetricRegistry();
        var time = new ManualTime();
        var metrics = new ServiceMetrics(registry, time);
        metrics.Expect(Service, "update");
        time.Advance(TimeSpan.FromMinutes(2));
        metrics.Expect(new ResourceName("shop", "web"), "delete");
        metrics.NoteDeleted();
        MetricSample delay = Assert.Single(MetricSnapshot.Take(registry), s => s.Name == "service_implementation_delay");
        Assert.Equal(("delete", 1L), (delay.Labels[0].Value, delay.Buckets[^1].Count));
    }

    [Fact]
    public void Maps_that_are_nearly_full_are_named_the_fullest_first()
        => Assert.Equal(
            "cilium_lb4_affinity is 100% full (100 of 100); cilium_ct4_global is 95% full (950 of 1000)",
            MapPressure.Problem([new MapFill("cilium_ct4_global", 950, 1000), new MapFill("cilium_lxc", 1, 100), new MapFill("cilium_lb4_affinity", 100, 100)]));

    [Fact]
    public void A_pod_counts_once_for_a_health_check_and_only_while_it_is_ready_and_here()
    {
        var service = new ResourceName("shop", "web");
        Frontend[] frontends =
        [
            Local(80, Pod("10.244.1.5", 8080), Pod("10.244.1.6", 8080), Pod("10.244.1.7", 8080, BackendState.Terminating)),
            Local(443, Pod("10.244.1.5", 8443), Pod("10.244.2.5", 8443, node: "worker-2")),
            new() { Address = Dns, Type = FrontendType.ClusterIP, Service = Service },
        ];
        Assert.Equal([new HealthCheck(32000, service, 2)], HealthCheckFollower.ChecksOf(frontends, "worker-1"));

        Frontend Local(ushort port, params Backend[] backends) => new()
        {
            Address = new L4Address(IpAddress.Parse("192.0.2.1"), port, L4Protocol.Tcp),
            Type = FrontendType.LoadBalancer,
            Service = service,
            HealthCheckNodePort = 32000,
            Outside = new BackendSet([.. backends], backends.Length),
        };

        static Backend Pod(string address, ushort port, BackendState state = BackendState.Active, string node = "worker-1")
            => new(new L4Address(IpAddress.Parse(address), port, L4Protocol.Tcp), state, node, "");
    }

    private static ushort FreePort()
    {
        using var probe = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return (ushort)((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private sealed class ManualTime : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Advance(TimeSpan duration) => _ticks += duration.Ticks;
    }
}
