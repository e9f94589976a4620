// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

/// <summary>Rules that speak of other objects: services, nodes, groups of addresses; and of protocols without ports.</summary>
public sealed class ReferenceTests : IServiceDirectory
{
    private const string Web = "{\"endpointSelector\":{\"matchLabels\":{\"app\":\"web\"}}";

    private readonly Dictionary<ResourceName, Service> _services = [];
    private readonly Dictionary<ResourceName, IpAddress[]> _addresses = [];
    private PolicyEngine _engine = new(PolicyOptions.Default);
    private PolicyRepository _repository;

    public ReferenceTests() => _repository = new PolicyRepository(_engine, this);

    public IEnumerable<Service> All => _services.Values;

    public Service? Find(ResourceName name) => _services.GetValueOrDefault(name);

    public IEnumerable<IpAddress> AddressesOf(ResourceName service) => _addresses.GetValueOrDefault(service) ?? [];

    private void Use(PolicyOptions options)
    {
        _engine = new PolicyEngine(options);
        _repository = new PolicyRepository(_engine, this);
    }

    private static LabelSet Pod(string app, string ns = "blue") => LabelSet.From(
    [
        new Label("k8s", "app", app), new Label("k8s", PodLabels.Namespace, ns), new Label("k8s", PodLabels.Cluster, "default"),
    ]);

    private static CiliumNetworkPolicy Policy(string spec, long generation = 1, string annotations = "{}") => JsonSerializer.Deserialize(
        $$$"""{"metadata":{"namespace":"blue","name":"p","uid":"u","generation":{{{generation}}},"annotations":{{{annotations}}}},"spec":{{{Web}}},{{{spec[1..]}}}}""",
        KubernetesJson.Default.CiliumNetworkPolicy)!;

    private static CiliumClusterwideNetworkPolicy Clusterwide(string spec) => JsonSerializer.Deserialize(
        $$$"""{"metadata":{"name":"p","uid":"u"},"spec":{{{Web}}},{{{spec[1..]}}}}""", KubernetesJson.Default.CiliumClusterwideNetworkPolicy)!;

    private ResourceName SetService(string name, string ns, string? selector, params string[] addresses)
    {
        var key = new ResourceName(ns, name);
        _services[key] = new Service
        {
            Metadata = new ObjectMeta { Name = name, Namespace = ns, Labels = new Dictionary<string, string> { ["tier"] = name } },
            Spec = new ServiceSpec { Selector = selector is null ? null : new Dictionary<string, string> { ["app"] = selector } },
        };
        _addresses[key] = [.. addresses.Select(IpAddress.Parse)];
        return key;
    }

    private bool Allows(SecurityIdentity peer, L4Protocol protocol = L4Protocol.Tcp, ushort port = 80)
    {
        _engine.UpsertEndpoint(1, new SecurityIdentity(300), Pod("web"));
        _engine.Commit();
        return PolicyEvaluator.Evaluate(_engine.FindEndpoint(1)!, TrafficDirection.Egress, peer, protocol, port).Allowed;
    }

    private SecurityIdentity Know(uint id, LabelSet labels)
    {
        _engine.UpsertIdentity(new SecurityIdentity(id), labels);
        return new SecurityIdentity(id);
    }

    private SecurityIdentity? IdentityOf(string prefix)
        => _engine.Prefixes.Where(p => p.Key == IpPrefix.Parse(prefix)).Select(p => (SecurityIdentity?)p.Value).FirstOrDefault();

    [Fact]
    public void Name_for_something_elsewhere_stands_for_nobody()
    {
        SecurityIdentity db = Know(5000, Pod("db"));
        ResourceName name = SetService("db", "blue", "db");
        const string rule = """{"egress":[{"toServices":[{"k8sService":{"serviceName":"db"}}]}]}""";
        _repository.Upsert(Policy(rule));
        Assert.True(Allows(db));
        _services[name] = _services[name] with { Spec = _services[name].Spec with { Type = "ExternalName" } };
        _repository.ServiceChanged(name);
        Assert.False(Allows(db));
    }

