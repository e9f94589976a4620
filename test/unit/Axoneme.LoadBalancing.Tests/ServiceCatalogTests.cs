// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using static Axoneme.LoadBalancing.Tests.Objects;

namespace Axoneme.LoadBalancing.Tests;

public sealed class ServiceCatalogTests
{
    private readonly ServiceCatalog _catalog = new("one");

    private static L4Address Tcp(string address, ushort port) => new(IpAddress.Parse(address), port, L4Protocol.Tcp);

    private static string Describe(Frontend frontend)
        => $"{frontend.Address} {frontend.UsableCount} of {string.Join(' ', frontend.Backends.Select(b => $"{b.Address.Address}:{b.State}"))}";

    [Fact]
    public void Backends_of_all_slices_are_in_one_order_and_each_is_there_once()
    {
        _catalog.Upsert(Service("web", "10.96.0.1", Port(80)));
        _catalog.Upsert(Slice("web", "b", 8080, Endpoint("10.0.0.2"), Endpoint("10.0.0.1", ready: false, serving: true, terminating: true)));
        CatalogChange change = _catalog.Upsert(Slice("web", "a", 8080, Endpoint("10.0.0.3"), Endpoint("10.0.0.1"), Endpoint("10.0.0.9", ready: false)));
        Frontend frontend = Assert.Single(change.Upserts);
        Assert.Equal("10.96.0.1:80/TCP 3 of 10.0.0.1:Active 10.0.0.2:Active 10.0.0.3:Active", Describe(frontend));
        Assert.All(frontend.Backends, b => Assert.Equal(8080, b.Address.Port));
        Assert.True(_catalog.Upsert(Slice("web", "a", 8080, Endpoint("10.0.0.1"), Endpoint("10.0.0.3"))).IsEmpty);
    }

    [Fact]
    public void Terminating_endpoints_serve_only_when_no_other_is_ready()
    {
        _catalog.Upsert(Service("web", "10.96.0.1", Port(80)));
        SliceEndpoint serving = Endpoint("10.0.0.1", ready: false, serving: true, terminating: true);
        SliceEndpoint gone = Endpoint("10.0.0.2", ready: false, serving: false, terminating: true);
        CatalogChange with = _catalog.Upsert(Slice("web", "a", 8080, serving, gone, Endpoint("10.0.0.3")));
        Assert.Equal("10.96.0.1:80/TCP 1 of 10.0.0.3:Active 10.0.0.1:Terminating 10.0.0.2:Terminating", Describe(with.Upserts[0]));
        CatalogChange without = _catalog.Upsert(Slice("web", "a", 8080, serving, gone));
        Assert.Equal("10.96.0.1:80/TCP 1 of 10.0.0.1:Terminating 10.0.0.2:Terminating", Describe(without.Upserts[0]));
    }

    [Fact]
    public void A_change_of_one_service_leaves_another_with_the_same_backend_alone()
    {
        _catalog.Upsert(Service("a", "10.96.0.1", Port(80)));
        _catalog.Upsert(Service("b", "10.96.0.2", Port(80)));
        _catalog.Upsert(Slice("a", "x", 8080, Endpoint("10.0.0.1")));
        _catalog.Upsert(Slice("b", "x", 8080, Endpoint("10.0.0.1")));
        CatalogChange one = _catalog.DeleteService(new ResourceName("shop", "a"));
        Assert.Equal((0, 1), (one.Upserts.Length, one.Deletes.Length));
        Assert.Equal("10.96.0.2:80/TCP 1 of 10.0.0.1:Active", Describe(_catalog.Find(Tcp("10.96.0.2", 80))!));
        CatalogChange two = _catalog.DeleteSlice(new ResourceName("shop", "b-x"));
        Assert.Equal("10.96.0.2:80/TCP 0 of ", Describe(two.Upserts[0]));
    }

