// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
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
/// <param name="maps">Of the node.</param>
/// <param name="lockdownOnOverflow">
/// Whether an endpoint whose policy has no room loses its established connections too (enable-endpoint-lockdown-on-policy-overflow), not only
/// new ones.
/// </param>
public sealed class PolicyTarget(DatapathMaps maps, bool lockdownOnOverflow = false) : IReconcileTarget<ushort, EndpointPolicy>
{
    private readonly PolicySlots _enforced = new(maps, maps.PolicyMaps, "cilium_policy_v2_");
    private readonly PolicySlots _shadow = new(maps, maps.ShadowPolicyMaps, "cilium_policy_shadow_");

    // What this process wrote last, as long as nothing suggests that the kernel has something else.
    private readonly Dictionary<ushort, EndpointPolicy> _applied = [];

    public ValueTask ApplyAsync(
        IReadOnlyList<EndpointPolicy> values, ReconcileFailures<ushort> failures, CancellationToken cancellationToken)
    {
        var prepared = new List<PreparedPolicy>(values.Count);
        try
        {
            foreach (EndpointPolicy policy in values)
            {
                if (policy.Entries.Count > maps.PolicyEntries)
                    Try(policy.EndpointId, policy.Entries.Count, failures, () => Close(policy, failures));
                else
                    Try(policy.EndpointId, policy.Entries.Count, failures, () => prepared.Add(Prepare(policy, failures)));
            }

            _enforced.Install(prepared.Select(p => p.Enforced));
            _shadow.Install(prepared.Select(p => p.Shadow).OfType<PreparedSlot>());
            foreach (PreparedPolicy ready in prepared)
                Try(ready.Policy.EndpointId, ready.Policy.Entries.Count, failures, () => Finish(ready));
        }
        finally
        {
            foreach (PreparedPolicy ready in prepared)
            {
                ready.Enforced.Map.Dispose();
                ready.Shadow?.Map.Dispose();
            }
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
            if (_enforced.IsOfConfiguredSize(endpoint) && Read(endpoint) is { } policy)
                actual[endpoint] = policy;
        }

        return ValueTask.FromResult<IReadOnlyDictionary<ushort, EndpointPolicy>>(actual);
    }

    public bool IsSame(EndpointPolicy desired, EndpointPolicy actual)
    {
        ArgumentNullException.ThrowIfNull(desired);
        ArgumentNullException.ThrowIfNull(actual);
        // The same policy under another revision is the same policy: connections that passed it need not be judged again.
        return (desired with { Entries = actual.Entries, Shadow = actual.Shadow, Revision = actual.Revision }) == actual
            && HaveSame(desired.Entries, actual.Entries)
            && (desired.Shadow, actual.Shadow) switch
            {
                (null, null) => true,
                ({ } want, { } have) => want with { Entries = have.Entries } == have && HaveSame(want.Entries, have.Entries),
                _ => false,
            };
    }

    /// <summary>The policy as the kernel has it; null when the endpoint has no map, or one that is not in its slot.</summary>
    public EndpointPolicy? Read(ushort endpointId)
    {
        if (_enforced.Read(endpointId) is not { } entries)
            return null;
        maps.PolicyStates.TryLookup(endpointId, out PolicyState state);
        var flags = (PolicyStateFlags)state.Flags;
        return new EndpointPolicy(endpointId, state.Revision)
        {
            IngressEnforced = flags.HasFlag(PolicyStateFlags.IngressEnforced),
            EgressEnforced = flags.HasFlag(PolicyStateFlags.EgressEnforced),
            Audit = flags.HasFlag(PolicyStateFlags.Audit),
            Overflowed = flags.HasFlag(PolicyStateFlags.Overflow),
            Entries = entries,
            Shadow = ReadShadow(endpointId, flags),
        };
    }