    [Fact]
    public void Selector_of_nodes_selects_no_pods_even_if_it_asks_for_nothing()
    {
        Use(new PolicyOptions { EnableNodeSelectorLabels = true });
        SecurityIdentity pod = Know(5000, Pod("db"));
        SecurityIdentity node = Know(
            SecurityIdentity.RemoteNodeScope + 7,
            LabelSet.From([new Label("reserved", "remote-node", ""), new Label("node", "zone", "a"), new Label("k8s", PodLabels.Cluster, "default")]));
        _repository.Upsert(Policy("""{"egress":[{"toNodes":[{}]}]}"""));
        Assert.Equal((true, false), (Allows(node), Allows(pod)));
    }

    [Fact]
    public void Service_with_a_selector_stands_for_its_pods_and_follows_them()
    {
        PolicyStatus status = _repository.Upsert(Policy("""{"egress":[{"toServices":[{"k8sService":{"serviceName":"db","namespace":"green"}}]}]}"""));
        Assert.True(status.Valid);
        Assert.Equal("", status.Message);
        SecurityIdentity db = Know(5000, Pod("db", "green"));
        SecurityIdentity other = Know(5001, Pod("db", "blue"));
        Assert.False(Allows(db));

        ResourceName service = SetService("db", "green", "db");
        Assert.Single(_repository.ServiceChanged(service));
        Assert.Empty(_repository.ServiceChanged(new ResourceName("green", "another")));
        Assert.True(Allows(db));
        Assert.False(Allows(other));

        SetService("db", "green", "elsewhere");
        _repository.ServiceChanged(service);
        Assert.False(Allows(db));
    }

    [Fact]
    public void Service_without_a_selector_stands_for_its_addresses()
    {
        ResourceName service = SetService("legacy", "blue", null, "192.0.2.1", "2001:db8::1");
        _repository.Upsert(Policy("""{"egress":[{"toServices":[{"k8sService":{"serviceName":"legacy"}}],"toPorts":[{"ports":[{"port":"80"}]}]}]}"""));
        Assert.False(Allows(SecurityIdentity.WorldIPv4));
        Assert.True(Allows(IdentityOf("192.0.2.1/32")!.Value));
        Assert.True(Allows(IdentityOf("2001:db8::1/128")!.Value));
        Assert.False(Allows(IdentityOf("192.0.2.1/32")!.Value, port: 81));

        SetService("legacy", "blue", null, "192.0.2.2");
        _repository.ServiceChanged(service);
        Assert.Null(IdentityOf("192.0.2.1/32"));
        Assert.True(Allows(IdentityOf("192.0.2.2/32")!.Value));
    }

    [Fact]
    public void Services_are_chosen_by_their_labels_in_one_namespace_or_in_all()
    {
        SetService("db", "green", "db");
        _repository.Upsert(Policy(
            """{"egress":[{"toServices":[{"k8sServiceSelector":{"selector":{"matchLabels":{"tier":"db"}}}}]}]}"""));
        SecurityIdentity green = Know(5000, Pod("db", "green"));
        SecurityIdentity red = Know(5001, Pod("db", "red"));
        Assert.True(Allows(green));
        Assert.False(Allows(red));
        _repository.ServiceChanged(SetService("db", "red", "db"));
        Assert.True(Allows(red));

        _repository.Upsert(Policy(
            """{"egress":[{"toServices":[{"k8sServiceSelector":{"selector":{"matchLabels":{"tier":"db"}},"namespace":"green"}}]}]}"""));
        Assert.True(Allows(green));
        Assert.False(Allows(red));
    }

    [Fact]
    public void Change_of_a_service_that_changes_no_peer_leaves_the_maps_alone()
    {
        ResourceName service = SetService("db", "green", "db");
        _repository.Upsert(Policy("""{"egress":[{"toServices":[{"k8sService":{"serviceName":"db","namespace":"green"}}]}]}"""));
        Allows(SecurityIdentity.Host);
        ulong revision = _engine.Revision;
        _repository.ServiceChanged(service);
        Assert.Empty(_engine.Commit().Endpoints);
        Assert.Equal(revision, _engine.Revision);
    }

