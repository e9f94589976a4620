// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.DatapathPlatform.Tests;

public sealed class ServiceTargetTests
{
    private const int Slots = 11;

    private static MaglevSettings Maglev { get; } = new(Slots, "seed", ServiceModel.Fill);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Maps_say_what_the_rows_say_after_any_changes_and_restarts(int seed)
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var rows = new RandomRows(seed);
        var target = new ServiceTarget(maps, Maglev);
        for (int step = 0; step < 150; step++)
        {
            (IReadOnlyList<ServiceMapKey> deletes, IReadOnlyList<ServiceMapEntry> upserts) = rows.Change();
            await target.DeleteAsync(deletes, new(), Cancellation);
            await Apply(target, upserts);
            Assert.Equal(ServiceModel.Of(rows.All, Slots), ServiceModel.Of(maps));
            if (step % 20 == 19)
            {
                Dictionary<ServiceMapKey, ushort?> numbers = rows.All.ToDictionary(r => r.Key, r => target.FindId(r.Key));
                target = new ServiceTarget(maps, Maglev);
                await AssertNothingToRepair(target, [.. rows.All.Where(rows.IsWhole)]);
                await Apply(target, [.. rows.All]);
                Assert.All(rows.All, r => Assert.Equal(numbers[r.Key], target.FindId(r.Key)));
            }
        }

