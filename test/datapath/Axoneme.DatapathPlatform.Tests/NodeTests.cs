// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

public sealed class NodeTests
{
    [Theory]
    [InlineData(RoutingMode.Native)]
    [InlineData(RoutingMode.Vxlan)]
    public void Second_start_adopts_everything_that_the_first_created(RoutingMode mode)
    {
        using var test = new TestNode(mode);
        DatapathReport first;
        using (NodeDatapath node = test.Start())
            first = node.Report;
        using NodeDatapath again = test.Start();

        Assert.Empty(first.Adopted);
        Assert.Empty(first.Repaired);
        Assert.Empty(again.Report.Created);
        Assert.Empty(again.Report.Repaired);
        Assert.Contains("device cilium_host", again.Report.Adopted);
        Assert.Contains("from_host on cilium_host", again.Report.Adopted);
        Assert.Contains("from_pod of all endpoints", first.Created);
        Assert.Contains("from_pod of all endpoints", again.Report.Adopted);
        Assert.Contains(again.Report.Adopted, a => a.StartsWith("sock_connect4", StringComparison.Ordinal));
        Assert.Equal(mode == RoutingMode.Vxlan, again.Report.Adopted.Contains("from_overlay on cilium_vxlan"));
        Assert.Contains(again.Netlink.ListAddresses(again.HostDevice), a => a.Address == TestNode.Router4 && a.PrefixLength == 32);
    }

    [Fact]
    public void Map_whose_entries_cannot_be_read_is_set_aside_and_reported()
    {
        using var test = new TestNode();
        test.MountBpf();
        Directory.CreateDirectory(test.Paths.Maps);
        BpfMapSpec unknown = Maps.CiliumCt4Global.Spec with { ValueSize = 8, MaxEntries = 4096 };
        BpfMap.OpenOrCreatePinned(unknown, test.Paths.Map(unknown.Name)).Dispose();
        using NodeDatapath node = test.Start();
        Assert.Equal(["map cilium_ct4_global was replaced: value size: declared 72, pinned 8"], node.Report.Repaired);
        Assert.True(File.Exists(test.Paths.Map("cilium_ct4_global_old")));
    }

    [Fact]
    public void Vanished_device_link_and_shared_program_come_back()
    {
        using var test = new TestNode();
        using NodeDatapath node = test.Start();
        node.Netlink.DeleteLink(DatapathPaths.HostDevice);
        DatapathReport report = node.Repair();
        Assert.Contains("device cilium_host", report.Created);
        Assert.Contains("from_host on cilium_host was attached elsewhere", report.Repaired);

        File.Delete(Path.Combine(test.Paths.DeviceLinks(DatapathPaths.HostDevice), "from_host"));
        Assert.Equal(["from_host on cilium_host"], node.Repair().Created);
        Assert.True(node.Maps.PodCalls.TryDelete((uint)PodCall.ToPod));
        Assert.Equal(["to_pod of all endpoints"], node.Repair().Created);
        Assert.Empty(node.Repair().Created);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Way_to_the_proxy_comes_back_and_goes_with_its_family(bool isV6)
    {
        using var test = new TestNode();
        using (NodeDatapath node = test.Start())
        {
            RoutingRule[] rules = [.. node.Netlink.ListRules(isV6).Where(r => r.Protocol == RouteProtocol.Axoneme)];
            Route route = Assert.Single(node.Netlink.ListRoutes(isV6, table: 2004));
            Assert.Equal([(8u, 254u), (9u, 2004u)], rules.Select(r => (r.Priority, r.Table)).Order());
            Assert.All(rules, r => Assert.Equal((0x200u, 0xF00u), (r.Mark, r.MarkMask)));
            Assert.True(node.Netlink.DeleteRule(rules[0]));
            Assert.True(node.Netlink.DeleteRoute(route));
            Assert.Equal(2, node.Repair().Created.Count);
            Assert.Equal([route], node.Netlink.ListRoutes(isV6, table: 2004));
            Assert.Empty(node.Repair().Created);
        }

        test.Options = isV6 ? test.Options with { EnableIPv6 = false } : test.Options with { EnableIPv4 = false };
        using NodeDatapath without = test.Start();
        Assert.DoesNotContain(without.Netlink.ListRules(isV6), r => r.Protocol == RouteProtocol.Axoneme);
        Assert.Contains(without.Netlink.ListRules(!isV6), r => r.Protocol == RouteProtocol.Axoneme);
    }

    [Fact]
    public void Missing_uplink_is_named()
    {
        using var test = new TestNode();
        test.Options = test.Options with { Devices = ["nothing0"] };
        var exception = Assert.Throws<InvalidOperationException>(() => test.Start().Dispose());
        Assert.Contains("nothing0", exception.Message);
    }

    [Fact]
    public void Uninstall_leaves_no_pin_and_no_device()
    {
        using var test = new TestNode(RoutingMode.Vxlan);
        using NodeDatapath node = test.Start();
        node.Netlink.ReplaceRoute(new Route(IpPrefix.Parse("10.99.0.0/24")) { Device = node.HostDevice });
        node.Uninstall();
        Assert.Equal(["lo"], node.Netlink.ListLinks().Where(l => l.Kind is "veth" or "vxlan" || l.Name == "lo").Select(l => l.Name));
        Assert.DoesNotContain(node.Netlink.ListRoutes(0), r => r.Protocol == RouteProtocol.Axoneme);
        foreach (bool isV6 in new[] { false, true })
            Assert.DoesNotContain(node.Netlink.ListRules(isV6), r => r.Protocol == RouteProtocol.Axoneme);
        // The kernel puts maps.debug and progs.debug into every bpffs.
        Assert.DoesNotContain(Directory.EnumerateFiles(test.Options.BpfRoot, "*", SearchOption.AllDirectories),
            f => !f.EndsWith(".debug", StringComparison.Ordinal));
    }
}
