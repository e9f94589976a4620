// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Policy.Tests;
using Direction = Axoneme.Policy.TrafficDirection;
using EngineKey = Axoneme.Policy.PolicyKey;
using MapEntry = Axoneme.Datapath.Abi.PolicyEntry;
using MapKey = Axoneme.Datapath.Abi.PolicyKey;

namespace Axoneme.Datapath.Tests;

/// <summary>
/// Random policies as the engine computes them, in the maps of real programs, and random packets through these: what happens to each is what the
/// rules mean, said without identities and maps, and is decided by the entry that the engine's own look-up finds.
/// </summary>
public sealed class PolicyOracleTests(ITestOutputHelper output)
{
    private const int Worlds = 100;
    private const int PacketsPerWorld = 300;
    private const int EchoRequest = 8;
    private static readonly Family V4 = new(IsV6: false);

    [Fact]
    public void Programs_decide_as_the_engine_does_and_as_the_rules_mean()
    {
        int first = Environment.GetEnvironmentVariable("AXONEME_SEED") is { } seed ? int.Parse(seed) : Random.Shared.Next(1_000_000);
        output.WriteLine($"seeds {first} to {first + Worlds - 1}; AXONEME_SEED={first} repeats them");
        using var cluster = new Cluster(V4, connections: 65536);
        var counts = new Dictionary<bool, int> { [true] = 0, [false] = 0 };
        ushort port = 1024;
        for (int world = first; world < first + Worlds; world++)
        {
            var run = new Run(world, cluster);
            for (int i = 0; i < PacketsPerWorld; i++)
                counts[run.Check(port = (ushort)(port < 1024 ? 1024 : port + 1))]++;
        }

        Assert.True(counts[true] > 2000 && counts[false] > 2000, $"{counts[true]} allowed, {counts[false]} denied");
    }

    private sealed class Run
    {
        private readonly int _seed;
        private readonly Cluster _cluster;
        private readonly RandomWorld _world;
        private readonly PolicyEngine _engine;
        private readonly Peer[] _pods;
        private readonly PolicyDocument[] _documents;
        private readonly EndpointPolicy _policy;

        public Run(int seed, Cluster cluster)
        {
            (_seed, _cluster, _world) = (seed, cluster, new RandomWorld(seed));
            _engine = new PolicyEngine(_world.Options());
            _pods = [.. Enumerable.Range(256, 12).Select(id => _world.Pod((uint)id))];
            _documents = [.. Enumerable.Range(0, 2 + _world.Next(10)).Select(_world.Document)];
            foreach (Peer peer in _pods.Append(RandomWorld.Node))
                _engine.UpsertIdentity(peer.Id, peer.Labels, peer.Ports);
            foreach (PolicyDocument document in _documents)
                _engine.UpsertPolicy(document);
            _engine.UpsertEndpoint(1, _pods[0].Id, _pods[0].Labels, _pods[0].Ports);
            _engine.Commit();
            _policy = _engine.FindEndpoint(1)!;
            Load();
        }

        /// <summary>True for a packet that has to pass.</summary>
        public bool Check(ushort sourcePort)
        {
            Policy.Tests.Packet packet;
            do
            {
                packet = _world.Packet(_pods);
            }
            while (packet.Protocol == L4Protocol.Icmp ? packet.Port != EchoRequest && _world.Chance(0.99) : packet.Port == 0);
            if (packet.Protocol == L4Protocol.Icmp)
                packet = packet with { Port = EchoRequest };
            Direction direction = _world.Chance(0.5) ? Direction.Ingress : Direction.Egress;
            SecurityIdentity identity = IdentityOf(packet.Peer);
            bool expected = Oracle.Allows(_documents.SelectMany(d => d.Rules).Where(r => !r.Shadow), _engine.Options, _pods[0], direction, packet);
            PolicyVerdict engine = PolicyEvaluator.Evaluate(_policy, direction, identity, packet.Protocol, packet.Port);
            Outcome outcome = Send(direction, identity, packet, sourcePort);
            string what = $"seed {_seed}: {direction} {packet} with identity {identity}, decided by {engine}: dropped {outcome.Dropped}";
            DropReason refusal = engine.Entry is { Deny: true, Origins.Rules.IsEmpty: false } ? DropReason.PolicyDeny : DropReason.PolicyDenied;
            Assert.True(outcome.Dropped is null || outcome.Dropped == refusal, what);
            Assert.True(expected == outcome.Dropped is null, what);
            // One event, of the endpoint under test; a direction that is open asks nobody.
            if (_policy.IsEnforced(direction))
                Assert.Equal(engine.Entry?.Origins.Cookie ?? 0, Assert.Single(outcome.Verdicts).PolicyCookie);
            return expected;
        }

        private Outcome Send(Direction direction, SecurityIdentity identity, Policy.Tests.Packet packet, ushort sourcePort)
        {
            (Pod sender, string from, string to) = direction == Direction.Ingress
                ? (_cluster.Client, V4.Client, V4.Server) : (_cluster.Server, V4.Server, V4.Outside);
            if (direction == Direction.Ingress)
                _cluster.Node.Configure(_cluster.Client, identity.Value);
            else
                _cluster.Node.AddIdentity(V4.Outside, identity.Value);
            return _cluster.Node.Send(sender, packet.Protocol switch
            {
                L4Protocol.Tcp => Packet.TcpFrom(V4.At(from, sourcePort), V4.At(to, packet.Port)),
                L4Protocol.Udp => Packet.UdpFrom(V4.At(from, sourcePort), V4.At(to, packet.Port)),
                _ => Packet.Ping(from, to, sourcePort),
            });
        }

        // As the datapath does: the narrowest block that the ipcache knows, else the world.
        private SecurityIdentity IdentityOf(Peer peer)
            => peer.Address is { } address
                ? _engine.Prefixes.Where(p => p.Key.Contains(address)).OrderByDescending(p => p.Key.Length)
                    .Select(p => (SecurityIdentity?)p.Value).FirstOrDefault() ?? peer.Id
                : peer.Id;

        private void Load()
        {
            BpfMap<MapKey, MapEntry> map = _cluster.Server.Policy;
            map.DeleteBatch([.. map.Entries().Select(e => e.Key)]);
            map.UpdateBatch([.. _policy.Entries.Keys.Select(Encode)], [.. _policy.Entries.Select(e => new MapEntry
            {
                Precedence = e.Value.Precedence,
                Cookie = e.Value.Origins.Cookie,
                Flags = (byte)(e.Value.Deny ? PolicyFlags.Deny : 0),
                PrefixLen = (byte)e.Key.L4PrefixLength,
            })]);
            _cluster.Node.Enforce(
                _cluster.Server,
                (_policy.IngressEnforced ? PolicyStateFlags.IngressEnforced : 0) | (_policy.EgressEnforced ? PolicyStateFlags.EgressEnforced : 0));
        }

        private static MapKey Encode(EngineKey key) => new()
        {
            PrefixLen = (uint)((int)PolicyPrefix.Static + key.L4PrefixLength),
            Identity = key.Identity.Value,
            Direction = (byte)key.Direction,
            Protocol = (byte)key.Protocol,
            Port = key.Port,
        };
    }
}
