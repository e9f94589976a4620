// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using Axoneme.Datapath;
using Axoneme.Policy;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.Policies;

/// <summary>
/// From the engine's words to those of the policy maps; costs as much as the change. Endpoints that share a policy in the engine share its entries
/// here. Not thread-safe.
/// </summary>
internal sealed class PolicyMapTranslation
{
    // As long as the engine or a change refers to the policy: whoever gets it later gets the same entries.
    private readonly ConditionalWeakTable<PolicyEntryCollection, PolicyMapEntryCollection> _translated = [];

    /// <summary>Whether the node runs a proxy. Without one, what it would have to examine is denied.</summary>
    public bool HasProxy { get; set; }

    /// <summary>Where it listens, in host order; 0 while nobody knows.</summary>
    public ushort ProxyPort { get; private set; }

    /// <param name="before">What the endpoint had; null for a new one.</param>
    /// <param name="change">The engine's.</param>
    /// <param name="revisionBase">The last revision of an earlier run, from which ours go on.</param>
    public EndpointPolicy Apply(EndpointPolicy? before, EndpointPolicyChange change, uint revisionBase)
    {
        return new EndpointPolicy(change.EndpointId, RevisionOf(revisionBase + change.Policy.Revision))
        {
            IngressEnforced = change.Policy.IngressEnforced,
            EgressEnforced = change.Policy.EgressEnforced,
            Entries = Apply(before?.Entries, change.Policy.Entries, change.Delta),
            Shadow = change.Policy.Shadow is { } shadow
                ? new ShadowPolicy
                {
                    Ingress = shadow.IngressEnforced,
                    Egress = shadow.EgressEnforced,
                    Entries = Apply(before?.Shadow?.Entries, shadow.Entries, change.ShadowDelta),
                }
                : null,
        };
    }

    /// <summary>
    /// The proxy listens on another port of this node, 0 when nobody knows on which: what follows from that for policies that redirect. Their
    /// connections are judged again.
    /// </summary>
    /// <returns>The policies that are different.</returns>
    public IReadOnlyList<EndpointPolicy> MoveProxy(ushort port, IEnumerable<EndpointPolicy> policies)
    {
        ProxyPort = port;
        var moved = new Dictionary<PolicyMapEntryCollection, PolicyMapEntryCollection>();
        foreach ((PolicyEntryCollection entries, PolicyMapEntryCollection translated) in _translated.ToArray())
            _translated.AddOrUpdate(entries, Move(translated));
        var changed = new List<EndpointPolicy>();
        foreach (EndpointPolicy policy in policies)
        {
            EndpointPolicy next = policy with
            {
                Entries = Move(policy.Entries),
                Shadow = policy.Shadow is { } shadow ? shadow with { Entries = Move(shadow.Entries) } : null,
            };
            if (next != policy)
                changed.Add(Renew(next));
        }

        return changed;

        PolicyMapEntryCollection Move(PolicyMapEntryCollection entries)
        {
            if (!moved.TryGetValue(entries, out PolicyMapEntryCollection? next))
                moved[entries] = next = entries.With(entries.Values.Where(e => e.ProxyPort != 0 || e.LacksProxy).Select(e => Redirect(e, port)), []);
            return next;
        }
    }

    /// <summary>The same policy with another revision: its connections are judged again.</summary>
    public static EndpointPolicy Renew(EndpointPolicy policy) => policy with { Revision = RevisionOf((ulong)policy.Revision + 1) };

    private PolicyMapEntryCollection Apply(PolicyMapEntryCollection? before, PolicyEntryCollection after, PolicyDelta delta)
    {
        if (_translated.TryGetValue(after, out PolicyMapEntryCollection? known))
            return known;
        PolicyMapEntryCollection translated = (before ?? PolicyMapEntryCollection.Empty)
            .With(delta.Upserts.Select(e => Translate(Translate(e.Key), e.Value)), delta.Deletes.Select(Translate));
        _translated.Add(after, translated);
        return translated;
    }

    // 0 means in the kernel that there is no policy yet.
    private static uint RevisionOf(ulong revision) => (uint)((revision - 1) % uint.MaxValue) + 1;

    private static PolicyMapKey Translate(PolicyKey key)
        => new((Datapath.Abi.TrafficDirection)key.Direction, key.Identity, key.Protocol, key.Port, key.PortPrefixLength);

    private PolicyMapEntry Translate(PolicyMapKey key, PolicyEntry entry)
    {
        var translated = new PolicyMapEntry(key) { Deny = entry.Deny, Precedence = entry.Precedence, Cookie = entry.Origins.Cookie };
        if (entry.Deny || entry.Redirect is null)
            return translated;
        if (HasProxy)
            return Redirect(translated, ProxyPort);
        // Nothing examines names without a proxy, so only what lets every name pass may pass.
        return entry.Redirect is DnsRedirect { Names: [{ Text: "*" }] } ? translated : Redirect(translated, 0);
    }

    // What the proxy has to see does not pass by it because nobody knows where it is.
    private static PolicyMapEntry Redirect(PolicyMapEntry entry, ushort port)
        => entry with { ProxyPort = port, Deny = port == 0, LacksProxy = port == 0 };
}
