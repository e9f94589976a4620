// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Numerics;
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// The policy of one (identity, container ports) pair, computed in slices: all entries about one peer identity, or one class of them, in one
/// direction. A packet's verdict is the larger of two slices (the peer's and its class's), so slices never depend on each other, and a change of one identity
/// recomputes one slice.
/// </summary>
internal sealed class SubjectState(SecurityIdentity identity, NamedPorts ports)
{
    private static readonly PolicyEntry DefaultAllow =
        new(false, PolicyPrecedence.Of(PolicyTier.Default, 0, RuleAction.Allow), null, RuleOrigins.None);

    private readonly Dictionary<(TrafficDirection, SecurityIdentity), PolicyKey[]> _slices = [];
    private readonly HashSet<SecurityIdentity> _dirty = [];
    private IReadOnlyCollection<NetworkRule>? _ruleList;
    private EndpointPolicy _policy = new(identity, 0, false, false, ImmutableDictionary<PolicyKey, PolicyEntry>.Empty);

    public SecurityIdentity Identity { get; } = identity;

    public NamedPorts Ports { get; } = ports;

    public HashSet<RuleState> Rules { get; } = [];

    /// <summary>The same instance until a rule comes or goes.</summary>
    public IReadOnlyCollection<NetworkRule> RuleList => _ruleList ??= [.. Rules.Select(r => r.Rule)];

    public HashSet<ushort> Endpoints { get; } = [];

    public EndpointPolicy Policy => _policy;

    public void MarkDirty(SecurityIdentity peer) => _dirty.Add(peer);

    public void Add(RuleState rule, SelectorCache selectors)
    {
        if (Rules.Add(rule))
            MarkPeers(rule, selectors);
        rule.Subjects.Add(this);
        _ruleList = null;
    }

    public void Remove(RuleState rule, SelectorCache selectors)
    {
        if (Rules.Remove(rule))
            MarkPeers(rule, selectors);
        rule.Subjects.Remove(this);
        _ruleList = null;
    }

    /// <summary>Marks what every subject has: anyone and the own node, whose entries depend on whether a direction is enforced.</summary>
    public void MarkDefaults()
    {
        _dirty.Add(SecurityIdentity.Unknown);
        _dirty.UnionWith(SecurityIdentity.Aggregates);
        _dirty.Add(SecurityIdentity.Host);
    }

    /// <summary>Recomputes the dirty slices. An empty delta means that the policy is as it was.</summary>
    public PolicyDelta Recompute(PolicyOptions options, SelectorCache selectors, ulong revision)
    {
        var upserts = ImmutableArray.CreateBuilder<KeyValuePair<PolicyKey, PolicyEntry>>();
        var deletes = ImmutableArray.CreateBuilder<PolicyKey>();
        DirectionState ingress = StateOf(TrafficDirection.Ingress, options);
        DirectionState egress = StateOf(TrafficDirection.Egress, options);
        foreach (SecurityIdentity peer in _dirty)
        {
            RecomputeSlice(TrafficDirection.Ingress, ingress, peer);
            RecomputeSlice(TrafficDirection.Egress, egress, peer);
        }

        _dirty.Clear();
        var delta = new PolicyDelta(upserts.DrainToImmutable(), deletes.DrainToImmutable());
        if (delta.IsEmpty && ingress.Enforced == _policy.IngressEnforced && egress.Enforced == _policy.EgressEnforced)
            return PolicyDelta.Empty;
        ImmutableDictionary<PolicyKey, PolicyEntry> entries = _policy.Entries.RemoveRange(delta.Deletes).SetItems(delta.Upserts);
        _policy = new EndpointPolicy(Identity, revision, ingress.Enforced, egress.Enforced, entries);
        return delta;

        void RecomputeSlice(TrafficDirection direction, DirectionState state, SecurityIdentity peer)
        {
            Dictionary<PolicyKey, PolicyEntry> slice =
                Compute(direction, state, peer, selectors.ClassOf(peer), selectors.Find(peer)?.Ports ?? NamedPorts.Empty);
            foreach (PolicyKey key in _slices.GetValueOrDefault((direction, peer)) ?? [])
            {
                if (!slice.ContainsKey(key))
                    deletes.Add(key);
            }

            foreach ((PolicyKey key, PolicyEntry entry) in slice)
            {
                if (!_policy.Entries.TryGetValue(key, out PolicyEntry? old) || old != entry)
                    upserts.Add(KeyValuePair.Create(key, entry));
            }

            if (slice.Count == 0)
                _slices.Remove((direction, peer));
            else
                _slices[(direction, peer)] = [.. slice.Keys];
        }
    }

