// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

/// <summary>Random clusters and policies, changed step by step; after each step the maps must say what the rules mean.</summary>
public sealed class PolicyPropertyTests(ITestOutputHelper output)
{
    private const int Checks = 1_000_000;
    private const int Steps = 12;
    private const int PacketsPerEndpoint = 500;

    [Fact]
    public void Maps_say_what_the_rules_mean_and_deltas_add_up()
    {
        int checks = 0;
        int denied = 0;
        int first = Environment.GetEnvironmentVariable("AXONEME_SEED") is { } wanted ? int.Parse(wanted) : Random.Shared.Next(1_000_000);
        output.WriteLine($"seeds from {first}; AXONEME_SEED={first} repeats them");
        for (int seed = first; checks < Checks; seed++)
        {
            var run = new Run(seed).KnowNodes();
            for (int step = 0; step < Steps; step++)
                run.Step(ref checks, ref denied);
        }

        // A generator that only makes one verdict would prove nothing.
        Assert.InRange(denied, checks / 5, checks * 4 / 5);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Order_of_events_does_not_matter(int seed)
    {
        var world = new RandomWorld(seed);
        Peer[] pods = [.. Enumerable.Range(256, 12).Select(i => world.Pod((uint)i))];
        PolicyDocument[] documents = [.. Enumerable.Range(0, 12).Select(world.Document)];
        var one = new PolicyEngine(PolicyOptions.Default);
        var other = new PolicyEngine(PolicyOptions.Default);
        foreach (Peer pod in pods)
            one.UpsertIdentity(pod.Id, pod.Labels, pod.Ports);
        for (int i = 0; i < 4; i++)
            one.UpsertEndpoint((ushort)(i + 1), pods[i].Id, pods[i].Labels, pods[i].Ports);
        foreach (PolicyDocument document in documents)
        {
            one.UpsertPolicy(document);
            one.Commit();
        }

        foreach (PolicyDocument document in documents)
            other.UpsertPolicy(document);
        for (int i = 3; i >= 0; i--)
            other.UpsertEndpoint((ushort)(i + 1), pods[i].Id, pods[i].Labels, pods[i].Ports);
        other.Commit();
        foreach (Peer pod in pods.Reverse())
            other.UpsertIdentity(pod.Id, pod.Labels, pod.Ports);
        other.Commit();

        for (ushort endpoint = 1; endpoint <= 4; endpoint++)
        {
            PolicyEntryCollection expected = one.FindEndpoint(endpoint)!.Entries;
            Assert.Equal(expected.OrderBy(e => e.Key), other.FindEndpoint(endpoint)!.Entries.OrderBy(e => e.Key));
        }
    }

    private sealed class Run(int seed)
    {
        private readonly RandomWorld _world = new(seed);
        private readonly Dictionary<uint, Peer> _pods = [];
        private readonly Dictionary<ushort, uint> _endpoints = [];
        private readonly Dictionary<int, PolicyDocument> _documents = [];
        private readonly Dictionary<ushort, ImmutableDictionary<PolicyKey, PolicyEntry>> _maps = [];
        private readonly Dictionary<ushort, ImmutableDictionary<PolicyKey, PolicyEntry>> _shadows = [];
        private readonly Dictionary<IpPrefix, SecurityIdentity> _ipcache = [];
        private readonly PolicyEngine _engine = new(new RandomWorld(seed).Options());

        public void Step(ref int checks, ref int denied)
        {
            for (int i = 0; i < 6; i++)
                Change();
            Apply(_engine.Commit());
            foreach ((ushort endpoint, uint id) in _endpoints)
            {
                EndpointPolicy policy = _engine.FindEndpoint(endpoint)!;
                Assert.Equal(policy.Entries.OrderBy(e => e.Key), _maps[endpoint].OrderBy(e => e.Key));
                Assert.Equal((policy.Shadow?.Entries ?? PolicyEntryCollection.Empty).OrderBy(e => e.Key), _shadows[endpoint].OrderBy(e => e.Key));
                for (int i = 0; i < PacketsPerEndpoint; i++)
                {
                    checks++;
                    denied += Check(policy, _pods[id]) ? 0 : 1;
                }
            }
        }

        public Run KnowNodes()
        {
            _engine.UpsertIdentity(RandomWorld.Node.Id, RandomWorld.Node.Labels);
            return this;
        }

        private bool Check(EndpointPolicy policy, Peer subject)
        {
            TrafficDirection direction = _world.Chance(0.5) ? TrafficDirection.Ingress : TrafficDirection.Egress;
            Packet packet = _world.Packet([.. _pods.Values]);
            NetworkRule[] rules = [.. _documents.Values.SelectMany(d => d.Rules)];
            bool expected = Check(policy, rules.Where(r => !r.Shadow), subject, direction, packet);
            bool onTrial = rules.Any(r => r.Shadow && r.Subject.Matches(new PolicyIdentity(subject.Id, subject.Labels)));
            Assert.Equal(onTrial, policy.Shadow is not null);
            if (policy.Shadow is { } shadow)
                Check(shadow, rules, subject, direction, packet);
            return expected;
        }

        private bool Check(EndpointPolicy policy, IEnumerable<NetworkRule> rules, Peer subject, TrafficDirection direction, Packet packet)
        {
            bool expected = Oracle.Allows(rules, _engine.Options, subject, direction, packet);
            PolicyVerdict verdict = PolicyEvaluator.Evaluate(policy, direction, IdentityOf(packet.Peer), packet.Protocol, packet.Port);
            Assert.True(expected == verdict.Allowed, $"seed {seed}: {direction} {packet} of {subject} should be {(expected ? "allowed" : "denied")}, decided by {verdict}");
            if (!policy.IsEnforced(direction))
                Assert.True(expected);
            if (!expected && packet.Peer.Id.AggregateIn(_engine.Options.Numbering) == SecurityIdentity.AggregateCluster)
                CheckUnknownPod(policy, direction, packet);
            return expected;
        }

        // A pod that nothing is known of could be this one, which is denied.
        private void CheckUnknownPod(EndpointPolicy policy, TrafficDirection direction, Packet packet)
        {
            PolicyVerdict unknown = PolicyEvaluator.Evaluate(policy, direction, SecurityIdentity.Unmanaged, packet.Protocol, packet.Port);
            Assert.False(unknown.Allowed, $"seed {seed}: {direction} {packet} passes for an unknown pod, decided by {unknown}");
        }

        // As the datapath does: the narrowest block that the ipcache knows, else the world.
        private SecurityIdentity IdentityOf(Peer peer)
        {
            if (peer.Address is not { } address)
                return peer.Id;
            IEnumerable<KeyValuePair<IpPrefix, SecurityIdentity>> covering = _ipcache.Where(p => p.Key.Contains(address));
            return covering.OrderByDescending(p => p.Key.Length).Select(p => (SecurityIdentity?)p.Value).FirstOrDefault() ?? peer.Id;
        }

        private void Change()
        {
            uint id = (uint)(256 + _world.Next(10));
            switch (_world.Next(8))
            {
                case 0 or 1:
                    if (_endpoints.ContainsValue(id))
                        return;
                    _pods[id] = _world.Pod(id);
                    _engine.UpsertIdentity(_pods[id].Id, _pods[id].Labels, _pods[id].Ports);
                    return;
                case 2:
                    if (!_pods.TryGetValue(id, out Peer? gonePod) || _endpoints.ContainsValue(id))
                        return;
                    _pods.Remove(id);
                    _engine.DeleteIdentity(gonePod.Id);
                    return;
                case 3:
                    if (!_pods.TryGetValue(id, out Peer? pod))
                        return;
                    ushort endpoint = (ushort)(1 + _world.Next(5));
                    _endpoints[endpoint] = id;
                    _engine.UpsertEndpoint(endpoint, pod.Id, pod.Labels, pod.Ports);
                    return;
                case 4:
                    ushort gone = (ushort)(1 + _world.Next(5));
                    _endpoints.Remove(gone);
                    _maps.Remove(gone);
                    _shadows.Remove(gone);
                    _engine.RemoveEndpoint(gone);
                    return;
                case 5:
                    int old = _world.Next(10);
                    if (_documents.Remove(old, out PolicyDocument? document))
                        _engine.DeletePolicy(document.Key);
                    return;
                default:
                    int number = _world.Next(10);
                    _documents[number] = _world.Document(number);
                    _engine.UpsertPolicy(_documents[number]);
                    return;
            }
        }

        private void Apply(PolicyUpdate update)
        {
            foreach (EndpointPolicyChange change in update.Endpoints)
            {
                ImmutableDictionary<PolicyKey, PolicyEntry> map =
                    _maps.GetValueOrDefault(change.EndpointId) ?? ImmutableDictionary<PolicyKey, PolicyEntry>.Empty;
                _maps[change.EndpointId] = map.SetItems(change.Delta.Upserts).RemoveRange(change.Delta.Deletes);
                ImmutableDictionary<PolicyKey, PolicyEntry> shadow =
                    _shadows.GetValueOrDefault(change.EndpointId) ?? ImmutableDictionary<PolicyKey, PolicyEntry>.Empty;
                _shadows[change.EndpointId] = change.Policy.Shadow is null
                    ? ImmutableDictionary<PolicyKey, PolicyEntry>.Empty
                    : shadow.SetItems(change.ShadowDelta.Upserts).RemoveRange(change.ShadowDelta.Deletes);
            }

            foreach ((IpPrefix prefix, SecurityIdentity id) in update.PrefixUpserts)
                _ipcache[prefix] = id;
            foreach (IpPrefix prefix in update.PrefixDeletes)
                Assert.True(_ipcache.Remove(prefix));
            Assert.Equal(_engine.Prefixes.OrderBy(p => p.Key), _ipcache.OrderBy(p => p.Key));
        }
    }
}
