// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>One protocol with ports or, for ICMP, types: a range with both ends included, or the name of a container port.</summary>
/// <param name="Protocol">Any: every protocol; then the range is the whole one.</param>
/// <param name="First">First port or type.</param>
/// <param name="Last">Last port or type.</param>
/// <param name="Name">Not null: the port is looked up by this name and <paramref name="Protocol"/> (Any: every protocol).</param>
public readonly record struct L4Match(L4Protocol Protocol, ushort First, ushort Last, string? Name = null)
{
    public static L4Match AllPorts(L4Protocol protocol) => new(protocol, 0, ushort.MaxValue);

    public static L4Match Single(L4Protocol protocol, ushort port) => new(protocol, port, port);

    public static L4Match Named(L4Protocol protocol, string name) => new(protocol, 0, 0, name);
}

/// <summary>What becomes of a packet that a rule matches.</summary>
public enum RuleAction : byte
{
    Allow,
    Deny,

    /// <summary>The rest of the rule's tier is skipped; later tiers decide.</summary>
    Pass,
}

/// <summary>One entry of a policy, in one direction, free of the API that it came by.</summary>
public sealed record NetworkRule
{
    /// <summary>Identities of the endpoints that the rule is for.</summary>
    public required IdentitySelector Subject { get; init; }

    public required TrafficDirection Direction { get; init; }

    public RuleAction Action { get; init; } = RuleAction.Allow;

    /// <summary>Not enforced: computed beside the policies in force, so that it can be said what the rule would do.</summary>
    public bool Shadow { get; init; }

    /// <summary>Where allowed traffic is sent to be examined; null: straight on.</summary>
    public Redirect? Redirect { get; init; }

    public PolicyTier Tier { get; init; } = PolicyTier.Normal;

    /// <summary>Inside the tier; smaller comes first.</summary>
    public ushort Order { get; init; }

    /// <summary>Whether the rule closes its direction for what no rule allows.</summary>
    public bool DefaultDeny { get; init; } = true;

    /// <summary>Null: anyone, also who has no identity; empty: nobody.</summary>
    public ImmutableArray<IdentitySelector>? Peers { get; init; }

    /// <summary>Alternatives; empty: nothing. A rule for everything holds <c>AllPorts(Any)</c>.</summary>
    public ImmutableArray<L4Match> Ports { get; init; } = [L4Match.AllPorts(L4Protocol.Any)];

    public required RuleOrigin Origin { get; init; }

    /// <summary>Address blocks that need identities of their own for the rule to work, exceptions included.</summary>
    public IEnumerable<IpPrefix> Prefixes
        => Peers is { } peers ? peers.OfType<CidrSelector>().SelectMany(c => c.Except.Prepend(c.Prefix)) : [];

    /// <summary>Name patterns among the peers.</summary>
    public IEnumerable<DnsPattern> NamePatterns => Peers is { } peers ? peers.OfType<FqdnSelector>().Select(f => f.Pattern) : [];
}

/// <summary>A policy object after translation. An object without rules is valid and does nothing.</summary>
public sealed record PolicyDocument(PolicyObjectKey Key, ImmutableArray<NetworkRule> Rules)
{
    /// <summary>Nothing would change if the other took this one's place.</summary>
    public bool MeansTheSameAs(PolicyDocument other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Key == other.Key && Rules.Length == other.Rules.Length && Rules.Zip(other.Rules).All(pair => IsSame(pair.First, pair.Second));
    }

    // Lists are compared by their members; of origins, equality looks at the names only.
    private static bool IsSame(NetworkRule a, NetworkRule b)
        => a.Peers.HasValue == b.Peers.HasValue
            && (a.Peers ?? []).SequenceEqual(b.Peers ?? [])
            && a.Ports.SequenceEqual(b.Ports)
            && a with { Peers = b.Peers, Ports = b.Ports } == b
            && a.Origin.SaysTheSameAs(b.Origin);
}
