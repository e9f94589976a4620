// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

/// <summary>Policies before and behind network policies, and rules on trial.</summary>
public sealed class TierTests
{
    private static readonly SecurityIdentity Web = new(300);
    private static readonly SecurityIdentity Db = new(5000);
    private static readonly SecurityIdentity Other = new(5001);

    private readonly PolicyEngine _engine;
    private readonly PolicyRepository _repository;

    public TierTests()
    {
        _engine = new PolicyEngine(new PolicyOptions { EnableNodeSelectorLabels = true });
        _repository = new PolicyRepository(_engine);
        _engine.UpsertEndpoint(1, Web, Pod("web", "blue", "one"));
        _engine.UpsertIdentity(Db, Pod("db", "green", "two"), NamedPorts.From([new NamedPort("sql", L4Protocol.Tcp, 5432)]));
        _engine.UpsertIdentity(Other, Pod("other", "red", "three"));
    }

    private static LabelSet Pod(string app, string ns, string team) => LabelSet.From(
    [
        new Label("k8s", "app", app), new Label("k8s", PodLabels.Namespace, ns), new Label("k8s", PodLabels.Cluster, "default"),
        new Label("k8s", PodLabels.NamespaceLabelPrefix + "team", team),
    ]);

    private PolicyStatus Tier(string tier, int priority, string rules, string name = "p") => _repository.Upsert(JsonSerializer.Deserialize(
        "{\"metadata\":{\"name\":\"" + name + "\"},\"spec\":{\"tier\":\"" + tier + "\",\"priority\":" + priority
        + ",\"subject\":{\"namespaces\":{\"matchLabels\":{\"team\":\"one\"}}}," + rules + "}}",
        KubernetesJson.Default.ClusterNetworkPolicy)!);

    private PolicyStatus Admin(string spec) => _repository.Upsert(JsonSerializer.Deserialize(
        $$$"""{"metadata":{"name":"a"},"spec":{{{spec}}}}""", KubernetesJson.Default.AdminNetworkPolicy)!);

    private PolicyStatus Baseline(string spec, string name = "default") => _repository.Upsert(JsonSerializer.Deserialize(
        $$$"""{"metadata":{"name":"{{{name}}}"},"spec":{{{spec}}}}""", KubernetesJson.Default.BaselineAdminNetworkPolicy)!);

    private void Namespaced(string spec) => Assert.Equal("", _repository.Upsert(JsonSerializer.Deserialize(
        $$$"""{"metadata":{"namespace":"blue","name":"np"},"spec":{{{spec}}}}""", KubernetesJson.Default.NetworkPolicy)!).Message);

    private PolicyStatus Cilium(string spec, string annotations = "{}") => _repository.Upsert(JsonSerializer.Deserialize(
        $$$"""{"metadata":{"namespace":"blue","name":"cnp","annotations":{{{annotations}}}},"spec":{{{spec}}}}""",
        KubernetesJson.Default.CiliumNetworkPolicy)!);

    private bool Allows(TrafficDirection direction, SecurityIdentity peer, ushort port = 80, bool shadow = false)
    {
        _engine.Commit();
        EndpointPolicy policy = _engine.FindEndpoint(1)!;
        return PolicyEvaluator.Evaluate(shadow ? policy.Shadow! : policy, direction, peer, L4Protocol.Tcp, port).Allowed;
    }

    private bool Receives(SecurityIdentity peer, ushort port = 80) => Allows(TrafficDirection.Ingress, peer, port);

    [Fact]
    public void All_namespaces_are_all_pods_and_nothing_else()
    {
        var node = new SecurityIdentity(SecurityIdentity.RemoteNodeScope + 7);
        _engine.UpsertIdentity(node, LabelSet.From([new Label("reserved", "remote-node", ""), new Label("k8s", PodLabels.Cluster, "default")]));
        Assert.True(Tier("Admin", 1, "\"ingress\":[{\"action\":\"Deny\",\"from\":[{\"namespaces\":{}}]}]").Valid);
        Assert.Equal((false, false, true, true), (Receives(Db), Receives(Other), Receives(node), Receives(SecurityIdentity.WorldIPv4)));
    }

    [Fact]
    public void Admin_denies_what_network_policies_allow_and_isolates_nobody()
    {
        Assert.Equal("", Tier("Admin", 10, """
            "ingress":[{"action":"Deny","from":[{"namespaces":{"matchLabels":{"team":"two"}}}],"protocols":[{"tcp":{"destinationPort":{"number":80}}}]}]
            """).Message);
        Assert.False(Receives(Db));
        Assert.True(Receives(Db, 81));
        Assert.True(Receives(Other));
        Assert.True(Receives(SecurityIdentity.WorldIPv4));
        Namespaced("""{"podSelector":{},"ingress":[{}]}""");
        Assert.False(Receives(Db));
        Assert.True(Receives(Db, 81));
    }

