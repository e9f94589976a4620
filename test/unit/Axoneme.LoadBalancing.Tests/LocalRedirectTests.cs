// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using static Axoneme.LoadBalancing.Tests.Objects;

namespace Axoneme.LoadBalancing.Tests;

public sealed class LocalRedirectTests
{
    private static readonly ResourceName PolicyName = new("shop", "dns");
    private readonly Recorder _catalog = new(new CatalogOptions { NodeName = "one", LocalRedirectPolicies = true });

    private static readonly RedirectPort Udp = new() { Port = "53", Protocol = "UDP", Name = "dns" };
    private static readonly RedirectPort Tcp = new() { Port = "53", Protocol = "TCP", Name = "dns-tcp" };

    private static CiliumLocalRedirectPolicy Policy(RedirectFrontend frontend, params IReadOnlyList<RedirectPort> backend) => new()
    {
        Metadata = new ObjectMeta { Namespace = "shop", Name = "dns", Uid = "1", CreationTimestamp = DateTimeOffset.UnixEpoch },
        Spec = new CiliumLocalRedirectPolicySpec
        {
            RedirectFrontend = frontend,
            RedirectBackend = new RedirectBackend
            {
                LocalEndpointSelector = new LabelSelector { MatchLabels = new Dictionary<string, string> { ["app"] = "dns" } },
                ToPorts = backend,
            },
        },
    };

    private static RedirectFrontend ByService(params IReadOnlyList<RedirectPort> ports)
        => new() { ServiceMatcher = new RedirectService { ServiceName = "kube-dns", Namespace = "shop", ToPorts = ports } };

    private static RedirectFrontend ByAddress(string address, params IReadOnlyList<RedirectPort> ports)
        => new() { AddressMatcher = new RedirectAddress { Ip = address, ToPorts = ports } };

    private static LocalPod Pod(string name, string address, bool ready = true) => new()
    {
        Name = new ResourceName("shop", name),
        Labels = new Dictionary<string, string> { ["app"] = "dns" },
        Addresses = [IpAddress.Parse(address)],
        IsReady = ready,
    };

    private void AddKubeDns()
    {
        _catalog.Upsert(Service("kube-dns", "10.96.0.10", Port(53, "dns", "UDP"), Port(53, "dns-tcp"), Port(9153, "metrics")));
        EndpointSlice slice = Slice("kube-dns", "x", 0, Endpoint("10.0.0.1", "two"));
        _catalog.Upsert(slice with
        {
            Ports =
            [
                new SlicePort { Name = "dns", Port = 5300, Protocol = "UDP" }, new SlicePort { Name = "dns-tcp", Port = 5300, Protocol = "TCP" },
                new SlicePort { Name = "metrics", Port = 9153, Protocol = "TCP" },
            ],
        });
    }

    private string All() => string.Join('\n', _catalog.Catalog.Frontends.OrderBy(f => f.Address)
        .Select(f => $"{f.Address} {f.Type} {f.Service.Name} {f.Inside.UsableCount} of {string.Join(' ', f.Inside.Backends.Select(b => b.Address))}"));

    private string[] Problems() => [.. _catalog.Catalog.ProblemsOf(new CatalogObject(CatalogObjectKind.LocalRedirectPolicy, PolicyName))];

    [Fact]
    public void Service_goes_to_pods_of_this_node_while_there_are_any()
    {
        AddKubeDns();
        string before = All();
        _catalog.Upsert(Policy(ByService(), Udp, Tcp));
        Assert.Equal(before, All());
        _catalog.Upsert(Pod("cache", "10.0.1.1"));
        _catalog.Upsert(Pod("cold", "10.0.1.2", ready: false));
        Assert.Equal(
            """
            10.96.0.10:53/TCP LocalRedirect kube-dns 1 of 10.0.1.1:53/TCP 10.0.1.2:53/TCP
            10.96.0.10:53/UDP LocalRedirect kube-dns 1 of 10.0.1.1:53/UDP 10.0.1.2:53/UDP
            10.96.0.10:9153/TCP ClusterIP kube-dns 1 of 10.0.0.1:9153/TCP
            """, All());
        _catalog.Upsert(Pod("cache", "10.0.1.1", ready: false));
        Assert.Equal(before, All());
        Assert.Empty(Problems());
    }