    /// <summary>Takes the endpoint's policy away: its new connections are dropped. Idempotent.</summary>
    public void Remove(ushort endpointId)
    {
        _applied.Remove(endpointId);
        maps.PolicyStates.Update(endpointId, default);
        _enforced.Remove(endpointId);
        _shadow.Remove(endpointId);
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
    public IEnumerable<ushort> PinnedEndpoints() => _enforced.Pinned();

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

    private static void Try(ushort endpointId, int entries, ReconcileFailures<ushort> failures, Action write)
    {
        try
        {
            write();
        }
        catch (SystemCallException e)
        {
            string hint = e.Errno is Errno.ENOSPC or Errno.E2BIG
                ? $": {entries} entries do not fit (bpf-policy-map-max)"
                : "";
            failures.Add(endpointId, e.Message + hint);
        }
    }

    private PreparedPolicy Prepare(EndpointPolicy policy, ReconcileFailures<ushort> failures)
    {
        ArgumentOutOfRangeException.ThrowIfZero(policy.Revision);
        _applied.Remove(policy.EndpointId, out EndpointPolicy? before);
        PreparedSlot enforced = _enforced.Prepare(policy.EndpointId, before?.Entries, policy.Entries);
        PreparedSlot? shadow = null;
        // What is in force does not wait for what is on trial.
        if (policy.Shadow is { } tooLarge && tooLarge.Entries.Count > maps.PolicyEntries)
            failures.Add(policy.EndpointId, $"{NoRoom(tooLarge.Entries.Count)}: policies on trial are not tried");
        else if (policy.Shadow is { } trial)
            Try(policy.EndpointId, trial.Entries.Count, failures, () => shadow = _shadow.Prepare(policy.EndpointId, before?.Shadow?.Entries, trial.Entries));
        return new PreparedPolicy(shadow is null ? policy with { Shadow = null } : policy, enforced, shadow, HadNoShadow: before is { Shadow: null });
    }

    /// <summary>
    /// Part of a policy would let pass and drop at random, so the endpoint gets none: nobody may open a connection to or from it until its policy
    /// fits. Connections that passed the policy of before go on, unless the options say otherwise.
    /// </summary>
    private void Close(EndpointPolicy policy, ReconcileFailures<ushort> failures)
    {
        _applied.Remove(policy.EndpointId);
        _enforced.Ensure(policy.EndpointId);
        maps.PolicyStates.TryLookup(policy.EndpointId, out PolicyState state);
        uint revision = lockdownOnOverflow || state.Revision == 0 ? policy.Revision : state.Revision;
        maps.PolicyStates.Update(
            policy.EndpointId, new PolicyState { Revision = revision, Flags = state.Flags | (uint)PolicyStateFlags.Overflow | (uint)PolicyStateFlags.Classes });
        failures.Add(
            policy.EndpointId,
            $"{NoRoom(policy.Entries.Count)}: {(lockdownOnOverflow ? "all its traffic is dropped" : "its new connections are dropped")} until its policies are smaller");
    }

    private string NoRoom(int entries) => $"{entries} policy entries do not fit into the {maps.PolicyEntries} of the endpoint's map (bpf-policy-map-max)";

    private void Finish(PreparedPolicy ready)
    {
        ready.Enforced.DeleteStale();
        ready.Shadow?.DeleteStale();
        EndpointPolicy policy = ready.Policy;
        maps.PolicyStates.Update(policy.EndpointId, new PolicyState { Revision = policy.Revision, Flags = (uint)FlagsOf(policy) });
        if (policy.Shadow is null && !ready.HadNoShadow)
            _shadow.Remove(policy.EndpointId);
        _applied[policy.EndpointId] = policy;
    }

    private ShadowPolicy? ReadShadow(ushort endpointId, PolicyStateFlags flags)
    {
        const PolicyStateFlags Any = PolicyStateFlags.IngressShadowed | PolicyStateFlags.EgressShadowed;
        if ((flags & Any) == 0 || !_shadow.IsOfConfiguredSize(endpointId) || _shadow.Read(endpointId) is not { } entries)
            return null;
        return new ShadowPolicy
        {
            Ingress = flags.HasFlag(PolicyStateFlags.IngressShadowed),
            Egress = flags.HasFlag(PolicyStateFlags.EgressShadowed),
            Entries = entries,
        };
    }

    private static bool HaveSame(ImmutableDictionary<PolicyMapKey, PolicyMapEntry> one, ImmutableDictionary<PolicyMapKey, PolicyMapEntry> other)
        => ReferenceEquals(one, other)
            || (one.Count == other.Count && one.All(e => other.TryGetValue(e.Key, out PolicyMapEntry? entry) && entry == e.Value));

    private static PolicyStateFlags FlagsOf(EndpointPolicy policy)
        => (policy.IngressEnforced ? PolicyStateFlags.IngressEnforced : 0)
            | (policy.EgressEnforced ? PolicyStateFlags.EgressEnforced : 0)
            | (policy.Audit ? PolicyStateFlags.Audit : 0)
            | (policy.Shadow is { Ingress: true } ? PolicyStateFlags.IngressShadowed : 0)
            | (policy.Shadow is { Egress: true } ? PolicyStateFlags.EgressShadowed : 0)
            | PolicyStateFlags.Classes;

    /// <param name="Policy">As it will be in the kernel.</param>
    /// <param name="HadNoShadow">Nothing has to be taken away where nothing is on trial.</param>
    private sealed record PreparedPolicy(EndpointPolicy Policy, PreparedSlot Enforced, PreparedSlot? Shadow, bool HadNoShadow);
}
