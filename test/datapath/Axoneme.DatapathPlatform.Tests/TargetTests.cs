// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Netlink;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.DatapathPlatform.Tests;

public sealed class TargetTests
{
    private static readonly L4Address Backend1 = new(IpAddress.Parse("10.55.0.11"), 8080, L4Protocol.Tcp);
    private static readonly L4Address Backend2 = new(IpAddress.Parse("10.55.0.12"), 8080, L4Protocol.Tcp);
    private static readonly ServiceMapKey Service1 = new(new L4Address(IpAddress.Parse("10.96.0.1"), 80, L4Protocol.Tcp));
    private static readonly ServiceMapKey Service2 = new(new L4Address(IpAddress.Parse("10.96.0.2"), 80, L4Protocol.Tcp));

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Ipcache_and_endpoint_entries_read_back_as_written()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        IpcacheEntry[] entries =
        [
            new(IpPrefix.Parse("10.1.2.3/32"), new SecurityIdentity(300), IpAddress.Parse("172.30.0.12")),
            new(IpPrefix.Parse("fd00::3/128"), new SecurityIdentity(300), IpAddress.Parse("fd00:30::12")) { SkipTunnel = true },
            new(IpPrefix.Parse("10.0.0.0/8"), new SecurityIdentity(0x1000001)),
            new(IpPrefix.Parse("::/0"), SecurityIdentity.World),
        ];
        var ipcache = new IpcacheTarget(maps);
        await ApplyAll<IpPrefix, IpcacheEntry>(ipcache, entries);
        Assert.Equal(entries.OrderBy(e => e.Prefix), ipcache.Read().Select(e => e.Value).OrderBy(e => e.Prefix));
        await ipcache.DeleteAsync([entries[0].Prefix, entries[2].Prefix, entries[2].Prefix], new(), Cancellation);
        Assert.Equal([entries[1].Prefix, entries[3].Prefix], ipcache.Read().Select(e => e.Key).OrderByDescending(k => k));

