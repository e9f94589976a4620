// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

public sealed class TranslationTests
{
    private readonly PolicyEngine _engine = new(PolicyOptions.Default);
    private readonly PolicyRepository _repository;

    public TranslationTests() => _repository = new PolicyRepository(_engine);

    private static LabelSet Pod(string app, string ns = "blue", string team = "one") => PodLabels.For(
        new PodIdentitySource
        {
            Namespace = ns,
            Cluster = "default",
            ServiceAccount = "default",
            Labels = new Dictionary<string, string> { ["app"] = app },
            NamespaceLabels = new Dictionary<string, string> { ["team"] = team },
        },
        LabelFilter.Default);

    private static CiliumNetworkPolicy Cilium(string rule) => JsonSerializer.Deserialize(
        $$$"""{"metadata":{"namespace":"blue","name":"p","uid":"u","generation":3},"spec":{{{rule}}}}""",
        KubernetesJson.Default.CiliumNetworkPolicy)!;

    private static NetworkPolicy Kubernetes(string spec) => JsonSerializer.Deserialize(
        $$$"""{"metadata":{"namespace":"blue","name":"p","uid":"u"},"spec":{{{spec}}}}""", KubernetesJson.Default.NetworkPolicy)!;

    /// <summary>Endpoint 1 is app=web in namespace blue.</summary>
    private bool Allows(TrafficDirection direction, LabelSet peer, L4Protocol protocol = L4Protocol.Tcp, ushort port = 80, uint id = 5000)
    {
        _engine.UpsertIdentity(new SecurityIdentity(id), peer);
        _engine.UpsertEndpoint(
            1, new SecurityIdentity(300), Pod("web"), NamedPorts.From([new NamedPort("http", L4Protocol.Tcp, 8080)]));
        _engine.Commit();
        return PolicyEvaluator.Evaluate(_engine.FindEndpoint(1)!, direction, new SecurityIdentity(id), protocol, port).Allowed;
    }

    [Fact]
    public void Rule_without_default_deny_leaves_its_direction_open()
    {
        _repository.Upsert(Cilium("""
            {"endpointSelector":{},"enableDefaultDeny":{"ingress":false,"egress":true},"ingressDeny":[{"toPorts":[{"ports":[{"port":"22","protocol":"TCP"}]}]}],
             "egress":[{"toEndpoints":[{"matchLabels":{"app":"db"}}]}]}
            """));
        Assert.False(Allows(TrafficDirection.Ingress, Pod("client"), port: 22));
        Assert.True(Allows(TrafficDirection.Ingress, Pod("client"), port: 80));
        Assert.True(Allows(TrafficDirection.Egress, Pod("db"), id: 5001));
        Assert.False(Allows(TrafficDirection.Egress, Pod("client")));
    }