    [Fact]
    public void Listed_ports_alone_are_redirected()
    {
        AddKubeDns();
        _catalog.Upsert(Policy(ByService(Udp), Udp with { Port = "5353" }));
        _catalog.Upsert(Pod("cache", "10.0.1.1"));
        Assert.Equal(
            """
            10.96.0.10:53/TCP ClusterIP kube-dns 1 of 10.0.0.1:5300/TCP
            10.96.0.10:53/UDP LocalRedirect kube-dns 1 of 10.0.1.1:5353/UDP
            10.96.0.10:9153/TCP ClusterIP kube-dns 1 of 10.0.0.1:9153/TCP
            """, All());
    }

    [Fact]
    public void Address_is_there_while_a_pod_is_and_belongs_to_a_service_that_has_it()
    {
        _catalog.Upsert(Policy(ByAddress("169.254.20.10", Udp), Udp));
        Assert.Equal("", All());
        _catalog.Upsert(Pod("cache", "10.0.1.1"));
        Assert.Equal("169.254.20.10:53/UDP LocalRedirect dns:local-redirect 1 of 10.0.1.1:53/UDP", All());
        _catalog.Upsert(Service("late", "169.254.20.10", Port(53, protocol: "UDP")) with
        {
            Metadata = new ObjectMeta { Namespace = "shop", Name = "late", CreationTimestamp = DateTimeOffset.UnixEpoch.AddYears(1) },
        });
        Assert.Equal("169.254.20.10:53/UDP ClusterIP late 0 of ", All());
        Assert.Equal(
            ["spec.redirectFrontend.addressMatcher: 169.254.20.10:53/UDP belongs to service shop/late, which comes first"], Problems());
    }

    [Fact]
    public void Pods_are_exempt_from_their_own_redirect_also_before_they_are_ready()
    {
        AddKubeDns();
        CiliumLocalRedirectPolicy policy = Policy(ByService(Udp), Udp);
        _catalog.Upsert(Pod("cold", "10.0.1.2", ready: false));
        Assert.Empty(_catalog.Upsert(policy with { Spec = policy.Spec with { SkipRedirectFromBackend = true } }).NewExemptions);
        CatalogChange change = _catalog.Upsert(Pod("cache", "10.0.1.1"));
        Assert.Equal(["cache 10.96.0.10:53/UDP", "cold 10.96.0.10:53/UDP"], change.NewExemptions.Select(e => $"{e.Pod.Name} {e.Frontend}").Order(StringComparer.Ordinal));
        CatalogChange end = _catalog.Do(c => c.DeleteRedirectPolicy(PolicyName));
        Assert.Equal(2, end.EndedExemptions.Length);
        Assert.Equal(FrontendType.ClusterIP, Assert.Single(end.Upserts).Type);
    }

    [Fact]
    public void Pod_that_has_the_address_itself_is_no_backend_of_it()
    {
        _catalog.Upsert(Policy(ByAddress("10.0.1.1", Udp), Udp));
        _catalog.Upsert(Pod("self", "10.0.1.1"));
        Assert.Equal("", All());
        Assert.Equal(["spec.redirectBackend: pod shop/self has the address 10.0.1.1:53/UDP itself"], Problems());
        _catalog.Upsert(Pod("other", "10.0.1.2"));
        Assert.Equal("10.0.1.1:53/UDP LocalRedirect dns:local-redirect 1 of 10.0.1.2:53/UDP", All());
    }

