// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>Entries of policy maps between their rows and the kernel's layout.</summary>
internal static class PolicyCodec
{
    public static PolicyKey Encode(PolicyMapKey key) => new()
    {
        PrefixLen = PrefixLength(key),
        Identity = key.Identity.Value,
        Direction = (byte)key.Direction,
        Protocol = (byte)key.Protocol,
        Port = key.Port,
    };

    public static PolicyEntry Encode(PolicyMapEntry entry) => new()
    {
        Precedence = entry.Precedence,
        Cookie = entry.Cookie,
        ProxyPort = entry.ProxyPort,
        Flags = (byte)((entry.Deny ? PolicyFlags.Deny : 0) | (entry.LacksProxy ? PolicyFlags.NoProxy : 0)),
        PrefixLen = (byte)(PrefixLength(entry.Key) - (uint)PolicyPrefix.Static),
    };

    private static uint PrefixLength(PolicyMapKey key)
        => key.Protocol == L4Protocol.Any ? (uint)PolicyPrefix.Static : (uint)PolicyPrefix.Protocol + key.PortBits;

    public static PolicyMapEntry Decode(PolicyKey key, PolicyEntry entry)
    {
        byte portBits = (byte)Math.Max(0, (int)key.PrefixLen - (int)PolicyPrefix.Protocol);
        return new PolicyMapEntry(new PolicyMapKey(
            (TrafficDirection)key.Direction, new SecurityIdentity(key.Identity), (L4Protocol)key.Protocol, key.Port.Value, portBits))
        {
            Deny = ((PolicyFlags)entry.Flags).HasFlag(PolicyFlags.Deny),
            LacksProxy = ((PolicyFlags)entry.Flags).HasFlag(PolicyFlags.NoProxy),
            Precedence = entry.Precedence,
            Cookie = entry.Cookie,
            ProxyPort = entry.ProxyPort.Value,
        };
    }
}
