// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>
/// Marks of packets (<c>SO_MARK</c>) by which the kernel programs and the node's routing rules know what the proxy has to see and what
/// it has seen. The kind is in <see cref="PacketMark.KindMask"/>, what belongs to it in the upper half.
/// </summary>
public static class ProxyMark
{
    /// <summary>
    /// What the proxy sets on its sockets: on those towards servers, which are bound to the address of the pod in whose name it asks, and
    /// on those that answer a pod with the server's address. Only the lower 16 bits of the pod's identity fit; the programs know the pod
    /// by its address.
    /// </summary>
    public static uint FromProxy(SecurityIdentity pod) => (uint)PacketMark.FromProxy | pod.Value << (int)PacketMark.PayloadShift;
}
