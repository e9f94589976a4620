// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>RTM_*ADDR: ifaddrmsg and its attributes.</summary>
internal static class AddressMessages
{
    public static IfAddrMsg Header(LinkAddress address) => new()
    {
        Family = Family.Of(address.Address.IsV6),
        PrefixLength = (byte)address.PrefixLength,
        Flags = (byte)address.Flags,
        Scope = (byte)address.Scope,
        Index = address.Device,
    };

    public static void Write(MessageBuffer buffer, LinkAddress address)
    {
        // For IPv4 ADDRESS is the peer of a point-to-point link; equal to LOCAL it means none.
        buffer.AddAddress(AddressAttribute.IFA_LOCAL, address.Address);
        buffer.AddAddress(AddressAttribute.IFA_ADDRESS, address.Address);
        buffer.AddUInt32(AddressAttribute.IFA_FLAGS, (uint)address.Flags);
    }

    public static LinkAddress? Parse(ReadOnlySpan<byte> payload)
    {
        IfAddrMsg header = MemoryMarshal.Read<IfAddrMsg>(payload);
        IpAddress? local = null;
        IpAddress? address = null;
        uint flags = header.Flags;
        var attributes = new AttributeReader(payload[IfAddrMsg.Size..]);
        while (attributes.Next())
        {
            switch (attributes.Type)
            {
                case AddressAttribute.IFA_LOCAL:
                    local = attributes.AsAddress();
                    break;
                case AddressAttribute.IFA_ADDRESS:
                    address = attributes.AsAddress();
                    break;
                case AddressAttribute.IFA_FLAGS:
                    flags = attributes.AsUInt32();
                    break;
            }
        }

        return (local ?? address) is not { } own
            ? null
            : new LinkAddress(header.Index, own, header.PrefixLength)
            {
                Scope = (RouteScope)header.Scope,
                Flags = (AddressFlags)flags,
            };
    }
}
