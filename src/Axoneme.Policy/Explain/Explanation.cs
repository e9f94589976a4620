// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

public enum DecisionKind : byte
{
    /// <summary>No policy restricts the direction.</summary>
    Open,

    /// <summary>The end has no policy of its own: it is outside.</summary>
    NotPoliced,

    /// <summary>The end is a node, and the host firewall is off.</summary>
    FirewallOff,

    /// <summary>Rules allow it.</summary>
    Allowed,

    /// <summary>No policy asked for it: probes of the own node, or a direction that no policy closes by default.</summary>
    AllowedByDefault,

    /// <summary>Rules deny it.</summary>
    Denied,

    /// <summary>Policies close the direction and no rule matches.</summary>
    DefaultDeny,
}

/// <summary>One rule that selects the end, held against the connection.</summary>
/// <param name="Rule">The rule.</param>
/// <param name="PeerMatches">It speaks about the other end.</param>
/// <param name="PortMatches">It speaks about the port.</param>
/// <param name="Decides">It is among those that decided.</param>
public sealed record RuleCheck(NetworkRule Rule, bool PeerMatches, bool PortMatches, bool Decides)
{
    public bool Matches => PeerMatches && PortMatches;
}

/// <summary>What one end's policy says.</summary>
/// <param name="Direction">Seen from <paramref name="End"/>.</param>
/// <param name="End">The end that is asked.</param>
/// <param name="Kind">The decision.</param>
/// <param name="Deciding">For a default deny, the rules that close the direction; otherwise those that match and win.</param>
/// <param name="Rules">All rules of the direction that select the end, in order.</param>
/// <param name="Redirect">Where allowed traffic is sent to be examined; null: straight on.</param>
public sealed record Decision(
    TrafficDirection Direction, TrafficEnd End, DecisionKind Kind, ImmutableArray<RuleOrigin> Deciding, ImmutableArray<RuleCheck> Rules, Redirect? Redirect)
{
    public bool IsPoliced => Kind is not (DecisionKind.NotPoliced or DecisionKind.FirewallOff);

    public bool Allows => Kind is not (DecisionKind.Denied or DecisionKind.DefaultDeny);
}

/// <summary>A connection between two ends after service translation.</summary>
/// <param name="Source">Who opens it.</param>
/// <param name="SourceIdentity">As the destination's node sees it.</param>
/// <param name="Destination">Who gets it.</param>
/// <param name="DestinationIdentity">As the source's node sees it.</param>
/// <param name="Protocol">Never Any.</param>
/// <param name="Port">Of the destination, or the ICMP type.</param>
/// <param name="Egress">Of the source.</param>
/// <param name="Ingress">Of the destination.</param>
public sealed record ConnectionPath(
    TrafficEnd Source, SecurityIdentity SourceIdentity, TrafficEnd Destination, SecurityIdentity DestinationIdentity, L4Protocol Protocol, ushort Port,
    Decision Egress, Decision Ingress)
{
    public bool Allowed => Egress.Allows && Ingress.Allows && Question?.Outcome is not NameOutcome.Refused && Lookup?.Allowed is not false;

    /// <summary>What becomes of the name that is asked for over it; null: none was given.</summary>
    public NameVerdict? Question { get; init; }

    /// <summary>Of a destination by name: how the source gets to know its addresses; null when the cluster's name servers are not known.</summary>
    public ConnectionPath? Lookup { get; init; }

    /// <summary>Rules of the source that allow the destination by its name, whether or not anybody knows its addresses.</summary>
    public ImmutableArray<RuleCheck> NamingRules => Destination.Kind != TrafficEndKind.DnsName ? []
        : [.. Egress.Rules.Where(r => r.Rule.NamePatterns.Any(p => p.Matches(Destination.Name)))];

    /// <summary>Other backends of the service for which everything is the same.</summary>
    public ImmutableArray<TrafficEnd> Likewise { get; init; } = [];

    /// <summary>A pod reaches itself without asking anybody.</summary>
    public bool IsHairpin { get; init; }
}

/// <summary>What becomes of a connection, and why.</summary>
/// <param name="Source">Who opens it.</param>
/// <param name="Asked">The destination as it was asked for.</param>
/// <param name="Port">As it was asked for.</param>
/// <param name="Service">Null: the destination is no service.</param>
/// <param name="Paths">One for each kind of backend; none for a service without backends.</param>
public sealed record Explanation(TrafficEnd Source, string Asked, PortText Port, ServiceTranslation? Service, ImmutableArray<ConnectionPath> Paths)
{
    public bool Allowed => !Paths.IsEmpty && Paths.All(p => p.Allowed);

    public bool Denied => Paths.All(p => !p.Allowed);

    /// <summary>The DNS name that is asked for; empty for a plain connection.</summary>
    public string Name { get; init; } = "";

    /// <summary>What the reader has to know besides, in sentences.</summary>
    public ImmutableArray<string> Notes { get; init; } = [];
}
