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
    /// <param name="proxyPort">Where the node's proxy listens; 0 while nobody knows, null without a proxy.</param>
    public static EndpointPolicy Apply(EndpointPolicy? before, EndpointPolicyChange change, uint revisionBase, ushort? proxyPort)
    {
        return new EndpointPolicy(change.EndpointId, RevisionOf(revisionBase + change.Policy.Revision))
        {
            IngressEnforced = change.Policy.IngressEnforced,
            EgressEnforced = change.Policy.EgressEnforced,
            Entries = Apply(before?.Entries, change.Delta, proxyPort),
            Shadow = change.Policy.Shadow is { } shadow
                ? new ShadowPolicy
                {
                    Ingress = shadow.IngressEnforced,
                    Egress = shadow.EgressEnforced,
                    Entries = Apply(before?.Shadow?.Entries, change.ShadowDelta, proxyPort),
                }
                : null,
        };
    }

    private static ImmutableDictionary<PolicyMapKey, PolicyMapEntry> Apply(
        ImmutableDictionary<PolicyMapKey, PolicyMapEntry>? before, PolicyDelta delta, ushort? proxyPort)
    {
        ImmutableDictionary<PolicyMapKey, PolicyMapEntry>.Builder entries =
            (before ?? ImmutableDictionary<PolicyMapKey, PolicyMapEntry>.Empty).ToBuilder();
        foreach (PolicyKey key in delta.Deletes)
            entries.Remove(Translate(key));
        foreach ((PolicyKey key, PolicyEntry entry) in delta.Upserts)
            entries[Translate(key)] = Translate(Translate(key), entry, proxyPort);
        return entries.ToImmutable();
    }

    /// <summary>The policy after the proxy began to listen on another port; null if it redirects nothing. Its connections are judged again.</summary>
    public static EndpointPolicy? MoveProxy(EndpointPolicy policy, ushort proxyPort)
    {
        ImmutableDictionary<PolicyMapKey, PolicyMapEntry>.Builder entries = policy.Entries.ToBuilder();
        foreach ((PolicyMapKey key, PolicyMapEntry entry) in policy.Entries.Where(e => e.Value.ProxyPort != 0 || e.Value.LacksProxy))
            entries[key] = Redirect(entry, proxyPort);
        ImmutableDictionary<PolicyMapKey, PolicyMapEntry> moved = entries.ToImmutable();
        return moved == policy.Entries ? null : policy with { Entries = moved, Revision = RevisionOf((ulong)policy.Revision + 1) };
    }

    /// <summary>The same policy with another revision: its connections are judged again.</summary>
    public static EndpointPolicy Renew(EndpointPolicy policy) => policy with { Revision = RevisionOf((ulong)policy.Revision + 1) };

    // 0 means in the kernel that there is no policy yet.
    private static uint RevisionOf(ulong revision) => (uint)((revision - 1) % uint.MaxValue) + 1;

    private static PolicyMapKey Translate(PolicyKey key)
        => new((Datapath.Abi.TrafficDirection)key.Direction, key.Identity, key.Protocol, key.Port, key.PortPrefixLength);

    private static PolicyMapEntry Translate(PolicyMapKey key, PolicyEntry entry, ushort? proxyPort)
    {
        var translated = new PolicyMapEntry(key) { Deny = entry.Deny, Precedence = entry.Precedence, Cookie = entry.Origins.Cookie };
        if (entry.Deny || entry.Redirect is null)
            return translated;
        if (proxyPort is { } port)
            return Redirect(translated, port);
        // Nothing examines names without a proxy, so only what lets every name pass may pass.
        return entry.Redirect is DnsRedirect { Names: [{ Text: "*" }] } ? translated : Redirect(translated, 0);
    }

    // What the proxy has to see does not pass by it because nobody knows where it is.
    private static PolicyMapEntry Redirect(PolicyMapEntry entry, ushort port)
        => entry with { ProxyPort = port, Deny = port == 0, LacksProxy = port == 0 };
}
