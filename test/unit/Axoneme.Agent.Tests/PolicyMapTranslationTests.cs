// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Policies;
using Axoneme.Datapath;
using Axoneme.Dns;
using Axoneme.Network;
using Axoneme.Policy;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;
using TrafficDirection = Axoneme.Policy.TrafficDirection;

namespace Axoneme.Agent.Tests;

/// <summary>From the engine's policies to the rows of policy maps, without a kernel.</summary>
public sealed class PolicyMapTranslationTests
{
    private static readonly SecurityIdentity Web = new(20001);
    private static readonly SecurityIdentity Db = new(20002);
    private static readonly LabelSet WebLabels = LabelSet.Parse("k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop");
    private static readonly LabelSet DbLabels = LabelSet.Parse("k8s:app=db", "k8s:io.kubernetes.pod.namespace=shop");

    private readonly PolicyEngine _engine = new(PolicyOptions.Default);
    private readonly PolicyMapTranslation _translation = new() { HasProxy = true };
    private readonly Dictionary<ushort, EndpointPolicy> _rows = [];

    [Fact]
    public void Endpoints_of_one_identity_share_their_entries_whenever_they_come()
    {
        _engine.UpsertEndpoint(1, Web, WebLabels);
        _engine.UpsertEndpoint(2, Web, WebLabels);
        _engine.UpsertEndpoint(3, Db, DbLabels);
        _engine.UpsertPolicy(Allow("one", "web", 80));
        Commit();
        Assert.Same(_rows[1].Entries, _rows[2].Entries);
        Assert.NotSame(_rows[1].Entries, _rows[3].Entries);

        _engine.UpsertPolicy(Allow("two", "web", 443));
        _engine.UpsertEndpoint(4, Web, WebLabels);
        Commit();
        Assert.Same(_rows[1].Entries, _rows[4].Entries);
        _engine.UpsertEndpoint(5, Web, WebLabels);
        Commit();
        Assert.Same(_rows[1].Entries, _rows[5].Entries);
        AssertTrue();
    }

