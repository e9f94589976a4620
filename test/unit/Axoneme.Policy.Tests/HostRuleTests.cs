// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

public sealed class HostRuleTests
{
    private const ushort Host = 9;
    private const ushort Pod = 1;

    private readonly PolicyEngine _engine = new(PolicyOptions.Default with { EnableHostFirewall = true });
    private readonly PolicyRepository _repository;

    public HostRuleTests()
    {
        _repository = new PolicyRepository(_engine);
        _engine.UpsertEndpoint(Pod, new SecurityIdentity(300), LabelSet.Parse("k8s:app=web", "k8s:io.kubernetes.pod.namespace=blue"));
        _engine.UpsertEndpoint(Host, SecurityIdentity.Host, LabelSet.Parse("reserved:host", "k8s:pool=edge"));
    }

    private static CiliumClusterwideNetworkPolicy Policy(string spec) => JsonSerializer.Deserialize(
        $$$"""{"metadata":{"name":"p","uid":"u","generation":3},"spec":{{{spec}}}}""", KubernetesJson.Default.CiliumClusterwideNetworkPolicy)!;

    private (bool Host, bool Pod) Enforced()
    {
        _engine.Commit();
        return (_engine.FindEndpoint(Host)!.IngressEnforced, _engine.FindEndpoint(Pod)!.IngressEnforced);
    }

    [Fact]
    public void Rule_for_nodes_selects_the_node_and_no_pod()
    {
        PolicyStatus status = _repository.Upsert(Policy("""{"nodeSelector":{},"ingress":[{"fromEntities":["world"]}]}"""));
        Assert.Equal((true, ""), (status.Valid, status.Message));
        Assert.Equal((true, false), Enforced());
    }

    [Fact]
    public void Rule_for_endpoints_selects_no_node()
    {
        _repository.Upsert(Policy("""{"endpointSelector":{},"ingress":[{"fromEntities":["world"]}]}"""));
        Assert.Equal((false, true), Enforced());
    }

    [Fact]
    public void Rule_for_nodes_follows_the_labels_of_the_node()
    {
        _repository.Upsert(Policy("""{"nodeSelector":{"matchLabels":{"pool":"core"}},"ingress":[{"fromEntities":["world"]}]}"""));
        Assert.Equal((false, false), Enforced());
        _engine.UpsertIdentity(SecurityIdentity.Host, LabelSet.Parse("reserved:host", "k8s:pool=core"));
        Assert.Equal((true, false), Enforced());
    }

    [Fact]
    public void Rule_for_nodes_without_a_host_firewall_is_valid_and_says_that_it_does_nothing()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        PolicyStatus status = new PolicyRepository(engine).Upsert(Policy("""{"nodeSelector":{},"ingress":[{"fromEntities":["world"]}]}"""));
        Assert.Equal((true, "spec.nodeSelector: has no effect: the host firewall is off (enable-host-firewall)"), (status.Valid, status.Message));
    }

    [Fact]
    public void Rule_for_nodes_may_not_look_into_requests()
    {
        PolicyStatus status = _repository.Upsert(Policy(
            """{"nodeSelector":{},"ingress":[{"toPorts":[{"ports":[{"port":"80","protocol":"TCP"}],"rules":{"http":[{"method":"GET"}]}}]}]}"""));
        Assert.False(status.Valid);
        Assert.Contains("spec.ingress[0].toPorts[0].rules: a policy for nodes may have DNS rules on egress only", status.Message);
    }

    [Fact]
    public void Rule_for_nodes_with_names_of_peers_says_whose_questions_it_knows()
    {
        PolicyStatus status = _repository.Upsert(Policy("""{"nodeSelector":{},"egress":[{"toFQDNs":[{"matchName":"example.com"}]}]}"""));
        Assert.True(status.Valid);
        Assert.Contains("spec.egress[0].toFQDNs: learning addresses from what the node asks for is not available", status.Message);
    }

    [Theory]
    [InlineData("*", true)]
    [InlineData("*.example.com", false)]
    public void Names_that_the_node_asks_for_are_not_filtered_so_only_all_of_them_are_allowed(string pattern, bool allowed)
    {
        PolicyStatus status = _repository.Upsert(Policy(
            $$$"""{"nodeSelector":{},"egress":[{"toPorts":[{"ports":[{"port":"53","protocol":"UDP"}],"rules":{"dns":[{"matchPattern":"{{{pattern}}}"}]}}]}]}"""));
        Assert.True(status.Valid);
        Assert.Contains("spec.egress[0].toPorts[0].rules.dns", status.Message);
        _engine.Commit();
        Assert.Equal(
            allowed,
            PolicyEvaluator.Evaluate(_engine.FindEndpoint(Host)!, TrafficDirection.Egress, SecurityIdentity.WorldIPv4, L4Protocol.Udp, 53).Allowed);
    }
}
