// SPDX-License-Identifier: Apache-2.0
using Axoneme.DnsProxy;
using Axoneme.Network;

namespace Axoneme.Proxy.Rules;

/// <summary>What one endpoint may ask.</summary>
internal sealed class EndpointRules
{
    private readonly record struct Rule(uint Peer, L4Protocol Protocol, ushort Port, ushort PortMask, NameSet Names);

    private readonly Rule[] _rules;

    public EndpointRules(ProxiedEndpoint endpoint)
    {
        Id = endpoint.Id;
        Identity = endpoint.Identity;
        _rules = [.. endpoint.Rules.Select(Compile)];
    }

    public ushort Id { get; }

    public SecurityIdentity Identity { get; }

    /// <summary>True if a rule for the server's identity, for what that counts as, or for anyone has the name.</summary>
    /// <param name="server">Whom the question is for.</param>
    /// <param name="serverIdentity">As the ipcache knows it.</param>
    /// <param name="cluster">Which identities are the own cluster's.</param>
    /// <param name="protocol">UDP or TCP.</param>
    /// <param name="name">In lower case without the final dot.</param>
    public bool Allows(in Sockets.SocketAddress server, SecurityIdentity serverIdentity, IdentityNumbering cluster, L4Protocol protocol, ReadOnlySpan<char> name)
    {
        uint aggregate = serverIdentity.AggregateIn(cluster).Value;
        foreach (Rule rule in _rules)
        {
            if ((server.Port & rule.PortMask) == rule.Port && (rule.Protocol == L4Protocol.Any || rule.Protocol == protocol)
                && IsPeer(rule.Peer, serverIdentity, aggregate, server.Address.IsV6) && rule.Names.Contains(name))
                return true;
        }

        return false;
    }

    private static Rule Compile(DnsRule rule)
    {
        int length = Math.Min(rule.PortPrefixLength, (byte)16);
        var mask = (ushort)(0xFFFF << (16 - length));
        return new Rule(rule.Peer.Value, rule.Protocol, (ushort)(rule.Port & mask), mask, new NameSet(rule.Names));
    }

    // What has no entry in the ipcache is the world, of which each family may have its own.
    private static bool IsPeer(uint peer, SecurityIdentity identity, uint aggregate, bool isV6)
        => peer == 0 || peer == identity.Value || peer == aggregate
            || (identity == SecurityIdentity.World && peer == (isV6 ? SecurityIdentity.WorldIPv6 : SecurityIdentity.WorldIPv4).Value);
}
