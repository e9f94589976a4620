// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Network;

/// <summary>IP protocol numbers (IANA) that policy, services and flows speak of; 0 stands for any protocol.</summary>
public enum L4Protocol : byte
{
    Any = 0,
    Icmp = 1,
    Igmp = 2,
    IpIp = 4,
    Tcp = 6,
    Udp = 17,
    IPv6 = 41,
    Gre = 47,
    Esp = 50,
    Ah = 51,
    IcmpV6 = 58,
    Vrrp = 112,
    Sctp = 132,
}

/// <summary>An address with a port and a protocol, as services, backends and flows name it.</summary>
public readonly record struct L4Address(IpAddress Address, ushort Port, L4Protocol Protocol) : IComparable<L4Address>
{
    public int CompareTo(L4Address other)
    {
        int order = Address.CompareTo(other.Address);
        if (order == 0)
            order = Port.CompareTo(other.Port);
        return order != 0 ? order : Protocol.CompareTo(other.Protocol);
    }

    /// <summary>As the command line prints it: <c>10.96.0.10:53/UDP</c>, <c>[fd00::1]:53/UDP</c>.</summary>
    public override string ToString()
        => Address.IsV6
            ? $"[{Address}]:{Port}/{Protocol.ToString().ToUpperInvariant()}"
            : $"{Address}:{Port}/{Protocol.ToString().ToUpperInvariant()}";

    public static bool operator <(L4Address left, L4Address right) => left.CompareTo(right) < 0;

    public static bool operator >(L4Address left, L4Address right) => left.CompareTo(right) > 0;

    public static bool operator <=(L4Address left, L4Address right) => left.CompareTo(right) <= 0;

    public static bool operator >=(L4Address left, L4Address right) => left.CompareTo(right) >= 0;
}
