// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Services;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Agent.Tests;

public sealed class NodePortAddressTests
{
    private static LinkAddress On(int device, string address, AddressFlags flags = AddressFlags.Permanent, RouteScope scope = RouteScope.Universe)
        => new(device, IpAddress.Parse(address), 24) { Flags = flags, Scope = scope };

    private static string Choose(string prefixes, params IReadOnlyCollection<LinkAddress> addresses) => string.Join(' ', NodePortAddresses.Choose(
        addresses, new HashSet<int> { 2, 3 }, [IpAddress.Parse("198.51.100.11")], [.. prefixes.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(IpPrefix.Parse)]));

    [Fact]
    public void One_address_of_each_device_and_family_is_chosen()
    {
        Assert.Equal("10.0.0.2 198.51.100.11 2001:db8::5", Choose(
            "",
            On(1, "127.0.0.1"),
            On(2, "203.0.113.2"),
            On(2, "10.0.0.2"),
            On(2, "10.0.0.3"),
            On(2, "fe80::1", scope: RouteScope.Link),
            On(2, "2001:db8::4", AddressFlags.Secondary),
            On(2, "2001:db8::5"),
            On(3, "10.0.1.2"),
            On(3, "198.51.100.11"),
            On(4, "192.168.7.7")));
    }

    [Fact]
    public void Prefixes_choose_among_the_addresses_of_the_devices()
        => Assert.Equal("10.0.0.2 10.0.0.3 2001:db8::5", Choose(
            "10.0.0.0/8 2001:db8::/32", On(2, "203.0.113.2"), On(2, "10.0.0.3"), On(2, "10.0.0.2", AddressFlags.Secondary), On(3, "2001:db8::5"), On(4, "10.9.9.9")));

    [Fact]
    public void Address_that_may_not_be_used_yet_is_left_out()
        => Assert.Equal("", Choose("", On(2, "2001:db8::5", AddressFlags.Tentative), On(3, "2001:db8::6", AddressFlags.DadFailed)));
}
