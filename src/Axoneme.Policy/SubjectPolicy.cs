// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// A policy computed in slices: all entries about one peer identity, or one class of them, in one direction. A packet's verdict is the larger
/// of two slices (the peer's and its class's), so slices never depend on each other, and a change of one identity recomputes one slice. Where
/// rules pass, slices of identities take over what their class's says (<see cref="PassResolution"/>), and are computed again with it.
/// </summary>
/// <param name="ports">Container ports of the endpoints.</param>
/// <param name="isInit">The endpoints have no labels yet, and are closed.</param>
internal sealed class SubjectPolicy(NamedPorts ports, bool isInit)
{
    private readonly HashSet<PolicyPeer> _dirty = [];
    private DirectionState _ingress;
    private DirectionState _egress;
    private int _count;

    public ImmutableDictionary<PolicyPeer, PolicySlice> Slices { get; private set; } = ImmutableDictionary<PolicyPeer, PolicySlice>.Empty;

    public PolicyEntryCollection Entries => new(Slices, _count);

    public bool IngressEnforced => _ingress.Enforced;

    public bool EgressEnforced => _egress.Enforced;

    public void MarkDirty(TrafficDirection direction, SecurityIdentity peer) => _dirty.Add(new PolicyPeer(direction, peer));

    /// <summary>Marks what every subject has: anyone and the own node, whose entries depend on whether a direction is enforced.</summary>
    public void MarkDefaults(TrafficDirection direction)
    {
        MarkDirty(direction, SecurityIdentity.Unknown);
        foreach (SecurityIdentity aggregate in SecurityIdentity.Aggregates)
            MarkDirty(direction, aggregate);
        MarkDirty(direction, SecurityIdentity.Host);
    }

    /// <summary>Marks whom the rule speaks about.</summary>
    public void MarkPeers(RuleState rule, SelectorCache selectors)
    {
        MarkDefaults(rule.Rule.Direction);
        foreach (SecurityIdentity peer in rule.PeersWithEntries(selectors))
            MarkDirty(rule.Rule.Direction, peer);
    }

    /// <summary>Recomputes the dirty slices. An empty delta means that the entries are as they were.</summary>
    public PolicyDelta Recompute(IReadOnlyCollection<RuleState> rules, PolicyOptions options, SelectorCache selectors, SliceCache cache)
    {
        _ingress = Begin(TrafficDirection.Ingress, _ingress, rules, options, selectors);
        _egress = Begin(TrafficDirection.Egress, _egress, rules, options, selectors);
        ImmutableDictionary<PolicyPeer, PolicySlice>.Builder slices = Slices.ToBuilder();
        var changes = new PolicyDelta.Builder();
        var parts = new List<RulePart>();
        foreach (PolicyPeer peer in _dirty)
        {
            parts.Clear();
            CollectParts(peer.Direction == TrafficDirection.Ingress ? _ingress : _egress, peer.Identity, selectors, parts);
            PolicySlice? after = cache.Acquire(parts);
            slices.TryGetValue(peer, out PolicySlice? before);
            changes.Add(peer, before, after);
            _count += (after?.Entries.Length ?? 0) - (before?.Entries.Length ?? 0);
            if (after is null)
                slices.Remove(peer);
            else if (!ReferenceEquals(before, after))
                slices[peer] = after;
            if (before is not null)
                cache.Release(before);
        }

        _dirty.Clear();
        Slices = slices.ToImmutable();
        return changes.ToDelta();
    }

    /// <summary>When nobody has the policy any more.</summary>
    public void Release(SliceCache cache)
    {
        foreach (PolicySlice slice in Slices.Values)
            cache.Release(slice);
    }

