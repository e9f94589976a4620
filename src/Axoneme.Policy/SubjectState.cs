// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// The policy of one (identity, container ports) pair, computed in slices: all entries about one peer identity, or one class of them, in one
/// direction. A packet's verdict is the larger of two slices (the peer's and its class's), so slices never depend on each other, and a
/// change of one identity recomputes one slice.
/// </summary>
internal sealed class SubjectState(SecurityIdentity identity, NamedPorts ports)
{
    private readonly HashSet<PolicyPeer> _dirty = [];
    private ImmutableDictionary<PolicyPeer, PolicySlice> _slices = ImmutableDictionary<PolicyPeer, PolicySlice>.Empty;
    private int _count;
    private NetworkRule[]? _ruleList;
    private EndpointPolicy _policy = new(identity, 0, false, false, PolicyEntryCollection.Empty);

    public SecurityIdentity Identity { get; } = identity;

    public NamedPorts Ports { get; } = ports;

    public HashSet<RuleState> Rules { get; } = [];

    /// <summary>The same instance until a rule comes or goes.</summary>
    public IReadOnlyCollection<NetworkRule> RuleList => _ruleList ??= [.. Rules.Select(r => r.Rule)];

    public HashSet<ushort> Endpoints { get; } = [];

    public EndpointPolicy Policy => _policy;

    public void MarkDirty(TrafficDirection direction, SecurityIdentity peer) => _dirty.Add(new PolicyPeer(direction, peer));

    public void Add(RuleState rule, SelectorCache selectors)
    {
        if (Rules.Add(rule))
            MarkPeers(rule, selectors);
        rule.Subjects.Add(this);
    }

    public void Remove(RuleState rule, SelectorCache selectors)
    {
        if (Rules.Remove(rule))
            MarkPeers(rule, selectors);
        rule.Subjects.Remove(this);
    }

    /// <summary>Marks what every subject has: anyone and the own node, whose entries depend on whether a direction is enforced.</summary>
    public void MarkDefaults()
    {
        MarkDefaults(TrafficDirection.Ingress);
        MarkDefaults(TrafficDirection.Egress);
    }

    /// <summary>Recomputes the dirty slices. An empty delta means that the policy is as it was.</summary>
    public PolicyDelta Recompute(PolicyOptions options, SelectorCache selectors, SliceCache cache, ulong revision)
    {
        DirectionState ingress = StateOf(TrafficDirection.Ingress, options);
        DirectionState egress = StateOf(TrafficDirection.Egress, options);
        ImmutableDictionary<PolicyPeer, PolicySlice>.Builder slices = _slices.ToBuilder();
        var changes = new PolicyDelta.Builder();
        var parts = new List<RulePart>();
        foreach (PolicyPeer peer in _dirty)
        {
            parts.Clear();
            CollectParts(peer.Direction == TrafficDirection.Ingress ? ingress : egress, peer.Identity, selectors, parts);
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
        _slices = slices.ToImmutable();
        PolicyDelta delta = changes.ToDelta();
        if (!delta.IsEmpty || ingress.Enforced != _policy.IngressEnforced || egress.Enforced != _policy.EgressEnforced)
            _policy = new EndpointPolicy(Identity, revision, ingress.Enforced, egress.Enforced, new PolicyEntryCollection(_slices, _count));
        return delta;
    }

    /// <summary>When no endpoint has the policy any more.</summary>
    public void Release(SliceCache cache)
    {
        foreach (PolicySlice slice in _slices.Values)
            cache.Release(slice);
    }

    private void MarkDefaults(TrafficDirection direction)
    {
        MarkDirty(direction, SecurityIdentity.Unknown);
        foreach (SecurityIdentity aggregate in SecurityIdentity.Aggregates)
            MarkDirty(direction, aggregate);
        MarkDirty(direction, SecurityIdentity.Host);
    }

    private void MarkPeers(RuleState rule, SelectorCache selectors)
    {
        _ruleList = null;
        MarkDefaults(rule.Rule.Direction);
        foreach (SecurityIdentity peer in rule.PeersWithEntries(selectors))
            MarkDirty(rule.Rule.Direction, peer);
    }

    private DirectionState StateOf(TrafficDirection direction, PolicyOptions options)
    {
        if (options.Enforcement == EnforcementMode.Never)
            return new DirectionState([], Enforced: false, DefaultDeny: false, AllowHost: false);
        RuleState[] rules = [.. Rules.Where(r => r.Rule.Direction == direction && !r.Rule.Shadow)];
        bool deny = options.Enforcement == EnforcementMode.Always || Identity == SecurityIdentity.Init
            || rules.Any(r => r.Rule.DefaultDeny || !options.EnableNonDefaultDeny);
        bool allowHost = deny && options.AllowLocalhost && direction == TrafficDirection.Ingress;
        return new DirectionState(rules, rules.Length > 0 || deny, deny, allowHost);
    }

    private void CollectParts(DirectionState state, SecurityIdentity peer, SelectorCache selectors, List<RulePart> parts)
    {
        bool isClass = peer == SecurityIdentity.Unknown || peer.IsAggregate;
        if ((!state.DefaultDeny && isClass) || (state.AllowHost && peer == SecurityIdentity.Host))
            parts.Add(RulePart.DefaultAllow);
        SecurityIdentity aggregate = selectors.ClassOf(peer);
        NamedPorts peerPorts = selectors.Find(peer)?.Ports ?? NamedPorts.Empty;
        foreach (RuleState rule in state.Rules)
        {
            if (rule.PartFor(peer, aggregate, Ports, peerPorts) is { } part)
                parts.Add(part);
        }
    }

    private readonly record struct DirectionState(RuleState[] Rules, bool Enforced, bool DefaultDeny, bool AllowHost);
}
