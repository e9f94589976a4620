// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Grpc;
using Axoneme.Hubble.Api;
using Axoneme.Hubble.Api.Peers;
using Google.Protobuf.WellKnownTypes;

namespace Axoneme.Hubble.Tests;

/// <summary>The observer as a client sees it.</summary>
public sealed class ObserverTests : IAsyncLifetime
{
    private const long Second = 1_000_000_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("axoneme-hubble-").FullName;
    private readonly HubbleObserver _observer = new(
        new HubbleOptions { NodeName = "node-1", ClusterName = "c1", Version = "1.2.3", Capacity = 15 }, new KnownCluster(), TimeProvider.System);

    private readonly PeerDirectory _peers = new();
    private GrpcHost? _host;
    private GrpcChannel? _channel;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var builder = new GrpcServerBuilder();
        _observer.AddTo(builder);
        _peers.AddTo(builder);
        string path = Path.Combine(_folder, "hubble.sock");
        _host = await GrpcHost.StartAsync(builder.Build(), [new GrpcEndpoint(new UnixDomainSocketEndPoint(path))], cancellation: Stop);
        _channel = new GrpcChannel(new GrpcChannelOptions { Target = $"unix://{path}" });
    }

    public async ValueTask DisposeAsync()
    {
        _channel?.Dispose();
        if (_host is not null)
            await _host.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData(0, false, "1 2 3 4 5 6 7 8 9 10")]
    [InlineData(3, false, "8 9 10")]
    [InlineData(3, true, "1 2 3")]
    [InlineData(99, false, "1 2 3 4 5 6 7 8 9 10")]
    public async Task First_and_last_give_flows_oldest_first(ulong number, bool first, string expected)
    {
        Ingest(1, 10);
        Assert.Equal(expected, await PortsAsync(new GetFlowsRequest { Number = number, First = first }));
    }

    [Fact]
    public async Task Number_counts_only_flows_that_match()
    {
        Ingest(1, 10);
        var odd = new FlowFilter();
        odd.SourcePort.Add(["1", "3", "5", "7", "9"]);
        Assert.Equal("7 9", await PortsAsync(new GetFlowsRequest { Number = 2, Whitelist = { odd } }));
        Assert.Equal("8 10", await PortsAsync(new GetFlowsRequest { Number = 2, Blacklist = { odd } }));
    }

    [Fact]
    public async Task Since_and_until_include_their_ends()
    {
        Ingest(1, 10);
        List<Flow> all = await FlowsAsync(new GetFlowsRequest());
        var request = new GetFlowsRequest { Since = all[3].Time, Until = all[6].Time };
        Assert.Equal("4 5 6 7", await PortsAsync(request));
        request.Number = 2;
        Assert.Equal("4 5", await PortsAsync(request));
    }

    [Fact]
    public async Task Old_flows_give_way_to_new_ones()
    {
        Ingest(1, 40);
        Assert.Equal(string.Join(' ', Enumerable.Range(26, 15)), await PortsAsync(new GetFlowsRequest()));
        ServerStatusResponse status = await _channel!.UnaryAsync(ObserverMethods.ServerStatus, new ServerStatusRequest(), cancellation: Stop);
        Assert.Equal((15ul, 15ul, 40ul, "cilium v1.2.3"), (status.NumFlows, status.MaxFlows, status.SeenFlows, status.Version));
    }

    [Fact]
    public async Task Follow_delivers_history_and_then_what_comes()
    {
        Ingest(1, 5);
        await using var stream = await _channel!.ServerStreamAsync(
            ObserverMethods.GetFlows, new GetFlowsRequest { Follow = true, Number = 2 }, cancellation: Stop);
        Assert.Equal(4u, (await stream.ReadAsync())!.Flow.L4.TCP.SourcePort);
        Assert.Equal(5u, (await stream.ReadAsync())!.Flow.L4.TCP.SourcePort);
        Ingest(6, 7);
        Assert.Equal(6u, (await stream.ReadAsync())!.Flow.L4.TCP.SourcePort);
        Assert.Equal(7u, (await stream.ReadAsync())!.Flow.L4.TCP.SourcePort);
    }

    [Fact]
    public async Task Kernel_losses_are_told_whatever_the_filter_is()
    {
        Ingest(1, 1);
        _observer.ReportLost(42, cpu: 1);
        var nothing = new FlowFilter();
        nothing.SourcePort.Add("9");
        await using var stream = await _channel!.ServerStreamAsync(
            ObserverMethods.GetFlows, new GetFlowsRequest { Whitelist = { nothing } }, cancellation: Stop);
        GetFlowsResponse? response = await stream.ReadAsync();
        Assert.Equal((42ul, LostEventSource.PerfEventRingBuffer), (response!.LostEvents.NumEventsLost, response.LostEvents.Source));
        Assert.Equal("c1/node-1", response.NodeName);
        Assert.Null(await stream.ReadAsync());
    }

    [Fact]
    public async Task Every_flow_is_delivered_or_counted_as_lost_when_the_reader_is_slow()
    {
        Ingest(1, 1);
        await using var stream = await _channel!.ServerStreamAsync(
            ObserverMethods.GetFlows, new GetFlowsRequest { Follow = true, Number = 1 }, cancellation: Stop);
        Assert.NotNull((await stream.ReadAsync())!.Flow);
        const ulong Sent = 20_000;
        Ingest(1, (int)Sent - 1);
        Ingest(60_000, 60_000);
        ulong seen = 0;
        while (true)
        {
            GetFlowsResponse? response = await stream.ReadAsync();
            seen += response!.LostEvents is { } lost ? lost.NumEventsLost : 1;
            if (response.Flow?.L4.TCP.SourcePort == 60_000)
                break;
        }

        while (seen < Sent)
            seen += (await stream.ReadAsync())!.LostEvents.NumEventsLost;
        Assert.Equal(Sent, seen);
    }

    [Fact]
    public async Task Field_mask_leaves_only_what_was_asked_for()
    {
        Ingest(1, 1);
        var request = new GetFlowsRequest { FieldMask = new FieldMask { Paths = { "source.pod_name", "IP", "Summary" } } };
        Flow flow = Assert.Single(await FlowsAsync(request));
        Assert.Equal("cart-abc", flow.Source.PodName);
        Assert.Equal("", flow.Source.Namespace);
        Assert.Equal("10.244.0.6", flow.IP.Destination);
        Assert.Null(flow.L4);
        Assert.Equal("", flow.NodeName);
    }

    public static TheoryData<GetFlowsRequest, GrpcStatus> BadRequests => new()
    {
        { new GetFlowsRequest { First = true, Follow = true }, GrpcStatus.InvalidArgument },
        { new GetFlowsRequest { FieldMask = new FieldMask { Paths = { "nope" } } }, GrpcStatus.Unknown },
        { new GetFlowsRequest { Whitelist = { new FlowFilter { SourceIp = { "10.0.0.0/33" } } } }, GrpcStatus.Unknown },
        { new GetFlowsRequest { Whitelist = { new FlowFilter { DestinationPort = { "http" } } } }, GrpcStatus.Unknown },
        { new GetFlowsRequest { Blacklist = { new FlowFilter { Protocol = { "tcpp" } } } }, GrpcStatus.Unknown },
        { new GetFlowsRequest { Whitelist = { new FlowFilter { SourcePod = { "" } } } }, GrpcStatus.Unknown },
        { new GetFlowsRequest { Whitelist = { new FlowFilter { SourceLabel = { "a in (b" } } } }, GrpcStatus.Unknown },
        { new GetFlowsRequest { Whitelist = { new FlowFilter { DnsQuery = { "(" } } } }, GrpcStatus.Unknown },
    };

    [Theory]
    [MemberData(nameof(BadRequests))]
    public async Task Bad_request_fails_before_any_flow(GetFlowsRequest request, GrpcStatus expected)
    {
        Ingest(1, 1);
        var error = await Assert.ThrowsAsync<GrpcException>(() => FlowsAsync(request));
        Assert.Equal(expected, error.Status);
        Assert.NotEqual("", error.Detail);
    }

    [Fact]
    public async Task Namespaces_agent_events_and_this_node_are_served()
    {
        Ingest(1, 1);
        GetNamespacesResponse namespaces = await _channel!.UnaryAsync(ObserverMethods.GetNamespaces, new GetNamespacesRequest(), cancellation: Stop);
        Assert.Equal(("c1", "shop"), namespaces.Namespaces.Select(n => (n.Cluster, n.Namespace_)).Single());
        _observer.Publish(new AgentEvent { Type = AgentEventType.AgentStarted });
        await using var events = await _channel.ServerStreamAsync(
            ObserverMethods.GetAgentEvents, new GetAgentEventsRequest { Number = 20 }, cancellation: Stop);
        Assert.Equal(AgentEventType.AgentStarted, (await events.ReadAsync())!.AgentEvent.Type);
        Assert.Null(await events.ReadAsync());
        GetNodesResponse nodes = await _channel.UnaryAsync(ObserverMethods.GetNodes, new GetNodesRequest(), cancellation: Stop);
        Assert.Equal("c1/node-1", Assert.Single(nodes.Nodes).Name);
    }

    [Fact]
    public async Task Peers_are_told_as_differences()
    {
        _peers.Set([new HubblePeer("a", IPAddress.Parse("192.0.2.1"), 4244), new HubblePeer("b", IPAddress.Parse("fd00::1"), 4244)]);
        await using var stream = await _channel!.ServerStreamAsync(PeerDirectory.NotifyMethod, new NotifyRequest(), cancellation: Stop);
        Assert.Equal(("a", "192.0.2.1:4244", ChangeNotificationType.PeerAdded), await NextAsync());
        Assert.Equal(("b", "[fd00::1]:4244", ChangeNotificationType.PeerAdded), await NextAsync());
        _peers.Set([new HubblePeer("b", IPAddress.Parse("fd00::2"), 4244)]);
        Assert.Equal(("a", "192.0.2.1:4244", ChangeNotificationType.PeerDeleted), await NextAsync());
        Assert.Equal(("b", "[fd00::2]:4244", ChangeNotificationType.PeerUpdated), await NextAsync());

        async Task<(string, string, ChangeNotificationType)> NextAsync()
        {
            ChangeNotification? next = await stream.ReadAsync();
            return (next!.Name, next.Address, next.Type);
        }
    }

    private void Ingest(int from, int to)
    {
        for (int port = from; port <= to; port++)
        {
            _observer.Ingest(new KernelEvent
            {
                Type = MonitorEvent.Trace,
                TimestampNs = (1000 * Second) + port,
                Packet = Packets.Frame("10.244.0.5", "10.244.0.6", 6, Packets.Tcp((ushort)port, 80, 2)),
            });
        }
    }

    private async Task<List<Flow>> FlowsAsync(GetFlowsRequest request)
    {
        await using var stream = await _channel!.ServerStreamAsync(ObserverMethods.GetFlows, request, cancellation: Stop);
        var flows = new List<Flow>();
        await foreach (GetFlowsResponse response in stream.ReadAllAsync(Stop))
            flows.Add(response.Flow);
        return flows;
    }

    private async Task<string> PortsAsync(GetFlowsRequest request)
        => string.Join(' ', (await FlowsAsync(request)).Select(f => f.L4.TCP.SourcePort));
}
