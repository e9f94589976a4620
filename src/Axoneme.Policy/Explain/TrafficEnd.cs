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

    /// <summary>Labels of the Node object of <see cref="TrafficEndKind.Node"/>; null when they are not known.</summary>
    public IReadOnlyDictionary<string, string>? NodeLabels { get; init; }

    /// <summary>As other nodes see it.</summary>
    public SecurityIdentity Identity { get; init; }

    /// <summary>The identity that the other end's node sees.</summary>
    public SecurityIdentity SeenFrom(TrafficEnd other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Kind == TrafficEndKind.Node && Node.Length > 0 && Node == other.Node ? SecurityIdentity.Host : Identity;
    }

    /// <summary>Both are one node, or one pod: what goes between them meets no policy.</summary>
    public bool IsSameAs(TrafficEnd other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Kind switch
        {
            TrafficEndKind.Pod => Pod == other.Pod && Pod!.Workload.Length == 0,
            TrafficEndKind.Node => other.Kind == TrafficEndKind.Node && Node.Length > 0 && Node == other.Node,
            _ => false,
        };
    }

    public override string ToString() => Name;
}

/// <summary>What the user wrote names nothing, or the wrong thing; the message says what to write instead.</summary>
public sealed class UnknownEndException(string message) : Exception(message);