    [Fact]
    public void Older_policy_has_the_service()
    {
        AddKubeDns();
        CiliumLocalRedirectPolicy older = Policy(ByService(Udp), Udp with { Port = "1000" });
        _catalog.Upsert(Pod("cache", "10.0.1.1"));
        _catalog.Upsert(older with { Metadata = older.Metadata with { Name = "younger", CreationTimestamp = DateTimeOffset.UnixEpoch.AddDays(1) }, Spec = Policy(ByService(Udp), Udp with { Port = "2000" }).Spec });
        Assert.Contains("1 of 10.0.1.1:2000/UDP", All(), StringComparison.Ordinal);
        _catalog.Upsert(older);
        Assert.Contains("1 of 10.0.1.1:1000/UDP", All(), StringComparison.Ordinal);
        _catalog.Do(c => c.DeleteRedirectPolicy(PolicyName));
        Assert.Contains("1 of 10.0.1.1:2000/UDP", All(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_there_first_stays_in_force_when_a_policy_is_changed()
    {
        _catalog.Upsert(Pod("cache", "10.0.1.1"));
        CiliumLocalRedirectPolicy policy = Policy(ByAddress("169.254.20.10", Udp), Udp);
        _catalog.Upsert(policy);
        string before = All();
        _catalog.Upsert(policy with { Spec = Policy(ByAddress("169.254.20.11", Udp), Udp).Spec });
        Assert.Equal(before, All());
        Assert.Contains("cannot be changed", Assert.Single(Problems()), StringComparison.Ordinal);
        _catalog.Upsert(policy with { Metadata = policy.Metadata with { Labels = new Dictionary<string, string> { ["a"] = "b" } } });
        Assert.Empty(Problems());
        _catalog.Upsert(policy with { Metadata = policy.Metadata with { Uid = "2" }, Spec = Policy(ByAddress("169.254.20.11", Udp), Udp).Spec });
        Assert.StartsWith("169.254.20.11:53/UDP", All(), StringComparison.Ordinal);
    }

    [Fact]
    public void Invalid_policy_is_reported_and_redirects_nothing()
    {
        AddKubeDns();
        string before = All();
        _catalog.Upsert(Pod("cache", "10.0.1.1"));
        CiliumLocalRedirectPolicy policy = Policy(
            new RedirectFrontend
            {
                ServiceMatcher = new RedirectService { ServiceName = "kube-dns", Namespace = "kube-system" },
                AddressMatcher = new RedirectAddress { Ip = "127.0.0.1" },
            },
            Udp with { Port = "70000" },
            Udp with { Protocol = "SCTP" },
            Udp with { Name = null },
            Udp,
            Udp);
        _catalog.Upsert(policy);
        Assert.Equal(before, All());
        Assert.Equal(
            [
                "spec.redirectFrontend: exactly one of addressMatcher, serviceMatcher is needed",
                "spec.redirectFrontend.addressMatcher.ip: 127.0.0.1 is not an address that clients could use",
                "spec.redirectFrontend.serviceMatcher.namespace: 'kube-system' is not the policy's namespace 'shop'",
                "spec.redirectFrontend.addressMatcher.toPorts: at least one port is needed",
                "spec.redirectBackend.toPorts[0].port: '70000' is not in the range 1 to 65535",
                "spec.redirectBackend.toPorts[1].protocol: 'SCTP' is not one of TCP, UDP",
                "spec.redirectBackend.toPorts[2].name: is needed where there are several ports",
                "spec.redirectBackend.toPorts[4].name: 'dns' is given twice",
            ], Problems());
        Assert.Equal(PolicyName, Assert.Single(_catalog.Do(c => c.DeleteRedirectPolicy(PolicyName)).Problems).About.Name);
    }

    [Fact]
    public void Addresses_beyond_the_configured_blocks_are_refused()
    {
        var catalog = new Recorder(new CatalogOptions
        {
            NodeName = "one",
            LocalRedirectPolicies = true,
            RedirectableAddresses = [IpPrefix.Parse("169.254.0.0/16")],
        });
        catalog.Upsert(Pod("cache", "10.0.1.1"));
        CatalogChange change = catalog.Upsert(Policy(ByAddress("198.51.100.1", Udp), Udp));
        Assert.Equal(
            ["spec.redirectFrontend.addressMatcher.ip: 198.51.100.1 is in none of lrp-address-matcher-cidrs"], Assert.Single(change.Problems).Texts);
        Assert.Equal(0, catalog.Count);
    }

    [Fact]
    public void Policies_count_only_where_they_are_enabled()
    {
        var catalog = new Recorder(new CatalogOptions { NodeName = "one" });
        catalog.Upsert(Pod("cache", "10.0.1.1"));
        Assert.True(catalog.Upsert(Policy(ByAddress("169.254.20.10", Udp), Udp)).IsEmpty);
    }
}
