// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.DatapathPlatform.Tests;

public sealed class MigrationTests
{
    private const int Connections = 700;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Entries_of_every_kind_of_map_survive_a_change_of_sizes_interrupted_anywhere()
    {
        int checkpoints = await RunInterrupted(stopAfter: int.MaxValue);
        Assert.True(checkpoints > 20, $"only {checkpoints} places to stop at");
        for (int stop = 1; stop <= checkpoints; stop++)
            Assert.Equal(stop, await RunInterrupted(stop));
    }

    [Fact]
    public void What_came_into_the_old_map_meanwhile_is_added_and_what_is_newer_stays()
    {
        using var test = new TestNode();
        test.MountBpf();
        using DatapathMaps before = Open(test, 4096);
        before.Ct4.Update(Key(1), new CtEntry { LifetimeS = 10 });
        var report = new DatapathReport();
        using DatapathMaps after = Open(test, 8192, report: report);
        Assert.StartsWith("map cilium_ct4_global was replaced with its 1 entries: max entries: declared 8192, pinned 4096",
            Assert.Single(report.Repaired, r => r.Contains("ct4", StringComparison.Ordinal)));

        // Old programs still write to the old map, new ones already to the new map.
        before.Ct4.Update(Key(2), new CtEntry { LifetimeS = 20 });
        before.Ct4.Update(Key(1), new CtEntry { LifetimeS = 11 });
        after.Ct4.Update(Key(1), new CtEntry { LifetimeS = 12 });
        after.CopyRest();
        before.Ct4.Update(Key(3), new CtEntry { LifetimeS = 30 });
        after.FinishMigration();
        Assert.Equal([(1, 12u), (2, 20u), (3, 30u)], after.Ct4.Entries().Select(e => ((int)e.Key.LowPort.Value, e.Value.LifetimeS)).Order());
        Assert.Empty(Directory.EnumerateFiles(test.Paths.Maps, "*_from*"));
        Assert.Empty(Directory.EnumerateFiles(test.Paths.Maps, "*_old"));
    }

    [Fact]
    public void Older_layout_is_converted()
    {
        const int OldValueSize = 40;
        using var test = new TestNode();
        test.MountBpf();
        Directory.CreateDirectory(test.Paths.Maps);
        BpfMapSpec declared = Maps.CiliumCt4Global.Spec;
        using (var old = BpfMap.OpenOrCreatePinned(declared with { ValueSize = OldValueSize, MaxEntries = 64 }, test.Paths.Map(declared.Name)))
        {
            byte[] value = new byte[OldValueSize];
            for (byte port = 1; port <= 3; port++)
            {
                value[8] = port;
                Ct4Key key = Key(port);
                old.Update(MemoryMarshal.AsBytes(new ReadOnlySpan<Ct4Key>(in key)), value);
            }
        }

        var change = new MapLayoutChange(declared.Name, declared.KeySize, OldValueSize, (key, value, newKey, newValue) =>
        {
            key.CopyTo(newKey);
            newValue[0] = value[8];
            return value[8] != 2;
        });
        var report = new DatapathReport();
        var migration = new MapMigration(test.Paths, [change], report);
        using DatapathMaps maps = DatapathMaps.OpenOrCreate(test.Paths, Sized(4096), report, migration);
        maps.FinishMigration();
        Assert.Equal([(1, 1u), (3, 3u)], maps.Ct4.Entries().Select(e => ((int)e.Key.LowPort.Value, e.Value.LifetimeS)).Order());
        Assert.False(File.Exists(test.Paths.Map(declared.Name + "_old")));
    }

    [Fact]
    public async Task Pods_go_on_talking_while_their_connections_move_to_maps_of_another_size_and_kind()
    {
        using var test = new TestNode();
        using NodeDatapath node = test.Start();
        NetworkNamespace first = await test.AddPodAsync(node, 5, Cancellation);
        NetworkNamespace second = await test.AddPodAsync(node, 6, Cancellation);
        IpAddress target = TestNode.Router4.Add(6);
        using var echo = new UdpEcho(second, target);
        using var client = new UdpPing(first, target);
        Assert.True(client.Exchange(0));
        // Nothing opens this connection again, so it is there only if it was carried over.
        node.Maps.Ct4.Update(Key(1), new CtEntry { LifetimeS = uint.MaxValue, Flags = (uint)CtFlags.SeenNonSyn });
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

        test.Options = test.Options with { MapSizes = test.Options.MapSizes.SetItem("cilium_ct4_global", 8192), DistributedLru = true };
        using (NodeDatapath again = test.Start())
        {
            Assert.Contains(again.Report.Repaired, r => r.StartsWith("map cilium_ct4_global was replaced with its", StringComparison.Ordinal));
            Assert.True(again.Maps.Ct4.Map.Spec.Flags.HasFlag(BpfMapFlags.NoCommonLru));
            Assert.True(again.Maps.Ct4.TryLookup(Key(1), out CtEntry entry));
            Assert.Equal((uint)CtFlags.SeenNonSyn, entry.Flags);
        }

        test.Options = test.Options with { MapSizes = test.Options.MapSizes.SetItem("cilium_ct4_global", 2048), DistributedLru = false };
        using NodeDatapath third = test.Start();
        Assert.True(third.Maps.Ct4.TryLookup(Key(1), out _));
        await stop.CancelAsync();
        await stream;
        Assert.True(sent > 100, $"only {sent} packets met the change");
        Assert.Equal(0, lost);
    }