    [Fact]
    public void Pass_leaves_the_decision_to_network_policies_and_then_to_the_baseline()
    {
        Tier("Admin", 10, """
            "ingress":[{"action":"Pass","from":[{"pods":{"podSelector":{"matchLabels":{"app":"db"}}}}],"protocols":[{"tcp":{"destinationPort":{"range":{"start":80,"end":90}}}}]},
                       {"action":"Deny","from":[{"namespaces":{}}]}]
            """);
        Assert.True(Receives(Db));
        Assert.False(Receives(Db, 91));
        Assert.False(Receives(Other));
        Tier("Baseline", 0, """ "ingress":[{"action":"Deny","from":[{"namespaces":{}}],"protocols":[{"tcp":{"destinationPort":{"number":85}}}]}] """, "b");
        Assert.True(Receives(Db));
        Assert.False(Receives(Db, 85));
        Namespaced("""{"podSelector":{},"ingress":[{"ports":[{"port":85}]}]}""");
        Assert.True(Receives(Db, 85));
        Assert.False(Receives(Db));
        Assert.False(Receives(Other, 85));
    }

    [Fact]
    public void Baseline_has_no_say_about_whom_a_network_policy_isolates()
    {
        Tier("Baseline", 0, """ "ingress":[{"action":"Accept","from":[{"namespaces":{}}]},{"action":"Deny","from":[{"namespaces":{}}]}] """);
        Assert.True(Receives(Db));
        Namespaced("""{"podSelector":{},"policyTypes":["Ingress"]}""");
        Assert.False(Receives(Db));
        _repository.Delete(new PolicyObjectKey(PolicyKind.NetworkPolicy, "blue", "np"));
        Assert.True(Receives(Db));
    }

    [Fact]
    public void Priorities_and_the_order_of_rules_decide_inside_a_tier()
    {
        const string Deny = """ "ingress":[{"action":"Deny","from":[{"namespaces":{}}]}] """;
        const string Accept = """ "ingress":[{"action":"Accept","from":[{"pods":{"namespaceSelector":{},"podSelector":{"matchLabels":{"app":"db"}}}}]}] """;
        Tier("Admin", 20, Accept, "accept");
        Tier("Admin", 21, Deny, "deny");
        Assert.True(Receives(Db));
        Assert.False(Receives(Other));
        Tier("Admin", 19, Deny, "deny");
        Assert.False(Receives(Db));
        Tier("Admin", 1000, """
            "ingress":[{"action":"Accept","from":[{"namespaces":{}}]},{"action":"Deny","from":[{"namespaces":{}}]}]
            """, "deny");
        Assert.True(Receives(Other));
    }

    [Fact]
    public void Egress_knows_nodes_networks_named_ports_and_names()
    {
        Assert.Equal("", Tier("Admin", 1, """
            "egress":[{"action":"Deny","to":[{"networks":["192.0.2.0/24"]}]},
                      {"action":"Deny","to":[{"nodes":{"matchLabels":{"zone":"a"}}}]},
                      {"action":"Deny","to":[{"namespaces":{}}],"protocols":[{"destinationNamedPort":"sql"}]},
                      {"action":"Accept","to":[{"domainNames":["*.example.com"]}]},
                      {"action":"Deny","to":[{"networks":["0.0.0.0/0"]}]}]
            """).Message);
        var node = new SecurityIdentity(0x0200_0001);
        _engine.UpsertIdentity(node, NodeLabels.ForRemoteNode("default", [KeyValuePair.Create("zone", "a")], null, isApiServer: false));
        Assert.False(Allows(TrafficDirection.Egress, node));
        Assert.True(Allows(TrafficDirection.Egress, SecurityIdentity.RemoteNode));
        Assert.False(Allows(TrafficDirection.Egress, Db, 5432));
        Assert.True(Allows(TrafficDirection.Egress, Db));
        Assert.False(Allows(TrafficDirection.Egress, SecurityIdentity.WorldIPv4));
        SecurityIdentity block = _engine.Prefixes.First(p => p.Key == IpPrefix.Parse("192.0.2.0/24")).Value;
        Assert.False(Allows(TrafficDirection.Egress, block));
        Assert.Contains(
            _engine.FindPolicy(new PolicyObjectKey(PolicyKind.ClusterNetworkPolicy, "", "p"))!.Rules,
            r => r.Redirect is DnsRedirect { Names: [{ Text: "**.example.com" }] });
    }

    [Fact]
    public void What_is_not_known_fails_closed()
    {
        PolicyStatus status = Tier("Admin", 1, """
            "ingress":[{"action":"Accept","from":[{"serviceAccounts":{}}]},{"action":"Deny","from":[{"namespaces":{}}],"protocols":[{"quic":{}}]}]
            """);
        Assert.True(status.Valid);
        Assert.Equal(
            [
                "spec.ingress[0]: says something that this version does not know; the rule accepts nothing",
                "spec.ingress[1]: says something that this version does not know; the rule denies everything",
            ],
            status.Message.Split('\n'));
        Assert.False(Receives(Db));
        Assert.False(Receives(SecurityIdentity.WorldIPv4));
    }

