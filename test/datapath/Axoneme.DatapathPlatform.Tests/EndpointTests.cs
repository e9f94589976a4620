// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.DatapathPlatform.Tests;

public sealed class EndpointTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Two_pods_reach_each_other_over_both_families()
    {
        using var test = new TestNode();
        using NodeDatapath node = test.Start();
        NetworkNamespace first = await test.AddPodAsync(node, 5, Cancellation);
        NetworkNamespace second = await test.AddPodAsync(node, 6, Cancellation);
        foreach (IpAddress target in TestNode.Endpoint(6).Addresses)
        {
            using var echo = new UdpEcho(second, target);
            using var client = new UdpPing(first, target);
            Assert.True(client.Exchange(1));
        }

        Assert.Equal(2, new DatapathDump(test.Options.BpfRoot).Conntrack().Count(c => c.Flags.HasFlag(CtFlags.Replied)));
    }

    [Fact]
    public async Task Restart_under_traffic_loses_no_packet()
    {
        using var test = new TestNode();
        using NodeDatapath node = test.Start();
        NetworkNamespace first = await test.AddPodAsync(node, 5, Cancellation);
        NetworkNamespace second = await test.AddPodAsync(node, 6, Cancellation);
        IpAddress target = TestNode.Router4.Add(6);
        using var echo = new UdpEcho(second, target);
        using var client = new UdpPing(first, target);
        Assert.True(client.Exchange(0));
        int sent = 0;
        int lost = 0;
        using var stop = new CancellationTokenSource();
        Task stream = Task.Factory.StartNew(
            () =>
            {
                while (!stop.IsCancellationRequested)
                    lost += client.Exchange(++sent) ? 0 : 1;
            },
            Cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default);

        using NodeDatapath again = test.Start();
        var report = new DatapathReport();
        foreach (ushort id in new ushort[] { 5, 6 })
            Assert.NotNull(await again.Endpoints.AdoptAsync(TestNode.Endpoint(id), report));
        Assert.Equal(4, report.Adopted.Count);
        Assert.Empty(report.Created);
        Assert.Empty(report.Repaired);

        await stop.CancelAsync();
        await stream;
        Assert.True(sent > 100, $"only {sent} packets met the restart");
        Assert.Equal(0, lost);
    }

    [Fact]
    public async Task Repeated_creation_keeps_the_device()
    {
        using var test = new TestNode();
        using NodeDatapath node = test.Start();
        NetworkNamespace pod = test.AddNamespace("pod");
        EndpointInterface once = await node.Endpoints.CreateAsync(TestNode.Endpoint(5), pod);
        EndpointInterface twice = await node.Endpoints.CreateAsync(TestNode.Endpoint(5), pod);
        Assert.Equal(once, twice);
        Assert.Empty(await node.Endpoints.CheckAsync(TestNode.Endpoint(5), pod));
    }

    [Fact]
    public async Task Lost_route_neighbour_settings_and_link_are_found_and_put_back()
    {
        using var test = new TestNode();
        using NodeDatapath node = test.Start();
        NetworkNamespace pod = test.AddNamespace("pod");
        EndpointInterfaceSpec spec = TestNode.Endpoint(5);
        EndpointInterface created = await node.Endpoints.CreateAsync(spec, pod);
        node.Netlink.DeleteRoute(new Route(IpPrefix.Single(spec.IPv4!.Value)) { Device = created.HostIndex });
        node.Netlink.DeleteNeighbor(new Neighbor(created.HostIndex, spec.IPv6!.Value));
        node.Maps.EndpointSettings.Update(5, default);
        File.Delete(Path.Combine(test.Paths.EndpointLinks(5), "endpoint_egress"));

        Assert.Equal(
            [$"route {spec.IPv4}/32 is missing", $"neighbour {spec.IPv6} is missing", "settings differ", "program endpoint_egress is not attached"],
            await node.Endpoints.CheckAsync(spec, pod));
        var report = new DatapathReport();
        await node.Endpoints.AdoptAsync(spec, report);
        Assert.Equal(["endpoint_egress of endpoint 5"], report.Created);
        Assert.Equal(3, report.Repaired.Count);
        Assert.Empty(await node.Endpoints.CheckAsync(spec, pod));
    }

    [Fact]
    public async Task New_connection_is_seen_as_event_and_goes_with_its_endpoint()
    {
        using var test = new TestNode();
        test.Options = test.Options with { MonitorAggregation = TraceAggregation.EveryPacket };
        using NodeDatapath node = test.Start();
        using var events = new EventSource(node.Maps);
        NetworkNamespace first = await test.AddPodAsync(node, 5, Cancellation);
        NetworkNamespace second = await test.AddPodAsync(node, 6, Cancellation);
        IpAddress target = TestNode.Router4.Add(6);
        using (var echo = new UdpEcho(second, target))
        using (var client = new UdpPing(first, target))
            Assert.True(client.Exchange(1));

        HashSet<(EventType Type, uint Source, uint Destination)> seen = [];
        events.Poll(
            (_, record) =>
            {
                Event e = MemoryMarshal.Read<Event>(record);
                seen.Add(((EventType)e.Type, e.SourceIdentity, e.DestinationIdentity));
            },
            TimeSpan.FromSeconds(2));
        Assert.Contains((EventType.Trace, 1005u, 1006u), seen);
        Assert.Equal(0ul, events.Lost);

        using var dump = new DatapathDump(test.Options.BpfRoot);
        Assert.Contains(dump.Conntrack(), c => c.Destination.Address == target);
        Assert.Contains(dump.Metrics(), m => m.Reason == DropReason.Forwarded && m.Packets > 0);
        await node.Endpoints.RemoveAsync(TestNode.Endpoint(6), Cancellation);
        Assert.DoesNotContain(dump.Conntrack(), c => c.Destination.Address == target || c.Source.Address == target);
    }

    [Fact]
    public async Task Removed_endpoint_leaves_nothing()
    {
        using var test = new TestNode();
        using NodeDatapath node = test.Start();
        int links = node.Netlink.ListLinks().Count;
        await test.AddPodAsync(node, 5, Cancellation);
        EndpointInterfaceSpec spec = TestNode.Endpoint(5);
        await node.Endpoints.RemoveAsync(spec, Cancellation);
        await node.Endpoints.RemoveAsync(spec, Cancellation);

        Assert.Equal(links, node.Netlink.ListLinks().Count);
        Assert.Empty(node.Endpoints.Pinned());
        Assert.False(File.Exists(test.Paths.PolicyMap(5)));
        Assert.Empty(new EndpointMapTarget(node.Maps).Read());
        Assert.Null(new PolicyTarget(node.Maps).Read(5));
        Assert.True(node.Maps.EndpointSettings.TryLookup(5, out EndpointSettings settings));
        Assert.Equal(default, settings);
        Assert.DoesNotContain(node.Netlink.ListRoutes(), r => r.Destination.IsSingle && r.Protocol == RouteProtocol.Axoneme);
        Assert.Null(await node.Endpoints.AdoptAsync(spec, new DatapathReport()));
    }

    [Fact]
    public async Task Pods_talk_while_no_agent_runs_and_before_a_new_one_adopts_them()
    {
        using var test = new TestNode();
        NetworkNamespace first;
        NetworkNamespace second;
        using (NodeDatapath node = test.Start())
        {
            first = await test.AddPodAsync(node, 5, Cancellation);
            second = await test.AddPodAsync(node, 6, Cancellation);
        }

        IpAddress target = TestNode.Router4.Add(6);
        using var echo = new UdpEcho(second, target);
        using var client = new UdpPing(first, target);
        Assert.True(client.Exchange(1));
        // The new agent's programs cannot work on the connections of the old one.
        string connections = test.Paths.Map("cilium_ct4_global");
        File.Delete(connections);
        BpfMap.OpenOrCreatePinned(Maps.CiliumCt4Global.Spec with { ValueSize = 8, MaxEntries = 64 }, connections).Dispose();
        using NodeDatapath again = test.Start();
        Assert.True(client.Exchange(2));
        Assert.Empty(again.Maps.Ct4.Entries());
        foreach (ushort id in new ushort[] { 5, 6 })
            Assert.NotNull(await again.Endpoints.AdoptAsync(TestNode.Endpoint(id), new DatapathReport()));
        Assert.True(client.Exchange(3));
        Assert.NotEmpty(again.Maps.Ct4.Entries());
    }

    [Fact]
    public async Task Another_identity_needs_no_other_program()
    {
        using var test = new TestNode();
        using NodeDatapath node = test.Start();
        await test.AddPodAsync(node, 5, Cancellation);
        uint program = AttachedProgram();
        await node.Endpoints.UpdateAsync(TestNode.Endpoint(5) with { Identity = new SecurityIdentity(2000) });
        Assert.True(node.Maps.EndpointSettings.TryLookup(5, out EndpointSettings settings));
        Assert.Equal(2000u, settings.Identity);
        Assert.Equal(program, AttachedProgram());

        uint AttachedProgram()
        {
            using BpfLink link = BpfLink.TryOpenPinned(Path.Combine(test.Paths.EndpointLinks(5), "endpoint_egress"))!;
            return link.GetInfo().ProgramId;
        }
    }
}
