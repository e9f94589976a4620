// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Datapath;

/// <summary>
/// Keeps the policy map of each endpoint. A change writes new entries before it deletes old ones, so that what both policies allow stays
/// allowed throughout, and moves the endpoint's revision last, which makes established connections be judged again.
/// </summary>
public sealed class PolicyTarget(DatapathMaps maps) : IReconcileTarget<ushort, EndpointPolicy>
{
    // What this process wrote last, as long as nothing suggests that the kernel has something else.
    private readonly Dictionary<ushort, EndpointPolicy> _applied = [];

    public ValueTask ApplyAsync(
        IReadOnlyList<EndpointPolicy> values, ReconcileFailures<ushort> failures, CancellationToken cancellationToken)
    {
        var prepared = new List<PreparedPolicy>(values.Count);
        try
        {
            foreach (EndpointPolicy policy in values)
                Try(policy, failures, () => prepared.Add(Prepare(policy)));

            PreparedPolicy[] unslotted = [.. prepared.Where(p => p.NeedsSlot)];
            maps.PolicyMaps.SetInner([.. unslotted.Select(p => (uint)p.Policy.EndpointId)], [.. unslotted.Select(p => p.Map.Map)]);
            foreach (PreparedPolicy ready in prepared)
                Try(ready.Policy, failures, () => Finish(ready));
        }
        finally
        {
            foreach (PreparedPolicy ready in prepared)
                ready.Map.Dispose();
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask DeleteAsync(IReadOnlyList<ushort> keys, ReconcileFailures<ushort> failures, CancellationToken cancellationToken)
    {
        foreach (ushort endpoint in keys)
            Remove(endpoint);
        return ValueTask.CompletedTask;
    }

    public ValueTask<IReadOnlyDictionary<ushort, EndpointPolicy>> ReadActualAsync(CancellationToken cancellationToken)
    {
        // Whoever asks what is there doubts what we remember.
        _applied.Clear();
        var actual = new Dictionary<ushort, EndpointPolicy>();
        foreach (ushort endpoint in PinnedEndpoints())
        {
            // A map of another size is as good as none: what replaces it is filled before it takes the slot.
            if (IsOfConfiguredSize(endpoint) && Read(endpoint) is { } policy)
                actual[endpoint] = policy;
        }

        return ValueTask.FromResult<IReadOnlyDictionary<ushort, EndpointPolicy>>(actual);
    }

    public bool IsSame(EndpointPolicy desired, EndpointPolicy actual)
    {
        ArgumentNullException.ThrowIfNull(desired);
        ArgumentNullException.ThrowIfNull(actual);
        // The same policy under another revision is the same policy: connections that passed it need not be judged again.
        return (desired with { Entries = actual.Entries, Revision = actual.Revision }) == actual && desired.Entries.Count == actual.Entries.Count
            && desired.Entries.All(e => actual.Entries.TryGetValue(e.Key, out PolicyMapEntry? entry) && entry == e.Value);
    }

    /// <summary>The policy as the kernel has it; null when the endpoint has no map, or one that is not in its slot.</summary>
    public EndpointPolicy? Read(ushort endpointId)
    {
        using BpfMap? pinned = BpfMap.TryOpenPinned(maps.Paths.PolicyMap(endpointId));
        uint slot = endpointId;
        using BpfMap? used = maps.PolicyMaps.TryOpenInner(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in slot)));
        if (pinned is null || used is null || pinned.Id != used.Id)
            return null;
        using BpfMap<PolicyKey, PolicyEntry> map = BpfMap.OpenById(used.Id).As<PolicyKey, PolicyEntry>();
        maps.PolicyStates.TryLookup(endpointId, out PolicyState state);
        var flags = (PolicyStateFlags)state.Flags;
        return new EndpointPolicy(endpointId, state.Revision)
        {
            IngressEnforced = flags.HasFlag(PolicyStateFlags.IngressEnforced),
            EgressEnforced = flags.HasFlag(PolicyStateFlags.EgressEnforced),
            Audit = flags.HasFlag(PolicyStateFlags.Audit),
            Entries = map.Entries().Select(e => Decode(e.Key, e.Value)).ToImmutableDictionary(e => e.Key),
        };
    }

