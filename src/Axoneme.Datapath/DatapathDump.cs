// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>A counter of cilium_metrics, summed over processors.</summary>
/// <param name="Reason">0 forwarded, or a reason why packets were dropped or treated specially.</param>
public sealed record MetricEntry(DropReason Reason, MetricDirection Direction, ulong Packets, ulong Bytes);

/// <summary>One slot of a service as the maps have it; slot 0 describes the service.</summary>
/// <param name="ReverseNat">Of the service: slot 0 has it for all.</param>
/// <param name="BackendId">0 in slot 0.</param>
/// <param name="Backend">Null in slot 0, and where the backend's map does not have the id.</param>
public sealed record ServiceSlotEntry(
    ServiceMapKey Key, ushort Slot, ushort ReverseNat, uint BackendId = 0, BackendMapEntry? Backend = null)
{
    public LbFlags Flags { get; init; }

    public LbFlags2 Flags2 { get; init; }

    /// <summary>Of slot 0.</summary>
    public LbAlgorithm Algorithm { get; init; }

    /// <summary>Session affinity in seconds, of slot 0; 0 none.</summary>
    public uint AffinitySeconds { get; init; }

    /// <summary>Of slot 0: the slots that new connections choose from, and those that are named for old ones only.</summary>
    public ushort Count { get; init; }

    /// <inheritdoc cref="Count"/>
    public ushort QuarantinedCount { get; init; }
}

/// <summary>A map that is pinned.</summary>
/// <param name="Entries">Null of an array, whose slots are all there always.</param>
public sealed record PinnedMapEntry(string Name, string Path, long? Entries, uint MaxEntries);

/// <summary>Reads the pinned maps as typed values, without an agent.</summary>
public sealed class DatapathDump : IDisposable
{
    private readonly DatapathMaps _maps;

    /// <param name="bpfRoot">The root that the agent was started with.</param>
    public DatapathDump(string bpfRoot) => _maps = DatapathMaps.OpenPinned(new DatapathPaths(bpfRoot));

    public void Dispose() => _maps.Dispose();

    /// <summary>Connections of both families.</summary>
    public IEnumerable<ConntrackEntry> Conntrack() => ConntrackEntry.ReadAll(_maps);

    /// <summary>Forgets all connections, which those that go on are then taken for new; returns how many by map.</summary>
    public IEnumerable<(string Map, int Deleted)> FlushConntrack()
    {
        yield return (Maps.CiliumCt4Global.Spec.Name, Flush(_maps.Ct4));
        yield return (Maps.CiliumCt6Global.Spec.Name, Flush(_maps.Ct6));
    }

    public IEnumerable<IpcacheEntry> Ipcache() => new IpcacheTarget(_maps).Read().Select(e => e.Value);

    public IEnumerable<EndpointMapEntry> Endpoints() => new EndpointMapTarget(_maps).Read().Select(e => e.Value);

    public IEnumerable<ServiceMapEntry> Services() => ServiceTarget.Read(_maps).Values;

    /// <summary>The services slot by slot, whether or not the parts fit together.</summary>
    public IEnumerable<ServiceSlotEntry> ServiceSlots()
    {
        var reader = new ServiceReader(_maps, maglev: null);
        Dictionary<(uint Id, bool IsV6), BackendMapEntry> backends = [];
        foreach ((uint id, BackendMapEntry backend) in reader.Backends())
            backends[(id, backend.Address.Address.IsV6)] = backend;
        var all = reader.Slots().ToList();
        var numbers = all.Where(s => s.Slot == 0).ToDictionary(s => s.Key, s => s.Value.RevNat);
        foreach ((ServiceMapKey key, ushort slot, LbService value) in all)
        {
            (uint affinity, LbAlgorithm algorithm) = LoadBalancerCodec.DecodeSlotZero(value.Backend);
            uint backend = slot == 0 ? 0 : value.Backend;
            yield return new ServiceSlotEntry(
                key, slot, numbers.GetValueOrDefault(key), backend, backends.GetValueOrDefault((backend, key.Frontend.Address.IsV6)))
            {
                Flags = (LbFlags)value.Flags,
                Flags2 = (LbFlags2)value.Flags2,
                Algorithm = slot == 0 ? algorithm : default,
                AffinitySeconds = slot == 0 ? affinity : 0,
                Count = value.Count,
                QuarantinedCount = value.QuarantinedCount,
            };
        }
    }

    /// <summary>Backends by their id, which is unique within a family.</summary>
    public IEnumerable<(uint Id, BackendMapEntry Backend)> Backends()
        => new ServiceReader(_maps, maglev: null).Backends();

    public IEnumerable<ReverseNatEntry> ReverseNat()
        => new ServiceReader(_maps, maglev: null).Reverse().Select(r => new ReverseNatEntry(r.Number, r.Address, r.Port));

    /// <summary>Clients that were bound to a backend, whether or not that is still in force.</summary>
    public IEnumerable<AffinityEntry> Affinity()
    {
        uint now = KernelClock.NowSeconds();
        return _maps.Affinity4.Entries().Select(e => Decode(e.Key, e.Value, isV6: false, now))
            .Concat(_maps.Affinity6.Entries().Select(e => Decode(e.Key, e.Value, isV6: true, now)));
    }

    public IEnumerable<AffinityMatchEntry> AffinityMatches()
        => _maps.AffinityMatches.Entries().Select(e => new AffinityMatchEntry(e.Key.RevNat, e.Key.Backend));