    private DirectionState Begin(
        TrafficDirection direction, DirectionState before, IReadOnlyCollection<RuleState> rules, PolicyOptions options, SelectorCache selectors)
    {
        RuleState[] baseline = [.. rules.Where(r => r.Rule.Direction == direction && r.Rule.Tier == PolicyTier.Baseline)];
        DirectionState state = StateOf(direction, rules, options);
        if (state.SkipsBaseline != before.SkipsBaseline)
        {
            foreach (RuleState rule in baseline)
                MarkPeers(rule, selectors);
        }

        // What identities have taken over of their class's rules has changed with these.
        if ((state.Passes || before.Passes) && _dirty.Any(p => p.Direction == direction && IsClass(p.Identity)))
            _dirty.UnionWith(Slices.Keys.Where(p => p.Direction == direction));
        return state;
    }

    private DirectionState StateOf(TrafficDirection direction, IReadOnlyCollection<RuleState> all, PolicyOptions options)
    {
        if (options.Enforcement == EnforcementMode.Never)
            return new DirectionState([], default, default, default, default, default);
        RuleState[] rules = [.. all.Where(r => r.Rule.Direction == direction)];
        // Network policies decide about whom they select, so that the baseline does not get to.
        bool skipsBaseline = rules.Any(r => r.Rule.Tier == PolicyTier.Normal && (r.Rule.DefaultDeny || !options.EnableNonDefaultDeny));
        bool deny = options.Enforcement == EnforcementMode.Always || isInit || skipsBaseline || rules.Any(r => r.Rule.DefaultDeny);
        if (skipsBaseline)
            rules = [.. rules.Where(r => r.Rule.Tier != PolicyTier.Baseline)];
        bool allowHost = deny && options.AllowLocalhost && direction == TrafficDirection.Ingress;
        return new DirectionState(rules, rules.Length > 0 || deny, deny, allowHost, rules.Any(r => r.Rule.Action == RuleAction.Pass), skipsBaseline);
    }

    private void CollectParts(DirectionState state, SecurityIdentity peer, SelectorCache selectors, List<RulePart> parts)
    {
        if ((!state.DefaultDeny && IsClass(peer)) || (state.AllowHost && peer == SecurityIdentity.Host))
            parts.Add(RulePart.DefaultAllow);
        SecurityIdentity aggregate = selectors.ClassOf(peer);
        NamedPorts peerPorts = selectors.Find(peer)?.Ports ?? NamedPorts.Empty;
        foreach (RuleState rule in state.Rules)
        {
            if (rule.PartFor(peer, aggregate, ports, peerPorts) is { } part)
                parts.Add(part);
        }

        if (state.Passes && !IsClass(peer) && parts.Count > 0)
            TakeOverClass(state, peer, aggregate, peerPorts, parts);
    }

    private void TakeOverClass(
        DirectionState state, SecurityIdentity peer, SecurityIdentity aggregate, NamedPorts peerPorts, List<RulePart> parts)
    {
        List<RulePart> whole = [.. state.Rules.Select(r => r.WholePartFor(peer, aggregate, ports, peerPorts)).OfType<RulePart>()];
        if (!whole.Exists(p => PassResolution.IsPass(p.Entry)))
            return;
        bool allowsHost = parts.Contains(RulePart.DefaultAllow);
        parts.Clear();
        parts.AddRange(whole);
        parts.Add(state.DefaultDeny && !allowsHost ? PassResolution.CompleteClosed : PassResolution.CompleteOpen);
    }

    private static bool IsClass(SecurityIdentity peer) => peer == SecurityIdentity.Unknown || peer.IsAggregate;

    /// <param name="Rules">Those that count.</param>
    /// <param name="Enforced">Something restricts the direction.</param>
    /// <param name="DefaultDeny">What no rule allows is denied.</param>
    /// <param name="AllowHost">But not to the own node.</param>
    /// <param name="Passes">A rule passes.</param>
    /// <param name="SkipsBaseline">Rules of the baseline tier do not count.</param>
    private readonly record struct DirectionState(
        RuleState[] Rules, bool Enforced, bool DefaultDeny, bool AllowHost, bool Passes, bool SkipsBaseline);
}
