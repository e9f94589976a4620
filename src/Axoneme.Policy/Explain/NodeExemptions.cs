// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>What no policy of a node judges, because the node would lose its network: neighbour discovery, group membership, errors, leases.</summary>
internal static class NodeExemptions
{
    private static readonly ushort[] Leases = [67, 68, 546, 547];

    public static bool Contain(L4Protocol protocol, ushort port) => protocol switch
    {
        L4Protocol.IcmpV6 => port is < 128 or (>= 130 and <= 137) or (>= 141 and <= 143) or 148 or 149,
        L4Protocol.Udp => Leases.Contains(port),
        _ => false,
    };
}
