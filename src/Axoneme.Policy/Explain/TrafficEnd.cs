// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

public enum TrafficEndKind : byte
{
    /// <summary>A pod with a network namespace of its own.</summary>
    Pod,

    /// <summary>A node, or a pod on its network.</summary>
    Node,

    /// <summary>An address outside the cluster.</summary>
    Address,

    /// <summary>The addresses that a DNS name stands for.</summary>
    DnsName,

    /// <summary>A reserved identity by its name.</summary>
    Entity,
}

/// <summary>One end of a connection.</summary>
public sealed record TrafficEnd
{
    public required TrafficEndKind Kind { get; init; }

    /// <summary>As the text calls it: <c>shop/cart-1</c>, <c>node worker-1</c>, <c>198.51.100.7</c>, <c>api.example.com</c>, <c>world</c>.</summary>
    public required string Name { get; init; }

    public IpAddress? Address { get; init; }

    /// <summary>Of <see cref="TrafficEndKind.Pod"/>.</summary>
    public ClusterPod? Pod { get; init; }

    /// <summary>Where it runs; empty when not known or not on a node.</summary>
    public string Node { get; init; } = "";

    /// <summary>Of everything whose identity does not depend on who looks at it; 0 for nodes.</summary>
    public SecurityIdentity Identity { get; init; }

    public bool IsApiServer { get; init; }

    /// <summary>The identity that the other end's node sees.</summary>
    public SecurityIdentity SeenFrom(TrafficEnd other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (Kind != TrafficEndKind.Node)
            return Identity;
        if (Node.Length > 0 && Node == other.Node)
            return SecurityIdentity.Host;
        return IsApiServer ? SecurityIdentity.KubeApiServer : SecurityIdentity.RemoteNode;
    }

    public override string ToString() => Name;
}

/// <summary>What the user wrote names nothing, or the wrong thing; the message says what to write instead.</summary>
public sealed class UnknownEndException(string message) : Exception(message);