    /// <summary>Takes the endpoint's policy away: its new connections are dropped. Idempotent.</summary>
    public void Remove(ushort endpointId)
    {
        _applied.Remove(endpointId);
        maps.PolicyStates.Update(endpointId, default);
        uint slot = endpointId;
        maps.PolicyMaps.TryDelete(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in slot)));
        File.Delete(maps.Paths.PolicyMap(endpointId));
    }

    /// <summary>The largest revision in use; a later one must be larger, or a connection could pass for having been judged under it.</summary>
    public uint LatestRevision()
    {
        uint latest = 0;
        foreach (ushort endpoint in PinnedEndpoints())
        {
            if (maps.PolicyStates.TryLookup(endpoint, out PolicyState state))
                latest = Math.Max(latest, state.Revision);
        }

        return latest;
    }

    /// <summary>Endpoints that have a policy map.</summary>
    public IEnumerable<ushort> PinnedEndpoints()
    {
        const string Prefix = "cilium_policy_v2_";
        foreach (string path in Directory.EnumerateFiles(maps.Paths.Maps, Prefix + "*"))
        {
            if (ushort.TryParse(Path.GetFileName(path.AsSpan())[Prefix.Length..], out ushort endpoint))
                yield return endpoint;
        }
    }

    /// <summary>
    /// Makes maps of versions that knew no classes fit for programs that do, before these come: what they say about anyone, they then say about
    /// each class. The programs of before do not look at that.
    /// </summary>
    internal int AddClasses()
    {
        int changed = 0;
        foreach (ushort endpoint in PinnedEndpoints())
        {
            if (!maps.PolicyStates.TryLookup(endpoint, out PolicyState state) || state.Revision == 0
                || ((PolicyStateFlags)state.Flags).HasFlag(PolicyStateFlags.Classes))
                continue;
            using BpfMap? pinned = BpfMap.TryOpenPinned(maps.Paths.PolicyMap(endpoint));
            if (pinned is null)
                continue;
            using BpfMap<PolicyKey, PolicyEntry> map = BpfMap.OpenById(pinned.Id).As<PolicyKey, PolicyEntry>();
            KeyValuePair<PolicyKey, PolicyEntry>[] anyone = [.. map.Entries().Where(e => e.Key.Identity == 0)];
            foreach (SecurityIdentity aggregate in SecurityIdentity.Aggregates)
                map.UpdateBatch([.. anyone.Select(e => e.Key with { Identity = aggregate.Value })], [.. anyone.Select(e => e.Value)]);
            maps.PolicyStates.Update(endpoint, state with { Flags = state.Flags | (uint)PolicyStateFlags.Classes });
            changed++;
        }

        return changed;
    }

    private static void Try(EndpointPolicy policy, ReconcileFailures<ushort> failures, Action write)
    {
        try
        {
            write();
        }
        catch (SystemCallException e)
        {
            string hint = e.Errno is Errno.ENOSPC or Errno.E2BIG
                ? $": {policy.Entries.Count} entries do not fit (bpf-policy-map-max)"
                : "";
            failures.Add(policy.EndpointId, e.Message + hint);
        }
    }

    /// <summary>Writes what is new; what is to go stays until the map is in its slot.</summary>
    private PreparedPolicy Prepare(EndpointPolicy policy)
    {
        ArgumentOutOfRangeException.ThrowIfZero(policy.Revision);
        BpfMapSpec declared = maps.PolicyMaps.Spec.Inner ?? Maps.CiliumPolicyMaps.Spec.Inner!;
        BpfMapSpec spec = declared with { Name = $"cilium_policy_v2_{policy.EndpointId:D5}", MaxEntries = maps.PolicyEntries };
        BpfMap<PolicyKey, PolicyEntry> map = OpenOrReplace(spec, policy.EndpointId).As<PolicyKey, PolicyEntry>();
        try
        {
            bool isInSlot = IsInSlot(policy.EndpointId, map.Map);
            bool isKnown = _applied.Remove(policy.EndpointId, out EndpointPolicy? before) && isInSlot;
            (Dictionary<PolicyKey, PolicyEntry> upserts, List<PolicyKey> stale) = isKnown ? Compare(before!, policy) : Compare(map, policy);
            map.UpdateBatch(upserts.Keys.ToArray(), upserts.Values.ToArray());
            return new PreparedPolicy(policy, map, stale, NeedsSlot: !isInSlot);
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    private void Finish(PreparedPolicy ready)
    {
        ready.Map.DeleteBatch(CollectionsMarshal.AsSpan(ready.Stale));
        maps.PolicyStates.Update(
            ready.Policy.EndpointId, new PolicyState { Revision = ready.Policy.Revision, Flags = (uint)FlagsOf(ready.Policy) });
        _applied[ready.Policy.EndpointId] = ready.Policy;
    }

    // Reading a trie back costs a system call an entry; between two versions that we wrote ourselves the difference is known.
    private static (Dictionary<PolicyKey, PolicyEntry> Upserts, List<PolicyKey> Stale) Compare(EndpointPolicy before, EndpointPolicy after)
    {
        var upserts = new Dictionary<PolicyKey, PolicyEntry>();
        foreach ((PolicyMapKey key, PolicyMapEntry entry) in after.Entries)
        {
            if (!before.Entries.TryGetValue(key, out PolicyMapEntry? old) || old != entry)
                upserts[Encode(key)] = Encode(entry);
        }

        return (upserts, [.. before.Entries.Keys.Where(key => !after.Entries.ContainsKey(key)).Select(Encode)]);
    }

    private static (Dictionary<PolicyKey, PolicyEntry> Upserts, List<PolicyKey> Stale) Compare(
        BpfMap<PolicyKey, PolicyEntry> map, EndpointPolicy after)
    {
        Dictionary<PolicyKey, PolicyEntry> upserts = after.Entries.Values.ToDictionary(e => Encode(e.Key), Encode);
        var stale = new List<PolicyKey>();
        foreach ((PolicyKey key, PolicyEntry entry) in map.Entries())
        {
            if (!upserts.TryGetValue(key, out PolicyEntry want))
                stale.Add(key);
            else if (want == entry)
                upserts.Remove(key);
        }

        return (upserts, stale);
    }

    private bool IsOfConfiguredSize(ushort endpointId)
    {
        using BpfMap? pinned = BpfMap.TryOpenPinned(maps.Paths.PolicyMap(endpointId));
        return pinned?.Spec.MaxEntries == maps.PolicyEntries;
    }

    private bool IsInSlot(uint slot, BpfMap map)
    {
        Span<uint> id = stackalloc uint[1];
        return maps.PolicyMaps.TryLookup(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in slot)), MemoryMarshal.AsBytes(id)) && id[0] == map.Id;
    }

    private BpfMap OpenOrReplace(BpfMapSpec spec, ushort endpointId)
    {
        string path = maps.Paths.PolicyMap(endpointId);
        try
        {
            return BpfMap.OpenOrCreatePinned(spec, path);
        }
        catch (BpfMapMismatchException)
        {
            // The programs use the old map until the new one, complete, takes its slot.
            File.Delete(path);
            return BpfMap.OpenOrCreatePinned(spec, path);
        }
    }

    private static PolicyStateFlags FlagsOf(EndpointPolicy policy)
        => (policy.IngressEnforced ? PolicyStateFlags.IngressEnforced : 0)
            | (policy.EgressEnforced ? PolicyStateFlags.EgressEnforced : 0)
            | (policy.Audit ? PolicyStateFlags.Audit : 0)
            | PolicyStateFlags.Classes;

    internal static PolicyKey Encode(PolicyMapKey key) => new()
    {
        PrefixLen = PrefixLength(key),
        Identity = key.Identity.Value,
        Direction = (byte)key.Direction,
        Protocol = (byte)key.Protocol,
        Port = key.Port,
    };

    private static PolicyEntry Encode(PolicyMapEntry entry) => new()
    {
        Precedence = entry.Precedence,
        Cookie = entry.Cookie,
        ProxyPort = entry.ProxyPort,
        Flags = (byte)((entry.Deny ? PolicyFlags.Deny : 0) | (entry.LacksProxy ? PolicyFlags.NoProxy : 0)),
        PrefixLen = (byte)(PrefixLength(entry.Key) - (uint)PolicyPrefix.Static),
    };

    private static uint PrefixLength(PolicyMapKey key)
        => key.Protocol == L4Protocol.Any ? (uint)PolicyPrefix.Static : (uint)PolicyPrefix.Protocol + key.PortBits;

    private static PolicyMapEntry Decode(PolicyKey key, PolicyEntry entry)
    {
        byte portBits = (byte)Math.Max(0, (int)key.PrefixLen - (int)PolicyPrefix.Protocol);
        return new PolicyMapEntry(new PolicyMapKey(
            (TrafficDirection)key.Direction, new SecurityIdentity(key.Identity), (L4Protocol)key.Protocol, key.Port.Value, portBits))
        {
            Deny = ((PolicyFlags)entry.Flags).HasFlag(PolicyFlags.Deny),
            LacksProxy = ((PolicyFlags)entry.Flags).HasFlag(PolicyFlags.NoProxy),
            Precedence = entry.Precedence,
            Cookie = entry.Cookie,
            ProxyPort = entry.ProxyPort.Value,
        };
    }

    private sealed record PreparedPolicy(EndpointPolicy Policy, BpfMap<PolicyKey, PolicyEntry> Map, List<PolicyKey> Stale, bool NeedsSlot);
}
