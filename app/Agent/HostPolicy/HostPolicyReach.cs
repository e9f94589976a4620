// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath;
using Axoneme.Network;
using Axoneme.Policy;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;
using PolicyKey = Axoneme.Policy.PolicyKey;
using TrafficDirection = Axoneme.Policy.TrafficDirection;

namespace Axoneme.Agent.HostPolicy;

/// <summary>A TCP session that somebody has to the node.</summary>
/// <param name="Remote">Whose.</param>
/// <param name="Identity">Of the remote address.</param>
/// <param name="Port">Of the node.</param>
internal sealed record ManagementSession(L4Address Remote, SecurityIdentity Identity, ushort Port);

/// <summary>Who reaches the node under a policy, by the contents of its map and without a packet.</summary>
/// <param name="clusterId">Of this cluster.</param>
internal sealed class HostPolicyReach(uint clusterId)
{
    /// <summary>The sessions that would not pass, in words.</summary>
    public IEnumerable<string> CutSessions(EndpointPolicy policy, IEnumerable<ManagementSession> sessions)
    {
        Policy.EndpointPolicy map = Translate(policy);
        return sessions
            .Where(s => !Admits(policy, map, s.Identity, s.Port))
            .Select(s => $"the session from {s.Remote} to port {s.Port} was cut off (identity {s.Identity})");
    }

    /// <summary>Whether any of the identities may open one of the TCP ports.</summary>
    public bool IsOpen(EndpointPolicy policy, IReadOnlyCollection<ushort> ports, IEnumerable<SecurityIdentity> identities)
    {
        if (ports.Count == 0)
            return false;
        Policy.EndpointPolicy map = Translate(policy);
        return identities.Any(identity => ports.Any(port => Admits(policy, map, identity, port)));
    }

    /// <summary>Those from where people come: neither pods nor the node itself.</summary>
    public static bool IsOutside(SecurityIdentity identity)
        => identity == SecurityIdentity.World || identity == SecurityIdentity.WorldIPv4 || identity == SecurityIdentity.WorldIPv6
            || identity == SecurityIdentity.RemoteNode || identity == SecurityIdentity.KubeApiServer
            || identity.Value >= SecurityIdentity.LocalCidrScope;

    private bool Admits(EndpointPolicy policy, Policy.EndpointPolicy map, SecurityIdentity identity, ushort port)
        => !policy.IngressEnforced || policy.Audit
            || PolicyEvaluator.Evaluate(map, TrafficDirection.Ingress, identity, L4Protocol.Tcp, port, clusterId).Allowed;

    private static Policy.EndpointPolicy Translate(EndpointPolicy policy) => new(
        SecurityIdentity.Host,
        policy.Revision,
        policy.IngressEnforced,
        policy.EgressEnforced,
        policy.Entries.Values.ToImmutableDictionary(
            e => new PolicyKey((TrafficDirection)e.Key.Direction, e.Key.Identity, e.Key.Protocol, e.Key.Port, e.Key.PortBits),
            e => new PolicyEntry(e.Deny, e.Precedence, null, RuleOrigins.None)));
}