    public IEnumerable<SourceRangeEntry> SourceRanges()
        => new ServiceReader(_maps, maglev: null).Ranges().Select(r => new SourceRangeEntry(r.Number, r.Range));

    /// <summary>Every table with all of its slots.</summary>
    public IEnumerable<MaglevEntry> Maglev()
    {
        foreach ((ushort number, bool isV6, uint tableId) in new ServiceReader(_maps, maglev: null).Tables())
        {
            if (TryReadTable(tableId) is { } backends)
                yield return new MaglevEntry(number, isV6, backends);
        }
    }

    /// <summary>Translations of both families.</summary>
    public IEnumerable<NatMapEntry> Nat()
    {
        uint now = KernelClock.NowSeconds();
        return _maps.Nat4.Entries().Select(e => NatMapEntry.Decode(e.Key, e.Value, now))
            .Concat(_maps.Nat6.Entries().Select(e => NatMapEntry.Decode(e.Key, e.Value, now)));
    }

    /// <summary>Forgets all translations, which breaks the connections that use them; returns how many by map.</summary>
    public IEnumerable<(string Map, int Deleted)> FlushNat()
    {
        yield return (Maps.CiliumSnatV4External.Spec.Name, Flush(_maps.Nat4));
        yield return (Maps.CiliumSnatV6External.Spec.Name, Flush(_maps.Nat6));
    }

    /// <summary>For each number of tries, also where no connection needed so many.</summary>
    public IEnumerable<NatRetryEntry> NatRetries()
        => _maps.NatRetries4.Entries().Select(e => new NatRetryEntry(false, (int)e.Key, e.Value.Sum(v => (long)v)))
            .Concat(_maps.NatRetries6.Entries().Select(e => new NatRetryEntry(true, (int)e.Key, e.Value.Sum(v => (long)v))))
            .OrderBy(r => r.IsV6).ThenBy(r => r.Tries);

    public IEnumerable<SkippedTranslation> SkippedTranslations() => new SkippedTranslationTarget(_maps).Read().Select(e => e.Value);

    /// <summary>Destinations that are not masqueraded.</summary>
    public IEnumerable<IpPrefix> MasqueradeExceptions() => new MasqueradeExceptionTarget(_maps).Read().Select(e => e.Key);

    /// <summary>Endpoints that have a policy.</summary>
    public IEnumerable<ushort> PolicyEndpoints() => new PolicyTarget(_maps).PinnedEndpoints();

    /// <summary>Every map that is pinned next to ours, ours or not.</summary>
    public IEnumerable<PinnedMapEntry> PinnedMaps()
    {
        foreach (string path in Directory.EnumerateFiles(_maps.Paths.Maps))
        {
            if (OpenMap(path) is not { } map)
                continue;
            using (map)
                yield return new PinnedMapEntry(map.Name, path, MapCensus.Count(map), map.Spec.MaxEntries);
        }
    }

    /// <summary>The policy of an endpoint; null when it has none.</summary>
    public EndpointPolicy? Policy(ushort endpointId) => new PolicyTarget(_maps).Read(endpointId);

    /// <summary>Counters that are not zero.</summary>
    public IEnumerable<MetricEntry> Metrics() => ReadMetrics(_maps);

    /// <inheritdoc cref="Metrics"/>
    public static IEnumerable<MetricEntry> ReadMetrics(DatapathMaps maps)
    {
        ArgumentNullException.ThrowIfNull(maps);
        foreach ((uint index, Metric[] values) in maps.Metrics.Entries())
        {
            ulong packets = 0;
            ulong bytes = 0;
            foreach (Metric value in values)
            {
                packets += value.Packets;
                bytes += value.Bytes;
            }

            const int Shift = (int)MetricIndex.DirectionShift;
            if (packets != 0)
                yield return new MetricEntry((DropReason)(index & ((1u << Shift) - 1)), (MetricDirection)(index >> Shift), packets, bytes);
        }
    }

    private static AffinityEntry Decode(in LbAffinityKey key, in LbAffinity value, bool isV6, uint now)
    {
        IpAddr client = key.Client;
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<IpAddr>(in client));
        bool isCookie = key.IsCookie != 0;
        return new AffinityEntry(
            isCookie ? null : client.ToAddress(isV6), isCookie ? MemoryMarshal.Read<ulong>(bytes) : 0, key.RevNat, value.Backend,
            TimeSpan.FromSeconds(Math.Max(0, (long)now - value.LastUsedS)), isV6);
    }

    // A table may be replaced while we look.
    private static ImmutableArray<uint>? TryReadTable(uint id)
    {
        try
        {
            using BpfMap table = BpfMap.OpenById(id);
            return [.. MaglevTables.Read(table)];
        }
        catch (SystemCallException e) when (e.Errno == Errno.ENOENT)
        {
            return null;
        }
    }

    private static int Flush<TKey, TValue>(BpfMap<TKey, TValue> map)
        where TKey : unmanaged
        where TValue : unmanaged
    {
        TKey[] keys = [.. map.Entries().Select(e => e.Key)];
        map.DeleteBatch(keys);
        return keys.Length;
    }

    // Other pins (programs, links) may lie in the folder, and a map may go while we look.
    private static BpfMap? OpenMap(string path)
    {
        try
        {
            return BpfMap.TryOpenPinned(path);
        }
        catch (SystemCallException e) when (e.Errno is Errno.EINVAL or Errno.ENOENT)
        {
            return null;
        }
    }
}
