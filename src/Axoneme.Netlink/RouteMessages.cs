// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>RTM_*ROUTE: rtmsg and its attributes.</summary>
internal static class RouteMessages
{
    // The metric that IPv6 routes get when none is given (IP6_RT_PRIO_USER).
    private const uint DefaultPriorityV6 = 1024;

    public static RtMsg Header(Route route) => new()
    {
        Family = Family.Of(route.Destination.IsV6),
        DestinationLength = (byte)route.Destination.Length,
        Table = route.Table <= byte.MaxValue ? (byte)route.Table : (byte)0,
        Protocol = (byte)route.Protocol,
        Scope = (byte)(route.Scope ?? route.DefaultScope),
        Type = (byte)route.Type,
        Flags = route.OnLink ? RouteAttribute.RTNH_F_ONLINK : 0,
    };

    public static void Write(MessageBuffer buffer, Route route)
    {
        if (route.Destination.Length > 0)
            buffer.AddAddress(RouteAttribute.RTA_DST, route.Destination.Address);
        buffer.AddUInt32(RouteAttribute.RTA_TABLE, route.Table);
        if (route.Device != 0)
            buffer.AddInt32(RouteAttribute.RTA_OIF, route.Device);
        if (route.Gateway is { } gateway)
            WriteGateway(buffer, gateway, route.Destination.IsV6);
        if (route.Source is { } source)
            buffer.AddAddress(RouteAttribute.RTA_PREFSRC, source);
        if (route.Priority != 0)
            buffer.AddUInt32(RouteAttribute.RTA_PRIORITY, route.Priority);
        if (route.Mtu == 0)
            return;
        int metrics = buffer.BeginNested(RouteAttribute.RTA_METRICS);
        buffer.AddUInt32(RouteAttribute.RTAX_MTU, route.Mtu);
        buffer.EndNested(metrics);
    }

    /// <summary>Null for entries of the route cache and for source-specific routes, which nothing here makes.</summary>
    public static Route? Parse(ReadOnlySpan<byte> payload)
    {
        RtMsg header = MemoryMarshal.Read<RtMsg>(payload);
        if (header.Family is not (Family.Inet or Family.Inet6)
            || (header.Flags & RouteAttribute.RTM_F_CLONED) != 0 || header.SourceLength != 0)
            return null;
        IpAddress destination = header.Family == Family.Inet6 ? IpAddress.FromV6(0) : IpAddress.FromV4(0);
        var route = new Route(new IpPrefix(destination, 0))
        {
            Table = header.Table,
            Protocol = (RouteProtocol)header.Protocol,
            Type = (RouteType)header.Type,
            OnLink = (header.Flags & RouteAttribute.RTNH_F_ONLINK) != 0,
        };
        var attributes = new AttributeReader(payload[RtMsg.Size..]);
        while (attributes.Next())
            route = With(route, header, attributes);
        if (route.Destination.IsV6 && route.Priority == DefaultPriorityV6)
            route = route with { Priority = 0 };
        var scope = (RouteScope)header.Scope;
        return scope == route.DefaultScope ? route : route with { Scope = scope };
    }

    private static Route With(Route route, in RtMsg header, AttributeReader attribute) => attribute.Type switch
    {
        RouteAttribute.RTA_DST when attribute.AsPrefix(header.DestinationLength) is { } prefix => route with { Destination = prefix },
        RouteAttribute.RTA_TABLE => route with { Table = attribute.AsUInt32() },
        RouteAttribute.RTA_OIF => route with { Device = attribute.AsInt32() },
        RouteAttribute.RTA_GATEWAY => route with { Gateway = attribute.AsAddress() },
        // struct rtvia: a 16-bit family, then the address.
        RouteAttribute.RTA_VIA when attribute.Value.Length is 6 or 18
            => route with { Gateway = IpAddress.FromBytes(attribute.Value[2..]) },
        RouteAttribute.RTA_PREFSRC => route with { Source = attribute.AsAddress() },
        RouteAttribute.RTA_PRIORITY => route with { Priority = attribute.AsUInt32() },
        RouteAttribute.RTA_METRICS => route with { Mtu = ParseMtu(attribute.Nested()) },
        _ => route,
    };

    private static uint ParseMtu(AttributeReader metrics)
    {
        while (metrics.Next())
        {
            if (metrics.Type == RouteAttribute.RTAX_MTU)
                return metrics.AsUInt32();
        }

        return 0;
    }

    private static void WriteGateway(MessageBuffer buffer, IpAddress gateway, bool destinationIsV6)
    {
        if (gateway.IsV6 == destinationIsV6)
        {
            buffer.AddAddress(RouteAttribute.RTA_GATEWAY, gateway);
            return;
        }

        Span<byte> via = stackalloc byte[2 + gateway.ByteCount];
        MemoryMarshal.Write(via, (ushort)Family.Of(gateway.IsV6));
        gateway.WriteBytes(via[2..]);
        buffer.Add(RouteAttribute.RTA_VIA, via);
    }
}
