// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>How far a destination is away (RT_SCOPE_*).</summary>
public enum RouteScope : byte
{
    Universe = 0,
    Site = 200,
    Link = 253,
    Host = 254,
    Nowhere = 255,
}

/// <summary>What happens to packets that match a route (RTN_*).</summary>
public enum RouteType : byte
{
    Unicast = 1,
    Local = 2,
    Broadcast = 3,
    Anycast = 4,
    Multicast = 5,
    Blackhole = 6,
    Unreachable = 7,
    Prohibit = 8,
    Throw = 9,
}

/// <summary>Who made a route or rule (RTPROT_*); other values of a byte occur as well.</summary>
public enum RouteProtocol : byte
{
    Unspecified = 0,
    Redirect = 1,
    Kernel = 2,
    Boot = 3,
    Static = 4,
    RouterAdvertisement = 9,

    /// <summary>
    /// Ours: every route and rule that the datapath makes carries it, so that leftovers can be told from an administrator's.
    /// The number is not in use by any routing daemon in rt_protos.
    /// </summary>
    Axoneme = 174,
}

/// <summary>Well-known routing tables (RT_TABLE_*).</summary>
public static class RouteTable
{
    public const uint Default = 253;
    public const uint Main = 254;
    public const uint Local = 255;
}

[Flags]
public enum AddressFlags : uint
{
    None = 0,
    Secondary = 0x01,
    NoDad = 0x02,
    DadFailed = 0x08,
    Deprecated = 0x20,
    Tentative = 0x40,
    Permanent = 0x80,
    NoPrefixRoute = 0x200,
}

/// <summary>An address on a device, with the length of the on-link prefix.</summary>
public sealed record LinkAddress(int Device, IpAddress Address, int PrefixLength)
{
    public RouteScope Scope { get; init; }

    /// <summary>As read, this includes the state flags (permanent, tentative ...).</summary>
    public AddressFlags Flags { get; init; }

    public override string ToString() => $"{Address}/{PrefixLength} dev {Device}";
}

/// <summary>
/// A route in canonical form, the same for writing and reading, so that two can be compared: what the kernel fills in by
/// default (IPv6 metric 1024, the scope that follows from type and gateway) is absent.
/// </summary>
public sealed record Route(IpPrefix Destination)
{
    /// <summary>Outgoing device, 0 for routes without one (blackhole and such).</summary>
    public int Device { get; init; }

    /// <summary>May be IPv6 for an IPv4 destination.</summary>
    public IpAddress? Gateway { get; init; }

    /// <summary>The gateway is reachable over the device although no route says so.</summary>
    public bool OnLink { get; init; }

    /// <summary>Null for the default: link without gateway, universe with one, host for local routes.</summary>
    public RouteScope? Scope { get; init; }

    public RouteType Type { get; init; } = RouteType.Unicast;

    public uint Table { get; init; } = RouteTable.Main;

    public RouteProtocol Protocol { get; init; } = RouteProtocol.Axoneme;

    /// <summary>Preferred source address.</summary>
    public IpAddress? Source { get; init; }

    /// <summary>Path MTU in bytes, 0 for the device's.</summary>
    public uint Mtu { get; init; }

    /// <summary>Metric; 0 for the default.</summary>
    public uint Priority { get; init; }

    /// <summary>The scope to put on the wire, and the one that reading maps to null.</summary>
    internal RouteScope DefaultScope => (Destination.IsV6, Type) switch
    {
        (true, _) => RouteScope.Universe,
        (_, RouteType.Local) => RouteScope.Host,
        (_, RouteType.Unicast or RouteType.Broadcast or RouteType.Multicast or RouteType.Anycast) when Gateway is null
            => RouteScope.Link,
        _ => RouteScope.Universe,
    };

    public override string ToString()
        => $"{Destination}{(Gateway is { } g ? $" via {g}" : "")}{(Device != 0 ? $" dev {Device}" : "")} table {Table}";
}

/// <summary>States of a neighbour entry (NUD_*).</summary>
[Flags]
public enum NeighborState : ushort
{
    None = 0,
    Incomplete = 0x01,
    Reachable = 0x02,
    Stale = 0x04,
    Delay = 0x08,
    Probe = 0x10,
    Failed = 0x20,
    NoArp = 0x40,
    Permanent = 0x80,
}

/// <summary>An entry of the ARP or NDP table, or with <see cref="Proxy"/> an address that the device answers for.</summary>
public sealed record Neighbor(int Device, IpAddress Address)
{
    public MacAddress? Mac { get; init; }

    public NeighborState State { get; init; } = NeighborState.Permanent;

    public bool Proxy { get; init; }

    public bool Router { get; init; }

    public override string ToString() => $"{Address} dev {Device}";
}

/// <summary>A routing policy rule that looks up a table.</summary>
public sealed record RoutingRule(bool IsV6, uint Priority, uint Table)
{
    public IpPrefix? Source { get; init; }

    public IpPrefix? Destination { get; init; }

    public uint Mark { get; init; }

    /// <summary>Bits of the mark that count; 0 when the rule does not look at the mark.</summary>
    public uint MarkMask { get; init; }

    public string InputDevice { get; init; } = "";

    public string OutputDevice { get; init; } = "";

    public RouteProtocol Protocol { get; init; } = RouteProtocol.Axoneme;

    public override string ToString() => $"priority {Priority} table {Table}{(IsV6 ? " (IPv6)" : "")}";
}

/// <summary>A queueing discipline; parent and handle as tc prints them in hexadecimal.</summary>
public sealed record Qdisc(int Device, string Kind, uint Handle, uint Parent);
