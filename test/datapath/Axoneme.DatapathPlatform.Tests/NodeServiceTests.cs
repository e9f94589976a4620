// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>What a node prepares for services and masquerading besides the service maps.</summary>
public sealed class NodeServiceTests
{
    private static readonly IpAddress First = IpAddress.Parse("192.168.7.1");
    private static readonly IpAddress NodeAddress = IpAddress.Parse("192.168.7.2");
    private static readonly IpAddress V6 = IpAddress.Parse("fd00:7::1");

    [Fact]
    public void Device_has_the_address_of_the_node_or_else_its_first_and_follows_changes()
    {
        using var test = new TestNode();
        int index = AddUplink(test);
        using (NodeDatapath node = test.Start())
            Assert.Equal((First, V6), Addresses(node, index));

        test.Options = test.Options with { NodeAddresses = [NodeAddress, IpAddress.Parse("192.168.7.99")] };
        using NodeDatapath again = test.Start();
        Assert.Equal((NodeAddress, V6), Addresses(again, index));
        again.Netlink.DeleteAddress(new LinkAddress(index, V6, 64));
        again.Maps.Devices.Update(4711, default);
        again.Repair();
        Assert.Equal((NodeAddress, IpAddress.Parse("::")), Addresses(again, index));
        Assert.Equal([(uint)index], again.Maps.Devices.Entries().Select(e => e.Key));
    }

    [Fact]
    public void Node_ports_are_reserved_in_the_node_s_own_namespace_once()
    {
        using var test = new TestNode();
        string before = Reserved();
        test.Options = test.Options with { Services = new ServiceForwarding { NodePortMin = 40000, NodePortMax = 40100, ProtectNodePorts = true } };
        using NodeDatapath node = test.Start();
        Assert.Contains("reservation of ports 40000 to 40100", node.Report.Created);
        Assert.Equal("40000-40100", test.Host.Run(Reserved));
        Assert.Equal(before, Reserved());
        Assert.Empty(node.Repair().Created);

        static string Reserved() => Sysctl.Read("net/ipv4/ip_local_reserved_ports")!;
    }

    [Theory]
    [InlineData("", "32768\t60999", 30000, 32767, null)]
    [InlineData("", "20000\t60999", 30000, 32767, "30000-32767")]
    [InlineData("8080,9000-9010", "20000\t60999", 30000, 32767, "8080,9000-9010,30000-32767")]
    [InlineData("", "31000\t60999", 30000, 32767, "31000-32767")]
    [InlineData("20000-40000", "20000\t60999", 30000, 32767, null)]
    public void Reservation_keeps_what_others_reserved(string present, string ephemeral, int first, int last, string? expected)
        => Assert.Equal(expected, ReservedPorts.Merge(present, ephemeral, (ushort)first, (ushort)last));

    [Fact]
    public void Sizes_follow_the_memory_within_their_bounds_unless_they_are_given()
    {
        const long Gigabyte = 1L << 30;
        Assert.Equal((128u << 10) + (64u << 10), new MapSizing().Sizes(Gigabyte)["cilium_ct4_global"]);
        Assert.Equal(128u << 10, new MapSizing().Sizes(Gigabyte)["cilium_snat_v6_external"]);
        var fixedSizes = new MapSizing { DynamicSizeRatio = 0 }.Sizes(Gigabyte);
        Assert.Equal((786432u, 524288u, 262144u), (fixedSizes["cilium_ct6_global"], fixedSizes["cilium_snat_v4_external"], fixedSizes["cilium_lb4_reverse_sk"]));
        // Twice the memory, twice the entries, in the same proportion.
        var small = new MapSizing { DynamicSizeRatio = 0.01 }.Sizes(16 * Gigabyte);
        var large = new MapSizing { DynamicSizeRatio = 0.02 }.Sizes(16 * Gigabyte);
        Assert.InRange(large["cilium_ct4_global"], (2 * small["cilium_ct4_global"]) - 4, (2 * small["cilium_ct4_global"]) + 4);
        Assert.Equal(2u * (16 << 20), new MapSizing { DynamicSizeRatio = 1 }.Sizes(1024 * Gigabyte)["cilium_ct4_global"]);
        var given = new MapSizing { ConntrackTcp = 3000, ConntrackAny = 2000, LoadBalancer = 500, Affinity = 7 }.Sizes(16 * Gigabyte);
        Assert.Equal((5000u, 3333u), (given["cilium_ct4_global"], given["cilium_snat_v4_external"]));
        Assert.Equal((500u, 7u), (given["cilium_lb6_services_v2"], given["cilium_lb_affinity_match"]));
        var tooLarge = Assert.Throws<InvalidOperationException>(() => new MapSizing { Nat = 200 << 10 }.Sizes(Gigabyte));
        Assert.StartsWith("bpf-nat-global-max: 204800 is more than both conntrack sizes together (131072 + 65536)", tooLarge.Message);
    }

    private static (IpAddress, IpAddress) Addresses(NodeDatapath node, int index)
    {
        Assert.True(node.Maps.Devices.TryLookup((uint)index, out DeviceInfo info));
        return (IpAddress.FromV4(info.Ip4.Value), IpAddress.FromBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(new ReadOnlySpan<Ip6Addr>(in info.Ip6))));
    }

    private static int AddUplink(TestNode test)
    {
        using RouteNetlink netlink = RouteNetlink.Open(test.Host);
        netlink.AddLink(new LinkSpec("up0") { Kind = new VethKind(new LinkSpec("up0peer")) });
        int index = netlink.FindLink("up0")!.Index;
        netlink.SetLink(index, new LinkChange { Up = true });
        netlink.ReplaceAddress(new LinkAddress(index, First, 24));
        netlink.ReplaceAddress(new LinkAddress(index, NodeAddress, 24));
        netlink.ReplaceAddress(new LinkAddress(index, V6, 64) { Flags = AddressFlags.NoDad });
        test.Options = test.Options with { Devices = ["up0"] };
        return index;
    }
}