    [Fact]
    public void Address_of_an_older_service_is_not_taken_away()
    {
        Service older = Service("z", "10.96.0.1", Port(80));
        Service newer = Service("a", "10.96.0.1", Port(80), Port(81, "other"));
        newer = newer with { Metadata = newer.Metadata with { CreationTimestamp = DateTimeOffset.UnixEpoch.AddHours(1) } };
        _catalog.Upsert(newer);
        CatalogChange change = _catalog.Upsert(older);
        Assert.Equal("z", Assert.Single(change.Upserts).Service.Name);
        Assert.Equal(["spec.ports: 10.96.0.1:80/TCP belongs to service shop/z, which is older"], _catalog.ProblemsOf(newer.ResourceName));
        Assert.Empty(_catalog.ProblemsOf(older.ResourceName));
        Assert.Equal([newer.ResourceName, older.ResourceName], change.Concerned);
        Frontend taken = Assert.Single(_catalog.DeleteService(older.ResourceName).Upserts);
        Assert.Equal("a", taken.Service.Name);
        Assert.Empty(_catalog.ProblemsOf(newer.ResourceName));
    }

    [Fact]
    public void What_is_wrong_is_named_and_harms_nothing_else()
    {
        Service service = Service("web", "10.96.0.1", Port(80), Port(0, "zero"), Port(70000, "big"), Port(81, "odd", "ICMP"), Port(80, "twice"));
        CatalogChange change = _catalog.Upsert(service with
        {
            Spec = service.Spec with { SessionAffinity = "Cookie", LoadBalancerSourceRanges = ["10.0.0.0"], ExternalIPs = ["nonsense"] },
        });
        Assert.Equal("10.96.0.1:80/TCP", Assert.Single(change.Upserts).Address.ToString());
        EndpointSlice slice = Slice("web", "a", 99999, Endpoint("10.0.0.1"));
        _catalog.Upsert(slice);
        Assert.Equal(
            [
                "spec.externalIPs[0]: 'nonsense' is not an IP address",
                "spec.ports[1].port: 0 is not in the range 1 to 65535",
                "spec.ports[2].port: 70000 is not in the range 1 to 65535",
                "spec.ports[3].protocol: 'ICMP' is not one of TCP, UDP, SCTP",
                "spec.ports[4]: 10.96.0.1:80/TCP is given twice",
                "spec.sessionAffinity: 'Cookie' is not one of None, ClientIP",
                "spec.loadBalancerSourceRanges[0]: '10.0.0.0' is not an address block",
                "endpoint slice web-a: ports[0].port: 99999 is not in the range 1 to 65535",
            ],
            _catalog.ProblemsOf(service.ResourceName));
    }

    [Theory]
    [InlineData("Local", "Cluster", "10.0.0.1", "10.0.0.1 10.0.0.2")]
    [InlineData("Cluster", "Local", "10.0.0.1 10.0.0.2", "10.0.0.1")]
    public void Local_traffic_policy_keeps_to_this_node(string inner, string outer, string clusterIP, string nodePort)
    {
        _catalog.SetNodeAddresses([IpAddress.Parse("172.30.0.11"), IpAddress.Parse("fd00:30::11")]);
        _catalog.Upsert(Slice("web", "a", 8080, Endpoint("10.0.0.1", "one"), Endpoint("10.0.0.2", "two")));
        Service service = Service("web", "10.96.0.1", Port(80, nodePort: 30080));
        _catalog.Upsert(service with
        {
            Spec = service.Spec with { Type = "NodePort", InternalTrafficPolicy = inner, ExternalTrafficPolicy = outer, IpFamilies = ["IPv4"] },
        });
        Assert.Equal(2, _catalog.Frontends.Count);
        Assert.Equal(clusterIP, string.Join(' ', _catalog.Find(Tcp("10.96.0.1", 80))!.Backends.Select(b => b.Address.Address)));
        Assert.Equal(nodePort, string.Join(' ', _catalog.Find(Tcp("172.30.0.11", 30080))!.Backends.Select(b => b.Address.Address)));
        Assert.Single(_catalog.SetNodeAddresses([]).Deletes);
    }

    [Theory]
    [InlineData("None", null)]
    [InlineData("", "ExternalName")]
    public void Services_for_DNS_alone_have_no_frontends(string clusterIP, string? type)
    {
        Service service = Service("web", clusterIP, Port(80));
        Assert.True(_catalog.Upsert(service with { Spec = service.Spec with { Type = type } }).IsEmpty);
        Assert.Empty(_catalog.ProblemsOf(service.ResourceName));
    }
}
