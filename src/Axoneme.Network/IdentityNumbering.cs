// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Network;

/// <summary>Which numbers the identities of a cluster have: of 24 bits the upper ones are the cluster's number, the others its own to give.</summary>
public sealed record IdentityNumbering
{
    /// <summary>Of a cluster that is connected to no other.</summary>
    public static readonly IdentityNumbering Default = new();

    private const uint FirstAllocated = 256;

    /// <summary>0 to 255, or to 511 where that many clusters may be connected (cluster-id).</summary>
    public uint ClusterId { get; init; }

    /// <summary>Bits that number the identities of one cluster: 16, or 15 where 511 clusters may be connected (max-connected-clusters).</summary>
    public int Bits { get; init; } = 16;

    /// <summary>The smallest number for labels that have none yet. Cluster 0 shares its numbers with the reserved ones.</summary>
    public uint First => ClusterId == 0 ? FirstAllocated : ClusterId << Bits;

    public uint Last => ((ClusterId + 1) << Bits) - 1;

    public bool Has(SecurityIdentity id) => id.Value >> Bits == ClusterId;
}