    [Fact]
    public void Entries_are_still_shared_after_the_proxy_moved()
    {
        _engine.UpsertEndpoint(1, Web, WebLabels);
        _engine.UpsertEndpoint(2, Web, WebLabels);
        _engine.UpsertPolicy(Names("names", shadow: false));
        _engine.UpsertPolicy(Names("trial", shadow: true));
        Commit();
        IReadOnlyList<EndpointPolicy> moved = Move(10053);
        Assert.Equal(new ushort[] { 1, 2 }, moved.Select(p => p.EndpointId).Order());
        Assert.Same(_rows[1].Entries, _rows[2].Entries);
        Assert.Same(_rows[1].Shadow!.Entries, _rows[2].Shadow!.Entries);
        Assert.Contains(_rows[1].Entries.Values, e => e.ProxyPort == 10053);
        Assert.Contains(_rows[1].Shadow!.Entries.Values, e => e.ProxyPort == 10053);
        _engine.UpsertEndpoint(3, Web, WebLabels);
        Commit();
        Assert.Same(_rows[1].Entries, _rows[3].Entries);
        Assert.Empty(Move(10053));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Rows_say_what_the_engine_says_after_any_changes(int seed)
    {
        var random = new Random(seed);
        for (int step = 0; step < 200; step++)
        {
            var endpoint = (ushort)random.Next(1, 7);
            var name = $"policy-{random.Next(5)}";
            switch (random.Next(5))
            {
                case 0:
                    (SecurityIdentity identity, LabelSet labels) = random.Next(2) == 0 ? (Web, WebLabels) : (Db, DbLabels);
                    _engine.UpsertEndpoint(endpoint, identity, labels);
                    break;
                case 1:
                    _engine.RemoveEndpoint(endpoint);
                    _rows.Remove(endpoint);
                    break;
                case 2:
                    _engine.DeletePolicy(Key(name));
                    break;
                default:
                    _engine.UpsertPolicy(Allow(name, random.Next(2) == 0 ? "web" : "db", (ushort)random.Next(1, 5)));
                    break;
            }

            Commit();
            AssertTrue();
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Way_from_any_version_to_any_later_or_unrelated_one_leads_there(int seed)
    {
        var random = new Random(seed);
        List<PolicyMapEntryCollection> versions = [PolicyMapEntryCollection.Empty];
        for (int i = 0; i < 60; i++)
        {
            PolicyMapEntryCollection from = versions[Math.Max(0, versions.Count - random.Next(1, 4))];
            versions.Add(from.With(
                Enumerable.Range(0, random.Next(4)).Select(_ => Entry((ushort)random.Next(40), (uint)random.Next(3))).DistinctBy(e => e.Key),
                Enumerable.Range(0, random.Next(3)).Select(_ => Entry((ushort)random.Next(40), 0).Key)));
        }

        foreach (PolicyMapEntryCollection before in versions)
        {
            foreach (PolicyMapEntryCollection after in versions)
            {
                (List<PolicyMapEntry> upserts, List<PolicyMapKey> deletes) = after.Since(before);
                Assert.True(before.With(upserts, deletes).HasSameEntries(after));
                Assert.All(upserts, e => Assert.False(before.TryGetValue(e.Key, out PolicyMapEntry? old) && old == e));
                Assert.All(deletes, key => Assert.True(before.ContainsKey(key) && !after.ContainsKey(key)));
            }
        }
    }

    [Fact]
    public void Version_without_a_difference_is_the_same_instance()
    {
        PolicyMapEntryCollection entries = PolicyMapEntryCollection.Of([Entry(80, 1), Entry(443, 1)]);
        Assert.Same(entries, entries.With([Entry(80, 1)], [Entry(22, 0).Key]));
        Assert.NotSame(entries, entries.With([Entry(80, 2)], []));
    }

    private static PolicyMapEntry Entry(ushort port, uint precedence)
        => new(new PolicyMapKey(Datapath.Abi.TrafficDirection.Ingress, Web, L4Protocol.Tcp, port, 16)) { Precedence = precedence };

    private static PolicyObjectKey Key(string name) => new(PolicyKind.CiliumNetworkPolicy, "shop", name);

    private static NetworkRule Rule(string name, string app, ushort port) => new()
    {
        Subject = new LabelsSelector(LabelRequirement.Equal(Label.Kubernetes, "app", app)),
        Direction = TrafficDirection.Egress,
        Ports = [L4Match.Single(L4Protocol.Udp, port)],
        Origin = new RuleOrigin(Key(name), "", "spec.egress[0]", LabelSet.Empty),
    };

    private static PolicyDocument Allow(string name, string app, ushort port) => new(Key(name), [Rule(name, app, port)]);

    private static PolicyDocument Names(string name, bool shadow)
    {
        Assert.True(DnsPattern.TryParsePattern("*.example.org", out DnsPattern pattern, out string problem), problem);
        return new PolicyDocument(Key(name), [Rule(name, "web", 53) with { Redirect = DnsRedirect.Of(pattern), Shadow = shadow }]);
    }

    private void Commit()
    {
        foreach (EndpointPolicyChange change in _engine.Commit().Endpoints)
            _rows[change.EndpointId] = _translation.Apply(_rows.GetValueOrDefault(change.EndpointId), change, revisionBase: 0);
    }

    private IReadOnlyList<EndpointPolicy> Move(ushort port)
    {
        IReadOnlyList<EndpointPolicy> moved = _translation.MoveProxy(port, _rows.Values);
        foreach (EndpointPolicy policy in moved)
            _rows[policy.EndpointId] = policy;
        return moved;
    }

    private void AssertTrue()
    {
        Assert.Equal(_engine.EndpointIds.Order(), _rows.Keys.Order());
        foreach ((ushort endpoint, EndpointPolicy row) in _rows)
        {
            PolicyEntryCollection wanted = _engine.FindEndpoint(endpoint)!.Entries;
            Assert.Equal(wanted.Count, row.Entries.Count);
            foreach ((PolicyKey key, PolicyEntry entry) in wanted)
            {
                var translated = new PolicyMapKey((Datapath.Abi.TrafficDirection)key.Direction, key.Identity, key.Protocol, key.Port, key.PortPrefixLength);
                Assert.Equal((entry.Deny, entry.Precedence, entry.Origins.Cookie), (row.Entries[translated].Deny, row.Entries[translated].Precedence, row.Entries[translated].Cookie));
            }
        }
    }
}
