// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Names that may be asked of servers with an identity, on one port.</summary>
/// <param name="Peer">Of the server, or an aggregate, as in policy maps.</param>
/// <param name="Protocol">Of the question.</param>
/// <param name="Port">Of the server.</param>
/// <param name="Names">Sorted.</param>
public sealed record DnsPeerRule(SecurityIdentity Peer, L4Protocol Protocol, ushort Port, ImmutableArray<DnsPattern> Names)
{
    public bool Equals(DnsPeerRule? other)
        => other is not null && Peer == other.Peer && Protocol == other.Protocol && Port == other.Port
            && Names.AsSpan().SequenceEqual(other.Names.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Peer, Protocol, Port, Names.Length);
}

/// <summary>
/// What the proxy has to know of an endpoint's policy. A packet is redirected by one entry, but all allows of that entry's level say which
/// names pass: a plain allow of the same traffic widens it to every name. The rule of an identity says everything; the one of its aggregate
/// is for identities that have none.
/// </summary>
public static class DnsRules
{
    /// <summary>In order of port, protocol and peer; empty: nothing of the endpoint goes to the proxy.</summary>
    /// <param name="policy">Of the endpoint.</param>
    /// <param name="cluster">Numbers of the own cluster: identities belong to aggregates by it. Null: those of a cluster alone.</param>
    public static ImmutableArray<DnsPeerRule> Of(EndpointPolicy policy, IdentityNumbering? cluster = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var targets = new SortedSet<(ushort Port, L4Protocol Protocol)>();
        foreach ((PolicyKey key, PolicyEntry entry) in policy.Entries)
        {
            if (key.Direction == TrafficDirection.Egress && !entry.Deny && entry.Redirect is DnsRedirect)
                targets.Add((key.Port, key.Protocol));
        }

        if (targets.Count == 0)
            return [];
        SortedSet<SecurityIdentity> peers = [.. policy.Entries.Keys.Where(k => k.Direction == TrafficDirection.Egress).Select(k => k.Identity)];
        var rules = ImmutableArray.CreateBuilder<DnsPeerRule>();
        foreach ((ushort port, L4Protocol protocol) in targets)
        {
            foreach (SecurityIdentity peer in peers)
            {
                SecurityIdentity aggregate = IsAggregate(peer) ? peer : peer.AggregateIn(cluster ?? IdentityNumbering.Default);
                ImmutableArray<DnsPattern> common = NamesOf(policy, aggregate, aggregate, protocol, port);
                ImmutableArray<DnsPattern> names = peer == aggregate ? common : NamesOf(policy, peer, aggregate, protocol, port);
                if (!names.IsDefault && (peer == aggregate || common.IsDefault || !names.AsSpan().SequenceEqual(common.AsSpan())))
                    rules.Add(new DnsPeerRule(peer, protocol, port, names));
            }
        }

        return rules.ToImmutable();
    }

    private static bool IsAggregate(SecurityIdentity peer) => peer == SecurityIdentity.Unknown || peer.IsAggregate;

    /// <summary>The names that pass; default: the packet does not go to the proxy.</summary>
    internal static ImmutableArray<DnsPattern> NamesOf(
        EndpointPolicy policy, SecurityIdentity peer, SecurityIdentity aggregate, L4Protocol protocol, ushort port)
    {
        List<PolicyEntry> matching = [.. Matching(policy, new PolicyKey(TrafficDirection.Egress, peer, protocol, port, 16))];
        if (peer != aggregate)
            matching.AddRange(Matching(policy, new PolicyKey(TrafficDirection.Egress, aggregate, protocol, port, 16)));
        if (matching.Count == 0)
            return default;
        PolicyEntry winner = matching.MaxBy(e => e.Precedence)!;
        if (winner.Deny || winner.Redirect is not DnsRedirect redirect)
            return default;
        foreach (PolicyEntry other in matching.Where(e => !e.Deny && PolicyPrecedence.IsSameLevel(e.Precedence, winner.Precedence)))
            redirect = (DnsRedirect)(other.Redirect is { } same ? redirect.Merge(same) ?? redirect : redirect.Widened);
        return redirect.Names;
    }

    private static IEnumerable<PolicyEntry> Matching(EndpointPolicy policy, PolicyKey packet)
    {
        for (int length = 24; length >= 0; length = length == 8 ? 0 : length - 1)
        {
            if (policy.Entries.TryGetValue(packet.Cut(length), out PolicyEntry? entry))
                yield return entry;
        }
    }
}