        await target.DeleteAsync([.. rows.All.Select(r => r.Key)], new(), Cancellation);
        Assert.Equal("", ServiceModel.Of(maps));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Whatever_others_change_is_found_and_put_right(int seed)
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var rows = new RandomRows(seed);
        var random = new Random(seed);
        var target = new ServiceTarget(maps, Maglev);
        for (int step = 0; step < 30; step++)
        {
            (IReadOnlyList<ServiceMapKey> deletes, IReadOnlyList<ServiceMapEntry> upserts) = rows.Change();
            await target.DeleteAsync(deletes, new(), Cancellation);
            await Apply(target, upserts);
            Vandalise(maps, random);
            await Repair(target, rows.All);
            Assert.Equal(ServiceModel.Of(rows.All, Slots), ServiceModel.Of(maps));
            await AssertNothingToRepair(target, rows.All);
        }
    }

    [Fact]
    public async Task Full_map_refuses_one_service_names_its_option_and_takes_it_when_there_is_room()
    {
        using var test = new TestNode();
        test.Options = test.Options with { MapSizes = test.Options.MapSizes.SetItem("cilium_lb4_services_v2", 10) };
        using DatapathMaps maps = OpenMaps(test);
        var target = new ServiceTarget(maps);
        ServiceMapEntry[] services = [.. Enumerable.Range(1, 4).Select(i => Service(i, 2))];
        await Apply(target, services[..3]);
        var failures = new ReconcileFailures<ServiceMapKey>();
        await target.ApplyAsync([services[3]], failures, Cancellation);
        Assert.Equal(1, failures.Count);
        Assert.Equal(ServiceModel.Of(services[..3], Slots), ServiceModel.Of(maps));
        Assert.True(target.Refused["cilium_lb4_services_v2"] > 0);
        string message = Message(target, services[3]);
        Assert.Contains("cilium_lb4_services_v2 is full with 10 entries (option bpf-lb-service-map-max)", message);

        // What grows beyond the map stays as it was, and serves on.
        ServiceMapEntry grown = Service(1, 5);
        Assert.Contains("bpf-lb-service-map-max", Message(target, grown));
        Assert.Equal(10 - 1, maps.Services4.Entries().Count());
        Assert.Equal(2, Assert.Single(maps.Services4.Entries(), e => e.Key.Slot == 0 && e.Key.Addr.Value == 0x0A600001).Value.Count);

        await target.DeleteAsync([services[1].Key], new(), Cancellation);
        await Apply(target, [services[3]]);
        await Apply(target, [services[0]]);
        Assert.Equal(ServiceModel.Of([services[0], services[2], services[3]], Slots), ServiceModel.Of(maps));

        static string Message(ServiceTarget target, ServiceMapEntry service)
        {
            var table = new Table<ServiceMapKey, ServiceMapEntry>("services", s => s.Key);
            // Never complete, so that nothing else is pruned.
            table.RegisterInitializer("test");
            table.Upsert(service);
            var options = new ReconcilerOptions { DriftInterval = TimeSpan.Zero };
            var reconciler = new Reconciler<ServiceMapKey, ServiceMapEntry>(table, target, options);
            using var stop = new CancellationTokenSource();
            Task run = reconciler.RunAsync(stop.Token);
            ReconcileStatus<ServiceMapKey>? status = reconciler.WaitAsync(service.Key, table.Revision, Cancellation).GetAwaiter().GetResult();
            stop.Cancel();
            Assert.ThrowsAny<OperationCanceledException>(() => run.GetAwaiter().GetResult());
            return status!.Message;
        }
    }

    [Fact]
    public async Task Full_backend_map_refuses_those_that_name_the_backend_and_leaves_nothing_of_them()
    {
        using var test = new TestNode();
        test.Options = test.Options with { MapSizes = test.Options.MapSizes.SetItem("cilium_lb4_backends_v3", 4) };
        using DatapathMaps maps = OpenMaps(test);
        var target = new ServiceTarget(maps);
        var failures = new ReconcileFailures<ServiceMapKey>();
        await target.ApplyAsync([Service(1, 3), Service(2, 5), Service(3, 4)], failures, Cancellation);
        Assert.Equal(1, failures.Count);
        Assert.Equal(ServiceModel.Of([Service(1, 3), Service(3, 4)], Slots), ServiceModel.Of(maps));
    }

    [Fact]
    public async Task Services_that_disagree_about_a_backend_are_named_and_the_most_willing_counts()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var target = new ServiceTarget(maps);
        ServiceMapEntry willing = Service(1, 1);
        ServiceMapEntry leaving = Service(2, 1) with { Backends = [willing.Backends[0] with { State = LbBackendState.Terminating }] };
        await Apply(target, [willing]);
        await Apply(target, [leaving]);
        Assert.Equal([(Backend(1), LbBackendState.Active)], target.FindDisputed());
        Assert.Equal(ServiceModel.Of([willing, leaving], Slots), ServiceModel.Of(maps));
        await target.DeleteAsync([willing.Key], new(), Cancellation);
        Assert.Empty(target.FindDisputed());
        Assert.Equal(ServiceModel.Of([leaving], Slots), ServiceModel.Of(maps));
    }

    [Fact]
    public async Task Table_is_made_once_for_all_addresses_of_a_service_and_not_again_by_a_restart()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        int made = 0;
        var counting = new MaglevSettings(Slots, "seed", (backends, slots) =>
        {
            made++;
            ServiceModel.Fill(backends, slots);
        });
        ServiceMapEntry[] services = [.. Enumerable.Range(1, 3).Select(i => Service(i, 3) with { Algorithm = LbAlgorithm.Maglev })];
        var target = new ServiceTarget(maps, counting);
        await Apply(target, services);
        Assert.Equal(1, made);
        await Apply(target, [services[0] with { Backends = [.. services[0].Backends.Reverse()], Flags = LbFlags.NodePort }]);
        Assert.Equal(1, made);
        await Apply(new ServiceTarget(maps, counting), services);
        Assert.Equal(1, made);

        ServiceMapEntry heavier = services[0] with { Backends = services[0].Backends.SetItem(1, services[0].Backends[1] with { Weight = 200 }) };
        target = new ServiceTarget(maps, counting);
        Assert.False(target.IsSame(heavier, (await target.ReadActualAsync(Cancellation))[heavier.Key]));
        await Apply(target, [heavier]);
        Assert.Equal(2, made);
        await Apply(new ServiceTarget(maps, counting with { Seed = "other" }), [heavier]);
        Assert.Equal(3, made);
        Assert.Equal(ServiceModel.Of([heavier, services[1], services[2]], Slots), ServiceModel.Of(maps));
    }

    [Fact]
    public async Task Change_of_one_service_writes_to_no_other()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var target = new ServiceTarget(maps);
        await Apply(target, [Service(1, 2), Service(2, 2)]);
        // Had anything of the second been written, it would be back.
        foreach (Lb4Key key in maps.Services4.Entries().Where(e => e.Key.Addr.Value == 0x0A600002).Select(e => e.Key).ToArray())
            maps.Services4.TryDelete(key);
        await Apply(target, [Service(1, 3)]);
        Assert.DoesNotContain(maps.Services4.Entries(), e => e.Key.Addr.Value == 0x0A600002);
        Assert.Equal([3u], target.Read().Values.Select(s => (uint)s.Backends.Length));
    }

    [Fact]
    public async Task Numbers_of_backends_that_left_are_handed_to_the_collector_once()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var target = new ServiceTarget(maps);
        await Apply(target, [Service(1, 3)]);
        uint? last = target.FindBackendId(Service(1, 3).Backends[2].Address);
        await Apply(target, [Service(1, 2)]);
        Assert.Equal([last!.Value], target.TakeRemovedBackends());
        Assert.Empty(target.TakeRemovedBackends());
    }

    [Fact]
    public async Task IPv6_service_reads_back_with_all_its_parts_and_leaves_none_behind()
    {
        using var test = new TestNode();
        using DatapathMaps maps = OpenMaps(test);
        var service = new ServiceMapEntry(new ServiceMapKey(new L4Address(IpAddress.Parse("fd00:96::1"), 80, L4Protocol.Tcp)))
        {
            Backends = [.. Enumerable.Range(1, 3).Select(i => new BackendMapEntry(new L4Address(TestNode.Router6.Add((uint)i), 80, L4Protocol.Tcp)) { Zone = 2 })],
            Flags = LbFlags.Affinity | LbFlags.SourceRanges | LbFlags.LoadBalancer,
            Flags2 = LbFlags2.SourceRangesDeny | LbFlags2.Dsr,
            AffinityTimeoutSeconds = 10800,
            Algorithm = LbAlgorithm.Maglev,
            SourceRanges = [IpPrefix.Parse("2001:db8::/32"), IpPrefix.Parse("fd00::/8")],
        };
        var target = new ServiceTarget(maps, Maglev);
        await Apply(target, [service]);
        Assert.Equal(service, target.Read()[service.Key]);
        ushort number = target.FindId(service.Key)!.Value;
        using var dump = new DatapathDump(test.Options.BpfRoot);
        Assert.Equal([new ReverseNatEntry(number, service.Key.Frontend.Address, 80)], dump.ReverseNat());
        Assert.Equal(service.SourceRanges.Select(r => new SourceRangeEntry(number, r)).ToHashSet(), dump.SourceRanges().ToHashSet());
        Assert.Equal(3, dump.AffinityMatches().Count(m => m.Number == number));
        MaglevEntry table = Assert.Single(dump.Maglev());
        Assert.Equal((number, true, Slots), (table.Number, table.IsV6, table.Backends.Length));
        Assert.Equal(service.Backends.Select(b => target.FindBackendId(b.Address)!.Value).Order(), table.Backends.Distinct().Order());
        ServiceSlotEntry master = Assert.Single(dump.ServiceSlots(), s => s.Slot == 0);
        Assert.Equal((LbAlgorithm.Maglev, 10800u, (ushort)3), (master.Algorithm, master.AffinitySeconds, master.Count));

        await target.DeleteAsync([service.Key], new(), Cancellation);
        Assert.Empty(dump.ServiceSlots());
        Assert.Empty(dump.Backends());
        Assert.Empty(dump.ReverseNat());
        Assert.Empty(dump.SourceRanges());
        Assert.Empty(dump.AffinityMatches());
        Assert.Empty(dump.Maglev());
    }

    private static void Vandalise(DatapathMaps maps, Random random)
    {
        switch (random.Next(8))
        {
            case 0:
                Pick(maps.Services4.Entries().Select(e => e.Key), k => maps.Services4.TryDelete(k));
                break;
            case 1:
                Pick(maps.Services4.Entries().Select(e => e.Key), k => maps.Services4.Update(k, new LbService { Backend = 77, Count = 9 }));
                break;
            case 2:
                Pick(maps.Backends4.Entries().Select(e => e.Key), k => maps.Backends4.TryDelete(k));
                break;
            case 3:
                Pick(maps.ReverseNat4.Entries().Select(e => e.Key), k => maps.ReverseNat4.Update(k, default));
                break;
            case 4:
                Pick(maps.AffinityMatches.Entries().Select(e => e.Key), k => maps.AffinityMatches.TryDelete(k));
                maps.AffinityMatches.Update(new LbAffinityMatch { Backend = 5000, RevNat = 5000 }, 0);
                break;
            case 5:
                Pick(maps.SourceRanges4.Entries().Select(e => e.Key), k => maps.SourceRanges4.TryDelete(k));
                maps.SourceRanges4.Update(new Lb4SourceRange { PrefixLen = 40, RevNat = 5000, Addr = 0x7f000000 }, 0);
                break;
            case 6:
                Pick(maps.Maglev4.Entries().Select(e => e.Key), k => maps.Maglev4.TryDelete(k));
                break;
            case 7:
                maps.Services4.Update(new Lb4Key { Addr = 0x7f000001, Port = 9, Protocol = 6, Slot = 3 }, new LbService { Backend = 1 });
                maps.Backends4.Update(new LbBackendKey { Id = 9999 }, new Lb4Backend { Addr = 0x7f000001, Port = 1 });
                maps.ReverseNat4.Update(new LbRevNatKey { Index = 9999 }, new Lb4RevNat { Addr = 0x7f000001 });
                break;
        }

        void Pick<T>(IEnumerable<T> keys, Action<T> action)
        {
            T[] all = [.. keys];
            if (all.Length > 0)
                action(all[random.Next(all.Length)]);
        }
    }

    /// <summary>What a reconciler does: writes what differs, deletes what is not wanted.</summary>
    private static async Task Repair(ServiceTarget target, IReadOnlyCollection<ServiceMapEntry> rows)
    {
        IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry> actual = await target.ReadActualAsync(Cancellation);
        await target.DeleteAsync([.. actual.Keys.Except(rows.Select(r => r.Key))], new(), Cancellation);
        await Apply(target, [.. rows.Where(r => !actual.TryGetValue(r.Key, out ServiceMapEntry? found) || !target.IsSame(r, found))]);
    }

    private static async Task AssertNothingToRepair(ServiceTarget target, IReadOnlyCollection<ServiceMapEntry> rows)
    {
        IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry> actual = await target.ReadActualAsync(Cancellation);
        Assert.Subset(actual.Keys.ToHashSet(), rows.Select(r => r.Key).ToHashSet());
        Assert.All(rows, r => Assert.True(target.IsSame(r, actual[r.Key]), r.Key.ToString()));
    }

    internal static async Task Apply(ServiceTarget target, IReadOnlyList<ServiceMapEntry> services)
    {
        var failures = new ReconcileFailures<ServiceMapKey>();
        await target.ApplyAsync(services, failures, Cancellation);
        Assert.Equal(0, failures.Count);
    }

    private static ServiceMapEntry Service(int address, int backends)
        => new(new ServiceMapKey(new L4Address(IpAddress.FromV4(0x0A600000u + (uint)address), 80, L4Protocol.Tcp)))
        {
            Backends = [.. Enumerable.Range(1, backends).Select(i => new BackendMapEntry(Backend(i)))],
        };

    private static L4Address Backend(int number) => new(IpAddress.FromV4(0x0A370000u + (uint)number), 8080, L4Protocol.Tcp);

    private static DatapathMaps OpenMaps(TestNode test)
    {
        test.MountBpf();
        return DatapathMaps.OpenOrCreate(test.Paths, test.Options.MapSizes, new DatapathReport());
    }

    /// <summary>Rows that change at random, some of them at a time.</summary>
    private sealed class RandomRows(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly Dictionary<ServiceMapKey, ServiceMapEntry> _rows = [];

        public IReadOnlyCollection<ServiceMapEntry> All => _rows.Values;

        /// <summary>
        /// Not one that leads to an inside that has yet to come, or that is overruled about a backend; maps do not show what it wants.
        /// </summary>
        public bool IsWhole(ServiceMapEntry row)
            => (!row.Flags2.HasFlag(LbFlags2.TwoScopes) || _rows.ContainsKey(row.Key with { Scope = LbScope.Internal }))
                && row.Backends.All(b => _rows.Values.SelectMany(r => r.Backends).All(other => other.Address != b.Address || other.State >= b.State));

        public (IReadOnlyList<ServiceMapKey> Deletes, IReadOnlyList<ServiceMapEntry> Upserts) Change()
        {
            HashSet<ServiceMapKey> deletes = [];
            Dictionary<ServiceMapKey, ServiceMapEntry> upserts = [];
            for (int i = _random.Next(1, 6); i > 0; i--)
            {
                ServiceMapKey key = Key();
                deletes.Remove(key);
                upserts.Remove(key);
                if (_random.Next(4) == 0)
                {
                    _rows.Remove(key);
                    deletes.Add(key);
                }
                else
                {
                    _rows[key] = upserts[key] = Row(key);
                }
            }

            return ([.. deletes], [.. upserts.Values]);
        }

        private ServiceMapKey Key()
        {
            IpAddress address = IpAddress.FromV4(0x0A600000u + (uint)_random.Next(1, 5));
            if (_random.Next(6) == 0)
                return new ServiceMapKey(new L4Address(address, 0, L4Protocol.Any));
            var frontend = new L4Address(address, (ushort)(80 + _random.Next(2)), L4Protocol.Tcp);
            return new ServiceMapKey(frontend, (LbScope)_random.Next(2));
        }

        private ServiceMapEntry Row(ServiceMapKey key)
        {
            if (key.Frontend.Port == 0)
                return new ServiceMapEntry(key);
            BackendMapEntry[] backends = [.. Enumerable.Range(1, 9).Where(_ => _random.Next(3) > 0).Select(Entry)];
            _random.Shuffle(backends);
            bool affinity = _random.Next(3) == 0;
            return new ServiceMapEntry(key)
            {
                Backends = [.. backends.OrderBy(b => b.State)],
                Flags = LbFlags.Routable | (affinity ? LbFlags.Affinity : 0),
                Flags2 = _random.Next(2) == 0 ? LbFlags2.TwoScopes : 0,
                AffinityTimeoutSeconds = affinity ? (uint)_random.Next(1, 20000) : 0,
                Algorithm = (LbAlgorithm)_random.Next(2),
                SourceRanges = [.. Enumerable.Range(0, _random.Next(4)).Select(i => new IpPrefix(IpAddress.FromV4((uint)(i + 1) << 24), 8 + i))],
            };
        }

        // Services say different things about some backends.
        private BackendMapEntry Entry(int number) => new(Backend(number))
        {
            State = number < 6 ? LbBackendState.Active : (LbBackendState)_random.Next((int)LbBackendState.Maintenance + 1),
            Zone = (byte)(number % 3),
            Weight = (ushort)(_random.Next(2) == 0 ? 100 : 50),
        };
    }
}
