// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Proxy;

/// <summary>Packet marks that the datapath knows the proxy's own packets by, as the kernel side has them.</summary>
internal static class Marks
{
    /// <summary>Of packets that the proxy sends: the upper half has the low half of the identity in whose name it speaks, the lowest byte the rest.</summary>
    public static uint Of(SecurityIdentity identity)
        => (uint)PacketMark.FromProxy | (identity.Value << (int)PacketMark.PayloadShift) | ((identity.Value >> 16) & 0xFF);
}
