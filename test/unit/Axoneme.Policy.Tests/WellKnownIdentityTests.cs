// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

/// <summary>Pods with fixed numbers are pods of the own cluster to every rule.</summary>
public sealed class WellKnownIdentityTests
{
    private static readonly SecurityIdentity CoreDns = new(112);

    private static PolicyEngine Engine(uint cluster, params IEnumerable<IdentitySelector> peers)
    {
        var engine = new PolicyEngine(new PolicyOptions
        {
            Numbering = new IdentityNumbering { ClusterId = cluster },
            WellKnown = [.. WellKnownIdentities.Of("default", "kube-system")],
        });
        engine.UpsertEndpoint(1, new SecurityIdentity((cluster << 16) + 300), LabelSet.Parse("k8s:app=web", "k8s:io.cilium.k8s.policy.cluster=default"));
        var key = new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "blue", "p");
        engine.UpsertPolicy(new PolicyDocument(key,
        [
            new NetworkRule
            {
                Subject = new LabelsSelector(LabelRequirement.Equal("k8s", "app", "web")),
                Direction = TrafficDirection.Egress,
                Peers = [.. peers],
                Origin = new RuleOrigin(key, "uid", "spec.egress[0]", LabelSet.Empty),
            },
        ]));
        engine.Commit();
        return engine;
    }

    private static bool Allows(PolicyEngine engine, SecurityIdentity peer) => PolicyEvaluator.Evaluate(
        engine.FindEndpoint(1)!, TrafficDirection.Egress, peer, L4Protocol.Udp, 53, engine.Options.Numbering).Allowed;

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void Rules_for_all_pods_mean_them(uint cluster)
    {
        PolicyEngine engine = Engine(cluster, Entities.Find("cluster", "default")!);
        Assert.True(Allows(engine, CoreDns));
        // By the class's entry, and none of its own.
        Assert.DoesNotContain(engine.FindEndpoint(1)!.Entries.Keys, k => k.Identity == CoreDns);
        Assert.Contains(engine.FindEndpoint(1)!.Entries.Keys, k => k.Identity == SecurityIdentity.AggregateCluster);
    }

    [Fact]
    public void Rules_select_them_by_their_labels()
    {
        PolicyEngine engine = Engine(0, new LabelsSelector(LabelRequirement.Equal("k8s", "k8s-app", "kube-dns")));
        Assert.True(Allows(engine, CoreDns));
        Assert.False(Allows(engine, new SecurityIdentity(113)));
    }

    [Fact]
    public void Each_has_labels_of_its_own()
    {
        List<KeyValuePair<SecurityIdentity, LabelSet>> all = [.. WellKnownIdentities.Of("default", "cilium")];
        uint[] numbers = [.. all.Select(i => i.Key.Value).Order()];
        Assert.Equal([102u, 103, 104, 105, 106, 110, 111, 112, 113, 114], numbers);
        Assert.Equal(all.Count, all.Select(i => i.Value).Distinct().Count());
        Assert.Contains("k8s:io.kubernetes.pod.namespace=cilium", all.Single(i => i.Key.Value == 105).Value.ToString(), StringComparison.Ordinal);
    }
}
