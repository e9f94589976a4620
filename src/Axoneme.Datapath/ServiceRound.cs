// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>The changes of one call of <see cref="ServiceTarget"/>, planned first, then written together, then entered into the states.</summary>
internal sealed class ServiceRound(
    ServiceWriter writer, BackendPool backends, ServiceNumbers numbers, MaglevTables? maglev, Dictionary<ServiceMapKey, ServiceState> states)
{
    private readonly List<ServiceChange> _changes = [];
    private readonly List<PooledBackend> _stagedBackends = [];

    // Of which some service says something else than before.
    private readonly HashSet<PooledBackend> _mentioned = [];

    // The addresses of one service mostly have the same backends, and then one table serves them all.
    private readonly Dictionary<uint, BpfMap> _tables = [];

    public IEnumerable<ServiceChange> Failed => _changes.Where(c => c.HasFailed);

    public void Add(ServiceMapEntry desired)
    {
        if (!states.TryGetValue(desired.Key, out ServiceState? state))
            states[desired.Key] = state = new ServiceState(desired.Key);
        var change = new ServiceChange(desired, state);
        _changes.Add(change);
        if (Refusal(desired, state) is { } reason)
            change.Fail(reason);
        else
            Plan(change);
    }

    public void Write()
    {
        try
        {
            WriteBackends();
            writer.FlushNumbered();
            writer.FlushSlots();
            WriteMasters(LbScope.Internal);
            StageSiblings();
            WriteMasters(LbScope.External);
        }
        catch (SystemCallException e)
        {
            foreach (ServiceChange change in _changes)
                change.Fail(e.Message);
        }
    }

    /// <summary>Enters what became of the changes, and stages the removal of what is no longer named.</summary>
    public void Settle()
    {
        foreach (BpfMap table in _tables.Values)
            table.Dispose();
        foreach (ServiceChange change in _changes)
        {
            if (!change.HasFailed)
                Commit(change);
            else if (change.State.Master is null)
                Abandon(change);
            else
                KeepOld(change);
        }
    }

    /// <summary>Stages the removal of a service.</summary>
    public void Remove(ServiceMapKey key)
    {
        if (!states.Remove(key, out ServiceState? state))
            return;
        if (key.Scope == LbScope.Internal && states.TryGetValue(key with { Scope = LbScope.External }, out ServiceState? outer))
            RestageMaster(outer);
        RemoveAll(state, state.LastSlot);
        Mention(state.Held, state.Mentions, -1);
        foreach (PooledBackend backend in state.Held)
            backends.Release(backend);
        numbers.Release(state.Number);
    }

    /// <summary>Whether what was read after a restart is what is wanted: weights are only in the signature of the table.</summary>
    public static bool IsAsRead(ServiceMapEntry desired, ServiceMapEntry read, ServiceState state, MaglevTables? maglev)
    {
        LbAlgorithm algorithm = EffectiveAlgorithm(desired, maglev);
        uint[] ids = [.. state.Held.Select(b => b.Id)];
        return desired.Flags == read.Flags && desired.Flags2 == read.Flags2 && algorithm == read.Algorithm
            && desired.AffinityTimeoutSeconds == read.AffinityTimeoutSeconds
            && OwnRanges(desired).ToHashSet().SetEquals(state.Ranges)
            && desired.UsableCount == read.UsableCount && desired.Backends.Length == read.Backends.Length
            && desired.Backends.Zip(read.Backends).All(b => b.First.Address == b.Second.Address && IsSameEntry(b.First, b.Second))
            && TableSignature(desired, ids, maglev) == state.MaglevSignature;
    }

    private string? Refusal(ServiceMapEntry desired, ServiceState state)
    {
        if (desired.Backends.Length > ushort.MaxValue)
            return $"service {desired.Key} has {desired.Backends.Length} backends, more than {ushort.MaxValue}";
        if (desired.UsableCount > desired.Backends.Length)
            return $"service {desired.Key} has {desired.Backends.Length} backends, of which {desired.UsableCount} are in use";
        foreach (BackendMapEntry backend in desired.Backends)
        {
            if (backend.Address.Address.IsV6 != state.IsV6)
                return $"service {desired.Key}: backend {backend.Address} is of the other family";
        }

        if (state.IsWildcard || state.Number != 0)
            return null;
        state.Number = numbers.Take();
        return state.Number != 0 ? null : $"service {desired.Key} gets no number: all {ushort.MaxValue} are in use";
    }

    private void Plan(ServiceChange change)
    {
        ServiceMapEntry desired = change.Desired;
        ServiceState state = change.State;
        change.Backends = new PooledBackend[desired.Backends.Length];
        change.Slots = new uint[desired.Backends.Length];
        change.Mentions = [.. desired.Backends.Select(b => b.State)];
        for (int i = 0; i < change.Slots.Length; i++)
        {
            change.Backends[i] = backends.Acquire(desired.Backends[i].Address);
            change.Slots[i] = change.Backends[i].Id;
            change.Backends[i].Zone = desired.Backends[i].Zone;
        }

        Mention(change.Backends, change.Mentions, 1);
        Mention(state.Held, state.Mentions, -1);
        (change.Former, state.Mentions) = (state.Mentions, []);

        int inUse = desired.UsableCount;
        if (!state.IsWildcard)
            PlanNumbered(change, inUse);
        for (int i = 0; i < change.Slots.Length; i++)
        {
            if (state.IsSuspect || i >= state.Slots.Length || state.Slots[i] != change.Slots[i])
                writer.StageSlot(state.Key, i + 1, new LbService { Backend = change.Slots[i] }, change);
        }

        change.Master = new LbService
        {
            Backend = LoadBalancerCodec.SlotZeroWord(desired.AffinityTimeoutSeconds, EffectiveAlgorithm(desired, maglev)),
            Count = (ushort)inUse,
            RevNat = state.Number,
            Flags = (byte)desired.Flags,
            Flags2 = (byte)desired.Flags2,
            QuarantinedCount = (ushort)(desired.Backends.Length - inUse),
        };
    }

    private void Mention(PooledBackend[] of, LbBackendState[] states, int count)
    {
        for (int i = 0; i < states.Length; i++)
        {
            of[i].Mention(states[i], count);
            _mentioned.Add(of[i]);
        }
    }

    // Services may share a backend and say different things of it: what it is to be is known when all of them have been heard.
    public void WriteBackends()
    {
        foreach (PooledBackend backend in _mentioned)
        {
            var entry = new BackendMapEntry(backend.Address) { State = backend.State, Zone = backend.Zone };
            if (backend.Users == 0 || (backend.Written is { } written && IsSameEntry(written, entry)))
                continue;
            _stagedBackends.Add(backend);
            writer.StageBackend(backend, entry);
        }

        _mentioned.Clear();
        writer.FlushBackends();
        SettleBackends();
    }

    /// <summary>What hangs on the service's number.</summary>
    private void PlanNumbered(ServiceChange change, int inUse)
    {
        ServiceState state = change.State;
        if (!state.HasReverse || state.IsSuspect)
            writer.StageReverse(state.Number, state.Key.Frontend, change);
        change.Matches = change.Desired.Flags.HasFlag(LbFlags.Affinity) ? change.Slots[..inUse] : [];
        foreach (uint id in state.IsSuspect ? change.Matches : Missing(change.Matches, state.Matches))
            writer.StageMatch(state.Number, id, change);
        change.Ranges = [.. OwnRanges(change.Desired)];
        foreach (IpPrefix range in state.IsSuspect ? change.Ranges : Missing(change.Ranges, state.Ranges))
            writer.StageRange(state.Number, range, change);
        change.MaglevSignature = TableSignature(change.Desired, change.Slots, maglev);
        if (change.MaglevSignature != 0 && change.MaglevSignature != state.MaglevSignature)
            PlanTable(change, inUse);
    }

    private void PlanTable(ServiceChange change, int inUse)
    {
        try
        {
            if (!_tables.TryGetValue(change.MaglevSignature, out BpfMap? table))
            {
                table = maglev!.Create(change.Desired.Backends.AsSpan(0, inUse), change.Slots.AsSpan(0, inUse), change.MaglevSignature);
                _tables[change.MaglevSignature] = table;
            }

            writer.StageTable(change.State.Number, change.State.IsV6, table, change);
        }
        catch (SystemCallException e)
        {
            change.Fail(e.Message);
        }
    }

    private static LbAlgorithm EffectiveAlgorithm(ServiceMapEntry desired, MaglevTables? maglev)
        => maglev is null ? LbAlgorithm.Random : desired.Algorithm;

    private static uint TableSignature(ServiceMapEntry desired, ReadOnlySpan<uint> ids, MaglevTables? maglev)
    {
        int inUse = desired.UsableCount;
        return maglev is null || desired.Algorithm != LbAlgorithm.Maglev || inUse == 0
            ? 0
            : maglev.Signature(desired.Backends.AsSpan(0, inUse), ids[..inUse]);
    }

    private static IEnumerable<IpPrefix> OwnRanges(ServiceMapEntry desired)
        => desired.SourceRanges.IsEmpty ? [] : desired.SourceRanges.Where(r => r.IsV6 == desired.Key.Frontend.Address.IsV6).Distinct();

    private static bool IsSameEntry(BackendMapEntry left, BackendMapEntry right) => left.State == right.State && left.Zone == right.Zone;

    private static T[] Missing<T>(T[] wanted, T[] present)
    {
        if (wanted.Length == 0 || wanted.AsSpan().SequenceEqual(present))
            return [];
        return present.Length == 0 ? wanted : [.. wanted.Except(present)];
    }

    private void SettleBackends()
    {
        bool anyFailed = false;
        foreach (PooledBackend backend in _stagedBackends)
        {
            backend.Written = backend.HasFailed ? null : backend.Staged;
            backend.Staged = null;
            anyFailed |= backend.HasFailed;
        }

        if (!anyFailed)
            return;
        foreach (ServiceChange change in _changes)
        {
            if (change.Backends.FirstOrDefault(b => b.HasFailed) is { } refused)
                change.Fail($"backend {refused.Address}: {refused.Failure}");
        }
    }

    private void WriteMasters(LbScope scope)
    {
        foreach (ServiceChange change in _changes)
        {
            if (change.HasFailed || change.State.Key.Scope != scope)
                continue;
            change.Master = Effective(change.State.Key, change.Master);
            if (change.State.IsSuspect || change.State.Master != change.Master)
                writer.StageSlot(change.State.Key, 0, change.Master, change);
        }

        writer.FlushSlots();
        foreach (ServiceChange change in _changes)
        {
            if (!change.HasFailed && change.State.Key.Scope == scope)
                change.State.Master = change.Master;
        }
    }

    /// <summary>
    /// An entry may send readers on to the inside's only when that is there: the latter may come in another call, and go before.
    /// </summary>
    private LbService Effective(ServiceMapKey key, LbService master)
    {
        bool hasInternal = key.Scope == LbScope.Internal
            || (states.TryGetValue(key with { Scope = LbScope.Internal }, out ServiceState? inner) && inner.Master is not null);
        if (!hasInternal)
            master.Flags2 &= unchecked((byte)~LbFlags2.TwoScopes);
        return master;
    }

    private void StageSiblings()
    {
        foreach (ServiceChange change in _changes)
        {
            if (change.State.Key.Scope == LbScope.Internal && !change.HasFailed
                && states.TryGetValue(change.State.Key with { Scope = LbScope.External }, out ServiceState? outer))
                RestageMaster(outer);
        }

        writer.FlushSlots();
    }

    private void RestageMaster(ServiceState outer)
    {
        if (outer.Master is not { } present || outer.Applied is not { } applied)
            return;
        LbService wanted = present;
        wanted.Flags2 = (byte)applied.Flags2;
        wanted = Effective(outer.Key, wanted);
        if (wanted == present)
            return;
        // Its key exists, so no map can be too full for it.
        writer.StageSlot(outer.Key, 0, wanted, new ServiceChange(applied, outer));
        writer.FlushSlots();
        outer.Master = wanted;
    }

    private void Commit(ServiceChange change)
    {
        ServiceState state = change.State;
        for (int slot = state.LastSlot; slot > change.Slots.Length; slot--)
            writer.RemoveSlot(state.Key, slot);
        foreach (uint id in Missing(state.Matches, change.Matches))
            writer.RemoveMatch(state.Number, id);
        foreach (IpPrefix range in Missing(state.Ranges, change.Ranges))
            writer.RemoveRange(state.Number, range);
        if (change.MaglevSignature == 0 && state.MaglevSignature != 0)
            writer.RemoveTable(state.Number, state.IsV6);
        foreach (PooledBackend backend in state.Held)
            backends.Release(backend);
        state.Applied = change.Desired;
        state.Slots = change.Slots;
        state.LastSlot = change.Slots.Length;
        state.Held = change.Backends;
        state.Mentions = change.Mentions;
        state.Matches = change.Matches;
        state.Ranges = change.Ranges;
        state.MaglevSignature = change.MaglevSignature;
        state.HasReverse = !state.IsWildcard;
        state.IsSuspect = false;
    }

    /// <summary>Nobody has seen it yet, so it goes altogether and leaves its room to others.</summary>
    private void Abandon(ServiceChange change)
    {
        ServiceState state = change.State;
        Unite(change);
        RemoveAll(state, Math.Max(state.LastSlot, change.Slots.Length));
        Mention(state.Held, state.Mentions, -1);
        foreach (PooledBackend backend in state.Held)
            backends.Release(backend);
        numbers.Release(state.Number);
        states.Remove(state.Key);
    }

    /// <summary>
    /// Slot 0 is as it was, and what it leads to is all there, if partly new already. What is beyond it makes room.
    /// </summary>
    private void KeepOld(ServiceChange change)
    {
        ServiceState state = change.State;
        int visible = state.Master!.Value.Count + state.Master.Value.QuarantinedCount;
        for (int slot = Math.Max(state.LastSlot, change.Slots.Length); slot > visible; slot--)
            writer.RemoveSlot(state.Key, slot);
        Unite(change);
        state.LastSlot = visible;
        state.IsSuspect = true;
    }

    // Whatever the change got into the maps is the service's, besides what it had.
    private void Unite(ServiceChange change)
    {
        ServiceState state = change.State;
        if (change.Former is { } former)
        {
            Mention(state.Held, former, 1);
            state.Mentions = former;
        }

        List<PooledBackend> held = [.. state.Held];
        List<LbBackendState> mentions = [.. state.Mentions];
        for (int i = 0; i < change.Backends.Length; i++)
        {
            PooledBackend backend = change.Backends[i];
            if (held.Contains(backend))
            {
                backends.Release(backend);
                Mention([backend], [change.Mentions[i]], -1);
                continue;
            }

            held.Add(backend);
            mentions.Add(change.Mentions[i]);
        }

        state.Held = [.. held];
        state.Mentions = [.. mentions];
        state.Matches = [.. state.Matches.Union(change.Matches)];
        state.Ranges = [.. state.Ranges.Union(change.Ranges)];
        state.MaglevSignature = change.MaglevSignature != state.MaglevSignature ? uint.MaxValue : state.MaglevSignature;
    }

    private void RemoveAll(ServiceState state, int lastSlot)
    {
        for (int slot = 0; slot <= lastSlot; slot++)
            writer.RemoveSlot(state.Key, slot);
        if (state.Number == 0)
            return;
        foreach (uint id in state.Matches)
            writer.RemoveMatch(state.Number, id);
        foreach (IpPrefix range in state.Ranges)
            writer.RemoveRange(state.Number, range);
        if (state.MaglevSignature != 0)
            writer.RemoveTable(state.Number, state.IsV6);
        writer.RemoveReverse(state.Number, state.IsV6);
    }
}
