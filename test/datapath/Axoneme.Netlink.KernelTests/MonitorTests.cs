// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Netlink.KernelTests;

public sealed class MonitorTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 30_000)]
    public async Task Changes_arrive_in_order()
    {
        using var node = new TestNamespace();
        using var monitor = RouteMonitor.Open(RouteEventKinds.All, node.Namespace);
        int lo = node.Loopback;
        var route = new Route(IpPrefix.Parse("10.7.0.0/16")) { Device = lo };
        var address = new LinkAddress(lo, IpAddress.Parse("10.6.0.1"), 32);
        var neighbor = new Neighbor(lo, IpAddress.Parse("10.6.0.2")) { Mac = new MacAddress(2) };
        node.Netlink.SetLink(lo, new LinkChange { Mtu = 9000 });
        node.Netlink.ReplaceAddress(address);
        node.Netlink.ReplaceRoute(route);
        node.Netlink.ReplaceNeighbor(neighbor);
        node.Netlink.DeleteRoute(route);

        List<RouteEvent> seen = [];
        await foreach (RouteEvent change in monitor.ReadAsync(Cancellation))
        {
            seen.Add(change);
            if (change is RouteChangeEvent { Removed: true } removed && removed.Route == route)
                break;
        }

        Assert.Contains(seen, e => e is LinkEvent { Removed: false, Link: { Name: "lo", IsUp: true } });
        Assert.Contains(seen, e => e is AddressEvent { Removed: false } added && added.Address.Address == address.Address);
        // The loopback device keeps one neighbour for all addresses.
        Assert.Contains(seen, e => e is NeighborEvent { Removed: false } added && added.Neighbor.Mac == neighbor.Mac);
        int routeAdded = seen.FindIndex(e => e is RouteChangeEvent { Removed: false } added && added.Route == route);
        Assert.InRange(routeAdded, 0, seen.Count - 2);
    }

    [Fact(Timeout = 30_000)]
    public async Task Overrun_is_reported_as_resync()
    {
        using var node = new TestNamespace();
        using var monitor = RouteMonitor.Open(RouteEventKinds.Routes, node.Namespace);
        // More than the monitor's buffer of 4 MiB holds: a notification takes up at least 768 bytes there.
        var batch = new RequestBatch();
        for (int i = 0; i < 16_000; i++)
            batch.ReplaceRoute(new Route(IpPrefix.Single(IpAddress.Parse("10.0.0.0").Add((UInt128)i))) { Device = node.Loopback });
        node.Netlink.Execute(batch);

        await foreach (RouteEvent change in monitor.ReadAsync(Cancellation))
        {
            if (change is ResyncEvent)
                return;
        }

        Assert.Fail("The stream ended.");
    }
}
