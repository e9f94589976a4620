// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Netlink.KernelTests;

public sealed class LinkTests
{
    private static readonly MacAddress HostMac = MacAddress.Parse("02:00:00:00:00:01");
    private static readonly MacAddress PodMac = MacAddress.Parse("02:00:00:00:00:02");

    [Fact]
    public void Veth_is_born_with_its_peer_in_the_other_namespace()
    {
        using var host = new TestNamespace();
        using var pod = new TestNamespace();
        host.Netlink.AddLink(new LinkSpec("lxc1")
        {
            Mac = HostMac,
            Mtu = 1450,
            Group = 7,
            Up = true,
            Kind = new VethKind(new LinkSpec("eth0")
            {
                Mac = PodMac,
                Mtu = 1400,
                NamespaceDescriptor = pod.Namespace.Descriptor,
                NoArp = true,
            }),
        });

        Link outside = host.Netlink.FindLink("lxc1")!;
        Link inside = pod.Netlink.FindLink("eth0")!;
        Assert.Equal(("veth", HostMac, 1450, 7u, true), (outside.Kind, outside.Mac!.Value, outside.Mtu, outside.Group, outside.IsUp));
        Assert.Equal((PodMac, 1400, false), (inside.Mac!.Value, inside.Mtu, inside.IsUp));
        Assert.True(inside.Flags.HasFlag(LinkFlags.NoArp));
        Assert.Equal(inside.Index, outside.PeerIndex);
        Assert.Equal(host.Netlink.FindNamespaceId(pod.Namespace), outside.PeerNamespaceId);

        Assert.True(host.Netlink.DeleteLink("lxc1"));
        Assert.Null(pod.Netlink.FindLink("eth0"));
        Assert.False(host.Netlink.DeleteLink("lxc1"));
    }

    [Fact]
    public void Vxlan_that_collects_metadata_reads_back_as_written()
    {
        using var node = new TestNamespace();
        var kind = new VxlanKind { CollectMetadata = true, Port = 18472 };
        node.Netlink.AddLink(new LinkSpec("vx0") { Kind = kind, Up = true });
        Assert.Equal(kind, node.Netlink.FindLink("vx0")!.Vxlan);
    }

    [Fact]
    public void Settings_of_a_link_change_and_read_back()
    {
        using var node = new TestNamespace();
        node.Netlink.AddLink(new LinkSpec("br0") { Kind = new BridgeKind() });
        node.Netlink.AddLink(new LinkSpec("a0") { Kind = new VethKind(new LinkSpec("a1")) });
        int bridge = node.Netlink.FindLink("br0")!.Index;
        int index = node.Netlink.FindLink("a0")!.Index;

        node.Netlink.SetLink(index, new LinkChange
        {
            Name = "b0",
            Mtu = 1300,
            Mac = HostMac,
            Master = bridge,
            Alias = "an alias",
            Group = 9,
            NoArp = true,
            Up = true,
            GsoMaxSize = 30000,
            GroMaxSize = 31000,
            GsoIPv4MaxSize = 32000,
            GroIPv4MaxSize = 33000,
            AddressGeneration = AddressGenerationMode.None,
        });
        Link link = node.Netlink.FindLink(index)!;
        Assert.Equal(("b0", 1300, HostMac, bridge, "an alias", 9u),
            (link.Name, link.Mtu, link.Mac!.Value, link.Master, link.Alias, link.Group));
        Assert.Equal((30000u, 31000u, 32000u, 33000u),
            (link.GsoMaxSize, link.GroMaxSize, link.GsoIPv4MaxSize, link.GroIPv4MaxSize));
        Assert.True(link.IsUp && link.Flags.HasFlag(LinkFlags.NoArp));
        node.Netlink.SetLink(node.Netlink.FindLink("a1")!.Index, new LinkChange { Up = true });
        Assert.DoesNotContain(node.Netlink.ListAddresses(index), a => a.Address.IsV6);

        node.Netlink.SetLink(index, new LinkChange { Master = 0, Up = false });
        link = node.Netlink.FindLink("b0")!;
        Assert.Equal((0, false), (link.Master, link.IsUp));
    }

    [Fact]
    public void Link_that_is_not_there_is_null()
    {
        using var node = new TestNamespace();
        Assert.Null(node.Netlink.FindLink("nothing"));
        Assert.Null(node.Netlink.FindLink(4711));
        Assert.Equal(["lo"], node.Netlink.ListLinks().Where(l => l.Flags.HasFlag(LinkFlags.Loopback)).Select(l => l.Name));
    }

    [Fact]
    public void Failure_names_operation_object_and_the_kernels_reason()
    {
        using var node = new TestNamespace();
        var exception = Assert.Throws<NetlinkException>(
            () => node.Netlink.ReplaceRoute(
                new Route(IpPrefix.Parse("10.1.0.0/16")) { Device = node.Loopback, Gateway = IpAddress.Parse("10.0.0.1") }));
        Assert.Contains("set route 10.1.0.0/16 via 10.0.0.1", exception.Message);
        Assert.Equal(Errno.ENETUNREACH, exception.Errno);
        Assert.NotNull(exception.KernelMessage);
        Assert.Contains(exception.KernelMessage, exception.Message);

        node.Netlink.AddLink(new LinkSpec("a0") { Kind = new VethKind(new LinkSpec("a1")) });
        exception = Assert.Throws<NetlinkException>(
            () => node.Netlink.AddLink(new LinkSpec("a0") { Kind = new VethKind(new LinkSpec("a2")) }));
        Assert.Equal(Errno.EEXIST, exception.Errno);
    }

    [Fact]
    public void Clsact_is_added_once_and_removed_once()
    {
        using var node = new TestNamespace();
        Assert.True(node.Netlink.AddClsact(node.Loopback));
        Assert.False(node.Netlink.AddClsact(node.Loopback));
        Assert.Contains(node.Netlink.ListQdiscs(node.Loopback), q => q.Kind == "clsact");
        Assert.True(node.Netlink.DeleteClsact(node.Loopback));
        Assert.False(node.Netlink.DeleteClsact(node.Loopback));
    }

    [Fact]
    public void Sysctl_is_written_in_the_namespace_only()
    {
        using var node = new TestNamespace();
        string before = Sysctl.Read("net/ipv4/conf/lo/rp_filter")!;
        string other = before == "2" ? "1" : "2";
        Assert.Equal(["net/ipv4/conf/lo/rp_filter"], Sysctl.WriteAll(node.Namespace, [("net/ipv4/conf/lo/rp_filter", other)]));
        Assert.Empty(Sysctl.WriteAll(node.Namespace, [("net/ipv4/conf/lo/rp_filter", other)]));
        Assert.Equal(before, Sysctl.Read("net/ipv4/conf/lo/rp_filter"));
        Assert.Throws<IOException>(() => Sysctl.WriteAll(node.Namespace, [("net/ipv4/conf/nothing/rp_filter", "1")]));
    }

    [Fact]
    public void Deleted_namespace_leaves_no_file()
    {
        string name;
        using (var node = new TestNamespace())
            name = node.Name;
        Assert.False(File.Exists($"/run/netns/{name}"));
        Assert.False(NetworkNamespace.Delete("/run/netns", name));
    }
}