    /// <summary>Returns at how many places it came by; stops the first run at the one given, as a kill would.</summary>
    private static async Task<int> RunInterrupted(int stopAfter)
    {
        using var test = new TestNode();
        test.MountBpf();
        string before;
        using (DatapathMaps maps = Open(test, 4096))
        {
            await Fill(maps);
            before = Contents(maps);
        }

        int passed = 0;
        try
        {
            using DatapathMaps maps = Open(test, 8192, checkpoint: _ => Pass());
            maps.CopyRest();
            maps.FinishMigration();
        }
        catch (InterruptedException)
        {
        }

        using (DatapathMaps maps = Open(test, 8192))
        {
            maps.FinishMigration();
            Assert.Equal(before, Contents(maps));
            Assert.Equal(8192u, maps.Ct4.Map.Spec.MaxEntries);
            Assert.DoesNotContain(Directory.EnumerateFiles(test.Paths.Maps), f => f.Contains("_from") || f.EndsWith("_next", StringComparison.Ordinal));
        }

        return passed;

        void Pass()
        {
            if (++passed == stopAfter)
                throw new InterruptedException();
        }
    }

    private static async Task Fill(DatapathMaps maps)
    {
        for (ushort port = 1; port <= Connections; port++)
            maps.Ct4.Update(Key(port), new CtEntry { LifetimeS = port });
        maps.SourceRanges4.Update(new Lb4SourceRange { PrefixLen = 40, RevNat = 7, Addr = 0x0a000000 }, 0);
        maps.Nat4.Update(new Nat4Key { Source = 1, Protocol = 6 }, new Nat4Entry { Addr = 2, Port = 3 });
        var target = new ServiceTarget(maps, new MaglevSettings(11, "seed", ServiceModel.Fill));
        var key = new ServiceMapKey(new L4Address(IpAddress.Parse("10.96.0.1"), 80, L4Protocol.Tcp));
        BackendMapEntry[] backends = [.. Enumerable.Range(1, 3).Select(i => new BackendMapEntry(new L4Address(TestNode.Router4.Add((uint)i), 80, L4Protocol.Tcp)))];
        await target.ApplyAsync(
            [new ServiceMapEntry(key) { Algorithm = LbAlgorithm.Maglev, Backends = [.. backends] }], new ReconcileFailures<ServiceMapKey>(), Cancellation);
    }

    private static string Contents(DatapathMaps maps) => string.Join('\n',
    [
        .. maps.Ct4.Entries().Select(e => $"ct {e.Key.LowPort} {e.Value.LifetimeS}").Order(),
        .. maps.SourceRanges4.Entries().Select(e => $"range {e.Key.RevNat} {e.Key.PrefixLen} {e.Key.Addr}"),
        .. maps.Nat4.Entries().Select(e => $"nat {e.Key.Source} {e.Value.Addr} {e.Value.Port}"),
        .. maps.Services4.Entries().Select(e => $"service {e.Key.Addr} {e.Key.Slot} {e.Value.Backend} {e.Value.Count}").Order(),
        .. maps.Backends4.Entries().Select(e => $"backend {e.Key.Id} {e.Value.Addr}").Order(),
        .. maps.Maglev4.Entries().Select(e => $"table {e.Key.Index} {Slots(e.Value)}"),
    ]);

    private static string Slots(uint table)
    {
        using BpfMap map = BpfMap.OpenById(table);
        return string.Join(' ', MaglevTables.Read(map));
    }

    private static DatapathMaps Open(TestNode test, uint size, Action<string>? checkpoint = null, DatapathReport? report = null)
    {
        report ??= new DatapathReport();
        var migration = new MapMigration(test.Paths, [], report) { Checkpoint = checkpoint };
        return DatapathMaps.OpenOrCreate(test.Paths, Sized(size), report, migration);
    }

    // Of each kind one, and two of the same: a hash with and without list, a trie, a map of maps.
    private static Func<BpfMapSpec, BpfMapSpec> Sized(uint size) => spec => spec.Name switch
    {
        "cilium_ct4_global" or "cilium_snat_v4_external" or "cilium_lb4_source_range" or "cilium_lb4_services_v2" or "cilium_lb4_maglev"
            => spec with { MaxEntries = size },
        _ when spec.Type is BpfMapType.LruHash or BpfMapType.Hash => spec with { MaxEntries = 1024 },
        _ => spec,
    };

    private static Ct4Key Key(ushort port) => new() { LowAddr = 0x0A000001, HighAddr = 0x0A000009, LowPort = port, HighPort = 80, Protocol = 6 };

    private sealed class InterruptedException : Exception;
}
