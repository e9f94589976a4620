// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath;
using Axoneme.Policy;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.Policies;

/// <summary>From the engine's words to those of the policy maps; costs as much as the change.</summary>
internal static class PolicyMapTranslation
{
    /// <param name="revisionBase">The last revision of an earlier run, from which ours go on.</param>
    public static EndpointPolicy Apply(EndpointPolicy? before, EndpointPolicyChange change, uint revisionBase)
    {
        ImmutableDictionary<PolicyMapKey, PolicyMapEntry>.Builder entries =
            (before?.Entries ?? ImmutableDictionary<PolicyMapKey, PolicyMapEntry>.Empty).ToBuilder();
        foreach (PolicyKey key in change.Delta.Deletes)
            entries.Remove(Translate(key));
        foreach ((PolicyKey key, PolicyEntry entry) in change.Delta.Upserts)
            entries[Translate(key)] = Translate(Translate(key), entry);
        return new EndpointPolicy(change.EndpointId, RevisionOf(revisionBase + change.Policy.Revision))
        {
            IngressEnforced = change.Policy.IngressEnforced,
            EgressEnforced = change.Policy.EgressEnforced,
            Entries = entries.ToImmutable(),
        };
    }

    // 0 means in the kernel that there is no policy yet.
    private static uint RevisionOf(ulong revision) => (uint)((revision - 1) % uint.MaxValue) + 1;

    private static PolicyMapKey Translate(PolicyKey key)
        => new((Datapath.Abi.TrafficDirection)key.Direction, key.Identity, key.Protocol, key.Port, key.PortPrefixLength);

    private static PolicyMapEntry Translate(PolicyMapKey key, PolicyEntry entry) => new(key)
    {
        // Nothing examines names without a proxy, so only what lets every name pass may pass.
        Deny = entry.Deny || entry.Redirect is DnsRedirect { Names: not [{ Text: "*" }] },
        Precedence = entry.Precedence,
        Cookie = entry.Origins.Cookie,
    };
}
