// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Collections.Immutable;
using Axoneme.Policy;

namespace Axoneme.Agent.Policies;

/// <summary>Rules that close a direction of an endpoint for what none of its rules allows.</summary>
/// <param name="IsEnforced">False: everything passes in the direction.</param>
/// <param name="Enforced">In order; empty while enforced when no policy asked for it (mode, or labels that are not known yet).</param>
/// <param name="Shadow">Those that would, were they enforced.</param>
internal sealed record ClosedDirection(bool IsEnforced, ImmutableArray<RuleOrigin> Enforced, ImmutableArray<RuleOrigin> Shadow);

/// <summary>
/// Why a packet that no rule matches is dropped: nothing in the policy map says so. Read for denied packets, so without the engine's lock.
/// </summary>
internal sealed class DefaultDenyIndex
{
    private readonly ConcurrentDictionary<ushort, Known> _endpoints = new();

    private sealed record Known(IReadOnlyCollection<NetworkRule> Rules, ClosedDirection Ingress, ClosedDirection Egress);

    public ClosedDirection? Find(ushort endpointId, TrafficDirection direction)
        => !_endpoints.TryGetValue(endpointId, out Known? found) ? null : direction == TrafficDirection.Ingress ? found.Ingress : found.Egress;

    /// <summary>Takes over what the engine's commit changed, which may be a rule that changed no entry. Called under the engine's lock.</summary>
    public void Learn(PolicyEngine engine)
    {
        // Endpoints of one identity share their rules.
        var changed = new Dictionary<IReadOnlyCollection<NetworkRule>, Known>(ReferenceEqualityComparer.Instance);
        foreach (ushort id in engine.EndpointIds)
        {
            IReadOnlyCollection<NetworkRule> rules = engine.RulesOf(id);
            if (engine.FindEndpoint(id) is not { } policy)
                continue;
            if (_endpoints.TryGetValue(id, out Known? known) && ReferenceEquals(known.Rules, rules)
                && known.Ingress.IsEnforced == policy.IngressEnforced && known.Egress.IsEnforced == policy.EgressEnforced)
                continue;
            if (!changed.TryGetValue(rules, out Known? closed))
                changed[rules] = closed = new Known(rules, Close(policy, rules, TrafficDirection.Ingress), Close(policy, rules, TrafficDirection.Egress));
            _endpoints[id] = closed;
        }
    }

    public void Forget(ushort endpointId) => _endpoints.TryRemove(endpointId, out _);

    private static ClosedDirection Close(EndpointPolicy policy, IEnumerable<NetworkRule> rules, TrafficDirection direction)
    {
        RuleOrigin[] Closing(bool shadow)
            => [.. rules.Where(r => r.Direction == direction && r.DefaultDeny && r.Shadow == shadow).Select(r => r.Origin).Order()];
        return new ClosedDirection(policy.IsEnforced(direction), [.. Closing(shadow: false)], [.. Closing(shadow: true)]);
    }
}