        var endpoints = new EndpointMapTarget(maps);
        EndpointMapEntry[] local =
        [
            new(IpAddress.Parse("10.55.0.9")) { EndpointId = 9, Device = 7, PodMac = new(5), HostMac = new(6), Identity = new(300) },
            new(IpAddress.Parse("fd00::1")) { IsHost = true, Identity = SecurityIdentity.Host },
        ];
        await ApplyAll<IpAddress, EndpointMapEntry>(endpoints, local);
        Assert.Equal(local, endpoints.Read().Select(e => e.Value));
    }

    [Fact]
    public async Task Policy_changes_only_what_differs_and_moves_the_revision()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var target = new PolicyTarget(maps);
        PolicyMapEntry[] rules =
        [
            new(new(TrafficDirection.Ingress, new(300), L4Protocol.Tcp, 80, 16)) { Precedence = 5, Cookie = 7 },
            new(new(TrafficDirection.Egress, new(0), L4Protocol.Udp, 0x4000, 2)) { Deny = true },
            new(new(TrafficDirection.Egress, new(301), L4Protocol.Any, 0, 0)),
        ];
        EndpointPolicy policy = Policy(1, rules);
        await ApplyAll<ushort, EndpointPolicy>(target, policy);
        EndpointPolicy read = target.Read(42)!;
        Assert.True(target.IsSame(policy, read));
        Assert.True(File.Exists(test.Paths.PolicyMap(42)));

        EndpointPolicy next = Policy(2, rules[0] with { Cookie = 8 }, rules[2]);
        await ApplyAll<ushort, EndpointPolicy>(target, next);
        Assert.True(target.IsSame(next, target.Read(42)!));
        Assert.False(target.IsSame(policy, target.Read(42)!));
        Assert.Equal((2u, 2u), (target.Read(42)!.Revision, target.LatestRevision()));
        // Under another revision it is the same policy: after a restart nothing is judged again for that.
        Assert.True(target.IsSame(next with { Revision = 9 }, target.Read(42)!));
        Assert.Equal([(ushort)42], (await target.ReadActualAsync(Cancellation)).Keys);

        await target.DeleteAsync([42], new(), Cancellation);
        await target.DeleteAsync([42], new(), Cancellation);
        Assert.Empty(await target.ReadActualAsync(Cancellation));

        static EndpointPolicy Policy(uint revision, params PolicyMapEntry[] entries) => new(42, revision)
        {
            IngressEnforced = true,
            Entries = PolicyMapEntryCollection.Of(entries),
        };
    }

    [Fact]
    public async Task Policy_on_trial_comes_and_goes_beside_the_one_in_force()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var target = new PolicyTarget(maps);
        var rule = new PolicyMapEntry(new(TrafficDirection.Egress, new(300), L4Protocol.Udp, 53, 16)) { Precedence = 5, Cookie = 7, ProxyPort = 10053 };
        var trial = new PolicyMapEntry(new(TrafficDirection.Egress, new(301), L4Protocol.Tcp, 80, 16)) { Deny = true, Cookie = 8 };
        PolicyMapEntryCollection entries = PolicyMapEntryCollection.Of([rule]);
        EndpointPolicy plain = new(42, Revision: 1) { EgressEnforced = true, Entries = entries };
        EndpointPolicy tried = plain with { Shadow = new ShadowPolicy { Egress = true, Entries = entries.With([trial], []) } };
        EndpointPolicy changed = plain with { Shadow = new ShadowPolicy { Ingress = true, Egress = true, Entries = entries } };
        foreach (EndpointPolicy policy in new[] { tried, changed, plain, tried, plain })
        {
            await ApplyAll<ushort, EndpointPolicy>(target, policy);
            EndpointPolicy read = target.Read(42)!;
            Assert.True(target.IsSame(policy, read));
            Assert.Equal(policy.Shadow is null, read.Shadow is null);
            Assert.Equal(policy.Shadow is null, !File.Exists(test.Paths.Map("cilium_policy_shadow_00042")));
            Assert.Equal([policy], new[] { plain, tried, changed }.Where(p => target.IsSame(p, read)));
        }

        // What a run before left is taken over, and taken away with the endpoint.
        await ApplyAll<ushort, EndpointPolicy>(target, tried);
        var restarted = new PolicyTarget(maps);
        Assert.True(restarted.IsSame(tried, (await restarted.ReadActualAsync(Cancellation))[42]));
        await ApplyAll<ushort, EndpointPolicy>(restarted, changed);
        Assert.True(restarted.IsSame(changed, restarted.Read(42)!));
        restarted.Remove(42);
        Assert.False(File.Exists(test.Paths.Map("cilium_policy_shadow_00042")));
        Assert.Equal(0u, maps.PolicyStates.TryLookup(42, out PolicyState state) ? state.Flags : 0);
    }

    [Fact]
    public async Task Maps_of_versions_without_classes_say_of_each_class_what_they_say_of_anyone()
    {
        using var test = new TestNode();
        using (NodeDatapath node = test.Start())
        {
            var anyone = new PolicyMapEntry(new(TrafficDirection.Ingress, new(0), L4Protocol.Tcp, 80, 16)) { Precedence = 9, Cookie = 3 };
            var somebody = new PolicyMapEntry(new(TrafficDirection.Ingress, new(300), L4Protocol.Any, 0, 0)) { Deny = true };
            EndpointPolicy policy = new(42, Revision: 1)
            {
                IngressEnforced = true,
                Entries = PolicyMapEntryCollection.Of([anyone, somebody]),
            };
            await ApplyAll<ushort, EndpointPolicy>(new PolicyTarget(node.Maps), policy);
            node.Maps.PolicyStates.Update(42, new PolicyState { Revision = 1, Flags = (uint)PolicyStateFlags.IngressEnforced });
        }

        using NodeDatapath restarted = test.Start();
        EndpointPolicy read = new PolicyTarget(restarted.Maps).Read(42)!;
        Assert.Equal(new uint[] { 0, 11, 12, 13, 14, 300 }, read.Entries.Keys.Select(k => k.Identity.Value).Order());
        Assert.All(read.Entries.Values.Where(e => e.Key.Identity.Value != 300), e => Assert.Equal((9u, 3u, false), (e.Precedence, e.Cookie, e.Deny)));
        Assert.Equal((1u, true), (read.Revision, read.IngressEnforced));
        Assert.Contains(restarted.Report.Repaired, text => text.Contains("classes"));
        Assert.DoesNotContain(restarted.Repair().Repaired, text => text.Contains("classes"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Policy_that_does_not_fit_closes_its_endpoint_alone_and_opens_it_when_it_fits(bool lockdown)
    {
        using var test = new TestNode();
        test.Options = test.Options with { MapSizes = test.Options.MapSizes.SetItem(MapSizing.PolicyMaps, 256) };
        test.MountBpf();
        using DatapathMaps maps = DatapathMaps.OpenOrCreate(test.Paths, test.Options.MapSizes, new DatapathReport());
        var target = new PolicyTarget(maps, lockdown);
        await ApplyAll<ushort, EndpointPolicy>(target, Ports(42, 1, 1000, 200), Ports(43, 1, 1000, 200), Ports(44, 1, 1, 256));

        var failures = new ReconcileFailures<ushort>();
        await target.ApplyAsync([Ports(42, 2, 1000, 257), Ports(43, 2, 1000, 201)], failures, Cancellation);
        Assert.Contains("257 policy entries do not fit into the 256", failures.Find(42));
        Assert.Null(failures.Find(43));
        maps.PolicyStates.TryLookup(42, out PolicyState state);
        Assert.Equal((lockdown ? 2u : 1u, true), (state.Revision, ((PolicyStateFlags)state.Flags).HasFlag(PolicyStateFlags.Overflow)));
        Assert.Equal((201, false), (target.Read(43)!.Entries.Count, target.Read(43)!.Overflowed));
        Assert.False(target.IsSame(Ports(42, 2, 1000, 200), target.Read(42)!));

        // Nothing in common with what the map still has: both together would not fit either.
        EndpointPolicy smaller = Ports(42, 3, 2000, 256);
        await ApplyAll<ushort, EndpointPolicy>(target, smaller, Ports(44, 3, 1, 256) with { EgressEnforced = true });
        Assert.True(target.IsSame(smaller, target.Read(42)!));
        Assert.Equal(3u, target.Read(42)!.Revision);
        await ApplyAll<ushort, EndpointPolicy>(target, Ports(42, 4, 3000, 256));
        Assert.True(target.IsSame(Ports(42, 4, 3000, 256), target.Read(42)!));
        Assert.Equal(3, (await target.ReadActualAsync(Cancellation)).Count);

        // Nobody could mend a node that is closed.
        var nodes = new PolicyTarget(maps, lockdown, node: 43);
        var refused = new ReconcileFailures<ushort>();
        await nodes.ApplyAsync([Ports(43, 5, 1000, 257)], refused, Cancellation);
        Assert.Contains("257 policy entries do not fit into the 256 of the endpoint's map (bpf-policy-map-max): the node's policy of before stays", refused.Find(43));
        Assert.True(nodes.IsSame(Ports(43, 2, 1000, 201), nodes.Read(43)!));
        Assert.Equal(2u, nodes.Read(43)!.Revision);

        // An endpoint that is closed from its beginning is one of ours all the same.
        await target.ApplyAsync([Ports(45, 5, 1, 300)], failures, Cancellation);
        Assert.True((await target.ReadActualAsync(Cancellation))[45].Overflowed);
        target.Remove(45);
        Assert.Null(target.Read(45));

        static EndpointPolicy Ports(ushort endpoint, uint revision, int first, int count) => new(endpoint, revision)
        {
            IngressEnforced = true,
            Entries = PolicyMapEntryCollection.Of(Enumerable.Range(first, count)
                .Select(port => new PolicyMapEntry(new(TrafficDirection.Ingress, new(300), L4Protocol.Tcp, (ushort)port, 16)))),
        };
    }

    [Fact]
    public async Task Policy_map_of_another_size_takes_the_slot_when_it_is_filled()
    {
        using var test = new TestNode();
        var rule = new PolicyMapEntry(new(TrafficDirection.Ingress, new(300), L4Protocol.Tcp, 80, 16));
        EndpointPolicy policy = new(42, Revision: 1) { Entries = PolicyMapEntryCollection.Of([rule]) };
        using (DatapathMaps before = OpenMaps(test))
            await ApplyAll<ushort, EndpointPolicy>(new PolicyTarget(before), policy);
        test.Options = test.Options with { MapSizes = test.Options.MapSizes.SetItem(MapSizing.PolicyMaps, 512) };
        using DatapathMaps maps = DatapathMaps.OpenOrCreate(test.Paths, test.Options.MapSizes, new DatapathReport());
        var target = new PolicyTarget(maps);
        Assert.True(target.IsSame(policy, target.Read(42)!));
        Assert.Empty(await target.ReadActualAsync(Cancellation));
        await ApplyAll<ushort, EndpointPolicy>(target, policy);
        Assert.True(target.IsSame(policy, Assert.Single(await target.ReadActualAsync(Cancellation)).Value));
        using BpfMap used = maps.PolicyMaps.TryOpenInner(BitConverter.GetBytes(42u))!;
        Assert.Equal(512u, used.Spec.MaxEntries);
    }

    [Fact]
    public async Task Restart_keeps_the_numbers_of_services_and_backends()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var target = new ServiceTarget(maps);
        await ApplyAll<ServiceMapKey, ServiceMapEntry>(target, Service(Service2, Backend2), Service(Service1, Backend2, Backend1));
        var restarted = new ServiceTarget(maps);
        // In the other order, which numbering anew would show.
        await ApplyAll<ServiceMapKey, ServiceMapEntry>(restarted, Service(Service1, Backend1, Backend2), Service(Service2, Backend2));
        foreach (ServiceMapKey key in new[] { Service1, Service2 })
            Assert.Equal(target.FindId(key), restarted.FindId(key));
        foreach (L4Address backend in new[] { Backend1, Backend2 })
            Assert.Equal(target.FindBackendId(backend), restarted.FindBackendId(backend));
    }

    [Fact]
    public async Task Deleted_service_leaves_no_slot_no_backend_and_no_reverse_entry()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var target = new ServiceTarget(maps);
        await ApplyAll<ServiceMapKey, ServiceMapEntry>(target, Service(Service1, Backend1, Backend2), Service(Service2, Backend2));
        await ApplyAll<ServiceMapKey, ServiceMapEntry>(target, Service(Service1, Backend2));
        Assert.Equal([Backend2], maps.Backends4.Entries().Select(b => new L4Address(
            IpAddress.FromV4(b.Value.Addr.Value), b.Value.Port.Value, (L4Protocol)b.Value.Protocol)));
        Assert.Equal(4, maps.Services4.Entries().Count());

        await target.DeleteAsync([Service1, Service2], new(), Cancellation);
        Assert.Empty(maps.Services4.Entries());
        Assert.Empty(maps.Backends4.Entries());
        Assert.Empty(maps.ReverseNat4.Entries());
    }

    [Fact]
    public async Task Reconciler_puts_back_what_others_deleted()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var table = new Table<ServiceMapKey, ServiceMapEntry>("services", s => s.Key);
        ServiceMapEntry service = Service(Service1, Backend1, Backend2);
        table.Write(w => w.Upsert(service));
        var target = new ServiceTarget(maps);
        var reports = new List<ReconcileReport>();
        var reconciler = new Reconciler<ServiceMapKey, ServiceMapEntry>(table, target, new ReconcilerOptions
        {
            DriftInterval = TimeSpan.Zero,
            OnReport = reports.Add,
        });
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        Task run = reconciler.RunAsync(stop.Token);
        await reconciler.WaitAsync(Service1, table.Revision, Cancellation);
        Assert.Equal(service, target.Read()[Service1]);

        foreach (LbBackendKey key in maps.Backends4.Entries().Select(e => e.Key).ToArray())
            maps.Backends4.TryDelete(key);
        reconciler.RequestCheck();
        while (!service.Equals(target.Read().GetValueOrDefault(Service1)))
            await Task.Delay(10, Cancellation);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        Assert.Equal(1, reconciler.Repaired);
    }

    [Fact]
    public async Task Node_routes_follow_the_table_and_leave_others_alone()
    {
        using var test = new TestNode(RoutingMode.Vxlan);
        using NodeDatapath node = test.Start();
        var target = new NodeRouteTarget(node);
        var foreign = new Route(IpPrefix.Parse("10.8.0.0/16")) { Device = node.HostDevice, Protocol = RouteProtocol.Static };
        node.Netlink.ReplaceRoute(foreign);
        NodeRoute[] routes = [new(IpPrefix.Parse("10.56.0.0/24"), default), new(IpPrefix.Parse("fd00:56::/64"), default)];
        await ApplyAll<IpPrefix, NodeRoute>(target, routes);
        Assert.Equal(routes.ToDictionary(r => r.PodPrefix), await target.ReadActualAsync(Cancellation));
        Route route = node.Netlink.ListRoutes().Single(r => r.Destination == routes[0].PodPrefix);
        Assert.Equal((node.HostDevice, TestNode.Router4, (uint)node.RouteMtu), (route.Device, route.Source!.Value, route.Mtu));

        await target.DeleteAsync([.. routes.Select(r => r.PodPrefix)], new(), Cancellation);
        Assert.Empty(await target.ReadActualAsync(Cancellation));
        Assert.Contains(foreign, node.Netlink.ListRoutes());
    }

    [Fact]
    public async Task Collector_removes_dead_connections_and_those_of_an_address()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        for (ushort port = 1; port <= 2000; port++)
        {
            // Every other one is dead since the first second after boot.
            uint lifetime = port % 2 == 0 ? 1 : uint.MaxValue;
            maps.Ct4.Update(Key(0x0A000001, port), new CtEntry { LifetimeS = lifetime });
        }

        maps.Ct4.Update(Key(0x0A000002, 1), new CtEntry { LifetimeS = uint.MaxValue, Flags = (uint)CtFlags.LowInitiates });
        var collector = new ConntrackCollector(maps, TimeProvider.System);
        Assert.Equal(new ConntrackPass(Alive: 1001, Removed: 1000), await collector.CollectAsync(Cancellation));
        Assert.Equal(1000, await new AddressRemovals(maps).RemoveAsync([IpAddress.Parse("10.0.0.1")]));
        using var dump = new DatapathDump(test.Options.BpfRoot);
        ConntrackEntry left = Assert.Single(dump.Conntrack());
        Assert.Equal(new L4Address(IpAddress.Parse("10.0.0.2"), 1, L4Protocol.Tcp), left.Source);
        Assert.Equal(new L4Address(IpAddress.Parse("10.0.0.9"), 80, L4Protocol.Tcp), left.Destination);

        static Ct4Key Key(uint low, ushort port) => new()
        {
            LowAddr = low,
            HighAddr = 0x0A000009,
            LowPort = port,
            HighPort = 80,
            Protocol = (byte)L4Protocol.Tcp,
        };
    }

    private static ServiceMapEntry Service(ServiceMapKey key, params L4Address[] backends)
        => new(key) { Backends = [.. backends.Select(b => new BackendMapEntry(b))] };

    [Fact]
    public async Task Translations_to_skip_and_destinations_not_to_masquerade_read_back_as_written()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        SkippedTranslation[] skipped =
        [
            new(0x1122334455667788, Service1.Frontend), new(5, new L4Address(IpAddress.Parse("fd00:96::1"), 53, L4Protocol.Udp)),
        ];
        MasqueradeException[] exceptions = [new(IpPrefix.Parse("10.0.0.0/8")), new(IpPrefix.Parse("fd00::/8")), new(IpPrefix.Parse("0.0.0.0/0"))];
        await ApplyAll<SkippedTranslation, SkippedTranslation>(new SkippedTranslationTarget(maps), skipped);
        await ApplyAll<IpPrefix, MasqueradeException>(new MasqueradeExceptionTarget(maps), exceptions);
        using var dump = new DatapathDump(test.Options.BpfRoot);
        Assert.Equal(skipped.ToHashSet(), dump.SkippedTranslations().ToHashSet());
        Assert.Equal(exceptions.Select(e => e.Destination).ToHashSet(), dump.MasqueradeExceptions().ToHashSet());
        await new SkippedTranslationTarget(maps).DeleteAsync(skipped, new(), Cancellation);
        Assert.Empty(dump.SkippedTranslations());
    }

    private static DatapathMaps OpenMaps(TestNode test)
    {
        test.MountBpf();
        return DatapathMaps.OpenOrCreate(test.Paths, test.Options.MapSizes, new DatapathReport());
    }

    private static async Task ApplyAll<TKey, TValue>(IReconcileTarget<TKey, TValue> target, params TValue[] values)
        where TKey : notnull
        where TValue : notnull
    {
        var failures = new ReconcileFailures<TKey>();
        await target.ApplyAsync(values, failures, Cancellation);
        Assert.Equal(0, failures.Count);
    }
}
