// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// The policy of one (identity, container ports) pair: the one in force, and beside it, while rules on trial select the pair, the one that
/// would be in force with these.
/// </summary>
internal sealed class SubjectState(SecurityIdentity identity, NamedPorts ports)
{
    private readonly SubjectPolicy _inForce = new(ports, identity == SecurityIdentity.Init);
    private SubjectPolicy? _onTrial;
    private NetworkRule[]? _ruleList;
    private EndpointPolicy _policy = new(identity, 0, false, false, PolicyEntryCollection.Empty);

    public SecurityIdentity Identity { get; } = identity;

    public NamedPorts Ports { get; } = ports;

    /// <summary>Those in force and those on trial.</summary>
    public HashSet<RuleState> Rules { get; } = [];

    /// <summary>The same instance until a rule comes or goes.</summary>
    public IReadOnlyCollection<NetworkRule> RuleList => _ruleList ??= [.. Rules.Select(r => r.Rule)];

    public HashSet<ushort> Endpoints { get; } = [];

    public EndpointPolicy Policy => _policy;

    public void MarkDirty(TrafficDirection direction, SecurityIdentity peer)
    {
        _inForce.MarkDirty(direction, peer);
        _onTrial?.MarkDirty(direction, peer);
    }

    public void Add(RuleState rule, SelectorCache selectors)
    {
        rule.Subjects.Add(this);
        if (!Rules.Add(rule))
            return;
        _ruleList = null;
        if (rule.Rule.Shadow && _onTrial is null)
            BeginTrial(selectors);
        MarkPeers(rule, selectors);
    }

    public void Remove(RuleState rule, SelectorCache selectors)
    {
        rule.Subjects.Remove(this);
        if (!Rules.Remove(rule))
            return;
        _ruleList = null;
        MarkPeers(rule, selectors);
    }

    /// <summary>Marks what every subject has.</summary>
    public void MarkDefaults()
    {
        _inForce.MarkDefaults(TrafficDirection.Ingress);
        _inForce.MarkDefaults(TrafficDirection.Egress);
    }

    /// <summary>Marks everything, for changes that concern all entries.</summary>
    public void MarkAll(SelectorCache selectors)
    {
        MarkDefaults();
        _onTrial?.MarkDefaults(TrafficDirection.Ingress);
        _onTrial?.MarkDefaults(TrafficDirection.Egress);
        foreach (RuleState rule in Rules)
            MarkPeers(rule, selectors);
    }

    /// <summary>Recomputes what was marked. The policy stays the same instance if nothing is different.</summary>
    /// <returns>Of the policy in force.</returns>
    public PolicyDelta Recompute(PolicyOptions options, SelectorCache selectors, SliceCache cache, ulong revision)
    {
        PolicyDelta delta = _inForce.Recompute([.. Rules.Where(r => !r.Rule.Shadow)], options, selectors, cache);
        EndpointPolicy? shadow = RecomputeTrial(options, selectors, cache, revision);
        if (!delta.IsEmpty || _inForce.IngressEnforced != _policy.IngressEnforced || _inForce.EgressEnforced != _policy.EgressEnforced
            || !ReferenceEquals(shadow, _policy.Shadow))
        {
            _policy = new EndpointPolicy(Identity, revision, _inForce.IngressEnforced, _inForce.EgressEnforced, _inForce.Entries) { Shadow = shadow };
        }

        return delta;
    }

    /// <summary>When no endpoint has the policy any more.</summary>
    public void Release(SliceCache cache)
    {
        _inForce.Release(cache);
        _onTrial?.Release(cache);
    }

    private void MarkPeers(RuleState rule, SelectorCache selectors)
    {
        if (!rule.Rule.Shadow)
            _inForce.MarkPeers(rule, selectors);
        _onTrial?.MarkPeers(rule, selectors);
    }

    private void BeginTrial(SelectorCache selectors)
    {
        _onTrial = new SubjectPolicy(Ports, Identity == SecurityIdentity.Init);
        _onTrial.MarkDefaults(TrafficDirection.Ingress);
        _onTrial.MarkDefaults(TrafficDirection.Egress);
        foreach (RuleState rule in Rules)
            _onTrial.MarkPeers(rule, selectors);
    }

    // Null: no rule is on trial.
    private EndpointPolicy? RecomputeTrial(PolicyOptions options, SelectorCache selectors, SliceCache cache, ulong revision)
    {
        if (_onTrial is null)
            return null;
        if (!Rules.Any(r => r.Rule.Shadow))
        {
            _onTrial.Release(cache);
            _onTrial = null;
            return null;
        }

        PolicyDelta delta = _onTrial.Recompute(Rules, options, selectors, cache);
        EndpointPolicy? before = _policy.Shadow;
        if (before is not null && delta.IsEmpty && before.IngressEnforced == _onTrial.IngressEnforced && before.EgressEnforced == _onTrial.EgressEnforced)
            return before;
        return new EndpointPolicy(Identity, revision, _onTrial.IngressEnforced, _onTrial.EgressEnforced, _onTrial.Entries);
    }
}
