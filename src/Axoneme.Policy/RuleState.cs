// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>A rule in force: its selectors' selections, its fixed blocks of ports, and the subjects it applies to.</summary>
internal sealed class RuleState
{
    // Beyond the number of any rule.
    private const long DenialNumbers = 1L << 62;

    private readonly long _number;

    // What most peers get, ready made.
    private readonly RulePart? _fixed;

    // A pod that this node knows nothing of may be any. So it is denied what the rule denies some pods, and what the rule takes away from its
    // tier: whether a later one would let it pass cannot be told either.
    private readonly bool _holdsBackUnknownPods;

    /// <param name="rule">As translated.</param>
    /// <param name="number">Another one for each rule, from 1.</param>
    /// <param name="selectors">Where its selectors are kept.</param>
    public RuleState(NetworkRule rule, long number, SelectorCache selectors)
    {
        Rule = rule;
        _number = number;
        Entry = new PolicyEntry(
            rule.Action == RuleAction.Deny,
            PolicyPrecedence.Of(rule.Tier, rule.Order, rule.Action, rule.Redirect),
            rule.Redirect,
            RuleOrigins.Of(rule.Origin));
        Subject = selectors.Acquire(rule.Subject);
        Subject.SubjectOf.Add(this);
        Peers = rule.Peers is { } peers ? [.. peers.Distinct().Select(selectors.Acquire)] : null;
        foreach (Selection peer in Peers ?? [])
            peer.PeerOf.Add(this);
        Blocks = [.. rule.Ports.Where(p => p.Name is null).SelectMany(BlocksOf).Distinct()];
        _fixed = Blocks.Length == 0 ? null : new RulePart(number, Entry, Blocks);
        Named = [.. rule.Ports.Where(p => p.Name is not null)];
        _holdsBackUnknownPods = rule.Action != RuleAction.Allow && (rule.Peers?.Any(p => p.MayMeanUnknownPod) ?? NamesPeerPorts);
    }

    public NetworkRule Rule { get; }

    /// <summary>What the rule says for each of its keys.</summary>
    public PolicyEntry Entry { get; }

    public Selection Subject { get; }

    /// <summary>Null: anyone.</summary>
    public Selection[]? Peers { get; }

    public HashSet<SubjectState> Subjects { get; } = [];

    /// <summary>True when the entries of the class say everything about its members but their named ports. Class "unknown": who has none.</summary>
    public bool CoversWhole(SecurityIdentity aggregate)
    {
        if (Peers is null)
            return true;
        foreach (Selection selection in Peers)
        {
            if (selection.IsWhole(aggregate))
                return true;
        }

        return false;
    }

    /// <summary>The identities and classes for which the rule may have entries of their own.</summary>
    public IEnumerable<SecurityIdentity> PeersWithEntries(SelectorCache selectors)
    {
        SecurityIdentity[] unknown = _holdsBackUnknownPods ? [SecurityIdentity.Unmanaged] : [];
        if (Peers is null)
            return NamesPeerPorts ? selectors.IdentitiesWithPorts.Select(i => i.Id).Concat(unknown) : [];
        return Peers.SelectMany(p => p.WholeClasses)
            .Concat(unknown)
            .Concat(Peers.SelectMany(p => p.Identities).Where(i => NamesPeerPorts || !CoversWhole(selectors.ClassOf(i))));
    }

    private L4Block[] Blocks { get; }

    private ImmutableArray<L4Match> Named { get; }

    /// <summary>True where each peer resolves names by its own ports, so that "anyone" has as many answers as there are peers.</summary>
    public bool NamesPeerPorts => !Named.IsEmpty && Rule.Direction == TrafficDirection.Egress;

    public void Release(SelectorCache selectors)
    {
        Subject.SubjectOf.Remove(this);
        foreach (Selection peer in Peers ?? [])
            peer.PeerOf.Remove(this);
        selectors.Release(Subject);
        foreach (Selection peer in Peers ?? [])
            selectors.Release(peer);
    }

    /// <summary>What the rule says about the peer beyond what it says about the peer's class; null: nothing.</summary>
    /// <param name="peer">An identity, a class, or identity 0 for who has no class.</param>
    /// <param name="aggregate">The class of the identity.</param>
    /// <param name="subjectPorts">Container ports of the endpoint.</param>
    /// <param name="peerPorts">Container ports of the peer.</param>
    public RulePart? PartFor(SecurityIdentity peer, SecurityIdentity aggregate, NamedPorts subjectPorts, NamedPorts peerPorts)
    {
        if (_holdsBackUnknownPods && peer == SecurityIdentity.Unmanaged)
            return Denial(subjectPorts);
        bool isClass = peer == SecurityIdentity.Unknown || peer.IsAggregate;
        bool isOfClass = !isClass && CoversWhole(aggregate);
        if (!(isOfClass || (isClass ? CoversWhole(peer) : Selects(peer))))
            return null;
        if (Named.IsEmpty)
            return isOfClass ? null : _fixed;
        // What the class's entry says need not be said again; but each peer has ports of its own.
        if (isOfClass && !NamesPeerPorts)
            return null;
        L4Block[] blocks = [.. (isOfClass ? [] : Blocks).Concat(Resolve(NamesPeerPorts ? peerPorts : subjectPorts)).Distinct()];
        return blocks.Length == 0 ? null : new RulePart(_number, Entry, blocks);
    }

    /// <summary>All that the rule says about an identity, also where its class's entries say so; null: nothing.</summary>
    public RulePart? WholePartFor(SecurityIdentity peer, SecurityIdentity aggregate, NamedPorts subjectPorts, NamedPorts peerPorts)
    {
        if (_holdsBackUnknownPods && peer == SecurityIdentity.Unmanaged)
            return Denial(subjectPorts);
        if (!CoversWhole(aggregate) && !Selects(peer))
            return null;
        if (Named.IsEmpty)
            return _fixed;
        L4Block[] blocks = [.. Blocks.Concat(Resolve(NamesPeerPorts ? peerPorts : subjectPorts)).Distinct()];
        return blocks.Length == 0 ? null : new RulePart(_number, Entry, blocks);
    }

    // Another part than the one of pods that the rule is known to select, hence another number.
    private RulePart? Denial(NamedPorts subjectPorts)
    {
        var entry = new PolicyEntry(true, PolicyPrecedence.Of(Rule.Tier, Rule.Order, RuleAction.Deny), null, Entry.Origins);
        IEnumerable<L4Block> named = NamesPeerPorts
            ? Named.Select(n => new L4Block(n.Protocol, 0, 0)) : Resolve(subjectPorts);
        L4Block[] blocks = [.. Blocks.Concat(named).Distinct()];
        return blocks.Length == 0 ? null : new RulePart(DenialNumbers + _number, entry, blocks);
    }

    private bool Selects(SecurityIdentity peer)
    {
        foreach (Selection selection in Peers ?? [])
        {
            if (selection.Identities.Contains(peer))
                return true;
        }

        return false;
    }

    private IEnumerable<L4Block> Resolve(NamedPorts ports)
        => Named.SelectMany(n => ports.Find(n.Name!, n.Protocol)).Select(p => new L4Block(p.Protocol, p.Port, 16)).Distinct();

    private static IEnumerable<L4Block> BlocksOf(L4Match match)
        => match.Protocol == L4Protocol.Any
            ? [new L4Block(L4Protocol.Any, 0, 0)]
            : PortBlocks.Split(match.First, match.Last).Select(b => new L4Block(match.Protocol, b.Port, b.PrefixLength));
}