    [Fact]
    public void Service_reference_without_a_name_or_with_both_forms_is_an_error()
    {
        PolicyStatus status = _repository.Upsert(Policy(
            """{"egress":[{"toServices":[{},{"k8sService":{}},{"k8sService":{"serviceName":"a"},"k8sServiceSelector":{"selector":{}}}]}]}"""));
        Assert.Equal(
            [
                "spec.egress[0].toServices[0]: must have exactly one of k8sService, k8sServiceSelector",
                "spec.egress[0].toServices[1].k8sService.serviceName: is missing",
                "spec.egress[0].toServices[2]: must have exactly one of k8sService, k8sServiceSelector",
            ],
            status.Message.Split('\n'));
    }

    [Fact]
    public void Nodes_are_selected_by_their_labels_where_the_option_is_on()
    {
        string spec = """{"egress":[{"toNodes":[{"matchLabels":{"zone":"a"}}]}]}""";
        Assert.Equal("spec.egress[0].toNodes: needs enable-node-selector-labels", _repository.Upsert(Policy(spec)).Message);

        Use(new PolicyOptions { EnableNodeSelectorLabels = true });
        Assert.Equal("", _repository.Upsert(Policy(spec)).Message);
        SecurityIdentity a = Know(0x0200_0001, NodeLabels.ForRemoteNode("default", [KeyValuePair.Create("zone", "a")], null, isApiServer: false));
        SecurityIdentity b = Know(0x0200_0002, NodeLabels.ForRemoteNode("default", [KeyValuePair.Create("zone", "b")], null, isApiServer: false));
        SecurityIdentity pod = Know(5000, LabelSet.From([new Label("k8s", "zone", "a"), new Label("k8s", PodLabels.Cluster, "default")]));
        Assert.True(Allows(a));
        Assert.False(Allows(b));
        Assert.False(Allows(SecurityIdentity.RemoteNode));
        Assert.False(Allows(pod));
    }

    [Fact]
    public void Entities_select_nodes_that_have_identities_of_their_own()
    {
        _repository.Upsert(Policy("""{"egress":[{"toEntities":["kube-apiserver"]}]}"""));
        SecurityIdentity api = Know(0x0200_0001, NodeLabels.ForRemoteNode("default", [], IpAddress.Parse("10.0.0.1"), isApiServer: true));
        SecurityIdentity plain = Know(0x0200_0002, NodeLabels.ForRemoteNode("default", [], IpAddress.Parse("10.0.0.2"), isApiServer: false));
        Assert.True(Allows(api));
        Assert.False(Allows(plain));
        _repository.Upsert(Policy("""{"egress":[{"toEntities":["remote-node"]}]}"""));
        Assert.True(Allows(api));
        Assert.True(Allows(plain));
        _engine.UpsertIdentity(SecurityIdentity.Host, NodeLabels.ForHost([], isApiServer: true));
        _repository.Upsert(Policy("""{"egress":[{"toEntities":["kube-apiserver"]}]}"""));
        Assert.True(Allows(SecurityIdentity.Host));
    }

    [Fact]
    public void Address_blocks_select_nodes_whose_identities_have_addresses()
    {
        _repository.Upsert(Policy("""{"egress":[{"toCIDRSet":[{"cidr":"10.0.0.0/24","except":["10.0.0.128/25"]}]}]}"""));
        _engine.UpsertIdentity(SecurityIdentity.Host, NodeLabels.ForHost([IpAddress.Parse("fd00::1"), IpAddress.Parse("10.0.0.1")], isApiServer: false));
        Assert.True(Allows(SecurityIdentity.Host));
        Assert.True(Allows(Know(0x0200_0001, NodeLabels.ForRemoteNode("default", [], IpAddress.Parse("10.0.0.2"), isApiServer: false))));
        Assert.False(Allows(Know(0x0200_0002, NodeLabels.ForRemoteNode("default", [], IpAddress.Parse("10.0.0.200"), isApiServer: false))));
        Assert.False(Allows(SecurityIdentity.RemoteNode));
    }

