// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>A rule in force: its selectors' selections, its fixed blocks of ports, and the subjects it applies to.</summary>
internal sealed class RuleState
{
    public RuleState(NetworkRule rule, SelectorCache selectors)
    {
        Rule = rule;
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
        Named = [.. rule.Ports.Where(p => p.Name is not null)];
    }

    public NetworkRule Rule { get; }

    /// <summary>What the rule says for each of its keys.</summary>
    public PolicyEntry Entry { get; }

    public Selection Subject { get; }

    /// <summary>Null: anyone.</summary>
    public Selection[]? Peers { get; }

    public HashSet<SubjectState> Subjects { get; } = [];

    private ImmutableArray<L4Block> Blocks { get; }

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

    /// <summary>The blocks of ports on which the rule speaks about the peer (identity 0: about anyone).</summary>
    public IEnumerable<L4Block> BlocksFor(SecurityIdentity peer, NamedPorts subjectPorts, NamedPorts peerPorts)
    {
        bool selected = Peers is null ? peer == SecurityIdentity.Unknown : Selects(peer);
        if (Named.IsEmpty)
            return selected ? Blocks : [];
        if (Rule.Direction == TrafficDirection.Ingress)
            return selected ? Blocks.Concat(Resolve(subjectPorts)) : [];
        IEnumerable<L4Block> resolved = selected || Peers is null ? Resolve(peerPorts) : [];
        return selected ? Blocks.Concat(resolved) : resolved;
    }

    private bool Selects(SecurityIdentity peer)
    {
        foreach (Selection selection in Peers!)
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

/// <summary>The part of a policy key after identity and direction.</summary>
internal readonly record struct L4Block(L4Protocol Protocol, ushort Port, int PrefixLength);
