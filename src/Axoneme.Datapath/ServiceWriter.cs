// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>
/// The service maps of both families behind one face. What is staged is written in the order that keeps readers from seeing half a service:
/// backends, then all that hangs on a service's number, then slots, then slot 0; removals go the other way.
/// </summary>
internal sealed class ServiceWriter(DatapathMaps maps)
{
    private const string Services = "bpf-lb-service-map-max";
    private const string Backends = "bpf-lb-service-backend-map-max";
    private const string ReverseNat = "bpf-lb-rev-nat-map-max";
    private const string Affinity = "bpf-lb-affinity-map-max";
    private const string SourceRange = "bpf-lb-source-range-map-max";
    private const string Maglev = "bpf-lb-maglev-map-max";

    private readonly StagedWrites<LbBackendKey, Lb4Backend> _backends4 = new(maps.Backends4, Backends);
    private readonly StagedWrites<LbBackendKey, Lb6Backend> _backends6 = new(maps.Backends6, Backends);
    private readonly StagedWrites<LbRevNatKey, Lb4RevNat> _reverse4 = new(maps.ReverseNat4, ReverseNat);
    private readonly StagedWrites<LbRevNatKey, Lb6RevNat> _reverse6 = new(maps.ReverseNat6, ReverseNat);
    private readonly StagedWrites<LbAffinityMatch, byte> _matches = new(maps.AffinityMatches, Affinity);
    private readonly StagedWrites<Lb4SourceRange, byte> _ranges4 = new(maps.SourceRanges4, SourceRange);
    private readonly StagedWrites<Lb6SourceRange, byte> _ranges6 = new(maps.SourceRanges6, SourceRange);
    private readonly StagedWrites<Lb4Key, LbService> _slots4 = new(maps.Services4, Services);
    private readonly StagedWrites<Lb6Key, LbService> _slots6 = new(maps.Services6, Services);
    private readonly StagedRemovals<LbBackendKey, Lb4Backend> _goneBackends4 = new(maps.Backends4);
    private readonly StagedRemovals<LbBackendKey, Lb6Backend> _goneBackends6 = new(maps.Backends6);
    private readonly StagedRemovals<LbRevNatKey, Lb4RevNat> _goneReverse4 = new(maps.ReverseNat4);
    private readonly StagedRemovals<LbRevNatKey, Lb6RevNat> _goneReverse6 = new(maps.ReverseNat6);
    private readonly StagedRemovals<LbAffinityMatch, byte> _goneMatches = new(maps.AffinityMatches);
    private readonly StagedRemovals<Lb4SourceRange, byte> _goneRanges4 = new(maps.SourceRanges4);
    private readonly StagedRemovals<Lb6SourceRange, byte> _goneRanges6 = new(maps.SourceRanges6);
    private readonly StagedRemovals<Lb4Key, LbService> _goneSlots4 = new(maps.Services4);
    private readonly StagedRemovals<Lb6Key, LbService> _goneSlots6 = new(maps.Services6);
    private readonly StagedRemovals<LbRevNatKey, uint> _goneTables4 = new(maps.Maglev4);
    private readonly StagedRemovals<LbRevNatKey, uint> _goneTables6 = new(maps.Maglev6);
    private readonly List<(ushort Number, bool IsV6, BpfMap Table, WriteOwner Owner)> _tables = [];

    private long _refusedTables;

    /// <summary>Entries that full maps refused since the start, by map.</summary>
    public IEnumerable<(string Map, long Count)> Refused =>
    [
        (_backends4.Map, _backends4.Refused), (_backends6.Map, _backends6.Refused), (_reverse4.Map, _reverse4.Refused),
        (_reverse6.Map, _reverse6.Refused), (_matches.Map, _matches.Refused), (_ranges4.Map, _ranges4.Refused),
        (_ranges6.Map, _ranges6.Refused), (_slots4.Map, _slots4.Refused), (_slots6.Map, _slots6.Refused),
        (maps.Maglev4.Map.Name, _refusedTables),
    ];

    /// <summary>Entries written to and removed from the maps since the start, tables of Maglev not counted.</summary>
    public long Writes => _backends4.Count + _backends6.Count + _reverse4.Count + _reverse6.Count + _matches.Count + _ranges4.Count + _ranges6.Count
        + _slots4.Count + _slots6.Count + Removals;

    /// <summary>Entries removed from the maps since the start, tables of Maglev not counted.</summary>
    public long Removals => _goneBackends4.Count + _goneBackends6.Count + _goneReverse4.Count + _goneReverse6.Count + _goneMatches.Count
        + _goneRanges4.Count + _goneRanges6.Count + _goneSlots4.Count + _goneSlots6.Count;

    public void StageBackend(PooledBackend backend, BackendMapEntry entry)
    {
        backend.Staged = entry;
        backend.ClearFailure();
        var key = new LbBackendKey { Id = backend.Id };
        if (backend.Address.Address.IsV6)
            _backends6.Add(key, LoadBalancerCodec.Backend6(entry), backend);
        else
            _backends4.Add(key, LoadBalancerCodec.Backend4(entry), backend);
    }

