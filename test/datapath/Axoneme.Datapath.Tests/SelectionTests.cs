// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

/// <summary>Which backend a packet to a service goes to.</summary>
public sealed class SelectionTests
{
    private static readonly ushort[] Ports = [8081, 8082, 8083, 8084];

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void At_random_every_backend_gets_its_share(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        Service(f).Install(c.Node);
        Dictionary<ushort, int> chosen = Enumerable.Range(0, 400).GroupBy(i => Ask(c, f, (ushort)(20000 + i))).ToDictionary(g => g.Key, g => g.Count());
        Assert.Equal(Ports, chosen.Keys.Order());
        // Of 400 at a probability of a quarter: 60 is more than four standard deviations away.
        Assert.All(chosen.Values, count => Assert.InRange(count, 60, 140));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Clients_inside_get_the_backends_for_the_inside(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        (Service(f) with { Flags2 = LbFlags2.TwoScopes, Backends = [f.At(f.Remote, 8081)] }).Install(c.Node);
        (Service(f) with { ReverseNat = 8, Flags2 = LbFlags2.TwoScopes, Scope = LbScope.Internal, Backends = [f.At(f.Server, 9090)] }).Install(c.Node);
        Assert.Equal(9090, Ask(c, f, 40000));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void With_affinity_a_client_keeps_its_backend(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        (Service(f) with { Affinity = 100 }).Install(c.Node);
        ushort first = Ask(c, f, 40000);
        Assert.All(Enumerable.Range(0, 40), i => Assert.Equal(first, Ask(c, f, (ushort)(20000 + i))));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Affinity_ends_after_its_time_and_with_its_backend(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        TestService all = (Service(f) with { Affinity = 100 }).Install(c.Node);
        Remember(c, f, all.BackendId(1), secondsAgo: 90);
        Assert.Equal(Ports[1], Ask(c, f, 20000));
        all.UseOnly(c.Node, all.BackendId(3));
        Remember(c, f, all.BackendId(1), secondsAgo: 90);
        Assert.Equal(Ports[1], Ask(c, f, 20001));
        Remember(c, f, all.BackendId(1), secondsAgo: 110);
        Assert.Equal(Ports[3], Ask(c, f, 20002));

        Remember(c, f, all.BackendId(1), secondsAgo: 10);
        Assert.True(c.Node.Map(Maps.CiliumLbAffinityMatch).TryDelete(new LbAffinityMatch { Backend = all.BackendId(1), RevNat = 7 }));
        Assert.Equal(Ports[3], Ask(c, f, 20003));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_terminating_backend_keeps_its_connections_and_gets_no_new_ones(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        TestService service = (Service(f) with { Affinity = 100, Backends = [f.At(f.Server, 8081)] }).Install(c.Node);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Service, 80));
        Assert.Equal(8081, PortOf(c.Node.Send(c.Client, syn), f));
        Assert.Equal(8081, PortOf(c.Node.Send(c.Client, syn with { Flags = Tcp.Ack }), f));

        service = (service with { Backends = [f.At(f.Server, 8081), f.At(f.Server, 9090)] }).Install(c.Node);
        service.SetBackend(c.Node, 0, LbBackendState.Terminating);
        service.UseOnly(c.Node, service.BackendId(1));
        Assert.Equal(8081, PortOf(c.Node.Send(c.Client, syn with { Flags = Tcp.Ack }), f));
        Assert.Equal(9090, Ask(c, f, 40001));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_removed_or_quarantined_backend_is_replaced(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        TestService service = (Service(f) with { Backends = [f.At(f.Server, 8081), f.At(f.Server, 9090)] }).Install(c.Node);
        service.UseOnly(c.Node, service.BackendId(0));
        Packet query = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Service, 80), Tcp.Ack);
        Assert.Equal(8081, PortOf(c.Node.Send(c.Client, query), f));
        service.UseOnly(c.Node, service.BackendId(1));
        Assert.Equal(8081, PortOf(c.Node.Send(c.Client, query), f));
        service.SetBackend(c.Node, 0, LbBackendState.Quarantined);
        Assert.Equal(9090, PortOf(c.Node.Send(c.Client, query), f));

        service.SetBackend(c.Node, 0, LbBackendState.Active);
        service.UseOnly(c.Node, service.BackendId(0));
        Assert.Equal(9090, PortOf(c.Node.Send(c.Client, query), f));
        service.RemoveBackend(c.Node, 1);
        Assert.Equal(8081, PortOf(c.Node.Send(c.Client, query), f));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void By_maglev_a_connection_has_one_backend_wherever_it_is_asked(Family f)
    {
        ushort[] ports = [.. Enumerable.Range(0, 64).Select(i => (ushort)(20000 + i))];
        ushort[] here = AskAll();
        Assert.Equal(here, AskAll());
        Assert.True(here.Distinct().Count() >= 3);

        ushort[] AskAll()
        {
            using var c = new Cluster(f, perPacketLb: true);
            (Service(f) with { Algorithm = LbAlgorithm.Maglev }).Install(c.Node).FillMaglev(c.Node, 0, 1, 2, 3);
            return [.. ports.Select(port => Ask(c, f, port))];
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void By_maglev_with_affinity_the_port_of_the_client_does_not_count(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        TestService service = (Service(f) with { Algorithm = LbAlgorithm.Maglev, Affinity = 100 }).Install(c.Node);
        service.FillMaglev(c.Node, 0, 1, 2, 3);
        ushort first = Ask(c, f, 40000);
        for (int i = 0; i < 32; i++)
        {
            Forget(c, f);
            Assert.Equal(first, Ask(c, f, (ushort)(20000 + i)));
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Without_a_table_or_with_an_outdated_one_maglev_chooses_at_random(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        TestService service = (Service(f) with { Algorithm = LbAlgorithm.Maglev, Backends = [f.At(f.Server, 8081), f.At(f.Server, 8082)] }).Install(c.Node);
        Assert.Equal(new ushort[] { 8081, 8082 }, Enumerable.Range(0, 64).Select(i => Ask(c, f, (ushort)(20000 + i))).Distinct().Order());
        service.FillMaglev(c.Node, 0);
        Assert.All(Enumerable.Range(0, 64), i => Assert.Equal(8081, Ask(c, f, (ushort)(30000 + i))));
        service.UseOnly(c.Node, service.BackendId(1));
        service.RemoveBackend(c.Node, 0);
        Assert.Equal(8082, Ask(c, f, 40000));
    }

    private static TestService Service(Family f)
        => new(f.At(f.Service, 80), 7, 6) { Backends = [.. Ports.Select(port => f.At(f.Server, port))] };

    // The port of the backend that a new connection from the client's port gets.
    private static ushort Ask(Cluster c, Family f, ushort port)
        => PortOf(c.Node.Send(c.Client, Packet.TcpFrom(f.At(f.Client, port), f.At(f.Service, 80))), f);

    private static ushort PortOf(Outcome outcome, Family f)
    {
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        int offset = f.IsV6 ? 56 : 36;
        return (ushort)((outcome.Bytes[offset] << 8) | outcome.Bytes[offset + 1]);
    }

    private static LbAffinityKey ClientKey(Family f)
    {
        var key = new LbAffinityKey { RevNat = 7 };
        IpAddress.Parse(f.Client).WriteBytes(key.Client.Bytes);
        return key;
    }

    private static BpfMap<LbAffinityKey, LbAffinity> Affinities(Cluster c, Family f)
        => c.Node.Map(f.IsV6 ? Maps.CiliumLb6Affinity : Maps.CiliumLb4Affinity);

    private static void Remember(Cluster c, Family f, uint backend, uint secondsAgo)
        => Affinities(c, f).Update(ClientKey(f), new LbAffinity { Backend = backend, LastUsedS = MonotonicSeconds() - secondsAgo });

    private static void Forget(Cluster c, Family f) => Assert.True(Affinities(c, f).TryDelete(ClientKey(f)));

    // Stopwatch counts CLOCK_MONOTONIC on Linux.
    private static uint MonotonicSeconds() => (uint)(Stopwatch.GetTimestamp() / Stopwatch.Frequency);
}
