// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Endpoints;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;

namespace Axoneme.Agent.Dns;

/// <summary>What the proxy has to know, and the way there from what it was told. One thread at a time.</summary>
internal sealed class ProxyState(Table<ushort, Endpoint> endpoints, ProxyOptions options, IdentityNumbering cluster)
{
    // Parts of lists without a bound of their own.
    private const int EndpointsAtOnce = 100;
    private const int SetsAtOnce = 1000;
    private const int PrefixesAtOnce = 10_000;

    private readonly Dictionary<ushort, ImmutableArray<DnsPeerRule>> _rules = [];
    private readonly HashSet<ushort> _released = [];
    private readonly Dictionary<ushort, Told> _told = [];
    private Dictionary<SecurityIdentity, SelectorSet> _sets = [];
    private HashSet<DnsPattern> _unnumbered = [];
    private HashSet<IpPrefix> _prefixes = [];
    private (long, long, long)? _version;

    /// <summary>Endpoints whose DNS goes through the proxy.</summary>
    public int EndpointCount => _told.Count;

    /// <summary>Takes the rules of endpoints that changed. An endpoint without rules keeps its last ones until <see cref="Prune"/>.</summary>
    public void Note(PolicyUpdate update)
    {
        foreach (EndpointPolicyChange change in update.Endpoints)
        {
            ImmutableArray<DnsPeerRule> rules = DnsRules.Of(change.Policy, cluster);
            if (!rules.IsEmpty)
            {
                _rules[change.EndpointId] = rules;
                _released.Remove(change.EndpointId);
            }
            else if (_rules.ContainsKey(change.EndpointId))
            {
                _released.Add(change.EndpointId);
            }
        }
    }

    /// <summary>Forgets the rules of endpoints that have none since an earlier call: the kernel sends nothing to the proxy any more.</summary>
    public void Prune()
    {
        foreach (ushort id in _released)
            _rules.Remove(id);
        _released.Clear();
    }

    /// <summary>Everything, for a proxy that was told nothing.</summary>
    public List<ProxyMessage> Everything(PolicyEngine engine)
    {
        _told.Clear();
        _sets = [];
        _unnumbered = [];
        _prefixes = [];
        _version = null;
        return [new SnapshotBegin(), new SetOptions(options), .. Changes(engine), new SnapshotEnd()];
    }

    /// <summary>What is different from what was told.</summary>
    public List<ProxyMessage> Changes(PolicyEngine engine)
    {
        var messages = new List<ProxyMessage>();
        if (_version != engine.NamesVersion)
        {
            _version = engine.NamesVersion;
            AddSets(engine, messages);
            AddPrefixes(engine, messages);
        }

        AddEndpoints(messages);
        return messages;
    }

    private void AddSets(PolicyEngine engine, List<ProxyMessage> messages)
    {
        Dictionary<SecurityIdentity, SelectorSet> sets = engine.NameIdentities.ToDictionary(i => i.Key, i => SetOf(i.Key, i.Value));
        HashSet<DnsPattern> numbered = [.. sets.Values.Where(s => s.Patterns.Count == 1).Select(s => s.Patterns[0])];
        HashSet<DnsPattern> unnumbered = [.. engine.Names.Patterns.Where(p => !numbered.Contains(p))];
        // The labels of a number never change.
        List<SelectorSet> upserts = [.. sets.Where(s => !_sets.ContainsKey(s.Key)).Select(s => s.Value)];
        List<SecurityIdentity> removed = [.. _sets.Keys.Where(k => !sets.ContainsKey(k))];
        if (!unnumbered.SetEquals(_unnumbered))
        {
            // Sets without a number replace each other as a whole, so they go in one message; an empty one takes the place of the last.
            upserts.AddRange(unnumbered.Select(p => new SelectorSet(SecurityIdentity.Unknown, [p])));
            if (unnumbered.Count == 0)
                removed.Add(SecurityIdentity.Unknown);
            messages.Add(new UpdateSets(upserts, removed));
        }
        else
        {
            messages.AddRange(upserts.Chunk(SetsAtOnce).Select(part => new UpdateSets(part, [])));
            if (removed.Count > 0)
                messages.Add(new UpdateSets([], removed));
        }

        _sets = sets;
        _unnumbered = unnumbered;
    }

    private void AddPrefixes(PolicyEngine engine, List<ProxyMessage> messages)
    {
        HashSet<IpPrefix> prefixes = [.. engine.Prefixes.Select(p => p.Key)];
        messages.AddRange(prefixes.Except(_prefixes).Chunk(PrefixesAtOnce).Select(part => new UpdatePrefixes(part, [])));
        messages.AddRange(_prefixes.Except(prefixes).Chunk(PrefixesAtOnce).Select(part => new UpdatePrefixes([], part)));
        _prefixes = prefixes;
    }

    private void AddEndpoints(List<ProxyMessage> messages)
    {
        TableSnapshot<ushort, Endpoint> known = endpoints.Snapshot();
        var upserts = new List<ProxiedEndpoint>();
        foreach ((ushort id, ImmutableArray<DnsPeerRule> rules) in _rules)
        {
            if (known.Find(id) is not { } endpoint)
                continue;
            var wanted = new Told(endpoint.Identity, [.. endpoint.Addresses], rules);
            if (_told.TryGetValue(id, out Told? told) && told.Equals(wanted))
                continue;
            _told[id] = wanted;
            upserts.Add(new ProxiedEndpoint(
                id, wanted.Identity, wanted.Addresses, [.. rules.Select(r => new DnsRule(r.Peer, r.Protocol, r.Port, 16, r.Names))]));
        }

        ushort[] removed = [.. _told.Keys.Where(id => !_rules.ContainsKey(id) || known.Find(id) is null)];
        foreach (ushort id in removed)
            _told.Remove(id);
        messages.AddRange(upserts.Chunk(EndpointsAtOnce).Select(part => new UpdateEndpoints(part, [])));
        if (removed.Length > 0)
            messages.Add(new UpdateEndpoints([], removed));
    }

    private static SelectorSet SetOf(SecurityIdentity id, LabelSet labels)
    {
        var patterns = new List<DnsPattern>();
        foreach (Label label in labels)
        {
            if (label.Source == FqdnSelector.LabelSource && DnsPattern.TryParsePattern(label.Key, out DnsPattern pattern, out _))
                patterns.Add(pattern);
        }

        bool v4 = labels.Contains(Label.Reserved, "world-ipv4");
        bool v6 = labels.Contains(Label.Reserved, "world-ipv6");
        return new SelectorSet(id, patterns, CidrLabels.Find(labels), v4 == v6 ? null : v6);
    }

    private sealed record Told(SecurityIdentity Identity, ImmutableArray<IpAddress> Addresses, ImmutableArray<DnsPeerRule> Rules)
    {
        public bool Equals(Told? other)
            => other is not null && Identity == other.Identity && Addresses.AsSpan().SequenceEqual(other.Addresses.AsSpan())
                && Rules.AsSpan().SequenceEqual(other.Rules.AsSpan());

        public override int GetHashCode() => HashCode.Combine(Identity, Addresses.Length, Rules.Length);
    }
}
