// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using static Axoneme.LoadBalancing.Tests.Objects;

namespace Axoneme.LoadBalancing.Tests;

public sealed class AnnotationTests
{
    private const string Prefix = "service.cilium.io/";

    private static readonly CatalogOptions Options = new() { NodeName = "one", SelectionByAnnotation = true, ForwardingByAnnotation = true };

    private static Service Annotated(params IEnumerable<(string Key, string Value)> annotations)
    {
        Service service = Service("web", "10.96.0.1", Port(80, nodePort: 30080));
        return service with
        {
            Metadata = service.Metadata with { Annotations = annotations.ToDictionary(a => a.Key, a => a.Value) },
            Spec = service.Spec with { Type = "LoadBalancer", LoadBalancerSourceRanges = ["192.0.2.0/24", "2001:db8::/32"] },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "203.0.113.1" }] } },
        };
    }

    private static Recorder Catalog(CatalogOptions? options = null, params IEnumerable<(string Key, string Value)> annotations)
    {
        var catalog = new Recorder(options ?? Options);
        catalog.SetNode(["172.30.0.11"], labels: [new("service.cilium.io/node", "edge"), new("disk", "ssd")]);
        catalog.Upsert(Annotated(annotations));
        return catalog;
    }

    private static string Types(Recorder catalog)
        => string.Join(' ', catalog.Catalog.Frontends.Select(f => f.Type.ToString()).Distinct().Order(StringComparer.Ordinal));

    private static Frontend Of(Recorder catalog, FrontendType type)
        => catalog.Catalog.Frontends.First(f => f.Type == type && !f.IsSurrogate);

    [Theory]
    [InlineData("ClusterIP", "ClusterIP")]
    [InlineData("NodePort", "NodePort")]
    [InlineData("LoadBalancer", "LoadBalancer")]
    [InlineData("Headless", "ClusterIP LoadBalancer NodePort")]
    public void Type_leaves_one_type_of_frontends(string type, string expected)
    {
        Recorder catalog = Catalog(null, (Prefix + "type", type));
        Assert.Equal(expected, Types(catalog));
        Assert.Equal(type == "Headless" ? ["metadata.annotations[service.cilium.io/type]: 'Headless' is not one of ClusterIP, NodePort, LoadBalancer"] : [], catalog.ProblemsOf(Annotated()));
    }

    [Theory]
    [InlineData("node", "edge", true)]
    [InlineData("node", "core", false)]
    [InlineData("node-selector", "disk in (ssd, nvme),!gpu", true)]
    [InlineData("node-selector", "disk!=ssd", false)]
    [InlineData("node-selector", "disk in", true)]
    public void Nodes_that_are_not_selected_serve_nothing(string key, string value, bool served)
    {
        Recorder catalog = Catalog(null, (Prefix + key, value));
        Assert.Equal(served ? 4 : 0, catalog.Count);
        Assert.Equal(value == "disk in" ? 1 : 0, catalog.ProblemsOf(Annotated()).Length);
    }

    [Fact]
    public void Selector_goes_before_the_plain_node_and_follows_the_labels()
    {
        Recorder catalog = Catalog(null, (Prefix + "node", "core"), (Prefix + "node-selector", "disk=ssd"));
        Assert.Equal(4, catalog.Count);
        Assert.Equal(4, catalog.SetNode(["172.30.0.11"], labels: [new("disk", "hdd")]).Deletes.Length);
        Assert.Equal(0, catalog.Count);
    }

    [Fact]
    public void Algorithm_counts_for_the_outside()
    {
        Recorder catalog = Catalog(null, (Prefix + "lb-algorithm", "Maglev"));
        Assert.Equal(BackendSelection.Maglev, Of(catalog, FrontendType.NodePort).Selection);
        Assert.Equal(BackendSelection.Maglev, Of(catalog, FrontendType.LoadBalancer).Selection);
        Assert.Equal(BackendSelection.Random, Of(catalog, FrontendType.ClusterIP).Selection);
        Assert.Equal(BackendSelection.Random, catalog.Catalog.Frontends.Single(f => f.IsSurrogate).Selection);
        catalog = Catalog(Options with { ExternalClusterIP = true, DefaultSelection = BackendSelection.Maglev });
        Assert.Equal(BackendSelection.Maglev, Of(catalog, FrontendType.ClusterIP).Selection);
        catalog = Catalog(Options with { DefaultSelection = BackendSelection.Maglev }, (Prefix + "lb-algorithm", "random"));
        Assert.Equal(BackendSelection.Random, Of(catalog, FrontendType.NodePort).Selection);
    }

    [Fact]
    public void Forwarding_is_the_services_choice_unless_the_node_decides_by_protocol()
    {
        Assert.Equal(ForwardingMode.Dsr, Of(Catalog(null, (Prefix + "forwarding-mode", "dsr")), FrontendType.LoadBalancer).Forwarding);
        Assert.Equal(ForwardingMode.Snat, Of(Catalog(), FrontendType.LoadBalancer).Forwarding);
        Recorder hybrid = Catalog(Options with { DefaultForwarding = DefaultForwarding.Hybrid }, (Prefix + "forwarding-mode", "snat"));
        Assert.Equal(ForwardingMode.Dsr, Of(hybrid, FrontendType.LoadBalancer).Forwarding);
        Assert.Equal(
            ["metadata.annotations[service.cilium.io/forwarding-mode]: cannot be chosen where bpf-lb-mode is hybrid"], hybrid.ProblemsOf(Annotated()));
        hybrid.Upsert(Annotated() with
        {
            Spec = Annotated().Spec with { Ports = [Port(80, nodePort: 30080), Port(80, "udp", "UDP", 30080), Port(80, "sctp", "SCTP")] },
        });
        Assert.Equal(
            "Tcp:Dsr Udp:Snat Sctp:Snat",
            string.Join(' ', hybrid.Catalog.Frontends.Where(f => f.Type == FrontendType.LoadBalancer).OrderBy(f => f.PortName.Length)
                .Select(f => $"{f.Address.Protocol}:{f.Forwarding}").Order(StringComparer.Ordinal).OrderBy(t => t[0] == 'T' ? 0 : t[0] == 'U' ? 1 : 2)));
    }

    [Theory]
    [InlineData("lb-algorithm", "maglev", "bpf-lb-algorithm-annotation")]
    [InlineData("forwarding-mode", "dsr", "bpf-lb-mode-annotation")]
    public void Annotation_that_is_not_enabled_is_reported(string key, string value, string setting)
    {
        Recorder catalog = Catalog(new CatalogOptions { NodeName = "one" }, (Prefix + key, value));
        Assert.Equal([$"metadata.annotations[service.cilium.io/{key}]: has no effect without the setting {setting}"], catalog.ProblemsOf(Annotated()));
        Frontend frontend = Of(catalog, FrontendType.LoadBalancer);
        Assert.Equal((BackendSelection.Random, ForwardingMode.Snat), (frontend.Selection, frontend.Forwarding));
    }

    [Fact]
    public void Source_ranges_are_of_the_frontends_family_and_deny_when_told_to()
    {
        Frontend allowing = Of(Catalog(), FrontendType.LoadBalancer);
        Assert.True(allowing is { ChecksSource: true, DenySourceRanges: false });
        Assert.Equal([IpPrefix.Parse("192.0.2.0/24")], allowing.SourceRanges);
        Assert.False(Of(Catalog(), FrontendType.NodePort).ChecksSource);
        Assert.False(Of(Catalog(), FrontendType.ClusterIP).ChecksSource);
        Assert.True(Of(Catalog(null, (Prefix + "src-ranges-policy", "deny")), FrontendType.LoadBalancer).DenySourceRanges);
        Recorder all = Catalog(Options with { SourceRangesForAllTypes = true });
        Assert.True(Of(all, FrontendType.NodePort).ChecksSource);
        Assert.False(Of(all, FrontendType.ClusterIP).ChecksSource);
        Assert.False(Of(Catalog(Options with { SourceRanges = false }), FrontendType.LoadBalancer).ChecksSource);
    }

    [Fact]
    public void Packets_are_left_to_the_nodes_own_proxy_where_the_service_says_so()
    {
        Assert.True(Of(Catalog(null, (Prefix + "proxy-delegation", "Delegate-If-Local")), FrontendType.LoadBalancer).DelegatesToNode);
        Assert.False(Of(Catalog(null, (Prefix + "proxy-delegation", "none")), FrontendType.LoadBalancer).DelegatesToNode);
    }

    [Fact]
    public void List_of_ranges_without_one_of_the_family_lets_nobody_in()
    {
        var catalog = new Recorder(Options);
        Service service = Annotated();
        catalog.Upsert(service with { Spec = service.Spec with { LoadBalancerSourceRanges = ["2001:db8::/32"] } });
        Frontend frontend = Of(catalog, FrontendType.LoadBalancer);
        Assert.True(frontend.ChecksSource && frontend.SourceRanges.IsEmpty);
    }

    [Theory]
    [InlineData("io.cilium/global-service", "yes", "metadata.annotations[io.cilium/global-service]: 'yes' is not one of true, false")]
    [InlineData("io.cilium/shared-service", "false", null)]
    [InlineData("service.cilium.io/affinity", "remote", null)]
    [InlineData("io.cilium/service-affinity", "near", "metadata.annotations[io.cilium/service-affinity]: 'near' is not one of none, local, remote")]
    [InlineData("service.cilium.io/proxy-delegation", "none", null)]
    [InlineData("service.cilium.io/proxy-delegation", "always", "metadata.annotations[service.cilium.io/proxy-delegation]: 'always' is not one of none, delegate-if-local")]
    public void Values_that_are_not_understood_are_reported(string key, string value, string? problem)
        => Assert.Equal(problem is null ? [] : [problem], Catalog(null, (key, value)).ProblemsOf(Annotated()));

    [Theory]
    [InlineData("", null, 4)]
    [InlineData("", "other", 0)]
    [InlineData("mine", "mine", 4)]
    [InlineData("mine", null, 0)]
    public void Services_of_another_proxy_are_left_alone(string configured, string? label, int frontends)
    {
        var catalog = new Recorder(Options with { ServiceProxyName = configured });
        catalog.SetNode(["172.30.0.11"]);
        Service service = Annotated();
        catalog.Upsert(service with
        {
            Metadata = service.Metadata with
            {
                Labels = label is null ? null : new Dictionary<string, string> { ["service.kubernetes.io/service-proxy-name"] = label },
            },
        });
        Assert.Equal(frontends, catalog.Count);
    }

    [Theory]
    [InlineData("70000", "2 of 10.0.0.1 10.0.0.2", 1)]
    [InlineData("0", "1 of 10.0.0.2 10.0.0.1", 0)]
    public void Weight_of_a_slice_is_that_of_its_endpoints(string weight, string expected, int problems)
    {
        Recorder catalog = Catalog();
        EndpointSlice heavy = Slice("web", "a", 8080, Endpoint("10.0.0.1"));
        catalog.Upsert(heavy with { Metadata = heavy.Metadata with { Annotations = new Dictionary<string, string> { [Prefix + "weight"] = weight } } });
        catalog.Upsert(Slice("web", "b", 8080, Endpoint("10.0.0.2")));
        BackendSet set = Of(catalog, FrontendType.ClusterIP).Inside;
        Assert.Equal(expected, $"{set.UsableCount} of {string.Join(' ', set.Backends.Select(b => b.Address.Address))}");
        Assert.Equal(problems, catalog.ProblemsOf(Annotated()).Length);
    }
}
