// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.DatapathPlatform.Tests;

public sealed class CollectorTests
{
    private const uint Pod = 0x0A370005;
    private const uint Node = 0xC0A80001;
    private const uint World = 0x08080808;
    private const uint Forever = uint.MaxValue;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Translation_goes_when_both_halves_are_over_and_stays_while_one_is_in_use()
    {
        using var test = new TestNode();
        using DatapathMaps maps = Open(test);
        AddPair(maps, 1, outward: 1, inward: 1);
        AddPair(maps, 2, outward: 1, inward: Forever);
        AddPair(maps, 3, outward: Forever, inward: 1);
        AddPair(maps, 4, outward: Forever, inward: Forever);
        var collector = new ConntrackCollector(maps, TimeProvider.System);
        await collector.CollectAsync(Cancellation);
        Assert.Equal([(2, 2), (3, 2), (4, 2)], HalvesByPort(maps));
        AssertCount(collector.Translations, "ipv4", "ingress", alive: 3, removed: 1);
        AssertCount(collector.Translations, "ipv4", "egress", alive: 3, removed: 1);
        AssertCount(collector.Translations, "ipv6", "egress", alive: 0, removed: 0);
    }

    [Fact]
    public async Task Port_without_an_outward_half_is_given_back_but_not_while_it_is_being_made()
    {
        using var test = new TestNode();
        using DatapathMaps maps = Open(test);
        maps.Nat4.Update(Inward(1), new Nat4Entry { Addr = Pod, Port = 1, LifetimeS = Forever, CreatedS = 1 });
        maps.Nat4.Update(Inward(2), new Nat4Entry { Addr = Pod, Port = 2, LifetimeS = Forever, CreatedS = KernelClock.NowSeconds() });
        maps.Nat4.Update(Inward(3), new Nat4Entry { Addr = Pod, Port = 3, LifetimeS = Forever, CreatedS = 1, Flags = (uint)NatFlags.Service });
        // The programs make its answers' half again with the next packet.
        maps.Nat4.Update(Outward(4), new Nat4Entry { Addr = Node, Port = 4, LifetimeS = Forever, CreatedS = 1 });
        await new ConntrackCollector(maps, TimeProvider.System).CollectAsync(Cancellation);
        Assert.Equal([(2, 1), (3, 1), (4, 1)], HalvesByPort(maps));
    }