    [Fact]
    public void Group_of_a_cloud_selects_nobody_until_somebody_writes_its_addresses()
    {
        const string Group = """{"aws":{"securityGroupsIds":["sg-2","sg-1"],"region":"eu-west-1"}}""";
        Assert.Equal("", _repository.Upsert(Policy("{\"egress\":[{\"toGroups\":[" + Group + "]}]}")).Message);
        Assert.False(Allows(SecurityIdentity.WorldIPv4));
        Assert.Empty(_engine.Prefixes);
        string label = ExternalGroups.LabelOf(new PeerGroup
        {
            Aws = new AwsGroup { Region = "eu-west-1", SecurityGroupsIds = ["sg-1", "sg-2"] },
        });
        _repository.Upsert(
            new CiliumCIDRGroup
            {
                Metadata = new ObjectMeta { Name = "extgrp-1", Labels = new Dictionary<string, string> { [label] = "" } },
                Spec = new CiliumCIDRGroupSpec { ExternalCIDRs = ["192.0.2.7/32"] },
            },
            out _);
        Assert.True(Allows(IdentityOf("192.0.2.7/32")!.Value));
    }

    [Fact]
    public void Protocols_without_ports_need_the_option_and_no_port()
    {
        string spec = """{"egress":[{"toPorts":[{"ports":[{"protocol":"GRE"},{"protocol":"vrrp","port":"0"}]}]}]}""";
        Assert.Contains("GRE needs enable-extended-ip-protocols", _repository.Upsert(Policy(spec)).Message, StringComparison.Ordinal);
        Use(new PolicyOptions { EnableExtendedProtocols = true });
        Assert.Equal("", _repository.Upsert(Policy(spec)).Message);
        Assert.True(Allows(SecurityIdentity.WorldIPv4, L4Protocol.Gre, 0));
        Assert.True(Allows(SecurityIdentity.WorldIPv4, L4Protocol.Vrrp, 0));
        Assert.False(Allows(SecurityIdentity.WorldIPv4, L4Protocol.Esp, 0));
        Assert.False(Allows(SecurityIdentity.WorldIPv4));
        Assert.Equal(
            "spec.egress[0].toPorts[0].ports[0].port: '80': AH has no ports",
            _repository.Upsert(Policy("""{"egress":[{"toPorts":[{"ports":[{"protocol":"AH","port":"80"}]}]}]}""")).Message);
    }

    [Fact]
    public void Sctp_counts_where_it_is_on_and_says_so_where_it_is_not()
    {
        string spec = """{"egress":[{"toPorts":[{"ports":[{"protocol":"SCTP","port":"80"}]}]}]}""";
        Assert.Contains("SCTP is not enabled", _repository.Upsert(Policy(spec)).Message, StringComparison.Ordinal);
        Assert.False(Allows(SecurityIdentity.WorldIPv4, L4Protocol.Sctp));
        Use(new PolicyOptions { EnableSctp = true });
        Assert.Equal("", _repository.Upsert(Policy(spec)).Message);
        Assert.True(Allows(SecurityIdentity.WorldIPv4, L4Protocol.Sctp));
    }

    [Fact]
    public void Field_that_this_version_does_not_know_allows_nothing_and_is_named()
    {
        PolicyStatus status = _repository.Upsert(Policy(
            """
            {"order":7,
             "egress":[{"toPorts":[{"ports":[{"port":"80","weight":3}]}],"toPlanets":["mars"]},{"toEntities":["host"]}],
             "egressDeny":[{"toEntities":["init"],"toMoon":true}]}
            """));
        Assert.True(status.Valid);
        Assert.Equal(
            [
                "spec.order: is no field that this version knows; it has no effect",
                "spec.egress[0].toPlanets: is no field that this version knows; the entry allows nothing",
                "spec.egress[0].toPorts[0].ports[0].weight: is no field that this version knows; the entry allows nothing",
                "spec.egressDeny[0].toMoon: is no field that this version knows; the entry denies what the other fields say",
            ],
            status.Message.Split('\n'));
        Assert.False(Allows(SecurityIdentity.WorldIPv4));
        Assert.True(Allows(SecurityIdentity.Host));
        Assert.False(Allows(SecurityIdentity.Init));
    }

