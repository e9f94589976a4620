// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Key and value that decided; both null when nothing matched, which is a drop.</summary>
public readonly record struct PolicyVerdict(PolicyKey? Key, PolicyEntry? Entry)
{
    public bool Allowed => Entry is { Deny: false };
}

/// <summary>Evaluates map contents as the kernel does: one longest-prefix match for the identity, one for its class, larger precedence wins.</summary>
public static class PolicyEvaluator
{
    /// <param name="policy">Policy of the endpoint.</param>
    /// <param name="direction">Seen from the endpoint.</param>
    /// <param name="peer">Identity of the other side.</param>
    /// <param name="protocol">Of the packet.</param>
    /// <param name="port">Destination port, or the ICMP type.</param>
    /// <param name="cluster">How this cluster's identities are numbered; null: as those of a cluster alone.</param>
    public static PolicyVerdict Evaluate(
        EndpointPolicy policy, TrafficDirection direction, SecurityIdentity peer, L4Protocol protocol, ushort port, IdentityNumbering? cluster = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        PolicyVerdict specific = policy.Entries.Match(direction, peer, protocol, port);
        PolicyVerdict common = policy.Entries.Match(direction, peer.AggregateIn(cluster ?? IdentityNumbering.Default), protocol, port);
        if (specific.Entry is null || common.Entry is null)
            return specific.Entry is null ? common : specific;
        int order = common.Entry.Precedence.CompareTo(specific.Entry.Precedence);
        if (order == 0)
            order = common.Key!.Value.L4PrefixLength - specific.Key!.Value.L4PrefixLength;
        return order > 0 ? common : specific;
    }
}
