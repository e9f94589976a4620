// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Datapath;

/// <summary>
/// Keeps the policy maps, one for all endpoints with the same <see cref="PolicyMapEntryCollection"/>. A change writes new entries before it deletes old
/// ones, so that what both policies allow stays allowed throughout, and moves the endpoints' revision last, which makes established connections
/// be judged again.
/// </summary>
/// <param name="maps">Of the node.</param>
/// <param name="lockdownOnOverflow">
/// Whether an endpoint whose policy has no room loses its established connections too (enable-endpoint-lockdown-on-policy-overflow), not only
/// new ones.
/// </param>
/// <param name="node">
/// Number of the node as an endpoint, 0 for none: a policy of the node that has no room leaves the one of before in force, because nobody could
/// reach a closed node to mend it.
/// </param>
public sealed class PolicyTarget(DatapathMaps maps, bool lockdownOnOverflow = false, ushort node = 0) : IReconcileTarget<ushort, EndpointPolicy>
{
    private readonly PolicySlots _enforced = new(maps, maps.PolicyMaps, "cilium_policy_v2_");
    private readonly PolicySlots _shadow = new(maps, maps.ShadowPolicyMaps, "cilium_policy_shadow_");

    public ValueTask ApplyAsync(
        IReadOnlyList<EndpointPolicy> values, ReconcileFailures<ushort> failures, CancellationToken cancellationToken)
    {
        var fitting = new List<EndpointPolicy>(values.Count);
        foreach (EndpointPolicy policy in values)
        {
            ArgumentOutOfRangeException.ThrowIfZero(policy.Revision);
            if (policy.Entries.Count > maps.PolicyEntries)
                Try([policy.EndpointId], policy.Entries.Count, failures, () => Close(policy, failures));
            else
                fitting.Add(policy);
        }

        List<PreparedMap> enforced = Prepare(_enforced, fitting, policy => policy.Entries, failures);
        fitting.RemoveAll(policy => failures.Find(policy.EndpointId) is not null);
        List<PreparedMap> shadows = PrepareShadows(fitting, failures);
        _enforced.Install(enforced);
        _shadow.Install(shadows);
        foreach (PreparedMap ready in enforced.Concat(shadows))
            ready.DeleteStale();
        foreach (EndpointPolicy policy in fitting)
            Try([policy.EndpointId], policy.Entries.Count, failures, () => Finish(policy));
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
        Dictionary<ushort, PolicyMapEntryCollection> enforced = _enforced.ReadAll();
        Dictionary<ushort, PolicyMapEntryCollection> shadows = _shadow.ReadAll();
        var actual = new Dictionary<ushort, EndpointPolicy>(enforced.Count);
        foreach ((ushort endpoint, PolicyMapEntryCollection entries) in enforced)
            actual[endpoint] = PolicyOf(endpoint, entries, shadows.GetValueOrDefault(endpoint));
        return ValueTask.FromResult<IReadOnlyDictionary<ushort, EndpointPolicy>>(actual);
    }

    public bool IsSame(EndpointPolicy desired, EndpointPolicy actual)
    {
        ArgumentNullException.ThrowIfNull(desired);
        ArgumentNullException.ThrowIfNull(actual);
        // The same policy under another revision is the same policy: connections that passed it need not be judged again.
        return (desired with { Entries = actual.Entries, Shadow = actual.Shadow, Revision = actual.Revision }) == actual
            && desired.Entries.HasSameEntries(actual.Entries)
            && (desired.Shadow, actual.Shadow) switch
            {
                (null, null) => true,
                ({ } want, { } have) => want with { Entries = have.Entries } == have && want.Entries.HasSameEntries(have.Entries),
                _ => false,
            };
    }

    /// <summary>The policy as the kernel has it; null when the endpoint has no map, or one that is not in its slot.</summary>
    public EndpointPolicy? Read(ushort endpointId)
        => _enforced.Read(endpointId) is { } entries ? PolicyOf(endpointId, entries, _shadow.Read(endpointId)) : null;

