// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Seen from the endpoint that the policy is of; the numbers are those of the policy map's key.</summary>
public enum TrafficDirection : byte
{
    Ingress = 0,
    Egress = 1,
}

/// <summary>
/// Key of an endpoint's policy map: the peer's identity or class (0: who has no class) and a block of ports. The map is a trie that compares identity and
/// direction whole, then protocol (none or all 8 bits), then the leading <see cref="PortPrefixLength"/> bits of the port. ICMP has its
/// type in the place of the port.
/// </summary>
public readonly record struct PolicyKey : IComparable<PolicyKey>
{
    /// <summary>Any protocol.</summary>
    public PolicyKey(TrafficDirection direction, SecurityIdentity identity)
        : this(direction, identity, L4Protocol.Any, 0, 0)
    {
    }

    /// <exception cref="ArgumentException">A port is given without a protocol, which the trie cannot express.</exception>
    public PolicyKey(TrafficDirection direction, SecurityIdentity identity, L4Protocol protocol, ushort port, int portPrefixLength)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(portPrefixLength, 16);
        ArgumentOutOfRangeException.ThrowIfNegative(portPrefixLength);
        if (protocol == L4Protocol.Any && portPrefixLength > 0)
            throw new ArgumentException("A policy key with a port needs a protocol.", nameof(portPrefixLength));
        Direction = direction;
        Identity = identity;
        Protocol = protocol;
        Port = (ushort)(port & PortMask(portPrefixLength));
        PortPrefixLength = (byte)portPrefixLength;
    }

    public TrafficDirection Direction { get; }

    public SecurityIdentity Identity { get; }

    public L4Protocol Protocol { get; }

    /// <summary>Host order; bits after the prefix are zero.</summary>
    public ushort Port { get; }

    /// <summary>0 (any port) to 16 (one port).</summary>
    public byte PortPrefixLength { get; }

    /// <summary>Bits of protocol and port that count: 0, 8, or 9 to 24.</summary>
    public int L4PrefixLength => Protocol == L4Protocol.Any ? 0 : 8 + PortPrefixLength;

    /// <summary>Last port of the block.</summary>
    public ushort LastPort => (ushort)(Port | (ushort)~PortMask(PortPrefixLength));

    /// <summary>The key of the same identity whose L4 part is cut to that many bits (a multiple of 8 up to 8, then any up to 24).</summary>
    public PolicyKey Cut(int l4PrefixLength)
        => l4PrefixLength == 0
            ? new PolicyKey(Direction, Identity)
            : new PolicyKey(Direction, Identity, Protocol, Port, l4PrefixLength - 8);

    public bool Equals(PolicyKey other) => Identity == other.Identity && L4Number == other.L4Number;

    public override int GetHashCode() => HashCode.Combine(Identity.Value, L4Number);

    public int CompareTo(PolicyKey other)
    {
        int order = Direction.CompareTo(other.Direction);
        if (order == 0)
            order = Identity.CompareTo(other.Identity);
        if (order == 0)
            order = Protocol.CompareTo(other.Protocol);
        if (order == 0)
            order = Port.CompareTo(other.Port);
        return order != 0 ? order : PortPrefixLength.CompareTo(other.PortPrefixLength);
    }

    /// <summary>For logs: <c>ingress 4711 TCP 8080-8095</c>.</summary>
    public override string ToString()
    {
        string peer = $"{Direction.ToString().ToLowerInvariant()} {(Identity.Value == 0 ? "any" : Identity)}";
        if (Protocol == L4Protocol.Any)
            return peer;
        string protocol = Protocol.ToString().ToUpperInvariant();
        return PortPrefixLength switch
        {
            0 => $"{peer} {protocol}",
            16 => $"{peer} {protocol} {Port}",
            _ => $"{peer} {protocol} {Port}-{LastPort}",
        };
    }

    public static bool operator <(PolicyKey left, PolicyKey right) => left.CompareTo(right) < 0;

    public static bool operator >(PolicyKey left, PolicyKey right) => left.CompareTo(right) > 0;

    public static bool operator <=(PolicyKey left, PolicyKey right) => left.CompareTo(right) <= 0;

    public static bool operator >=(PolicyKey left, PolicyKey right) => left.CompareTo(right) >= 0;

    private ulong L4Number => ((ulong)Direction << 32) | ((ulong)Protocol << 24) | ((ulong)Port << 8) | PortPrefixLength;

    private static ushort PortMask(int length) => (ushort)(0xFFFF0000u >> length);
}
