// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using System.Collections.Immutable;

namespace Axoneme.Network;

/// <summary>
/// The number that stands for a set of labels in maps, flows and tunnel headers. 1-255 are reserved, of which those from 100 on are
/// pods' like the cluster-wide ones after them (<see cref="IdentityNumbering"/>); numbers with a non-zero top byte are local to the node (1 =
/// CIDR and FQDN, 2 = remote nodes).
/// </summary>
public readonly record struct SecurityIdentity(uint Value) : IComparable<SecurityIdentity>
{
    public static readonly SecurityIdentity Unknown = new(0);
    public static readonly SecurityIdentity Host = new(1);
    public static readonly SecurityIdentity World = new(2);
    public static readonly SecurityIdentity Unmanaged = new(3);
    public static readonly SecurityIdentity Health = new(4);
    public static readonly SecurityIdentity Init = new(5);
    public static readonly SecurityIdentity RemoteNode = new(6);
    public static readonly SecurityIdentity KubeApiServer = new(7);
    public static readonly SecurityIdentity Ingress = new(8);
    public static readonly SecurityIdentity WorldIPv4 = new(9);
    public static readonly SecurityIdentity WorldIPv6 = new(10);

    /// <summary>Every identity that this cluster allocates. This and the next three are in policy maps only, never on packets.</summary>
    public static readonly SecurityIdentity AggregateCluster = new(11);

    /// <summary>Every identity that another cluster allocates.</summary>
    public static readonly SecurityIdentity AggregateClusterMesh = new(12);

    /// <summary>Every identity of the node's own for addresses outside the cluster.</summary>
    public static readonly SecurityIdentity AggregateWorld = new(13);

    /// <summary>Every identity of the node's own for other nodes.</summary>
    public static readonly SecurityIdentity AggregateRemoteNode = new(14);

    /// <summary>The four classes.</summary>
    public static readonly ImmutableArray<SecurityIdentity> Aggregates =
        [AggregateCluster, AggregateClusterMesh, AggregateWorld, AggregateRemoteNode];

    public const uint LocalCidrScope = 0x0100_0000;
    public const uint RemoteNodeScope = 0x0200_0000;
    private const uint ScopeMask = 0xFF00_0000;
    private const uint MinimalClassed = 100;
    private const uint MinimalAllocated = 256;

    /// <summary>Names of the reserved identities, as the label <c>reserved:NAME</c> spells them.</summary>
    public static FrozenDictionary<uint, string> ReservedNames { get; } = new Dictionary<uint, string>
    {
        [0] = "unknown",
        [1] = "host",
        [2] = "world",
        [3] = "unmanaged",
        [4] = "health",
        [5] = "init",
        [6] = "remote-node",
        [7] = "kube-apiserver",
        [8] = "ingress",
        [9] = "world-ipv4",
        [10] = "world-ipv6",
    }.ToFrozenDictionary();

    /// <summary>Names of the classes, spelt like those of reserved identities.</summary>
    public static FrozenDictionary<uint, string> AggregateNames { get; } = new Dictionary<uint, string>
    {
        [11] = "aggregate-cluster",
        [12] = "aggregate-cluster-mesh",
        [13] = "aggregate-world",
        [14] = "aggregate-remote-node",
    }.ToFrozenDictionary();

    /// <summary>True for a class; it stands for many identities in a policy map and is nobody's own.</summary>
    public bool IsAggregate => Value is >= 11 and <= 14;

    public bool IsReserved => Value is > 0 and < MinimalAllocated;

    /// <summary>True for numbers that mean nothing on another node.</summary>
    public bool IsNodeLocal => (Value & ScopeMask) != 0;

    public bool IsLocalCidr => (Value & ScopeMask) == LocalCidrScope;

    /// <summary>The class by which a policy map knows the identity besides its number; <see cref="Unknown"/> (anyone) for reserved ones.</summary>
    /// <param name="cluster">How this cluster's identities are numbered.</param>
    public SecurityIdentity AggregateIn(IdentityNumbering cluster) => (Value & ScopeMask) switch
    {
        _ when Value < MinimalClassed => Unknown,
        LocalCidrScope => AggregateWorld,
        RemoteNodeScope => AggregateRemoteNode,
        // Fixed numbers of pods mean those of the own cluster, whatever number it has.
        _ => IsReserved || cluster.Has(this) ? AggregateCluster : AggregateClusterMesh,
    };

    public int CompareTo(SecurityIdentity other) => Value.CompareTo(other.Value);

    public override string ToString()
        => ReservedNames.TryGetValue(Value, out string? name) || AggregateNames.TryGetValue(Value, out name) ? name : Value.ToString();

    public static bool operator <(SecurityIdentity left, SecurityIdentity right) => left.Value < right.Value;

    public static bool operator >(SecurityIdentity left, SecurityIdentity right) => left.Value > right.Value;

    public static bool operator <=(SecurityIdentity left, SecurityIdentity right) => left.Value <= right.Value;

    public static bool operator >=(SecurityIdentity left, SecurityIdentity right) => left.Value >= right.Value;
}
