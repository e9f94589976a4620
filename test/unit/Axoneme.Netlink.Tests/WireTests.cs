// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Netlink.Tests;

public sealed class WireTests
{
    [Fact]
    public void Route_request_has_the_layout_of_rtnetlink()
    {
        var batch = new RequestBatch().ReplaceRoute(new Route(IpPrefix.Parse("10.1.0.0/16"))
        {
            Device = 3,
            Gateway = IpAddress.Parse("10.0.0.1"),
            OnLink = true,
            Mtu = 1450,
        });
        Assert.Equal(
            "48000000180005050000000000000000" // nlmsghdr: 72 bytes, NEWROUTE, REQUEST|ACK|REPLACE|CREATE
            + "02100000FEAE000104000000" // rtmsg: inet, /16, main, protocol 174, universe, unicast, onlink
            + "080001000A010000" // DST
            + "08000F00FE000000" // TABLE
            + "0800040003000000" // OIF
            + "080005000A000001" // GATEWAY
            + "0C00088008000200AA050000", // METRICS {MTU}
            Convert.ToHexString(batch.Buffer.Bytes));
    }

    [Theory]
    [InlineData("10.0.0.0/8", "10.0.0.1", RouteType.Unicast)]
    [InlineData("0.0.0.0/0", "fd00::1", RouteType.Unicast)]
    [InlineData("::/0", "fd00::1", RouteType.Unicast)]
    [InlineData("fd00:1::/64", null, RouteType.Unicast)]
    [InlineData("10.2.0.0/16", null, RouteType.Unicast)]
    [InlineData("10.2.0.0/16", null, RouteType.Blackhole)]
    public void Route_survives_writing_and_parsing(string destination, string? gateway, RouteType type)
    {
        var route = new Route(IpPrefix.Parse(destination))
        {
            Device = 5,
            Gateway = gateway is null ? null : IpAddress.Parse(gateway),
            Type = type,
            Table = 2005,
            Priority = 7,
            Mtu = 1400,
        };
        var batch = new RequestBatch().ReplaceRoute(route);
        Assert.Equal(route, RouteMessages.Parse(Payload(batch)));
    }

    [Fact]
    public void Veth_request_nests_the_peer_in_the_link_info()
    {
        var batch = new RequestBatch().AddLink(new LinkSpec("lxc1")
        {
            Kind = new VethKind(new LinkSpec("eth0") { NamespaceDescriptor = 42 }),
        });
        AttributeReader peer = Find(Find(Find(
            new AttributeReader(Payload(batch)[IfInfoMsg.Size..]),
            LinkAttribute.IFLA_LINKINFO), LinkAttribute.IFLA_INFO_DATA), LinkAttribute.VETH_INFO_PEER, skip: IfInfoMsg.Size);
        Link parsed = LinkMessages.Parse(Payload(batch));
        Assert.Equal(("lxc1", "veth"), (parsed.Name, parsed.Kind));
        List<ushort> types = [];
        while (peer.Next())
        {
            types.Add(peer.Type);
            if (peer.Type == LinkAttribute.IFLA_NET_NS_FD)
                Assert.Equal(42u, peer.AsUInt32());
        }

        Assert.Equal([LinkAttribute.IFLA_IFNAME, LinkAttribute.IFLA_NET_NS_FD], types);
    }

    [Fact]
    public void Truncated_and_mangled_messages_end_the_walk_without_failing()
    {
        var batch = new RequestBatch().AddLink(new LinkSpec("vx0") { Kind = new VxlanKind { Id = 5 }, Mac = new MacAddress(2) })
            .ReplaceAddress(new LinkAddress(1, IpAddress.Parse("fd00::1"), 64))
            .ReplaceRoute(new Route(IpPrefix.Parse("10.0.0.0/8")) { Gateway = IpAddress.Parse("fd00::1"), Mtu = 1400 })
            .ReplaceNeighbor(new Neighbor(1, IpAddress.Parse("10.0.0.1")) { Mac = new MacAddress(2) });
        byte[] whole = batch.Buffer.Bytes.ToArray();
        var random = new Random(1);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = whole[..random.Next(whole.Length + 1)];
            for (int change = random.Next(4); change > 0 && bytes.Length > 0; change--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            List<RouteEvent> events = [];
            RouteMonitor.Parse(bytes, events);
            Assert.InRange(events.Count, 0, 32);
        }
    }

    [Theory]
    [InlineData("EAFFFFFF" + "10000000140000000000000000000000" + "0A00010068656C6C6F000000", 0x300, 22, "hello")]
    [InlineData("EAFFFFFF" + "14000000140000000000000000000000" + "AABBCCDD" + "0A00010068656C6C6F000000", 0x200, 22, "hello")]
    [InlineData("EAFFFFFF" + "10000000140000000000000000000000", 0x100, 22, null)]
    [InlineData("00000000" + "10000000140000000000000000000000", 0x100, 0, null)]
    public void Acknowledgement_gives_errno_and_text(string payload, int flags, int errno, string? text)
    {
        var header = new NlMsgHdr { Type = MessageType.NLMSG_ERROR, Flags = (ushort)flags };
        Assert.Equal(new Result(errno, text), Result.Parse(header, Convert.FromHexString(payload)));
    }

    [Fact]
    public void Mac_address_parses_and_prints_the_same()
    {
        MacAddress mac = MacAddress.Parse("02:0a:ff:00:10:9f");
        Assert.Equal("02:0a:ff:00:10:9f", mac.ToString());
        Assert.False(MacAddress.TryParse("02:0a:ff:00:10", out _));
        Assert.False(MacAddress.TryParse("02-0a-ff-00-10-9f", out _));
        Assert.Equal(2, (int)(MacAddress.LocallyAdministered(ulong.MaxValue).Number >> 40) & 3);
    }

    private static ReadOnlySpan<byte> Payload(RequestBatch batch)
    {
        ReadOnlySpan<byte> message = batch.Buffer.Bytes;
        Assert.Equal(message.Length, (int)MemoryMarshal.Read<uint>(message));
        return message[NlMsgHdr.Size..];
    }

    private static AttributeReader Find(AttributeReader attributes, ushort type, int skip = 0)
    {
        while (attributes.Next())
        {
            if (attributes.Type == type)
                return new AttributeReader(attributes.Value[skip..]);
        }

        throw new InvalidOperationException($"no attribute {type}");
    }
}
