// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>Reads the service maps: all of them at the start, and later to compare them with what was written.</summary>
/// <param name="maglev">Null leaves the signatures of Maglev tables unread.</param>
internal sealed class ServiceReader(DatapathMaps maps, MaglevTables? maglev)
{
    /// <summary>All slots of all services.</summary>
    public IEnumerable<(ServiceMapKey Key, ushort Slot, LbService Value)> Slots()
    {
        foreach ((Lb4Key key, LbService value) in maps.Services4.Entries())
            yield return (LoadBalancerCodec.Decode(key), key.Slot, value);
        foreach ((Lb6Key key, LbService value) in maps.Services6.Entries())
            yield return (LoadBalancerCodec.Decode(key), key.Slot, value);
    }

    /// <summary>All backends by number.</summary>
    public IEnumerable<(uint Id, BackendMapEntry Backend)> Backends()
    {
        foreach ((LbBackendKey key, Lb4Backend value) in maps.Backends4.Entries())
            yield return (key.Id, LoadBalancerCodec.Decode(value));
        foreach ((LbBackendKey key, Lb6Backend value) in maps.Backends6.Entries())
            yield return (key.Id, LoadBalancerCodec.Decode(value));
    }

    /// <summary>What services are known by to clients, by number.</summary>
    public IEnumerable<(ushort Number, IpAddress Address, ushort Port)> Reverse()
        => maps.ReverseNat4.Entries().Select(e => (e.Key.Index, e.Value.Addr.ToAddress(), e.Value.Port.Value))
            .Concat(maps.ReverseNat6.Entries().Select(e => (e.Key.Index, e.Value.Addr.ToAddress(), e.Value.Port.Value)));

    public IEnumerable<(ushort Number, IpPrefix Range)> Ranges()
        => maps.SourceRanges4.Entries().Select(e => (e.Key.RevNat, LoadBalancerCodec.Decode(e.Key)))
            .Concat(maps.SourceRanges6.Entries().Select(e => (e.Key.RevNat, LoadBalancerCodec.Decode(e.Key))));

    /// <summary>Numbers of services that have a Maglev table.</summary>
    public IEnumerable<(ushort Number, bool IsV6, uint TableId)> Tables()
        => maps.Maglev4.Entries().Select(e => (e.Key.Index, false, e.Value))
            .Concat(maps.Maglev6.Entries().Select(e => (e.Key.Index, true, e.Value)));

    /// <summary>The services with their numbers. One whose parts do not fit together is suspect and has no applied entry.</summary>
    public IEnumerable<ServiceState> Restore(BackendPool backends, ServiceNumbers numbers)
    {
        foreach ((uint id, BackendMapEntry backend) in Backends())
            backends.Restore(id, backend);
        ILookup<ushort, (IpAddress, ushort)> reverse = Reverse().ToLookup(r => r.Number, r => (r.Address, r.Port));
        ILookup<ushort, uint> matches = maps.AffinityMatches.Entries().ToLookup(e => e.Key.RevNat, e => e.Key.Backend);
        ILookup<ushort, IpPrefix> ranges = Ranges().ToLookup(r => r.Number, r => r.Range);
        Dictionary<ushort, uint> tables = [];
        foreach ((ushort number, _, uint id) in Tables())
            tables[number] = Signature(id);
        Dictionary<ServiceMapKey, List<(ushort Slot, LbService Value)>> slots = [];
        foreach ((ServiceMapKey key, ushort slot, LbService value) in Slots())
            (CollectionsMarshal.GetValueRefOrAddDefault(slots, key, out _) ??= []).Add((slot, value));

        foreach ((ServiceMapKey key, List<(ushort Slot, LbService Value)> found) in slots)
        {
            ServiceState state = RestoreSlots(key, found, backends);
            ushort number = state.Master?.RevNat ?? 0;
            bool owns = !state.IsWildcard && numbers.Restore(number);
            state.Number = owns ? number : (ushort)0;
            state.HasReverse = owns && reverse[number].Contains((key.Frontend.Address, key.Frontend.Port));
            state.IsSuspect |= !state.IsWildcard && !state.HasReverse;
            state.Matches = [.. matches[state.Number]];
            state.Ranges = [.. ranges[state.Number]];
            state.MaglevSignature = tables.GetValueOrDefault(state.Number);
            state.Applied = state.IsSuspect ? null : Decode(state);
            yield return state;
        }
    }

    /// <summary>
    /// Marks as suspect the services that the maps differ about, adds those that nobody wrote, and stages the removal of parts that no service
    /// owns. It looks up nothing and remembers nothing per entry: thousands of services are compared in milliseconds.
    /// </summary>
    public void Verify(Dictionary<ServiceMapKey, ServiceState> states, BackendPool backends, ServiceNumbers numbers, ServiceWriter writer)
    {
        var byNumber = new Dictionary<ushort, ServiceState>(states.Count);
        foreach (ServiceState state in states.Values)
        {
            state.Seen = default;
            if (state.Number != 0)
                byNumber[state.Number] = state;
        }

        VerifyBackends(backends, writer);
        VerifySlots(states, numbers, byNumber);
        VerifyNumbered(byNumber, writer);
        foreach (ServiceState state in states.Values)
            state.IsSuspect |= !IsComplete(state);
    }

    private static bool IsComplete(ServiceState state)
        => state.Seen.HasMaster && state.Seen.Slots == state.Slots.Length && state.Seen.HasReverse == !state.IsWildcard
            && state.Seen.Matches == state.Matches.Length && state.Seen.Ranges == state.Ranges.Length
            && state.Seen.HasTable == (state.MaglevSignature != 0) && Array.TrueForAll(state.Held, b => b.Written is not null);