    [Theory]
    [InlineData("{\"endpointSelector\":{},\"ingress\":[{}]}")]
    [InlineData("{\"endpointSelector\":{\"matchLabels\":{\"k8s:io.kubernetes.pod.namespace\":\"red\"}},\"ingress\":[{}]}")]
    public void Rule_of_a_namespace_is_for_its_own_pods_only(string rule)
    {
        _repository.Upsert(Cilium(rule));
        Assert.False(Allows(TrafficDirection.Ingress, Pod("client")));
        _engine.UpsertEndpoint(2, new SecurityIdentity(301), Pod("web", ns: "red"));
        _engine.Commit();
        Assert.True(PolicyEvaluator.Evaluate(_engine.FindEndpoint(2)!, TrafficDirection.Ingress, new SecurityIdentity(5000), L4Protocol.Tcp, 80).Allowed);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Peers_are_of_the_own_cluster_where_options_say_so(bool isLocal)
    {
        var engine = new PolicyEngine(new PolicyOptions { DefaultLocalCluster = isLocal });
        var repository = new PolicyRepository(engine);
        repository.Upsert(Cilium("""{"endpointSelector":{},"ingress":[{"fromEndpoints":[{"matchLabels":{"app":"client"}}]}]}"""));
        engine.UpsertIdentity(new SecurityIdentity(5000), Pod("client"));
        engine.UpsertIdentity(new SecurityIdentity(5001), LabelSet.From(Pod("client").Where(l => l.Key != PodLabels.Cluster).Append(new Label("k8s", PodLabels.Cluster, "far"))));
        engine.UpsertEndpoint(1, new SecurityIdentity(300), Pod("web"));
        engine.Commit();
        Assert.True(Admits(5000));
        Assert.Equal(!isLocal, Admits(5001));

        bool Admits(uint peer) => PolicyEvaluator.Evaluate(
            engine.FindEndpoint(1)!, TrafficDirection.Ingress, new SecurityIdentity(peer), L4Protocol.Tcp, 80).Allowed;
    }

    [Theory]
    [InlineData("disabled", true)]
    [InlineData("required", false)]
    [InlineData("test-always-fail", false)]
    public void What_demands_authentication_admits_nobody(string mode, bool admits)
    {
        PolicyStatus status = _repository.Upsert(Cilium(
            """{"endpointSelector":{},"ingress":[{"fromEndpoints":[{}],"authentication":{"mode":"MODE"}}]}""".Replace("MODE", mode, StringComparison.Ordinal)));
        Assert.True(status.Valid);
        Assert.Equal(admits, status.Message.Length == 0);
        Assert.Equal(admits, Allows(TrafficDirection.Ingress, Pod("client")));
    }

    [Fact]
    public void All_errors_of_an_object_are_reported_with_their_fields()
    {
        PolicyStatus status = _repository.Upsert(Cilium(
            """
            {"endpointSelector":{"matchExpressions":[{"key":"app","operator":"Equals"}]},
             "ingress":[{"toPorts":[{"ports":[{"port":"80"},{"port":"70000"},{"port":"80","protocol":"ICMP"}]}]},
                        {"fromCIDR":["10.0.0.0"],"fromEntities":["cluster"]},
                        {"fromCIDRSet":[{"cidr":"10.0.0.0/8","except":["11.0.0.0/16"]}]}],
             "egress":[{"toEntities":["moon"]},{"icmps":[{"fields":[{"type":"Nonsense"}]}]}]}
            """));
        Assert.False(status.Valid);
        Assert.Equal(3, status.Generation);
        Assert.Equal(
            [
                "spec.endpointSelector.matchExpressions[0].operator: 'Equals' is not one of In, NotIn, Exists, DoesNotExist",
                "spec.ingress[0].toPorts[0].ports[1].port: '70000' is neither a number from 0 to 65535 nor a port name",
                "spec.ingress[0].toPorts[0].ports[2].protocol: 'ICMP' is not one of TCP, UDP, SCTP, ANY",
                "spec.ingress[1]: combining fromCIDR and fromEntities is not supported",
                "spec.ingress[1].fromCIDR[0]: '10.0.0.0' is not an address block such as 10.0.0.0/8 or fd00::/8",
                "spec.ingress[2].fromCIDRSet[0].except[0]: 11.0.0.0/16 is not inside 10.0.0.0/8",
                "spec.egress[0].toEntities[0]: 'moon' is no entity",
                "spec.egress[1].icmps[0].fields[0].type: 'Nonsense' is no ICMP type",
            ],
            status.Message.Split('\n'));
    }

    [Fact]
    public void Invalid_version_leaves_the_valid_one_in_force()
    {
        Assert.True(_repository.Upsert(Cilium("""{"endpointSelector":{},"ingress":[{"fromEndpoints":[{"matchLabels":{"app":"db"}}]}]}""")).Valid);
        Assert.False(_repository.Upsert(Cilium("""{"endpointSelector":{},"ingress":[{"fromCIDR":["nonsense"]}]}""")).Valid);
        Assert.True(Allows(TrafficDirection.Ingress, Pod("db")));
        Assert.False(Allows(TrafficDirection.Ingress, Pod("dns"), id: 5001));
    }

    [Theory]
    [InlineData("{}", "blue", true)]
    [InlineData("{}", "green", false)]
    [InlineData("""{"matchLabels":{"k8s:io.kubernetes.pod.namespace":"green"}}""", "green", true)]
    [InlineData("""{"matchLabels":{"io.kubernetes.pod.namespace":"green"}}""", "blue", false)]
    [InlineData("""{"matchLabels":{"k8s:io.cilium.k8s.namespace.labels.team":"one"}}""", "green", true)]
    [InlineData("""{"matchLabels":{"app":"other"}}""", "blue", false)]
    [InlineData("""{"matchLabels":{"any:app":"db"}}""", "blue", true)]
    public void Peer_selectors_mean_the_own_namespace_unless_they_name_one(string selector, string ns, bool allowed)
    {
        string rule = "{\"endpointSelector\":{\"matchLabels\":{\"app\":\"web\"}},\"ingress\":[{\"fromEndpoints\":[" + selector + "]}]}";
        Assert.Equal("", _repository.Upsert(Cilium(rule)).Message);
        Assert.Equal(allowed, Allows(TrafficDirection.Ingress, Pod("db", ns)));
    }

    [Theory]
    [InlineData("""[{}]""", false)]
    [InlineData("""[{"fromEndpoints":[]}]""", false)]
    [InlineData("""[{"fromEndpoints":[],"toPorts":[{"ports":[{"port":"80"}]}]}]""", false)]
    [InlineData("""[{"toPorts":[{"ports":[{"port":"80"}]}]}]""", true)]
    [InlineData("""[{"toPorts":[{"ports":[{"port":"79","endPort":81,"protocol":"TCP"}]}]}]""", true)]
    [InlineData("""[{"toPorts":[{"ports":[{"port":"80","protocol":"UDP"}]}]}]""", false)]
    [InlineData("""[{"fromEntities":["all"]}]""", true)]
    [InlineData("""[{"fromEntities":["world"]}]""", false)]
    [InlineData("""[{"fromEntities":["cluster"]}]""", true)]
    [InlineData("""[{"fromCIDR":["0.0.0.0/0"]}]""", false)]
    public void Presence_of_peers_and_ports_decides(string ingress, bool allowed)
    {
        _repository.Upsert(Cilium("{\"endpointSelector\":{},\"ingress\":" + ingress + "}"));
        Assert.Equal(allowed, Allows(TrafficDirection.Ingress, Pod("db")));
    }

    [Fact]
    public void Named_port_is_looked_up_on_the_subject_for_ingress()
    {
        _repository.Upsert(Cilium("""{"endpointSelector":{},"ingress":[{"toPorts":[{"ports":[{"port":"http","protocol":"TCP"}]}]}]}"""));
        Assert.True(Allows(TrafficDirection.Ingress, Pod("db"), port: 8080));
        Assert.False(Allows(TrafficDirection.Ingress, Pod("db"), port: 80));
    }

    [Fact]
    public void What_only_a_proxy_can_enforce_allows_nothing_and_says_so()
    {
        PolicyStatus status = _repository.Upsert(Cilium(
            """
            {"endpointSelector":{},
             "ingress":[{"toPorts":[{"ports":[{"port":"80","protocol":"TCP"}],"rules":{"http":[{"path":"/"}]}}]}]}
            """));
        Assert.True(status.Valid);
        Assert.Equal(
            "spec.ingress[0].toPorts[0].rules.http: the proxy is not available in this version; the entry allows nothing",
            status.Message);
        Assert.False(Allows(TrafficDirection.Ingress, Pod("db")));
    }

    [Theory]
    [InlineData("""{"podSelector":{},"policyTypes":["Ingress"]}""", false, true)]
    [InlineData("""{"podSelector":{},"policyTypes":["Egress"]}""", true, false)]
    [InlineData("""{"podSelector":{}}""", false, true)]
    [InlineData("""{"podSelector":{"matchLabels":{"app":"other"}}}""", true, true)]
    [InlineData("""{"podSelector":{},"ingress":[{}]}""", true, true)]
    [InlineData("""{"podSelector":{},"ingress":[{"ports":[{"port":80}]}],"egress":[{"ports":[{"port":90}]}],"policyTypes":["Ingress","Egress"]}""", true, false)]
    [InlineData("""{"podSelector":{},"ingress":[{"ports":[{"port":70,"endPort":90}],"from":[{"podSelector":{"matchLabels":{"app":"db"}}}]}]}""", true, true)]
    [InlineData("""{"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"team":"two"}}}]}]}""", false, true)]
    [InlineData("""{"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{}}]}]}""", true, true)]
    [InlineData("""{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0"}}]}]}""", false, true)]
    public void Kubernetes_policy_isolates_what_its_types_say(string spec, bool ingress, bool egress)
    {
        Assert.Equal("", _repository.Upsert(Kubernetes(spec)).Message);
        Assert.Equal(ingress, Allows(TrafficDirection.Ingress, Pod("db")));
        Assert.Equal(egress, Allows(TrafficDirection.Egress, Pod("db")));
    }

    [Fact]
    public void Namespace_selector_with_negative_terms_does_not_select_the_world()
    {
        _repository.Upsert(Kubernetes(
            """{"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{"matchExpressions":[{"key":"team","operator":"NotIn","values":["two"]}]}}]}]}"""));
        Assert.True(Allows(TrafficDirection.Ingress, Pod("db")));
        Assert.False(Allows(TrafficDirection.Ingress, LabelSet.Reserved("world-ipv4"), id: 9));
    }

    [Fact]
    public void Change_of_a_cidr_group_reaches_the_policies_that_mention_it()
    {
        _repository.Upsert(Cilium("""{"endpointSelector":{},"egress":[{"toCIDRSet":[{"cidrGroupRef":"partners","except":["192.0.2.128/25"]}]}]}"""));
        Assert.False(Allows(TrafficDirection.Egress, Pod("db")));
        Assert.Empty(_engine.Prefixes);
        var group = new CiliumCIDRGroup
        {
            Metadata = new ObjectMeta { Name = "partners" },
            Spec = new CiliumCIDRGroupSpec { ExternalCIDRs = ["192.0.2.0/24", "nonsense"] },
        };
        Assert.Single(_repository.Upsert(group, out IReadOnlyList<string> errors));
        Assert.Equal(["spec.externalCIDRs[1]: 'nonsense' is not an address block"], errors);
        PolicyUpdate update = _engine.Commit();
        Assert.Equal(["192.0.2.0/24", "192.0.2.128/25"], update.PrefixUpserts.Select(p => p.Key.ToString()));
        EndpointPolicy policy = _engine.FindEndpoint(1)!;
        Assert.True(PolicyEvaluator.Evaluate(policy, TrafficDirection.Egress, update.PrefixUpserts[0].Value, L4Protocol.Tcp, 80).Allowed);
        Assert.False(PolicyEvaluator.Evaluate(policy, TrafficDirection.Egress, update.PrefixUpserts[1].Value, L4Protocol.Tcp, 80).Allowed);
    }

    [Fact]
    public void Entries_name_the_rules_behind_them()
    {
        _repository.Upsert(Cilium("""{"endpointSelector":{},"ingress":[{"fromEntities":["host"]},{"fromEntities":["host"]}],"labels":[{"key":"team","value":"x"}]}"""));
        Allows(TrafficDirection.Ingress, Pod("db"));
        RuleOrigins origins = _engine.FindEndpoint(1)!.Entries[new PolicyKey(TrafficDirection.Ingress, SecurityIdentity.Host)].Origins;
        Assert.Equal(["spec.ingress[0]", "spec.ingress[1]"], origins.Rules.Select(r => r.Path));
        Assert.NotEqual(0u, origins.Cookie);
        Assert.Equal(
            "k8s:io.cilium.k8s.policy.derived-from=CiliumNetworkPolicy,k8s:io.cilium.k8s.policy.name=p,"
            + "k8s:io.cilium.k8s.policy.namespace=blue,k8s:io.cilium.k8s.policy.uid=u,unspec:team=x",
            origins.Rules[0].Labels.ToString());
    }
}
