// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Agent.HostPolicy;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Tests;

public sealed class HostPolicyGateTests
{
    private const ushort Host = 9;
    private const ushort Pod = 1;
    private const string Closed = """{"nodeSelector":{},"ingress":[{}]}""";
    private const string Open = """{"nodeSelector":{},"ingress":[{"fromEntities":["world"]}]}""";

    private readonly DateTimeOffset _now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private readonly PolicyEngine _engine = new(PolicyOptions.Default with { EnableHostFirewall = true });
    private readonly HostPolicyTrial _trial = new(TimeSpan.FromSeconds(30));
    private readonly PolicyRepository _repository;
    private readonly HostPolicyGate _gate;
    private LabelSet _labels = LabelSet.Parse("reserved:host", "k8s:pool=edge");

    public HostPolicyGateTests()
    {
        _gate = new HostPolicyGate(_trial, () => _labels) { Changed = Begin };
        _repository = new PolicyRepository(_engine) { Amend = _gate.Amend };
        _gate.IsComplete = true;
        _engine.UpsertEndpoint(Pod, new SecurityIdentity(300), LabelSet.Parse("k8s:app=web", "k8s:io.kubernetes.pod.namespace=blue"));
        _engine.UpsertEndpoint(Host, SecurityIdentity.Host, _labels);
    }

    private void Write(string name, params string[] specs) => _repository.Upsert(JsonSerializer.Deserialize(
        $$$"""{"metadata":{"name":"{{{name}}}","uid":"u","generation":3},"specs":[{{{string.Join(',', specs)}}}]}""",
        KubernetesJson.Default.CiliumClusterwideNetworkPolicy)!);

    private void Begin()
    {
        _trial.Admit(_now);
        _trial.Decide(_now);
    }

    private void End(params string[] failures)
    {
        _trial.Judge(_trial.Version, [.. failures.Select(f => new TrialFailure(f))], _now.AddSeconds(30));
        _gate.Settle(_engine);
        _gate.Apply(_engine);
    }

    private bool Admits(ushort endpoint = Host)
    {
        _engine.Commit();
        return PolicyEvaluator.Evaluate(_engine.FindEndpoint(endpoint)!, TrafficDirection.Ingress, SecurityIdentity.WorldIPv4, L4Protocol.Tcp, 22).Allowed;
    }

    [Fact]
    public void Rules_that_are_only_computed_need_not_prove_themselves()
    {
        CiliumClusterwideNetworkPolicy shadow = JsonSerializer.Deserialize(
            $$$"""{"metadata":{"name":"s","uid":"u","annotations":{"policy.cilium.io/enforcement":"shadow"}},"spec":{{{Closed}}}}""",
            KubernetesJson.Default.CiliumClusterwideNetworkPolicy)!;
        Assert.True(_repository.Upsert(shadow).Shadow);
        Assert.Null(_trial.Version);
        Assert.True(Admits());
    }

    [Fact]
    public void Version_on_trial_is_in_force_and_after_a_roll_back_the_confirmed_one()
    {
        Write("p", Open);
        End();
        Write("p", Closed);
        Assert.False(Admits());
        End("nobody could come");
        Assert.True(Admits());
        Write("p", Closed);
        Assert.True(Admits());
    }

    [Fact]
    public void Roll_back_of_the_first_policy_leaves_the_node_open()
    {
        Write("p", Closed);
        Assert.False(Admits());
        End("nobody could come");
        Assert.True(Admits());
        Assert.False(_engine.FindEndpoint(Host)!.IngressEnforced);
    }

    [Fact]
    public void Rules_for_pods_of_the_same_object_are_not_rolled_back()
    {
        Write("p", Closed, """{"endpointSelector":{},"ingress":[{}]}""");
        End("nobody could come");
        Assert.True(Admits());
        Assert.False(Admits(Pod));
    }

    [Fact]
    public void Deleted_policy_whose_absence_cuts_somebody_off_stays_in_force()
    {
        Write("base", Closed);
        Write("allow", Open);
        End();
        _repository.Delete(HostPolicyGate.KeyOf("allow"));
        Assert.False(Admits());
        End("nobody could come");
        Assert.True(Admits());
    }

    [Fact]
    public void Node_that_moves_under_another_policy_by_its_labels_tries_that_out()
    {
        Write("p", """{"nodeSelector":{"matchLabels":{"pool":"core"}},"ingress":[{}]}""");
        Assert.Null(_trial.Version);
        _labels = LabelSet.Parse("reserved:host", "k8s:pool=core");
        _engine.UpsertIdentity(SecurityIdentity.Host, _labels);
        _gate.Relabelled();
        Assert.Equal(["p"], _trial.OnTrial);
        Assert.False(Admits());
        End("nobody could come");
        Assert.True(Admits());
    }

    [Fact]
    public void Version_depends_on_the_rules_for_the_node_alone()
    {
        Write("p", Open);
        string version = _gate.VersionOf(_engine.FindPolicy(HostPolicyGate.KeyOf("p")))!;
        Write("p", Open, """{"endpointSelector":{},"ingress":[{}]}""");
        Assert.Equal(version, _gate.VersionOf(_engine.FindPolicy(HostPolicyGate.KeyOf("p"))));
        Write("p", Closed);
        Assert.NotEqual(version, _gate.VersionOf(_engine.FindPolicy(HostPolicyGate.KeyOf("p"))));
    }

    [Fact]
    public void Address_blocks_of_the_confirmed_policy_keep_their_identities_during_a_trial()
    {
        Write("p", """{"nodeSelector":{},"ingress":[{"fromCIDR":["198.51.100.0/24"]}]}""");
        End();
        SecurityIdentity before = _engine.Prefixes.Single().Value;
        _gate.KeepConfirmed(_engine);
        Write("p", """{"nodeSelector":{},"ingress":[{"fromCIDR":["203.0.113.0/24"]}]}""");
        Assert.Contains(KeyValuePair.Create(IpPrefix.Parse("198.51.100.0/24"), before), _engine.Prefixes);
        End();
        Assert.Equal(["203.0.113.0/24"], _engine.Prefixes.Select(p => p.Key.ToString()));
    }
}