    /// <summary>Takes the endpoint's policy away: its new connections are dropped. Idempotent.</summary>
    public void Remove(ushort endpointId)
    {
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

    /// <summary>Endpoints that are to have the same get one map. What is said of a failure, is said at each of them.</summary>
    private static List<PreparedMap> Prepare(
        PolicySlots slots, IEnumerable<EndpointPolicy> policies, Func<EndpointPolicy, PolicyMapEntryCollection> contentsOf, ReconcileFailures<ushort> failures)
    {
        var prepared = new List<PreparedMap>();
        foreach (IGrouping<PolicyMapEntryCollection, EndpointPolicy> group in policies.GroupBy(contentsOf))
        {
            ushort[] endpoints = [.. group.Select(policy => policy.EndpointId)];
            Try(endpoints, group.Key.Count, failures, () => prepared.Add(slots.Prepare(endpoints, group.Key)));
        }

        return prepared;
    }

    private static void Try(ushort[] endpoints, int entries, ReconcileFailures<ushort> failures, Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is SystemCallException or IOException)
        {
            string hint = e is SystemCallException { Errno: Errno.ENOSPC or Errno.E2BIG }
                ? $": {entries} entries do not fit (bpf-policy-map-max)"
                : "";
            foreach (ushort endpoint in endpoints)
                failures.Add(endpoint, e.Message + hint);
        }
    }

    // What is in force does not wait for what is on trial: a policy whose trial cannot be had goes without.
    private List<PreparedMap> PrepareShadows(List<EndpointPolicy> policies, ReconcileFailures<ushort> failures)
    {
        foreach (EndpointPolicy policy in policies)
        {
            if (policy.Shadow is { } shadow && shadow.Entries.Count > maps.PolicyEntries)
                failures.Add(policy.EndpointId, $"{NoRoom(shadow.Entries.Count)}: policies on trial are not tried");
        }

        List<PreparedMap> prepared = Prepare(
            _shadow, policies.Where(p => p.Shadow is not null && failures.Find(p.EndpointId) is null), policy => policy.Shadow!.Entries, failures);
        for (int i = 0; i < policies.Count; i++)
        {
            if (failures.Find(policies[i].EndpointId) is not null)
                policies[i] = policies[i] with { Shadow = null };
        }

        return prepared;
    }

    /// <summary>
    /// Part of a policy would let pass and drop at random, so the endpoint gets none: nobody may open a connection to or from it until its policy
    /// fits. Connections that passed the policy of before go on, unless the options say otherwise.
    /// </summary>
    private void Close(EndpointPolicy policy, ReconcileFailures<ushort> failures)
    {
        if (policy.EndpointId == node)
        {
            failures.Add(policy.EndpointId, $"{NoRoom(policy.Entries.Count)}: the node's policy of before stays in force");
            return;
        }

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

    private void Finish(EndpointPolicy policy)
    {
        maps.PolicyStates.Update(policy.EndpointId, new PolicyState { Revision = policy.Revision, Flags = (uint)FlagsOf(policy) });
        if (policy.Shadow is null && _shadow.Has(policy.EndpointId))
            _shadow.Remove(policy.EndpointId);
    }

    private EndpointPolicy PolicyOf(ushort endpointId, PolicyMapEntryCollection entries, PolicyMapEntryCollection? shadow)
    {
        maps.PolicyStates.TryLookup(endpointId, out PolicyState state);
        var flags = (PolicyStateFlags)state.Flags;
        return new EndpointPolicy(endpointId, state.Revision)
        {
            IngressEnforced = flags.HasFlag(PolicyStateFlags.IngressEnforced),
            EgressEnforced = flags.HasFlag(PolicyStateFlags.EgressEnforced),
            Audit = flags.HasFlag(PolicyStateFlags.Audit),
            Overflowed = flags.HasFlag(PolicyStateFlags.Overflow),
            Entries = entries,
            Shadow = ShadowOf(flags, shadow),
        };
    }

    private static ShadowPolicy? ShadowOf(PolicyStateFlags flags, PolicyMapEntryCollection? entries)
    {
        const PolicyStateFlags Any = PolicyStateFlags.IngressShadowed | PolicyStateFlags.EgressShadowed;
        if ((flags & Any) == 0 || entries is null)
            return null;
        return new ShadowPolicy
        {
            Ingress = flags.HasFlag(PolicyStateFlags.IngressShadowed),
            Egress = flags.HasFlag(PolicyStateFlags.EgressShadowed),
            Entries = entries,
        };
    }

    private static PolicyStateFlags FlagsOf(EndpointPolicy policy)
        => (policy.IngressEnforced ? PolicyStateFlags.IngressEnforced : 0)
            | (policy.EgressEnforced ? PolicyStateFlags.EgressEnforced : 0)
            | (policy.Audit ? PolicyStateFlags.Audit : 0)
            | (policy.Shadow is { Ingress: true } ? PolicyStateFlags.IngressShadowed : 0)
            | (policy.Shadow is { Egress: true } ? PolicyStateFlags.EgressShadowed : 0)
            | PolicyStateFlags.Classes;
}
