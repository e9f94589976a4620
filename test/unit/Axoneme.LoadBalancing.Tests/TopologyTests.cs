// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using static Axoneme.LoadBalancing.Tests.Objects;

namespace Axoneme.LoadBalancing.Tests;

public sealed class TopologyTests
{
    private static SliceEndpoint Hinted(string address, string? zone, string? node = null, bool ready = true)
        => Endpoint(address, "two", ready, serving: true, terminating: !ready) with
        {
            Hints = new SliceEndpointHints
            {
                ForZones = zone is null ? null : [new SliceZoneHint { Name = zone }],
                ForNodes = node is null ? null : [new SliceNodeHint { Name = node }],
            },
        };

    private static string Reach(CatalogOptions options, params IEnumerable<SliceEndpoint> endpoints)
    {
        var catalog = new Recorder(options);
        catalog.SetNode([], labels: [new("topology.kubernetes.io/zone", "here")]);
        catalog.Upsert(Service("web", "10.96.0.1", Port(80)));
        catalog.Upsert(Slice("web", "a", 8080, endpoints));
        BackendSet set = Assert.Single(catalog.Catalog.Frontends).Inside;
        return $"{set.UsableCount} of {string.Join(' ', set.Backends.Select(b => b.Address.Address))}";
    }

    private static CatalogOptions On { get; } = new() { NodeName = "one", ServiceTopology = true };

    [Fact]
    public void Hints_for_the_zone_are_followed_when_every_ready_endpoint_has_one()
    {
        SliceEndpoint[] all = [Hinted("10.0.0.1", "here"), Hinted("10.0.0.2", "there"), Hinted("10.0.0.3", null, ready: false)];
        Assert.Equal("1 of 10.0.0.1 10.0.0.3", Reach(On, all));
        Assert.Equal("2 of 10.0.0.1 10.0.0.2 10.0.0.3", Reach(On with { ServiceTopology = false }, all));
        Assert.Equal("3 of 10.0.0.1 10.0.0.2 10.0.0.4", Reach(On, [.. all[..2], Endpoint("10.0.0.4", "two")]));
    }

    [Fact]
    public void All_endpoints_serve_a_zone_that_no_hint_names()
        => Assert.Equal("2 of 10.0.0.1 10.0.0.2", Reach(On, Hinted("10.0.0.1", "there"), Hinted("10.0.0.2", "elsewhere")));

    [Fact]
    public void Hints_for_the_node_go_before_those_for_the_zone()
    {
        Assert.Equal("1 of 10.0.0.2", Reach(On, Hinted("10.0.0.1", "here", "two"), Hinted("10.0.0.2", "here", "one")));
        Assert.Equal("1 of 10.0.0.1", Reach(On, Hinted("10.0.0.1", "here", "two"), Hinted("10.0.0.2", "there", "three")));
    }

    [Fact]
    public void Zone_of_the_node_may_change()
    {
        var catalog = new Recorder(On);
        catalog.Upsert(Service("web", "10.96.0.1", Port(80)));
        catalog.Upsert(Slice("web", "a", 8080, Hinted("10.0.0.1", "here"), Hinted("10.0.0.2", "there")));
        Assert.Equal(2, Assert.Single(catalog.Catalog.Frontends).Inside.UsableCount);
        CatalogChange change = catalog.SetNode([], labels: [new("topology.kubernetes.io/zone", "there")]);
        Assert.Equal(IpAddress.Parse("10.0.0.2"), Assert.Single(Assert.Single(change.Upserts).Inside.Backends).Address.Address);
    }
}
