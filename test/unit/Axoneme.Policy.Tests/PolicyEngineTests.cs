// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

public sealed class PolicyEngineTests
{
    private static readonly SecurityIdentity Web = new(300);
    private static readonly LabelSet WebLabels = LabelSet.Parse("k8s:app=web", "k8s:io.kubernetes.pod.namespace=blue");

    private static PolicyDocument Document(string name, params IEnumerable<NetworkRule> rules)
        => new(new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "blue", name), [.. rules]);

    private static NetworkRule Rule(string app, IdentitySelector? peer, bool deny = false, params L4Match[] ports) => new()
    {
        Subject = new LabelsSelector(LabelRequirement.Equal("k8s", "app", app)),
        Direction = TrafficDirection.Ingress,
        Peers = peer is null ? null : [peer],
        Action = deny ? RuleAction.Deny : RuleAction.Allow,
        Ports = ports.Length == 0 ? [L4Match.AllPorts(L4Protocol.Any)] : [.. ports],
        Origin = new RuleOrigin(new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "blue", "p"), "u", "spec.ingress[0]", LabelSet.Empty),
    };

    [Fact]
    public void Endpoint_without_rules_is_open_by_an_entry_and_by_its_flags()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        engine.UpsertEndpoint(7, Web, WebLabels);
        EndpointPolicyChange change = Assert.Single(engine.Commit().Endpoints);
        Assert.Equal((7, false, false), (change.EndpointId, change.Policy.IngressEnforced, change.Policy.EgressEnforced));
        Assert.True(PolicyEvaluator.Evaluate(change.Policy, TrafficDirection.Ingress, SecurityIdentity.WorldIPv4, L4Protocol.Udp, 53).Allowed);
        Assert.Empty(engine.Commit().Endpoints);
    }

    [Fact]
    public void Init_endpoint_is_closed_without_rules()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        engine.UpsertEndpoint(7, SecurityIdentity.Init, LabelSet.Reserved("init"));
        EndpointPolicy policy = engine.Commit().Endpoints[0].Policy;
        Assert.False(PolicyEvaluator.Evaluate(policy, TrafficDirection.Egress, SecurityIdentity.WorldIPv4, L4Protocol.Udp, 53).Allowed);
        Assert.True(PolicyEvaluator.Evaluate(policy, TrafficDirection.Ingress, SecurityIdentity.Host, L4Protocol.Tcp, 80).Allowed);
    }

    [Fact]
    public void Narrow_allow_does_not_hide_a_broad_deny_of_the_same_peer()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        var db = new LabelsSelector(LabelRequirement.Equal("k8s", "app", "db"));
        engine.UpsertIdentity(new SecurityIdentity(400), LabelSet.Parse("k8s:app=db"));
        engine.UpsertPolicy(Document("a", Rule("web", db, false, L4Match.Single(L4Protocol.Tcp, 80)), Rule("web", db, deny: true)));
        engine.UpsertEndpoint(1, Web, WebLabels);
        EndpointPolicy policy = engine.Commit().Endpoints[0].Policy;
        PolicyVerdict verdict = PolicyEvaluator.Evaluate(policy, TrafficDirection.Ingress, new SecurityIdentity(400), L4Protocol.Tcp, 80);
        Assert.True(verdict.Entry!.Deny);
        Assert.DoesNotContain(policy.Entries, e => e.Key.Protocol == L4Protocol.Tcp);
    }

    [Fact]
    public void Selector_of_all_pods_is_one_entry_until_a_pod_is_out_of_the_ordinary()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        var anyPod = new LabelsSelector(
            LabelRequirement.Exists("k8s", PodLabels.Namespace), LabelRequirement.Equal("k8s", PodLabels.Cluster, "default"));
        var db = new LabelsSelector(LabelRequirement.Equal("k8s", "app", "db"));
        engine.UpsertPolicy(Document("a", Rule("web", anyPod) with { Peers = [anyPod, db] }));
        engine.UpsertEndpoint(1, Web, LabelSet.From([.. WebLabels, new Label("k8s", PodLabels.Cluster, "default")]));
        engine.UpsertIdentity(new SecurityIdentity(400), Pod("db", "blue"));
        engine.Commit();
        Assert.Equal([SecurityIdentity.Host, SecurityIdentity.AggregateCluster], Peers());

        // It has no namespace, and a label that the other selector of the rule asks for.
        engine.UpsertIdentity(new SecurityIdentity(401), Pod("db", null));
        engine.Commit();
        Assert.Equal([SecurityIdentity.Host, Web, new SecurityIdentity(400), new SecurityIdentity(401)], Peers());

        engine.DeleteIdentity(new SecurityIdentity(401));
        engine.Commit();
        Assert.Equal([SecurityIdentity.Host, SecurityIdentity.AggregateCluster], Peers());

        IEnumerable<SecurityIdentity> Peers() => engine.FindEndpoint(1)!.Entries.Keys
            .Where(k => k.Direction == TrafficDirection.Ingress).Select(k => k.Identity).Order();

        static LabelSet Pod(string app, string? ns) => LabelSet.From(
        [
            new Label("k8s", "app", app), new Label("k8s", PodLabels.Cluster, "default"),
            .. ns is null ? Array.Empty<Label>() : [new Label("k8s", PodLabels.Namespace, ns)],
        ]);
    }

    [Fact]
    public void Endpoint_whose_identity_object_is_deleted_keeps_its_policy()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        engine.UpsertPolicy(Document("a", Rule("web", new EntitySelector("none"))));
        engine.UpsertEndpoint(1, Web, WebLabels);
        engine.Commit();
        engine.DeleteIdentity(Web);
        engine.Commit();
        Assert.True(engine.FindEndpoint(1)!.IngressEnforced);
        engine.RemoveEndpoint(1);
        Assert.Null(engine.FindIdentity(Web));
    }

    [Fact]
    public void Only_endpoints_that_the_policy_selects_change()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        engine.UpsertEndpoint(1, Web, WebLabels);
        engine.UpsertEndpoint(2, Web, WebLabels);
        engine.UpsertEndpoint(3, new SecurityIdentity(301), LabelSet.Parse("k8s:app=db"));
        engine.Commit();
        engine.UpsertPolicy(Document("a", Rule("web", null, false, L4Match.Single(L4Protocol.Tcp, 80))));
        PolicyUpdate update = engine.Commit();
        Assert.Equal([1, 2], update.Endpoints.Select(e => (int)e.EndpointId));
        Assert.Same(update.Endpoints[0].Delta, update.Endpoints[1].Delta);
        engine.UpsertPolicy(Document("a", Rule("web", null, false, L4Match.Single(L4Protocol.Tcp, 80))));
        Assert.Empty(engine.Commit().Endpoints);
    }

    [Fact]
    public void Enforcement_closes_and_opens_endpoints_that_exist()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        engine.UpsertPolicy(Document("a", Rule("web", peer: null, deny: true, L4Match.Single(L4Protocol.Tcp, 80))));
        engine.UpsertEndpoint(1, Web, WebLabels);
        engine.UpsertEndpoint(2, new SecurityIdentity(301), LabelSet.Parse("k8s:app=other"));
        engine.Commit();
        Assert.Equal((false, true), (Opens(1), Opens(2)));
        engine.SetEnforcement(EnforcementMode.Always);
        Assert.Equal([(ushort)1, (ushort)2], engine.Commit().Endpoints.Select(e => e.EndpointId));
        Assert.Equal((false, false), (Opens(1), Opens(2)));
        engine.SetEnforcement(EnforcementMode.Never);
        engine.Commit();
        Assert.Equal((true, true), (Opens(1), Opens(2)));
        engine.SetEnforcement(EnforcementMode.Default);
        engine.Commit();
        Assert.Equal((false, true), (Opens(1), Opens(2)));

        bool Opens(ushort endpoint) => PolicyEvaluator.Evaluate(
            engine.FindEndpoint(endpoint)!, TrafficDirection.Ingress, SecurityIdentity.WorldIPv4, L4Protocol.Tcp, 80).Allowed;
    }

    [Fact]
    public void Next_version_of_a_policy_keeps_the_numbers_of_the_blocks_that_it_still_mentions()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        engine.UpsertEndpoint(1, Web, WebLabels);
        engine.UpsertPolicy(Document("a", Rule("web", new CidrSelector(IpPrefix.Parse("10.0.0.0/8")))));
        engine.Commit();
        SecurityIdentity before = engine.Prefixes.Single().Value;
        engine.UpsertPolicy(Document("a", Rule("web", new CidrSelector(IpPrefix.Parse("10.0.0.0/8")), false, L4Match.Single(L4Protocol.Tcp, 80))));
        PolicyUpdate update = engine.Commit();
        Assert.Equal(before, engine.Prefixes.Single().Value);
        Assert.Empty(update.PrefixUpserts);
        Assert.Empty(update.PrefixDeletes);
    }

    [Fact]
    public void Number_of_a_block_that_is_gone_is_not_the_next_ones()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        var restored = new SecurityIdentity(SecurityIdentity.LocalCidrScope + 1);
        Assert.True(engine.RestorePrefix(IpPrefix.Parse("9.0.0.0/8"), restored));
        engine.ReleaseRestoredPrefixes();
        var numbers = new HashSet<SecurityIdentity> { restored };
        foreach (string block in (string[])["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"])
        {
            engine.UpsertPolicy(Document("a", Rule("web", new CidrSelector(IpPrefix.Parse(block)))));
            engine.Commit();
            Assert.True(numbers.Add(engine.Prefixes.Single().Value), $"{block} has a number that flows of another may still bear");
            engine.DeletePolicy(Document("a").Key);
            engine.Commit();
        }
    }

    [Fact]
    public void Restored_prefix_keeps_its_number_and_goes_when_nothing_mentions_it()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        var first = new SecurityIdentity(SecurityIdentity.LocalCidrScope + 9);
        Assert.True(engine.RestorePrefix(IpPrefix.Parse("10.0.0.0/8"), first));
        Assert.True(engine.RestorePrefix(IpPrefix.Parse("11.0.0.0/8"), new SecurityIdentity(first.Value + 1)));
        Assert.False(engine.RestorePrefix(IpPrefix.Parse("12.0.0.0/8"), first));
        engine.UpsertPolicy(Document("a", Rule("web", new CidrSelector(IpPrefix.Parse("10.0.0.0/8"), IpPrefix.Parse("10.1.0.0/16")))));
        engine.UpsertEndpoint(1, Web, WebLabels);
        engine.Commit();
        engine.ReleaseRestoredPrefixes();
        PolicyUpdate update = engine.Commit();
        Assert.Equal([IpPrefix.Parse("11.0.0.0/8")], update.PrefixDeletes);
        Assert.Equal(first, engine.Prefixes.Single(p => p.Key == IpPrefix.Parse("10.0.0.0/8")).Value);
        EndpointPolicy policy = engine.FindEndpoint(1)!;
        Assert.True(PolicyEvaluator.Evaluate(policy, TrafficDirection.Ingress, first, L4Protocol.Tcp, 1).Allowed);
        engine.DeletePolicy(Document("a").Key);
        Assert.Equal(2, engine.Commit().PrefixDeletes.Length);
    }

    [Theory]
    [InlineData(0, 65535, 1)]
    [InlineData(80, 80, 1)]
    [InlineData(80, 443, 8)]
    [InlineData(1, 65535, 16)]
    [InlineData(1, 65534, 30)]
    public void Port_range_becomes_the_fewest_blocks(int first, int last, int count)
    {
        var blocks = PortBlocks.Split((ushort)first, (ushort)last).ToList();
        Assert.Equal(count, blocks.Count);
        int next = first;
        foreach ((ushort port, int length) in blocks)
        {
            var key = new PolicyKey(TrafficDirection.Ingress, Web, L4Protocol.Tcp, port, length);
            Assert.Equal((next, port), (port, key.Port));
            next = key.LastPort + 1;
        }

        Assert.Equal(last + 1, next);
    }

    [Fact]
    public void Change_among_500_policies_reports_its_cost()
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        const int Apps = 250;
        for (uint i = 0; i < 2000; i++)
            engine.UpsertIdentity(new SecurityIdentity(1000 + i), LabelSet.Parse($"k8s:app=a{i % Apps}", $"k8s:pod=p{i}", "k8s:ns=blue"));
        PolicyDocument Numbered(int i, ushort port) => Document(
            $"p{i}", Rule($"a{i % Apps}", new LabelsSelector(LabelRequirement.Equal("k8s", "app", $"a{(i + 1) % Apps}")), false, L4Match.Single(L4Protocol.Tcp, port)));
        for (int i = 0; i < 500; i++)
            engine.UpsertPolicy(Numbered(i, 80));
        for (uint i = 0; i < 100; i++)
            engine.UpsertEndpoint((ushort)(i + 1), new SecurityIdentity(1000 + i), engine.FindIdentity(new SecurityIdentity(1000 + i))!.Labels);
        engine.Commit();

        double policy = Median(i => engine.UpsertPolicy(Numbered(i % 100, (ushort)(1000 + i))));
        double identity = Median(i => engine.UpsertIdentity(new SecurityIdentity((uint)(5000 + i)), LabelSet.Parse($"k8s:app=a{1 + (i % 100)}", $"k8s:pod=n{i}")));
        double endpoint = Median(i => engine.UpsertEndpoint((ushort)(500 + i), new SecurityIdentity((uint)(1500 + i)), engine.FindIdentity(new SecurityIdentity((uint)(1500 + i)))!.Labels));
        TestContext.Current.TestOutputHelper!.WriteLine(
            $"500 policies, 2000 identities, 100 endpoints: policy change {policy:F0} us, identity added {identity:F0} us, endpoint added {endpoint:F0} us");

        double Median(Action<int> change)
        {
            var samples = new List<double>();
            for (int i = 0; i < 201; i++)
            {
                long start = Stopwatch.GetTimestamp();
                change(i);
                Assert.NotEmpty(engine.Commit().Endpoints);
                samples.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
            }

            samples.Sort();
            return samples[100];
        }
    }
}