    [Fact]
    public void Errors_name_their_fields()
    {
        PolicyStatus status = Tier("Platinum", 1001, """
            "ingress":[{"action":"Allow","from":[{"namespaces":{}}]},{"action":"Deny","from":[]},{"action":"Deny","from":[{"networks":["x"]}]}],
            "egress":[{"action":"Deny","to":[{"namespaces":{},"nodes":{}}],"protocols":[{"tcp":{"destinationPort":{"range":{"start":9,"end":3}}}}]},
                      {"action":"Deny","to":[{"domainNames":["a.b"]}]}]
            """);
        Assert.Equal(
            [
                "spec.tier: 'Platinum' is not one of Admin, Baseline",
                "spec.priority: 1001 is not in the range 0 to 1000",
                "spec.ingress[0].action: 'Allow' is not one of Accept, Deny, Pass",
                "spec.ingress[1].from: must have at least one peer",
                "spec.ingress[2].from[0]: nodes, networks and domainNames are for egress only",
                "spec.ingress[2].from[0].networks[0]: 'x' is not an address block such as 10.0.0.0/8 or fd00::/8",
                "spec.egress[0].to[0]: must have exactly one kind of peer",
                "spec.egress[0].protocols[0].tcp: 9 to 3 is no range of ports from 1 to 65535",
                "spec.egress[1].to[0].domainNames: is for rules that accept only",
            ],
            status.Message.Split('\n'));
    }

    [Fact]
    public void Older_kinds_are_the_same_tiers()
    {
        Assert.Equal("", Admin(
            """{"priority":5,"subject":{"pods":{"namespaceSelector":{},"podSelector":{"matchLabels":{"app":"web"}}}},"ingress":[{"action":"Pass","from":[{"namespaces":{}}],"ports":[{"portNumber":{"port":80}},{"portRange":{"protocol":"TCP","start":90,"end":99}}]},{"action":"Deny","from":[{"namespaces":{}}]}]}""").Message);
        Assert.Equal("", Baseline("""{"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{}}],"ports":[{"portNumber":{"protocol":"TCP","port":95}}]}]}""").Message);
        Assert.True(Receives(Db));
        Assert.True(Receives(Db, 94));
        Assert.False(Receives(Db, 95));
        Assert.False(Receives(Db, 100));
        Assert.Contains("metadata.name: 'x'", Baseline("""{"subject":{"namespaces":{}}}""", "x").Message, StringComparison.Ordinal);
        Assert.Contains(
            "spec.ingress[0].action: 'Pass'",
            Baseline("""{"subject":{"namespaces":{}},"ingress":[{"action":"Pass","from":[{"namespaces":{}}]}]}""").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Pass_outlives_changes_of_rules_about_the_class_of_a_peer()
    {
        Tier("Admin", 1, """ "ingress":[{"action":"Pass","from":[{"pods":{"podSelector":{"matchLabels":{"app":"db"}}}}]}] """);
        Assert.True(Receives(Db));
        Tier("Admin", 2, """ "ingress":[{"action":"Deny","from":[{"namespaces":{}}]}] """, "deny");
        Assert.True(Receives(Db));
        Assert.False(Receives(Other));
        Tier("Baseline", 2, """ "ingress":[{"action":"Deny","from":[{"namespaces":{}}]}] """, "floor");
        Assert.False(Receives(Db));
        _repository.Delete(new PolicyObjectKey(PolicyKind.ClusterNetworkPolicy, "", "floor"));
        Assert.True(Receives(Db));
        _repository.Delete(new PolicyObjectKey(PolicyKind.ClusterNetworkPolicy, "", "p"));
        Assert.False(Receives(Db));
    }

    [Fact]
    public void Rules_on_trial_change_only_the_policy_beside_the_one_in_force()
    {
        Assert.True(Receives(Db));
        Assert.Null(_engine.FindEndpoint(1)!.Shadow);
        const string Rule = """{"endpointSelector":{},"ingress":[{"fromEntities":["health"]}]}""";
        Assert.True(Cilium(Rule, """{"policy.cilium.io/enforcement":"shadow"}""").Shadow);
        PolicyUpdate update = _engine.Commit();
        EndpointPolicyChange change = Assert.Single(update.Endpoints);
        Assert.Empty(change.Delta.Upserts);
        Assert.NotEmpty(change.ShadowDelta.Upserts);
        Assert.True(Receives(Db));
        Assert.False(Allows(TrafficDirection.Ingress, Db, shadow: true));
        Assert.True(Allows(TrafficDirection.Ingress, SecurityIdentity.Health, shadow: true));

        Cilium(Rule);
        Assert.False(Receives(Db));
        Assert.Null(_engine.FindEndpoint(1)!.Shadow);
    }
}