    private void MarkPeers(RuleState rule, SelectorCache selectors)
    {
        MarkDefaults();
        _dirty.UnionWith(rule.PeersWithEntries(selectors));
    }

    private DirectionState StateOf(TrafficDirection direction, PolicyOptions options)
    {
        if (options.Enforcement == EnforcementMode.Never)
            return new DirectionState(Enforced: false, DefaultDeny: false, AllowHost: false);
        bool any = false;
        bool deny = options.Enforcement == EnforcementMode.Always || Identity == SecurityIdentity.Init;
        foreach (RuleState rule in Rules)
        {
            if (rule.Rule.Direction != direction || rule.Rule.Shadow)
                continue;
            any = true;
            deny |= rule.Rule.DefaultDeny || !options.EnableNonDefaultDeny;
        }

        bool allowHost = deny && options.AllowLocalhost && direction == TrafficDirection.Ingress;
        return new DirectionState(any || deny, deny, allowHost);
    }

    private Dictionary<PolicyKey, PolicyEntry> Compute(
        TrafficDirection direction, DirectionState state, SecurityIdentity peer, SecurityIdentity aggregate, NamedPorts peerPorts)
    {
        var slice = new Dictionary<PolicyKey, PolicyEntry>();
        bool isClass = peer == SecurityIdentity.Unknown || peer.IsAggregate;
        if ((!state.DefaultDeny && isClass) || (state.AllowHost && peer == SecurityIdentity.Host))
            slice.Add(new PolicyKey(direction, peer), DefaultAllow);
        if (!state.Enforced)
            return slice;
        foreach (RuleState rule in Rules)
        {
            if (rule.Rule.Direction != direction || rule.Rule.Shadow)
                continue;
            foreach (L4Block block in rule.BlocksFor(peer, aggregate, Ports, peerPorts))
                Merge(slice, new PolicyKey(direction, peer, block.Protocol, block.Port, block.PrefixLength), rule.Entry);
        }

        RemoveCovered(slice);
        return slice;
    }

    // Of two entries for one key the larger precedence counts; at the same one both are named as origins. Two allows of one level are one
    // allow of both: what a proxy has to let pass is the union.
    private static void Merge(Dictionary<PolicyKey, PolicyEntry> slice, PolicyKey key, PolicyEntry entry)
    {
        ref PolicyEntry? held = ref CollectionsMarshal.GetValueRefOrAddDefault(slice, key, out _);
        if (held is null)
            held = entry;
        else if (!held.Deny && !entry.Deny && PolicyPrecedence.IsSameLevel(held.Precedence, entry.Precedence))
            held = MergeAllows(held, entry);
        else if (held.Precedence < entry.Precedence)
            held = entry;
        else if (held.Precedence == entry.Precedence)
            held = held with { Origins = held.Origins.Union(entry.Origins) };
    }

    private static PolicyEntry MergeAllows(PolicyEntry a, PolicyEntry b)
    {
        PolicyEntry first = a.Precedence >= b.Precedence ? a : b;
        Redirect? redirect = (a.Redirect, b.Redirect) switch
        {
            ({ } x, { } y) => x.Merge(y) ?? first.Redirect,
            ({ } x, null) => x.Widened,
            (null, { } y) => y.Widened,
            _ => null,
        };
        return first with { Redirect = redirect, Origins = a.Origins.Union(b.Origins) };
    }

    /// <summary>
    /// A trie answers with the longest prefix, so an entry must not hide a shorter one that beats it: those that lose against one that
    /// covers them are left out. What remains grows in precedence with its length, hence longest match is largest precedence. Narrower
    /// allows of equal precedence stay, since they name the rules that are closest to the packet.
    /// </summary>
    private static void RemoveCovered(Dictionary<PolicyKey, PolicyEntry> slice)
    {
        if (slice.Count < 2)
            return;
        uint lengths = 0;
        foreach (PolicyKey key in slice.Keys)
            lengths |= 1u << key.L4PrefixLength;
        List<PolicyKey>? covered = null;
        foreach ((PolicyKey key, PolicyEntry entry) in slice)
        {
            for (uint shorter = lengths & ((1u << key.L4PrefixLength) - 1); shorter != 0; shorter &= shorter - 1)
            {
                if (!slice.TryGetValue(key.Cut(BitOperations.TrailingZeroCount(shorter)), out PolicyEntry? wider)
                    || wider.Precedence < entry.Precedence || (wider.Precedence == entry.Precedence && !wider.Deny))
                    continue;
                (covered ??= []).Add(key);
                break;
            }
        }

        foreach (PolicyKey key in covered ?? [])
            slice.Remove(key);
    }

    private readonly record struct DirectionState(bool Enforced, bool DefaultDeny, bool AllowHost);
}