    private void VerifyBackends(BackendPool backends, ServiceWriter writer)
    {
        HashSet<uint> intact = [];
        foreach ((uint id, BackendMapEntry entry) in Backends())
        {
            PooledBackend? known = backends.Find(id);
            if (known is null || known.Address.Address.IsV6 != entry.Address.Address.IsV6)
                writer.RemoveBackend(id, entry.Address.Address.IsV6);
            else if (known.Written is { } written && written.Address == entry.Address && written.State == entry.State && written.Zone == entry.Zone)
                intact.Add(id);
        }

        foreach (PooledBackend backend in backends.All)
        {
            if (!intact.Contains(backend.Id))
                backend.Written = null;
        }
    }

    private void VerifySlots(
        Dictionary<ServiceMapKey, ServiceState> states, ServiceNumbers numbers, Dictionary<ushort, ServiceState> byNumber)
    {
        foreach ((ServiceMapKey key, ushort slot, LbService value) in Slots())
        {
            if (!states.TryGetValue(key, out ServiceState? state))
                states[key] = state = new ServiceState(key) { IsSuspect = true };
            state.LastSlot = Math.Max(state.LastSlot, slot);
            if (slot == 0)
            {
                state.Seen.HasMaster = true;
                state.IsSuspect |= state.Master != value;
                state.Master = value;
                if (state.Number == 0 && !state.IsWildcard && numbers.Restore(value.RevNat))
                    byNumber[state.Number = value.RevNat] = state;
            }
            else if (slot <= state.Slots.Length && state.Slots[slot - 1] == value.Backend)
            {
                state.Seen.Slots++;
            }
            else
            {
                state.IsSuspect = true;
            }
        }
    }

    private void VerifyNumbered(Dictionary<ushort, ServiceState> byNumber, ServiceWriter writer)
    {
        foreach ((ushort number, IpAddress address, ushort port) in Reverse())
        {
            if (byNumber.TryGetValue(number, out ServiceState? state) && state.IsV6 == address.IsV6)
                state.Seen.HasReverse = state.Key.Frontend.Address == address && state.Key.Frontend.Port == port;
            else
                writer.RemoveReverse(number, address.IsV6);
        }

        foreach ((LbAffinityMatch match, _) in maps.AffinityMatches.Entries())
        {
            if (byNumber.TryGetValue(match.RevNat, out ServiceState? state) && state.Matches.Contains(match.Backend))
                state.Seen.Matches++;
            else
                writer.RemoveMatch(match.RevNat, match.Backend);
        }

        foreach ((ushort number, IpPrefix range) in Ranges())
        {
            if (byNumber.TryGetValue(number, out ServiceState? state) && state.Ranges.Contains(range))
                state.Seen.Ranges++;
            else
                writer.RemoveRange(number, range);
        }

        foreach ((ushort number, bool isV6, _) in Tables())
        {
            if (byNumber.TryGetValue(number, out ServiceState? state) && state.IsV6 == isV6 && state.MaglevSignature != 0)
                state.Seen.HasTable = true;
            else
                writer.RemoveTable(number, isV6);
        }

        foreach (ServiceState state in byNumber.Values)
        {
            if (!state.Seen.HasTable)
                state.MaglevSignature = state.MaglevSignature == 0 ? 0 : uint.MaxValue;
        }
    }

    private static ServiceState RestoreSlots(ServiceMapKey key, List<(ushort Slot, LbService Value)> found, BackendPool backends)
    {
        var state = new ServiceState(key) { LastSlot = found.Max(f => f.Slot) };
        state.Slots = new uint[state.LastSlot];
        foreach ((ushort slot, LbService value) in found)
        {
            if (slot == 0)
                state.Master = value;
            else
                state.Slots[slot - 1] = value.Backend;
        }

        List<PooledBackend> held = new(state.Slots.Length);
        foreach (uint id in state.Slots)
        {
            if (backends.Find(id) is { } backend && backend.Address.Address.IsV6 == state.IsV6)
                held.Add(backends.Acquire(backend.Address));
        }

        state.Held = [.. held];
        state.Mentions = [.. held.Select(b => b.Written!.State)];
        foreach (PooledBackend backend in held)
        {
            backend.Mention(backend.Written!.State, 1);
            backend.Zone = backend.Written.Zone;
        }

        state.IsSuspect = state.Master is not { } master || held.Count != state.Slots.Length
            || state.Slots.Length != master.Count + master.QuarantinedCount;
        return state;
    }

    private static ServiceMapEntry Decode(ServiceState state)
    {
        LbService master = state.Master!.Value;
        (uint affinity, LbAlgorithm algorithm) = LoadBalancerCodec.DecodeSlotZero(master.Backend);
        return new ServiceMapEntry(state.Key)
        {
            Flags = (LbFlags)master.Flags,
            Flags2 = (LbFlags2)master.Flags2,
            AffinityTimeoutSeconds = affinity,
            Algorithm = algorithm,
            UsableCount = master.Count,
            SourceRanges = [.. state.Ranges.Order()],
            Backends = [.. state.Held.Select(b => b.Written!)],
        };
    }

    // A table that is replaced meanwhile is gone; it will be written again.
    private uint Signature(uint tableId)
    {
        if (maglev is null)
            return uint.MaxValue;
        try
        {
            using BpfMap table = BpfMap.OpenById(tableId);
            return maglev.ReadSignature(table) is not 0 and var signature ? signature : uint.MaxValue;
        }
        catch (SystemCallException e) when (e.Errno == Errno.ENOENT)
        {
            return uint.MaxValue;
        }
    }
}

/// <summary>The parts of a service that a comparison came across.</summary>
internal struct ServiceSeen
{
    public bool HasMaster;
    public bool HasReverse;
    public bool HasTable;
    public int Slots;
    public int Matches;
    public int Ranges;
}
