// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Netlink.KernelTests;

public sealed class RouteTests
{
    private static readonly IpAddress Gateway4 = IpAddress.Parse("10.0.0.1");
    private static readonly IpAddress Gateway6 = IpAddress.Parse("fd00::1");

    [Fact]
    public void Pod_addressing_is_set_up_in_one_batch_and_reads_back()
    {
        using var node = new TestNamespace();
        int device = AddPair(node);
        var v4 = new LinkAddress(device, IpAddress.Parse("10.0.0.5"), 32) { Scope = RouteScope.Link };
        var v6 = new LinkAddress(device, IpAddress.Parse("fd00::5"), 128) { Flags = AddressFlags.NoDad | AddressFlags.NoPrefixRoute };
        Route[] routes =
        [
            new(IpPrefix.Single(Gateway4)) { Device = device, Source = v4.Address },
            new(IpPrefix.Parse("0.0.0.0/0")) { Device = device, Gateway = Gateway4, OnLink = true, Mtu = 1400 },
            new(IpPrefix.Single(Gateway6)) { Device = device },
            new(IpPrefix.Parse("::/0")) { Device = device, Gateway = Gateway6, OnLink = true, Mtu = 1400 },
            new(IpPrefix.Parse("10.9.0.0/16")) { Device = device, Gateway = Gateway6, OnLink = true },
        ];
        var neighbor = new Neighbor(device, Gateway4) { Mac = MacAddress.Parse("02:00:00:00:00:09") };
        var batch = new RequestBatch().ReplaceAddress(v4).ReplaceAddress(v6);
        foreach (Route route in routes)
            batch.ReplaceRoute(route);
        node.Netlink.Execute(batch.ReplaceNeighbor(neighbor));

        IReadOnlyList<LinkAddress> addresses = node.Netlink.ListAddresses(device);
        Assert.Contains(addresses, a => a == v4 with { Flags = AddressFlags.Permanent });
        Assert.Contains(addresses, a => a == v6 with { Flags = v6.Flags | AddressFlags.Permanent });
        IReadOnlyList<Route> listed = node.Netlink.ListRoutes();
        Assert.All(routes, r => Assert.Contains(r, listed));
        Assert.Contains(neighbor, node.Netlink.ListNeighbors(device));

        node.Netlink.Execute(batch);
        // Only ours: the kernel adds routes of link-local addresses meanwhile.
        Assert.Equal(routes.Length, node.Netlink.ListRoutes().Count(r => r.Protocol == RouteProtocol.Axoneme));
        Assert.True(node.Netlink.DeleteRoute(routes[1]));
        Assert.False(node.Netlink.DeleteRoute(routes[1]));
        Assert.DoesNotContain(routes[1], node.Netlink.ListRoutes());
        Assert.True(node.Netlink.DeleteNeighbor(neighbor));
        Assert.True(node.Netlink.DeleteAddress(v4));
        Assert.False(node.Netlink.DeleteAddress(v4));
    }

    [Fact]
    public void Replacing_a_route_changes_its_gateway()
    {
        using var node = new TestNamespace();
        int device = AddPair(node);
        foreach (string text in new[] { "10.1.0.0/16", "fd01::/64" })
        {
            IpPrefix prefix = IpPrefix.Parse(text);
            IpAddress gateway = prefix.IsV6 ? Gateway6 : Gateway4;
            node.Netlink.ReplaceRoute(new Route(prefix) { Device = device, Gateway = gateway, OnLink = true });
            node.Netlink.ReplaceRoute(new Route(prefix) { Device = device, Gateway = gateway.Add(1), OnLink = true });
            Assert.Equal([gateway.Add(1)], node.Netlink.ListRoutes().Where(r => r.Destination == prefix).Select(r => r.Gateway!.Value));
        }
    }

    [Fact]
    public void Tables_are_listed_apart_and_an_unknown_one_is_empty()
    {
        using var node = new TestNamespace();
        var route = new Route(IpPrefix.Parse("10.2.0.0/16")) { Type = RouteType.Blackhole, Table = 2004 };
        Assert.Empty(node.Netlink.ListRoutes(2004));
        node.Netlink.ReplaceRoute(route);
        Assert.Equal([route], node.Netlink.ListRoutes(2004));
        Assert.DoesNotContain(route, node.Netlink.ListRoutes());
        Assert.Contains(route, node.Netlink.ListRoutes(table: 0));
    }

    [Fact]
    public void Rule_reads_back_as_written()
    {
        using var node = new TestNamespace();
        foreach (bool isV6 in new[] { false, true })
        {
            var rule = new RoutingRule(isV6, Priority: 9, Table: 2004)
            {
                Mark = 0x200,
                MarkMask = 0xf00,
                InputDevice = "lo",
                Source = IpPrefix.Parse(isV6 ? "fd00::/16" : "10.0.0.0/8"),
            };
            Assert.True(node.Netlink.AddRule(rule));
            Assert.False(node.Netlink.AddRule(rule));
            Assert.Contains(rule, node.Netlink.ListRules(isV6));
            Assert.True(node.Netlink.DeleteRule(rule));
            Assert.False(node.Netlink.DeleteRule(rule));
        }
    }

    [Fact]
    public void Batch_larger_than_one_send_runs_to_the_end_past_a_failure()
    {
        using var node = new TestNamespace();
        var batch = new RequestBatch();
        for (int i = 0; i < 300; i++)
        {
            // The one in the middle has no such device.
            int device = i == 150 ? 4711 : node.Loopback;
            batch.ReplaceRoute(new Route(IpPrefix.Single(IpAddress.Parse("10.3.0.0").Add((UInt128)i))) { Device = device });
        }

        var exception = Assert.Throws<NetlinkException>(() => node.Netlink.Execute(batch));
        Assert.Contains("10.3.0.150/32", exception.Message);
        Assert.Equal(299, node.Netlink.ListRoutes().Count(r => r.Protocol == RouteProtocol.Axoneme));
    }

    [Fact]
    public void Proxy_neighbours_are_kept_apart_from_neighbours()
    {
        using var node = new TestNamespace();
        int device = AddPair(node);
        var proxy = new Neighbor(device, Gateway6) { Proxy = true, State = NeighborState.None };
        node.Netlink.ReplaceNeighbor(proxy);
        Assert.Equal([Gateway6], node.Netlink.ListProxyNeighbors(device).Select(n => n.Address));
        Assert.DoesNotContain(node.Netlink.ListNeighbors(device), n => n.Address == Gateway6);
    }

    private static int AddPair(TestNamespace node)
    {
        node.Netlink.AddLink(new LinkSpec("a0") { Up = true, Kind = new VethKind(new LinkSpec("a1")) });
        node.Netlink.SetLink(node.Netlink.FindLink("a1")!.Index, new LinkChange { Up = true });
        return node.Netlink.FindLink("a0")!.Index;
    }
}