    [Fact]
    public async Task Address_that_gets_another_owner_leaves_no_translation_of_either_family()
    {
        using var test = new TestNode();
        using DatapathMaps maps = Open(test);
        AddPair(maps, 1, Forever, Forever);
        Ip6Addr pod = default;
        IpAddress address = IpAddress.Parse("fd00:55::5");
        address.WriteBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<Ip6Addr>(ref pod)));
        maps.Nat6.Update(new Nat6Key { Source = pod, SourcePort = 1 }, new Nat6Entry { LifetimeS = Forever });
        maps.Nat6.Update(new Nat6Key { SourcePort = 2, Direction = 1 }, new Nat6Entry { Addr = pod, LifetimeS = Forever });
        maps.Nat6.Update(new Nat6Key { SourcePort = 3 }, new Nat6Entry { LifetimeS = Forever });
        var removals = new AddressRemovals(maps);
        // The second and the third share a walk.
        Task<int>[] removed = [.. new[] { IpAddress.FromV4(World + 1), IpAddress.FromV4(Pod), address }.Select(a => removals.RemoveAsync([a]))];
        await Task.WhenAll(removed);
        Assert.Empty(maps.Nat4.Entries());
        Assert.Equal(3, Assert.Single(maps.Nat6.Entries()).Key.SourcePort.Value);
    }

    [Fact]
    public async Task Removed_backend_leaves_no_affinity_entry_and_no_remembered_connection()
    {
        using var test = new TestNode();
        using DatapathMaps maps = Open(test);
        foreach (uint backend in new uint[] { 1, 2 })
        {
            maps.Affinity4.Update(new LbAffinityKey { RevNat = (ushort)backend }, new LbAffinity { Backend = backend });
            maps.Affinity6.Update(new LbAffinityKey { RevNat = (ushort)backend }, new LbAffinity { Backend = backend });
            maps.Ct4.Update(new Ct4Key { LowPort = (ushort)backend, Scope = (byte)CtScope.Service }, new CtEntry { Backend = backend });
            maps.Ct6.Update(new Ct6Key { LowPort = (ushort)backend, Scope = (byte)CtScope.Service }, new CtEntry { Backend = backend });
        }

        // The number means nothing in a flow.
        maps.Ct4.Update(new Ct4Key { LowPort = 9, Scope = (byte)CtScope.Flow }, new CtEntry { Backend = 1 });
        Assert.Equal(4, await new ConntrackCollector(maps, TimeProvider.System).RemoveBackendsAsync([1], Cancellation));
        Assert.Equal([2, 9], maps.Ct4.Entries().Select(e => (int)e.Key.LowPort.Value).Order());
        Assert.Equal([2u], maps.Affinity4.Entries().Concat(maps.Affinity6.Entries()).Select(e => e.Value.Backend).Distinct());
    }

    [Fact]
    public async Task Running_collector_cleans_up_after_a_backend_that_left_its_service()
    {
        using var test = new TestNode();
        using DatapathMaps maps = Open(test);
        var target = new ServiceTarget(maps);
        var key = new ServiceMapKey(new L4Address(IpAddress.FromV4(World), 80, L4Protocol.Tcp));
        var backend = new BackendMapEntry(new L4Address(IpAddress.FromV4(Pod), 80, L4Protocol.Tcp));
        await target.ApplyAsync([new ServiceMapEntry(key) { Backends = [backend] }], new ReconcileFailures<ServiceMapKey>(), Cancellation);
        maps.Affinity4.Update(new LbAffinityKey { RevNat = 1 }, new LbAffinity { Backend = target.FindBackendId(backend.Address)!.Value });
        await target.ApplyAsync([new ServiceMapEntry(key)], new ReconcileFailures<ServiceMapKey>(), Cancellation);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        Task run = new ConntrackCollector(maps, TimeProvider.System, services: target).RunAsync(stop.Token);
        while (maps.Affinity4.Entries().Any())
            await Task.Delay(20, Cancellation);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
    }

    [Fact]
    public async Task Counts_tell_families_and_protocols_apart()
    {
        using var test = new TestNode();
        using DatapathMaps maps = Open(test);
        Add(L4Protocol.Tcp, alive: 3, over: 2);
        Add(L4Protocol.Udp, alive: 1, over: 4);
        maps.Ct6.Update(new Ct6Key { Protocol = (byte)L4Protocol.Sctp }, new CtEntry { LifetimeS = 1 });
        var collector = new ConntrackCollector(maps, TimeProvider.System);
        Assert.Equal(new ConntrackPass(Alive: 4, Removed: 7), await collector.CollectAsync(Cancellation));
        await collector.CollectAsync(Cancellation);
        AssertCount(collector.Connections, "ipv4", "TCP", alive: 3, removed: 2);
        AssertCount(collector.Connections, "ipv4", "non-TCP", alive: 1, removed: 4);
        AssertCount(collector.Connections, "ipv6", "non-TCP", alive: 0, removed: 1);
        Assert.All(collector.Connections.Runs, r => Assert.Equal((2, 0), (r.Completed, r.Failed)));

        void Add(L4Protocol protocol, ushort alive, ushort over)
        {
            for (ushort port = 0; port < alive + over; port++)
                maps.Ct4.Update(new Ct4Key { LowPort = port, Protocol = (byte)protocol }, new CtEntry { LifetimeS = port < alive ? Forever : 1 });
        }
    }

    [Fact]
    public async Task Dump_and_census_tell_what_the_maps_hold()
    {
        using var test = new TestNode();
        using DatapathMaps maps = Open(test);
        uint now = KernelClock.NowSeconds();
        maps.Nat4.Update(Inward(7), new Nat4Entry { Addr = Pod, Port = 70, LifetimeS = now + 100, CreatedS = now - 5, RevNat = 3 });
        maps.Affinity4.Update(new LbAffinityKey { RevNat = 3 }, new LbAffinity { Backend = 9, LastUsedS = now - 8 });
        maps.NatRetries6.Update(2, [.. Enumerable.Range(1, ProcessorSet.PossibleCount).Select(i => (uint)i)]);
        using var dump = new DatapathDump(test.Options.BpfRoot);
        NatMapEntry nat = Assert.Single(dump.Nat());
        Assert.Equal("8.8.8.8:443/TCP 192.168.0.1:7/TCP In 10.55.0.5:70/TCP 3", $"{nat.Source} {nat.Destination} {nat.Direction} {nat.NewAddress} {nat.ServiceNumber}");
        Assert.InRange(nat.Remaining.TotalSeconds, 90, 100);
        Assert.InRange(nat.Age.TotalSeconds, 5, 15);
        AffinityEntry affinity = Assert.Single(dump.Affinity());
        Assert.Equal((IpAddress.Parse("0.0.0.0"), (ushort)3, 9u), (affinity.Client!.Value, affinity.Number, affinity.Backend));
        int processors = ProcessorSet.PossibleCount;
        Assert.Equal(processors * (processors + 1) / 2, Assert.Single(dump.NatRetries(), r => r.Connections > 0).Connections);
        IReadOnlyList<MapFill> fills = await new MapCensus(maps).CountAsync(Cancellation);
        Assert.Equal(1, Assert.Single(fills, f => f.Map == "cilium_snat_v4_external").Entries);
        Assert.Equal(0, Assert.Single(fills, f => f.Map == "cilium_snat_v6_external").Ratio);
        Assert.DoesNotContain(fills, f => f.Map == "cilium_endpoint_settings");
        Assert.Equal(1, dump.FlushNat().Sum(f => f.Deleted));
        Assert.Empty(dump.Nat());
    }

    [Theory]
    [InlineData(100, 60, false, 30)]
    [InlineData(100, 10, false, 60)]
    [InlineData(100, 1, false, 90)]
    [InlineData(0, 0, false, 90)]
    [InlineData(100, 1, true, 30)]
    public void Interval_follows_what_there_was_to_remove(int alive, int removed, bool isCrowded, int seconds)
        => Assert.Equal(
            TimeSpan.FromSeconds(seconds),
            ConntrackCollector.NextInterval(TimeSpan.FromSeconds(60), new ConntrackPass(alive, removed), isCrowded, TimeSpan.FromMinutes(30)));

    private static void AssertCount(CollectionStatistics statistics, string family, string kind, long alive, long removed)
    {
        CollectionCount count = Assert.Single(statistics.Counts, c => c.Family == family && c.Kind == kind);
        Assert.Equal((alive, removed), (count.Alive, count.Removed));
    }

    private static IEnumerable<(int Port, int Halves)> HalvesByPort(DatapathMaps maps) => maps.Nat4.Entries()
        .GroupBy(e => (int)(e.Key.Direction == (byte)NatDirection.Out ? e.Key.SourcePort : e.Key.DestinationPort).Value)
        .Select(g => (g.Key, g.Count())).Order();

    private static void AddPair(DatapathMaps maps, ushort port, uint outward, uint inward)
    {
        maps.Nat4.Update(Outward(port), new Nat4Entry { Addr = Node, Port = port, LifetimeS = outward, CreatedS = 1 });
        maps.Nat4.Update(Inward(port), new Nat4Entry { Addr = Pod, Port = port, LifetimeS = inward, CreatedS = 1 });
    }

    private static Nat4Key Outward(ushort port) => new()
    {
        Source = Pod,
        SourcePort = port,
        Destination = World,
        DestinationPort = 443,
        Protocol = (byte)L4Protocol.Tcp,
        Direction = (byte)NatDirection.Out,
    };

    private static Nat4Key Inward(ushort port) => new()
    {
        Source = World,
        SourcePort = 443,
        Destination = Node,
        DestinationPort = port,
        Protocol = (byte)L4Protocol.Tcp,
        Direction = (byte)NatDirection.In,
    };

    private static DatapathMaps Open(TestNode test)
    {
        test.MountBpf();
        return DatapathMaps.OpenOrCreate(test.Paths, test.Options.MapSizes, new DatapathReport());
    }
}
