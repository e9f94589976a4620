// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using static Axoneme.LoadBalancing.Tests.Objects;

namespace Axoneme.LoadBalancing.Tests;

public sealed class ServiceCatalogTests
{
    private readonly Recorder _catalog = new(new CatalogOptions { NodeName = "one", EnableIPv6 = true });

    private static L4Address Tcp(string address, ushort port) => new(IpAddress.Parse(address), port, L4Protocol.Tcp);

    private static string Describe(Frontend frontend)
        => $"{frontend.Address} {frontend.Inside.UsableCount} of {string.Join(' ', frontend.Inside.Backends.Select(b => $"{b.Address.Address}:{b.State}"))}";

    [Fact]
    public void Backends_of_all_slices_are_in_one_order_and_each_is_there_once()
    {
        _catalog.Upsert(Service("web", "10.96.0.1", Port(80)));
        _catalog.Upsert(Slice("web", "b", 8080, Endpoint("10.0.0.2"), Endpoint("10.0.0.1", ready: false, serving: true, terminating: true)));
        CatalogChange change = _catalog.Upsert(Slice("web", "a", 8080, Endpoint("10.0.0.3"), Endpoint("10.0.0.1"), Endpoint("10.0.0.9", ready: false)));
        Frontend frontend = Assert.Single(change.Upserts);
        Assert.Equal("10.96.0.1:80/TCP 3 of 10.0.0.1:Active 10.0.0.2:Active 10.0.0.3:Active 10.0.0.9:Maintenance", Describe(frontend));
        Assert.All(frontend.Inside.Backends, b => Assert.Equal(8080, b.Address.Port));
        Assert.True(_catalog.Upsert(Slice("web", "a", 8080, Endpoint("10.0.0.1"), Endpoint("10.0.0.9", ready: false), Endpoint("10.0.0.3"))).IsEmpty);
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
        Assert.Equal(["spec.ports: 10.96.0.1:80/TCP belongs to service shop/z, which is older"], _catalog.ProblemsOf(newer));
        Assert.Empty(_catalog.ProblemsOf(older));
        Assert.Equal(newer.ResourceName, Assert.Single(change.Problems).About.Name);
        Frontend taken = Assert.Single(_catalog.DeleteService(older.ResourceName).Upserts);
        Assert.Equal("a", taken.Service.Name);
        Assert.Empty(_catalog.ProblemsOf(newer));
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
            _catalog.ProblemsOf(service));
    }

    [Fact]
    public void Health_checks_of_a_load_balancer_lead_to_the_node_where_that_is_wanted()
    {
        Service service = Service("web", "10.96.0.1", Port(80));
        service = service with
        {
            Spec = service.Spec with { Type = "LoadBalancer", ExternalTrafficPolicy = "Local", HealthCheckNodePort = 31000 },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "203.0.113.1" }] } },
        };
        _catalog.SetNode(["172.30.0.11", "fd00:30::11"]);
        _catalog.Upsert(service);
        Assert.Null(_catalog.Find(Tcp("203.0.113.1", 31000)));
        var other = new Recorder(new CatalogOptions { NodeName = "one", EnableIPv6 = true, HealthChecksOnLoadBalancers = true });
        other.Upsert(service);
        Assert.Null(other.Find(Tcp("203.0.113.1", 31000)));
        other.SetNode(["172.30.0.11", "fd00:30::11"]);
        Frontend frontend = other.Find(Tcp("203.0.113.1", 31000))!;
        Assert.Equal("203.0.113.1:31000/TCP 1 of 172.30.0.11:Active", Describe(frontend));
        Assert.Equal((31000, "web-healthCheck", 0), (frontend.Outside.Backends[0].Address.Port, frontend.Service.Name, frontend.HealthCheckNodePort));
        Assert.Equal(31000, other.Find(Tcp("203.0.113.1", 80))!.HealthCheckNodePort);
        other.Upsert(service with { Spec = service.Spec with { ExternalTrafficPolicy = "Cluster" } });
        Assert.Null(other.Find(Tcp("203.0.113.1", 31000)));
    }

    [Theory]
    [InlineData("Cluster", "Cluster", "all", "all", "all")]
    [InlineData("Local", "Cluster", "local", "all", "all")]
    [InlineData("Cluster", "Local", "all", "local", "local")]
    [InlineData("Local", "Local", "local", "local", "local")]
    public void Traffic_policies_decide_for_outside_and_inside(string outer, string inner, string outside, string inside, string clusterIP)
    {
        _catalog.SetNode(["172.30.0.11", "fd00:30::11"]);
        _catalog.Upsert(Slice("web", "a", 8080, Endpoint("10.0.0.1", "one"), Endpoint("10.0.0.2", "two")));
        Service service = Service("web", "10.96.0.1", Port(80, nodePort: 30080));
        _catalog.Upsert(service with
        {
            Spec = service.Spec with
            {
                Type = "LoadBalancer",
                ExternalTrafficPolicy = outer,
                InternalTrafficPolicy = inner,
                IpFamilies = ["IPv4"],
                ExternalIPs = ["198.51.100.7"],
            },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "203.0.113.1" }] } },
        });
        Assert.Equal(5, _catalog.Count);
        foreach ((string address, ushort port) in new (string, ushort)[] { ("172.30.0.11", 30080), ("198.51.100.7", 80), ("203.0.113.1", 80) })
        {
            Frontend frontend = _catalog.Find(Tcp(address, port))!;
            Assert.Equal((outside, inside), (Reach(frontend.Outside), Reach(frontend.Inside)));
            Assert.Equal(outside == inside, ReferenceEquals(frontend.Outside, frontend.Inside));
        }

        Frontend cluster = _catalog.Find(Tcp("10.96.0.1", 80))!;
        Assert.Equal((clusterIP, clusterIP), (Reach(cluster.Outside), Reach(cluster.Inside)));
        // Sockets alone ask for the surrogate.
        Frontend surrogate = _catalog.Find(Tcp("0.0.0.0", 30080))!;
        Assert.Equal((FrontendType.NodePort, inside, inside), (surrogate.Type, Reach(surrogate.Outside), Reach(surrogate.Inside)));
        Assert.Equal(30080, Assert.Single(_catalog.SetNode([]).Deletes).Address.Port);
    }

    private static string Reach(BackendSet set) => string.Join(' ', set.Backends.Select(b => b.Address.Address)) switch
    {
        "10.0.0.1" => "local",
        "10.0.0.1 10.0.0.2" => "all",
        string other => other,
    };

    [Fact]
    public void More_endpoints_than_a_service_has_slots_are_cut_off_and_reported()
    {
        Service service = Service("web", "10.96.0.1", Port(80));
        _catalog.Upsert(service);
        CatalogChange change = _catalog.Upsert(Slice("web", "a", 8080, Enumerable.Range(0, 65_540).Select(i => Endpoint($"10.{i >> 16}.{(i >> 8) & 255}.{i & 255}"))));
        Assert.Equal(65_535, Assert.Single(change.Upserts).Inside.UsableCount);
        Assert.Equal(["port '': 65540 endpoints, of which 65535 are used"], _catalog.ProblemsOf(service));
        Assert.Empty(Assert.Single(_catalog.Upsert(Slice("web", "a", 8080, Endpoint("10.0.0.1"))).Problems).Texts);
    }

    [Theory]
    [InlineData("None", null)]
    [InlineData("", "ExternalName")]
    public void Services_for_DNS_alone_have_no_frontends(string clusterIP, string? type)
    {
        Service service = Service("web", clusterIP, Port(80));
        Assert.True(_catalog.Upsert(service with { Spec = service.Spec with { Type = type } }).IsEmpty);
        Assert.Empty(_catalog.ProblemsOf(service));
    }
}
