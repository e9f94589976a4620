// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.HostPolicy;
using Axoneme.Agent.Nodes;
using Axoneme.Netlink;
using Axoneme.Network;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

/// <summary>Which addresses and devices the node's policy is about, as they come and go.</summary>
public sealed class UplinkTests
{
    private static readonly LocalNode Node = new()
    {
        Name = "one",
        IPv4 = IpAddress.Parse("172.30.0.11"),
        IPv6 = IpAddress.Parse("fd00:30::11"),
        IPv4PodRange = IpPrefix.Parse("10.244.1.0/24"),
        IPv6PodRange = IpPrefix.Parse("fd00:244:1::/64"),
    };

    private readonly Ipcache.Ipcache _ipcache = new();
    private readonly EndpointTables _tables;
    private readonly UplinkFollower _follower;

    public UplinkTests()
    {
        _tables = new EndpointTables(_ipcache);
        _follower = new UplinkFollower(["eth0"], Node, _tables, NullLogger<UplinkFollower>.Instance);
    }

    private void Take(params (string Device, string Address)[] addresses)
    {
        string[] names = [.. addresses.Select(a => a.Device).Append("eth0").Distinct()];
        _follower.Take(
            [.. names.Select((name, i) => new Link(i, name) { Flags = name == "lo" ? LinkFlags.Loopback : 0 })],
            [.. addresses.Select(a => new LinkAddress(Array.IndexOf(names, a.Device), IpAddress.Parse(a.Address), 24))]);
    }

    private bool IsOfNode(string address)
    {
        var parsed = IpAddress.Parse(address);
        bool isInMap = _tables.Addresses.Snapshot().Find(parsed) is { IsHost: true };
        Assert.Equal(isInMap, _ipcache.Find(parsed)?.Identity == SecurityIdentity.Host);
        return isInMap;
    }

    [Fact]
    public void Addresses_that_an_uplink_gets_and_loses_later_begin_and_cease_to_be_the_nodes()
    {
        Take(("eth0", "172.30.0.11"));
        Assert.False(IsOfNode("172.30.0.99"));
        Take(("eth0", "172.30.0.11"), ("eth0", "172.30.0.99"), ("eth0", "fe80::1"));
        Assert.True(IsOfNode("172.30.0.99"));
        Assert.False(IsOfNode("fe80::1"));
        Take(("eth0", "172.30.0.11"));
        Assert.False(IsOfNode("172.30.0.99"));
        // What the cluster knows the node by stays even while its device is without.
        Take();
        Assert.True(IsOfNode("172.30.0.11"));
        Assert.True(IsOfNode("fd00:30::11"));
    }

    [Fact]
    public void Devices_that_are_not_judged_are_named_as_long_as_they_have_addresses()
    {
        Take(("eth0", "172.30.0.11"), ("lo", "192.0.2.1"), ("cilium_host", "10.244.1.1"), ("lxc12", "192.0.2.2"), ("eth2", "fe80::2"));
        Assert.Null(_follower.Warning);
        Take(("eth0", "172.30.0.11"), ("eth1", "192.0.2.3"), ("wg0", "192.0.2.4"));
        Assert.Equal("not judged: eth1, wg0 (not among the devices at the start of the agent)", _follower.Warning);
        Assert.False(IsOfNode("192.0.2.3"));
        Take(("eth0", "172.30.0.11"));
        Assert.Null(_follower.Warning);
    }
}
