// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Ipam.Tests;

public sealed class NodeIpamTests
{
    private static readonly IpPrefix V4 = IpPrefix.Parse("10.244.1.0/29");
    private static readonly IpPrefix V6 = IpPrefix.Parse("fd00:244:1::/64");

    private static NodeIpam DualStack() => new([V6, V4], enableV4: true, enableV6: true);

    [Fact]
    public void Addresses_come_in_order_without_the_first_and_the_last()
    {
        var pool = new AddressPool(V4);
        string[] all = [.. Enumerable.Range(0, 6).Select(i => pool.AllocateNext($"pod-{i}").ToString())];
        Assert.Equal(["10.244.1.1", "10.244.1.2", "10.244.1.3", "10.244.1.4", "10.244.1.5", "10.244.1.6"], all);
        var error = Assert.Throws<AddressUnavailableException>(() => pool.AllocateNext("late"));
        Assert.Equal("No address is left in 10.244.1.0/29: all 6 are in use.", error.Message);
    }

    [Fact]
    public void Released_addresses_come_back_last_and_in_the_order_of_their_release()
    {
        var pool = new AddressPool(V4);
        IpAddress[] taken = [.. Enumerable.Range(0, 4).Select(i => pool.AllocateNext($"pod-{i}"))];
        Assert.True(pool.Release(taken[2], out string? owner));
        Assert.Equal("pod-2", owner);
        Assert.True(pool.Release(taken[0], out _));
        Assert.False(pool.Release(taken[0], out _));
        Assert.Equal(
            ["10.244.1.5", "10.244.1.6", "10.244.1.3", "10.244.1.1"],
            Enumerable.Range(0, 4).Select(i => pool.AllocateNext($"next-{i}").ToString()));
    }

    [Fact]
    public void Restored_address_is_not_handed_out_again()
    {
        NodeIpam ipam = DualStack();
        ipam.Reserve(IpAddress.Parse("10.244.1.1"), "router");
        ipam.Reserve(IpAddress.Parse("10.244.1.1"), "router");
        ipam.Reserve(IpAddress.Parse("fd00:244:1::2"), "default/a");
        PodAddresses first = ipam.Allocate("default/b");
        PodAddresses second = ipam.Allocate("default/c");
        Assert.Equal(("10.244.1.2", "fd00:244:1::1"), (first.V4.ToString(), first.V6.ToString()));
        Assert.Equal("fd00:244:1::3", second.V6.ToString());
        Assert.Equal(
            ["10.244.1.1 router", "10.244.1.2 default/b", "10.244.1.3 default/c", "fd00:244:1::1 default/b", "fd00:244:1::2 default/a", "fd00:244:1::3 default/c"],
            ipam.Owners().Select(o => $"{o.Key} {o.Value}"));
    }

    [Theory]
    [InlineData("10.244.1.0", "10.244.1.0 is not an address that 10.244.1.0/29 hands out.")]
    [InlineData("10.244.1.7", "10.244.1.7 is not an address that 10.244.1.0/29 hands out.")]
    [InlineData("10.244.2.1", "10.244.2.1 is not an address that 10.244.1.0/29 hands out.")]
    [InlineData("10.244.1.1", "10.244.1.1 of 10.244.1.0/29 is in use by router.")]
    public void Address_that_cannot_be_reserved_says_why(string address, string message)
    {
        NodeIpam ipam = DualStack();
        ipam.Reserve(IpAddress.Parse("10.244.1.1"), "router");
        Assert.Equal(message, Assert.Throws<AddressUnavailableException>(() => ipam.Reserve(IpAddress.Parse(address), "pod")).Message);
    }

    [Fact]
    public void Failed_second_family_gives_the_first_one_back()
    {
        var ipam = new NodeIpam([IpPrefix.Parse("10.244.1.0/24"), IpPrefix.Parse("fd00::/126")], enableV4: true, enableV6: true);
        ipam.Allocate("a");
        ipam.Allocate("b");
        Assert.Throws<AddressUnavailableException>(() => ipam.Allocate("c"));
        Assert.Equal(4, ipam.Owners().Count);
    }

    [Theory]
    [InlineData(new[] { "10.0.0.0/24" }, "The node has no IPv6 pod CIDR.")]
    [InlineData(new[] { "10.0.0.0/24", "10.0.1.0/24", "fd00::/64" }, "The node has several IPv4 pod CIDRs: 10.0.0.0/24, 10.0.1.0/24.")]
    [InlineData(new[] { "10.0.0.0/31", "fd00::/64" }, "10.0.0.0/31 is too small for a pool")]
    public void Unusable_blocks_of_the_node_are_named(string[] blocks, string message)
    {
        var error = Assert.Throws<ArgumentException>(() => new NodeIpam(blocks.Select(IpPrefix.Parse), enableV4: true, enableV6: true));
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_use_never_gives_an_address_to_two_owners()
    {
        var random = new Random(1);
        var pool = new AddressPool(IpPrefix.Parse("10.0.0.0/27"));
        var model = new Dictionary<IpAddress, string>();
        for (int i = 0; i < 20_000; i++)
        {
            if (random.Next(2) == 0 && model.Count < 30)
            {
                Assert.True(model.TryAdd(pool.AllocateNext($"p{i}"), $"p{i}"));
            }
            else if (model.Count > 0)
            {
                IpAddress address = model.Keys.ElementAt(random.Next(model.Count));
                Assert.True(pool.Release(address, out string? owner));
                Assert.True(model.Remove(address, out string? expected));
                Assert.Equal(expected, owner);
            }

            if (i % 500 == 0)
                Assert.Equal(model.OrderBy(m => m.Key), pool.Owners.OrderBy(m => m.Key));
        }
    }
}
