// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>RTM_*NEIGH: ndmsg and its attributes.</summary>
internal static class NeighborMessages
{
    public static NdMsg Header(Neighbor neighbor) => new()
    {
        Family = Family.Of(neighbor.Address.IsV6),
        Index = neighbor.Device,
        State = (ushort)neighbor.State,
        Flags = (byte)((neighbor.Proxy ? NeighborAttribute.NTF_PROXY : 0) | (neighbor.Router ? NeighborAttribute.NTF_ROUTER : 0)),
    };

    public static void Write(MessageBuffer buffer, Neighbor neighbor)
    {
        buffer.AddAddress(NeighborAttribute.NDA_DST, neighbor.Address);
        if (neighbor.Mac is { } mac)
            buffer.AddMac(NeighborAttribute.NDA_LLADDR, mac);
    }

    /// <summary>Null for bridge and other entries that are not about an IP address.</summary>
    public static Neighbor? Parse(ReadOnlySpan<byte> payload)
    {
        NdMsg header = MemoryMarshal.Read<NdMsg>(payload);
        if (header.Family is not (Family.Inet or Family.Inet6))
            return null;
        IpAddress? address = null;
        MacAddress? mac = null;
        var attributes = new AttributeReader(payload[NdMsg.Size..]);
        while (attributes.Next())
        {
            if (attributes.Type == NeighborAttribute.NDA_DST)
                address = attributes.AsAddress();
            else if (attributes.Type == NeighborAttribute.NDA_LLADDR)
                mac = attributes.AsMac();
        }

        return address is not { } ip
            ? null
            : new Neighbor(header.Index, ip)
            {
                Mac = mac,
                State = (NeighborState)header.State,
                Proxy = (header.Flags & NeighborAttribute.NTF_PROXY) != 0,
                Router = (header.Flags & NeighborAttribute.NTF_ROUTER) != 0,
            };
    }
}