    public void StageReverse(ushort number, L4Address frontend, WriteOwner owner)
    {
        var key = new LbRevNatKey { Index = number };
        if (frontend.Address.IsV6)
            _reverse6.Add(key, new Lb6RevNat { Addr = frontend.Address.ToV6(), Port = frontend.Port }, owner);
        else
            _reverse4.Add(key, new Lb4RevNat { Addr = frontend.Address.ToV4(), Port = frontend.Port }, owner);
    }

    public void StageMatch(ushort number, uint backend, WriteOwner owner)
        => _matches.Add(new LbAffinityMatch { Backend = backend, RevNat = number }, 0, owner);

    public void StageRange(ushort number, IpPrefix range, WriteOwner owner)
    {
        if (range.IsV6)
            _ranges6.Add(LoadBalancerCodec.Range6(number, range), 0, owner);
        else
            _ranges4.Add(LoadBalancerCodec.Range4(number, range), 0, owner);
    }

    /// <param name="table">May serve several services; the caller keeps it.</param>
    public void StageTable(ushort number, bool isV6, BpfMap table, WriteOwner owner) => _tables.Add((number, isV6, table, owner));

    public void StageSlot(ServiceMapKey key, int slot, in LbService value, WriteOwner owner)
    {
        if (key.Frontend.Address.IsV6)
            _slots6.Add(LoadBalancerCodec.Key6(key, (ushort)slot), in value, owner);
        else
            _slots4.Add(LoadBalancerCodec.Key4(key, (ushort)slot), in value, owner);
    }

    public void FlushBackends()
    {
        _backends4.Flush();
        _backends6.Flush();
    }

    public void FlushNumbered()
    {
        _reverse4.Flush();
        _reverse6.Flush();
        _matches.Flush();
        _ranges4.Flush();
        _ranges6.Flush();
        FlushTables(isV6: false, maps.Maglev4);
        FlushTables(isV6: true, maps.Maglev6);
        _tables.Clear();
    }

    public void FlushSlots()
    {
        _slots4.Flush();
        _slots6.Flush();
    }

    public void RemoveSlot(ServiceMapKey key, int slot)
    {
        if (key.Frontend.Address.IsV6)
            _goneSlots6.Add(LoadBalancerCodec.Key6(key, (ushort)slot));
        else
            _goneSlots4.Add(LoadBalancerCodec.Key4(key, (ushort)slot));
    }

    public void RemoveMatch(ushort number, uint backend) => _goneMatches.Add(new LbAffinityMatch { Backend = backend, RevNat = number });

    public void RemoveRange(ushort number, IpPrefix range)
    {
        if (range.IsV6)
            _goneRanges6.Add(LoadBalancerCodec.Range6(number, range));
        else
            _goneRanges4.Add(LoadBalancerCodec.Range4(number, range));
    }

    public void RemoveReverse(ushort number, bool isV6)
    {
        var key = new LbRevNatKey { Index = number };
        if (isV6)
            _goneReverse6.Add(key);
        else
            _goneReverse4.Add(key);
    }

    public void RemoveTable(ushort number, bool isV6)
    {
        var key = new LbRevNatKey { Index = number };
        if (isV6)
            _goneTables6.Add(key);
        else
            _goneTables4.Add(key);
    }

    public void RemoveBackend(uint id, bool isV6)
    {
        var key = new LbBackendKey { Id = id };
        if (isV6)
            _goneBackends6.Add(key);
        else
            _goneBackends4.Add(key);
    }

    /// <summary>Makes the removals, nearest to the reader first.</summary>
    public void FlushRemovals()
    {
        _goneSlots4.Flush();
        _goneSlots6.Flush();
        _goneMatches.Flush();
        _goneRanges4.Flush();
        _goneRanges6.Flush();
        _goneTables4.Flush();
        _goneTables6.Flush();
        _goneReverse4.Flush();
        _goneReverse6.Flush();
        _goneBackends4.Flush();
        _goneBackends6.Flush();
    }

    private void FlushTables(bool isV6, BpfMap<LbRevNatKey, uint> outer)
    {
        var own = _tables.Where(t => t.IsV6 == isV6 && !t.Owner.HasFailed).ToList();
        if (own.Count == 0)
            return;
        try
        {
            outer.Map.SetInner([.. own.Select(t => new LbRevNatKey { Index = t.Number })], [.. own.Select(t => t.Table)]);
        }
        catch (SystemCallException)
        {
            // One at a time, to tell those that fail from the others.
            foreach ((ushort number, _, BpfMap table, WriteOwner owner) in own)
                SetTable(outer.Map, number, table, owner);
        }
    }

    private void SetTable(BpfMap outer, ushort number, BpfMap table, WriteOwner owner)
    {
        try
        {
            outer.SetInner(MemoryMarshal.AsBytes(new ReadOnlySpan<ushort>(in number)), table);
        }
        catch (SystemCallException e)
        {
            bool isFull = e.Errno == Errno.E2BIG;
            _refusedTables += isFull ? 1 : 0;
            owner.Fail(isFull ? $"map {outer.Name} is full with {outer.Spec.MaxEntries} entries (option {Maglev})" : e.Message);
        }
    }
}
