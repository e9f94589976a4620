// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Agent.HostPolicy;

/// <summary>A TCP session that somebody has to the node.</summary>
/// <param name="Remote">Whose.</param>
/// <param name="Identity">Of the remote address.</param>
/// <param name="Port">Of the node.</param>
internal sealed record ManagementSession(L4Address Remote, SecurityIdentity Identity, ushort Port);

/// <summary>Who reaches the node under a policy, by the contents of its map as the kernel reads them, and without a packet.</summary>
/// <param name="cluster">Numbers of this cluster's identities.</param>
internal sealed class HostPolicyReach(IdentityNumbering cluster)
{
    /// <summary>The sessions that would not pass, in words.</summary>
    public IEnumerable<string> CutSessions(EndpointPolicy policy, IEnumerable<ManagementSession> sessions)
        => sessions
            .Where(s => !Admits(policy, s.Identity, s.Port))
            .Select(s => $"the session from {s.Remote} to port {s.Port} was cut off (identity {s.Identity})");

    /// <summary>Whether any of the identities may open one of the TCP ports.</summary>
    public bool IsOpen(EndpointPolicy policy, IReadOnlyCollection<ushort> ports, IEnumerable<SecurityIdentity> identities)
        => ports.Count > 0 && identities.Any(identity => ports.Any(port => Admits(policy, identity, port)));

    /// <summary>Those from where people come: neither pods nor the node itself.</summary>
    public static bool IsOutside(SecurityIdentity identity)
        => identity == SecurityIdentity.World || identity == SecurityIdentity.WorldIPv4 || identity == SecurityIdentity.WorldIPv6
            || identity == SecurityIdentity.RemoteNode || identity == SecurityIdentity.KubeApiServer
            || identity.Value >= SecurityIdentity.LocalCidrScope;

    // As policy_lookup() does: the longest match of the identity and that of its class; precedence decides, then deny, then length.
    private bool Admits(EndpointPolicy policy, SecurityIdentity identity, ushort port)
    {
        if (!policy.IngressEnforced || policy.Audit)
            return true;
        PolicyMapEntry? own = Match(policy, identity, port);
        PolicyMapEntry? common = Match(policy, identity.AggregateIn(cluster), port);
        if (own is null || common is null)
            return (own ?? common) is { Deny: false };
        int order = common.Precedence.CompareTo(own.Precedence);
        if (order == 0 && common.Deny != own.Deny)
            return false;
        return !(order > 0 || (order == 0 && Length(common) > Length(own)) ? common : own).Deny;
    }

    private static PolicyMapEntry? Match(EndpointPolicy policy, SecurityIdentity identity, ushort port)
    {
        for (int bits = 16; bits >= 0; bits--)
        {
            var block = (ushort)(port & (0xFFFF_0000u >> bits));
            var key = new PolicyMapKey(TrafficDirection.Ingress, identity, L4Protocol.Tcp, block, (byte)bits);
            if (policy.Entries.TryGetValue(key, out PolicyMapEntry? entry))
                return entry;
        }

        return policy.Entries.GetValueOrDefault(new PolicyMapKey(TrafficDirection.Ingress, identity, L4Protocol.Any, 0, 0));
    }

    private static int Length(PolicyMapEntry entry) => entry.Key.Protocol == L4Protocol.Any ? 0 : 8 + entry.Key.PortBits;
}
