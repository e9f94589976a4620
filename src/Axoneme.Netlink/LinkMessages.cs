// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>RTM_*LINK: ifinfomsg and its attributes.</summary>
internal static class LinkMessages
{
    public static IfInfoMsg Header(LinkSpec link)
    {
        LinkFlags flags = (link.Up ? LinkFlags.Up : 0) | (link.NoArp ? LinkFlags.NoArp : 0);
        return new IfInfoMsg { Flags = (uint)flags, Change = (uint)flags };
    }

    public static IfInfoMsg Header(int index, LinkChange change)
    {
        var header = new IfInfoMsg { Index = index };
        Set(change.Up, LinkFlags.Up);
        Set(change.NoArp, LinkFlags.NoArp);
        return header;

        void Set(bool? wanted, LinkFlags flag)
        {
            if (wanted is null)
                return;
            header.Change |= (uint)flag;
            if (wanted.Value)
                header.Flags |= (uint)flag;
        }
    }

    public static void Write(MessageBuffer buffer, LinkSpec link)
    {
        buffer.AddString(LinkAttribute.IFLA_IFNAME, link.Name);
        WriteOptional(buffer, LinkAttribute.IFLA_MTU, (uint?)link.Mtu);
        WriteOptional(buffer, LinkAttribute.IFLA_GROUP, link.Group);
        WriteOptional(buffer, LinkAttribute.IFLA_NUM_TX_QUEUES, link.Queues);
        WriteOptional(buffer, LinkAttribute.IFLA_NUM_RX_QUEUES, link.Queues);
        WriteOptional(buffer, LinkAttribute.IFLA_GSO_MAX_SIZE, link.GsoMaxSize);
        WriteOptional(buffer, LinkAttribute.IFLA_GRO_MAX_SIZE, link.GroMaxSize);
        WriteOptional(buffer, LinkAttribute.IFLA_GSO_IPV4_MAX_SIZE, link.GsoIPv4MaxSize);
        WriteOptional(buffer, LinkAttribute.IFLA_GRO_IPV4_MAX_SIZE, link.GroIPv4MaxSize);
        WriteOptional(buffer, LinkAttribute.IFLA_MASTER, (uint?)link.Master);
        WriteOptional(buffer, LinkAttribute.IFLA_NET_NS_FD, (uint?)link.NamespaceDescriptor);
        if (link.Mac is { } mac)
            buffer.AddMac(LinkAttribute.IFLA_ADDRESS, mac);
        if (link.Kind is null)
            return;
        int info = buffer.BeginNested(LinkAttribute.IFLA_LINKINFO);
        buffer.AddString(LinkAttribute.IFLA_INFO_KIND, link.Kind.Name);
        int data = buffer.BeginNested(LinkAttribute.IFLA_INFO_DATA);
        WriteKind(buffer, link.Kind);
        buffer.EndNested(data);
        buffer.EndNested(info);
    }

    public static void Write(MessageBuffer buffer, LinkChange change)
    {
        if (change.Name is not null)
            buffer.AddString(LinkAttribute.IFLA_IFNAME, change.Name);
        if (change.Alias is not null)
            buffer.AddString(LinkAttribute.IFLA_IFALIAS, change.Alias);
        if (change.Mac is { } mac)
            buffer.AddMac(LinkAttribute.IFLA_ADDRESS, mac);
        WriteOptional(buffer, LinkAttribute.IFLA_MTU, (uint?)change.Mtu);
        WriteOptional(buffer, LinkAttribute.IFLA_MASTER, (uint?)change.Master);
        WriteOptional(buffer, LinkAttribute.IFLA_GROUP, change.Group);
        WriteOptional(buffer, LinkAttribute.IFLA_GSO_MAX_SIZE, change.GsoMaxSize);
        WriteOptional(buffer, LinkAttribute.IFLA_GRO_MAX_SIZE, change.GroMaxSize);
        WriteOptional(buffer, LinkAttribute.IFLA_GSO_IPV4_MAX_SIZE, change.GsoIPv4MaxSize);
        WriteOptional(buffer, LinkAttribute.IFLA_GRO_IPV4_MAX_SIZE, change.GroIPv4MaxSize);
        WriteOptional(buffer, LinkAttribute.IFLA_NET_NS_FD, (uint?)change.NamespaceDescriptor);
        if (change.AddressGeneration is not { } mode)
            return;
        int families = buffer.BeginNested(LinkAttribute.IFLA_AF_SPEC);
        int inet6 = buffer.BeginNested(Family.Inet6);
        buffer.AddByte(LinkAttribute.IFLA_INET6_ADDR_GEN_MODE, (byte)mode);
        buffer.EndNested(inet6);
        buffer.EndNested(families);
    }

