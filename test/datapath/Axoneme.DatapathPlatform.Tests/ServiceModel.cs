// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>
/// Services as text, without the numbers that only maps know: from rows, and from what the maps hold. Equal texts mean that every program
/// sees what the rows say, and that the maps hold nothing else.
/// </summary>
internal static class ServiceModel
{
    /// <summary>What the maps should hold, said as simply as possible.</summary>
    public static string Of(IEnumerable<ServiceMapEntry> rows, int maglevSlots)
    {
        List<string> lines = [];
        Dictionary<ServiceMapKey, ServiceMapEntry> all = rows.ToDictionary(r => r.Key);
        // A backend has one state, whichever services name it: the most willing that any of them says.
        Dictionary<L4Address, LbBackendState> states =
            all.Values.SelectMany(r => r.Backends).GroupBy(b => b.Address).ToDictionary(g => g.Key, g => g.Min(b => b.State));
        foreach (ServiceMapEntry row in all.Values)
        {
            LbBackendState used = row.Backends.Any(b => b.State == LbBackendState.Active) ? LbBackendState.Active : LbBackendState.Terminating;
            BackendMapEntry[] inUse = [.. row.Backends.TakeWhile(b => b.State == used)];
            bool hasInner = row.Key.Scope == LbScope.Internal || all.ContainsKey(row.Key with { Scope = LbScope.Internal });
            LbFlags2 flags2 = hasInner ? row.Flags2 : row.Flags2 & ~LbFlags2.TwoScopes;
            bool hasMatches = row.Flags.HasFlag(LbFlags.Affinity);
            bool hasTable = row.Algorithm == LbAlgorithm.Maglev && inUse.Length > 0;
            lines.Add(Line(
                row.Key, (byte)row.Flags, (byte)flags2, row.AffinityTimeoutSeconds, row.Algorithm, inUse.Length, row.Backends.Select(b => b with { State = states[b.Address] }),
                hasMatches ? inUse.Select(b => b.Address) : [],
                row.SourceRanges,
                hasTable ? Table(inUse, maglevSlots) : []));
        }

        lines.AddRange(all.Values.SelectMany(r => r.Backends).Select(b => b.Address).Distinct().Select(a => $"backend {a}"));
        return Text(lines);
    }

    /// <summary>What they do hold, read map by map.</summary>
    public static string Of(DatapathMaps maps)
    {
        List<string> lines = [];
        Dictionary<uint, BackendMapEntry> backends = Backends(maps);
        ILookup<ushort, uint> matches = maps.AffinityMatches.Entries().ToLookup(e => e.Key.RevNat, e => e.Key.Backend);
        ILookup<ushort, IpPrefix> ranges = maps.SourceRanges4.Entries()
            .Select(e => (e.Key.RevNat, Range: new IpPrefix(IpAddress.FromV4(e.Key.Addr.Value), (int)e.Key.PrefixLen - 32)))
            .ToLookup(r => r.RevNat, r => r.Range);
        Dictionary<ushort, (uint Address, ushort Port)> reverse =
            maps.ReverseNat4.Entries().ToDictionary(e => e.Key.Index, e => (e.Value.Addr.Value, e.Value.Port.Value));
        HashSet<ushort> numbers = [];
        var groups = maps.Services4.Entries().GroupBy(e => e.Key with { Slot = 0 });
        foreach (var group in groups)
        {
            Dictionary<ushort, LbService> slots = group.ToDictionary(e => e.Key.Slot, e => e.Value);
            LbService master = slots[0];
            Lb4Key key = group.Key;
            Assert.Equal(master.Count + master.QuarantinedCount + 1, slots.Count);
            if (key.Port.Value != 0)
            {
                Assert.True(numbers.Add(master.RevNat), $"number {master.RevNat} belongs to two services");
                Assert.Equal((key.Addr.Value, key.Port.Value), reverse[master.RevNat]);
            }

            lines.Add(Line(
                new ServiceMapKey(new L4Address(IpAddress.FromV4(key.Addr.Value), key.Port.Value, (L4Protocol)key.Protocol), (LbScope)key.Scope),
                master.Flags, master.Flags2, master.Backend & 0xffffff, (LbAlgorithm)(master.Backend >> 24), master.Count,
                Enumerable.Range(1, slots.Count - 1).Select(slot => backends[slots[(ushort)slot].Backend]),
                matches[master.RevNat].Select(id => backends[id].Address),
                ranges[master.RevNat],
                Table(maps, master.RevNat).Select(id => backends[id].Address)));
        }

        Assert.Equal(numbers.Order(), reverse.Keys.Order());
        Assert.Empty(matches.Select(m => m.Key).Except(numbers));
        Assert.Empty(ranges.Select(r => r.Key).Except(numbers));
        Assert.Empty(maps.Maglev4.Entries().Select(e => e.Key.Index).Except(numbers));
        lines.AddRange(backends.Values.Select(b => $"backend {b.Address}"));
        return Text(lines);
    }

    /// <summary>A table that depends on the set of addresses and the weights only.</summary>
    public static void Fill(ReadOnlySpan<BackendMapEntry> backends, Span<ushort> slots)
    {
        BackendMapEntry[] given = backends.ToArray();
        L4Address[] table = Table(given, slots.Length);
        for (int i = 0; i < slots.Length; i++)
            slots[i] = (ushort)Array.FindIndex(given, b => b.Address == table[i]);
    }

    private static L4Address[] Table(BackendMapEntry[] backends, int slots)
    {
        BackendMapEntry[] sorted = [.. backends.OrderBy(b => b.Address).SelectMany(b => Enumerable.Repeat(b, b.Weight / 50))];
        return [.. Enumerable.Range(0, slots).Select(i => sorted[i % sorted.Length].Address)];
    }

    private static string Line(
        ServiceMapKey key, byte flags, byte flags2, uint affinity, LbAlgorithm algorithm, int count, IEnumerable<BackendMapEntry> backends,
        IEnumerable<L4Address> matches, IEnumerable<IpPrefix> ranges, IEnumerable<L4Address> table)
    {
        var line = new StringBuilder();
        line.Append(CultureInfo.InvariantCulture, $"{key} flags {flags:x}/{flags2:x} affinity {affinity} {algorithm} uses {count}:");
        line.AppendJoin(' ', backends.Select(b => $"{b.Address}/{b.State}/{b.Zone}"));
        line.Append(" matches ").AppendJoin(' ', matches.Order());
        line.Append(" ranges ").AppendJoin(' ', ranges.Order());
        line.Append(" table ").AppendJoin(' ', table);
        return line.ToString();
    }

    private static Dictionary<uint, BackendMapEntry> Backends(DatapathMaps maps) => maps.Backends4.Entries().ToDictionary(
        e => e.Key.Id,
        e => new BackendMapEntry(new L4Address(IpAddress.FromV4(e.Value.Addr.Value), e.Value.Port.Value, (L4Protocol)e.Value.Protocol))
        {
            State = (LbBackendState)e.Value.State,
            Zone = e.Value.Zone,
        });

    private static IEnumerable<uint> Table(DatapathMaps maps, ushort number)
    {
        if (!maps.Maglev4.TryLookup(new LbRevNatKey { Index = number }, out uint id))
            return [];
        using var table = BpfMap.OpenById(id).As<uint, LbMaglevPair>();
        return [.. table.Entries().OrderBy(e => e.Key).SelectMany(e => new[] { e.Value.Slots[0], e.Value.Slots[1] }).SkipLast(1)];
    }

    private static string Text(List<string> lines)
    {
        lines.Sort(StringComparer.Ordinal);
        return string.Join('\n', lines);
    }
}