    [Theory]
    [InlineData("""{"ingress":[{"toPorts":[{"ports":[{"port":"53"}],"rules":{"dns":[{"matchPattern":"*"}]}}]}]}""", "spec.ingress[0].toPorts[0].rules.dns: is for egress only")]
    [InlineData("""{"egress":[{"toPorts":[{"rules":{"dns":[{"matchPattern":"*"}]}}]}]}""", "spec.egress[0].toPorts[0].ports: is missing: rules.dns needs a port")]
    [InlineData("""{"egress":[{"toPorts":[{"ports":[{"port":"53","endPort":54}],"rules":{"dns":[{"matchPattern":"*"}]}}]}]}""", "spec.egress[0].toPorts[0].ports[0].endPort: rules.dns takes no range of ports")]
    [InlineData("""{"egress":[{"toPorts":[{"ports":[{"port":"80","protocol":"UDP"}],"rules":{"http":[{}]}}]}]}""", "spec.egress[0].toPorts[0].ports[0].protocol: rules.http needs TCP, not UDP")]
    [InlineData("""{"egress":[{"toPorts":[{"ports":[{"port":"0","protocol":"TCP"}],"rules":{"http":[{}]}}]}]}""", "spec.egress[0].toPorts[0].ports[0].port: rules.http needs a port other than 0")]
    [InlineData("""{"egress":[{"toPorts":[{"ports":[{"port":"80","protocol":"TCP"}],"rules":{"http":[{"path":"/a("}]}}]}]}""", "spec.egress[0].toPorts[0].rules.http[0].path: '/a(' is not a regular expression")]
    [InlineData("""{"egress":[{"toPorts":[{"ports":[{"port":"80","protocol":"TCP"}],"rules":{"http":[{"headerMatches":[{"mismatch":"FIX"}]}]}}]}]}""", "spec.egress[0].toPorts[0].rules.http[0].headerMatches[0].name: is missing")]
    [InlineData("""{"egress":[{"toPorts":[{"ports":[{"port":"53","protocol":"TCP"}],"rules":{"http":[{}],"dns":[{"matchPattern":"*"}]}}]}]}""", "spec.egress[0].toPorts[0].rules: has http and dns; only one of them is possible")]
    [InlineData("""{"egress":[{"toPorts":[{"ports":[{"port":"443","protocol":"TCP"}],"serverNames":[""]}]}]}""", "spec.egress[0].toPorts[0].serverNames[0]: is empty")]
    [InlineData("""{"egress":[{"toPorts":[{"ports":[{"port":"443","protocol":"TCP"}],"serverNames":["a"],"rules":{"http":[{}]}}]}]}""", "spec.egress[0].toPorts[0].serverNames: cannot be combined with rules.http without terminatingTLS")]
    [InlineData("""{"ingress":[{"toPorts":[{"ports":[{"port":"80","protocol":"TCP"}],"listener":{"name":"a","envoyConfig":{"name":"b"}}}]}]}""", "spec.ingress[0].toPorts[0].listener: is for egress only")]
    public void Rules_of_proxies_are_checked_before_there_is_a_proxy(string directions, string expected)
    {
        PolicyStatus status = _repository.Upsert(Policy(directions));
        Assert.False(status.Valid);
        Assert.StartsWith(expected, status.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Invalid_version_says_which_one_is_in_force_and_harms_no_other_policy()
    {
        Assert.Equal(1, _repository.Upsert(Policy("""{"egress":[{"toEntities":["host"]}]}""")).GenerationInForce);
        _repository.Upsert(Clusterwide("""{"egress":[{"toEntities":["init"]}]}"""));
        PolicyStatus status = _repository.Upsert(Policy("""{"egress":[{"toEntities":["moon"]}]}""", generation: 2));
        Assert.Equal((2, false, 1L), (status.Generation, status.Valid, status.GenerationInForce));
        Assert.True(Allows(SecurityIdentity.Host));
        Assert.True(Allows(SecurityIdentity.Init));
        Assert.False(Allows(SecurityIdentity.Health));
    }

    [Fact]
    public void Shadow_annotation_marks_every_rule_and_an_unknown_one_is_an_error()
    {
        string spec = """{"egress":[{"toEntities":["host"]}]}""";
        PolicyStatus status = _repository.Upsert(Policy(spec, annotations: """{"policy.cilium.io/enforcement":"shadow"}"""));
        Assert.True(status.Shadow);
        Assert.True(Assert.Single(_engine.FindPolicy(status.Policy)!.Rules).Shadow);
        Assert.True(Allows(SecurityIdentity.Health));
        Assert.Equal(
            "metadata.annotations[policy.cilium.io/enforcement]: 'maybe' is not one of shadow, enforce",
            _repository.Upsert(Policy(spec, annotations: """{"policy.cilium.io/enforcement":"maybe"}""")).Message);
    }
}
