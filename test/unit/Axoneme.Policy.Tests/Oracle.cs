// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

/// <summary>
/// What a set of rules means, said as directly as possible: no identities, no maps, no prefixes. Every rule looks at the labels or the
/// address of both ends, the best one decides, and without one the default does.
/// </summary>
internal static class Oracle
{
    public static bool Allows(IEnumerable<NetworkRule> rules, PolicyOptions options, Peer subject, TrafficDirection direction, Packet packet)
    {
        if (options.Enforcement == EnforcementMode.Never)
            return true;
        NetworkRule[] selecting = [.. rules.Where(r => r.Direction == direction && Selects(r.Subject, subject))];
        bool isolated = selecting.Any(r => r.Tier == PolicyTier.Normal && (r.DefaultDeny || !options.EnableNonDefaultDeny));
        NetworkRule[] matching = [.. selecting.Where(r => MatchesPeer(r, packet.Peer) && MatchesPort(r, subject, packet))];
        // Network policies have the last word about whom they isolate.
        if (Decide(matching.Where(r => !isolated || r.Tier != PolicyTier.Baseline)) is { } decided)
            return decided;
        bool closed = options.Enforcement == EnforcementMode.Always || isolated || selecting.Any(r => r.DefaultDeny);
        return !closed || (direction == TrafficDirection.Ingress && options.AllowLocalhost && packet.Peer.Id == SecurityIdentity.Host);
    }

    // Null: no rule decides.
    private static bool? Decide(IEnumerable<NetworkRule> matching)
    {
        PolicyTier? passed = null;
        foreach (var level in matching.GroupBy(r => ((int)r.Tier, (int)r.Order)).OrderBy(g => g.Key))
        {
            if (level.First().Tier == passed)
                continue;
            if (level.Any(r => r.Action == RuleAction.Deny))
                return false;
            if (level.Any(r => r.Action == RuleAction.Allow))
                return true;
            passed = level.First().Tier;
        }

        return null;
    }

    public static bool Matches(NetworkRule rule, Peer subject, Packet packet) => MatchesPeer(rule, packet.Peer) && MatchesPort(rule, subject, packet);

    private static bool MatchesPeer(NetworkRule rule, Peer peer) => rule.Peers is not { } peers || peers.Any(s => Selects(s, peer));

    public static bool Selects(IdentitySelector selector, Peer peer)
    {
        if (selector is CidrSelector cidr)
        {
            return peer.Address is { } address && cidr.Prefix.Contains(address) && !cidr.Except.Any(e => e.Contains(address));
        }

        return selector.Matches(new PolicyIdentity(peer.Id, peer.Labels));
    }

    private static bool MatchesPort(NetworkRule rule, Peer subject, Packet packet)
    {
        NamedPorts names = rule.Direction == TrafficDirection.Ingress ? subject.Ports : packet.Peer.Ports;
        return rule.Ports.Any(p => p.Name is not null
            ? names.Ports.Any(n => n.Name == p.Name && (p.Protocol == L4Protocol.Any || n.Protocol == p.Protocol)
                && n.Protocol == packet.Protocol && n.Port == packet.Port)
            : (p.Protocol == L4Protocol.Any || p.Protocol == packet.Protocol) && packet.Port >= p.First && packet.Port <= p.Last);
    }
}

/// <summary>One end of a connection. Who is outside the cluster has an address and, to the oracle, only the labels of the world.</summary>
internal sealed record Peer(SecurityIdentity Id, LabelSet Labels, NamedPorts Ports, IpAddress? Address = null);

internal readonly record struct Packet(Peer Peer, L4Protocol Protocol, ushort Port);