    public static Link Parse(ReadOnlySpan<byte> payload)
    {
        IfInfoMsg header = MemoryMarshal.Read<IfInfoMsg>(payload);
        var link = new Link(header.Index, "") { Flags = (LinkFlags)header.Flags };
        var attributes = new AttributeReader(payload[IfInfoMsg.Size..]);
        while (attributes.Next())
        {
            link = attributes.Type switch
            {
                LinkAttribute.IFLA_IFNAME => link with { Name = attributes.AsString() },
                LinkAttribute.IFLA_ADDRESS => link with { Mac = attributes.AsMac() },
                LinkAttribute.IFLA_MTU => link with { Mtu = attributes.AsInt32() },
                LinkAttribute.IFLA_LINK => link with { PeerIndex = attributes.AsInt32() },
                LinkAttribute.IFLA_LINK_NETNSID => link with { PeerNamespaceId = attributes.AsInt32() },
                LinkAttribute.IFLA_MASTER => link with { Master = attributes.AsInt32() },
                LinkAttribute.IFLA_GROUP => link with { Group = attributes.AsUInt32() },
                LinkAttribute.IFLA_IFALIAS => link with { Alias = attributes.AsString() },
                LinkAttribute.IFLA_GSO_MAX_SIZE => link with { GsoMaxSize = attributes.AsUInt32() },
                LinkAttribute.IFLA_GRO_MAX_SIZE => link with { GroMaxSize = attributes.AsUInt32() },
                LinkAttribute.IFLA_GSO_IPV4_MAX_SIZE => link with { GsoIPv4MaxSize = attributes.AsUInt32() },
                LinkAttribute.IFLA_GRO_IPV4_MAX_SIZE => link with { GroIPv4MaxSize = attributes.AsUInt32() },
                LinkAttribute.IFLA_PROP_LIST => link with { AlternativeNames = ParseNames(attributes.Nested()) },
                LinkAttribute.IFLA_LINKINFO => ParseInfo(link, attributes.Nested()),
                _ => link,
            };
        }

        return link;
    }

    private static List<string> ParseNames(AttributeReader attributes)
    {
        List<string> names = [];
        while (attributes.Next())
        {
            if (attributes.Type == LinkAttribute.IFLA_ALT_IFNAME)
                names.Add(attributes.AsString());
        }

        return names;
    }

    private static Link ParseInfo(Link link, AttributeReader attributes)
    {
        while (attributes.Next())
        {
            if (attributes.Type == LinkAttribute.IFLA_INFO_KIND)
                link = link with { Kind = attributes.AsString() };
            else if (attributes.Type == LinkAttribute.IFLA_INFO_DATA && link.Kind == "vxlan")
                link = link with { Vxlan = ParseVxlan(attributes.Nested()) };
        }

        return link;
    }

    private static VxlanKind ParseVxlan(AttributeReader attributes)
    {
        var vxlan = new VxlanKind();
        uint? id = null;
        while (attributes.Next())
        {
            switch (attributes.Type)
            {
                case LinkAttribute.IFLA_VXLAN_ID:
                    id = attributes.AsUInt32();
                    break;
                case LinkAttribute.IFLA_VXLAN_PORT:
                    vxlan = vxlan with { Port = attributes.AsUInt16BigEndian() };
                    break;
                case LinkAttribute.IFLA_VXLAN_LEARNING:
                    vxlan = vxlan with { Learning = attributes.AsByte() != 0 };
                    break;
                case LinkAttribute.IFLA_VXLAN_COLLECT_METADATA:
                    vxlan = vxlan with { CollectMetadata = attributes.AsByte() != 0 };
                    break;
                case LinkAttribute.IFLA_VXLAN_LOCAL or LinkAttribute.IFLA_VXLAN_LOCAL6:
                    vxlan = vxlan with { Local = attributes.AsAddress() };
                    break;
            }
        }

        // A device that collects metadata reports id 0, which is not a setting.
        return vxlan with { Id = vxlan.CollectMetadata ? null : id };
    }

    private static void WriteKind(MessageBuffer buffer, LinkKind kind)
    {
        switch (kind)
        {
            case VethKind { Peer.Up: true }:
                throw new ArgumentException("The peer of a veth comes up by a request of its own.", nameof(kind));
            case VethKind veth:
                int peer = buffer.BeginNested(LinkAttribute.VETH_INFO_PEER);
                buffer.AddRaw(Header(veth.Peer));
                Write(buffer, veth.Peer);
                buffer.EndNested(peer);
                break;
            case VxlanKind vxlan:
                WriteVxlan(buffer, vxlan);
                break;
        }
    }

    private static void WriteVxlan(MessageBuffer buffer, VxlanKind vxlan)
    {
        WriteOptional(buffer, LinkAttribute.IFLA_VXLAN_ID, vxlan.Id);
        buffer.AddUInt16BigEndian(LinkAttribute.IFLA_VXLAN_PORT, vxlan.Port);
        buffer.AddByte(LinkAttribute.IFLA_VXLAN_LEARNING, vxlan.Learning ? (byte)1 : (byte)0);
        if (vxlan.CollectMetadata)
            buffer.AddByte(LinkAttribute.IFLA_VXLAN_COLLECT_METADATA, 1);
        if (vxlan.Local is { } local)
            buffer.AddAddress(local.IsV6 ? LinkAttribute.IFLA_VXLAN_LOCAL6 : LinkAttribute.IFLA_VXLAN_LOCAL, local);
    }

    private static void WriteOptional(MessageBuffer buffer, ushort type, uint? value)
    {
        if (value is { } number)
            buffer.AddUInt32(type, number);
    }
}
