// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Source ports of connections that leave the node under its own address.</summary>
public sealed class NatPortTests
{
    private const ushort Port = 30080;

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_port_outside_the_range_is_replaced_by_one_inside(Family f)
    {
        using Cluster c = Serving(f, new EdgeOptions { NodePorts = true, NatPortMin = 50000, NatPortMax = 50007 });
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(From(f, 40000)).Verdict);
        Translation answer = Assert.Single(c.Node.Translations(f.IsV6, NatDirection.In));
        Assert.InRange(answer.DestinationPort, 50000, 50007);
        Assert.Equal((f.Remote, 8080, f.Host, f.Outside, 40000, 7), (answer.Source, answer.SourcePort, answer.Destination, answer.Becomes, answer.BecomesPort, answer.ReverseNat));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Clients_with_the_same_port_get_two(Family f)
    {
        using Cluster c = Serving(f, new EdgeOptions { NodePorts = true });
        c.Node.FromNetwork(From(f, 40000));
        Packet other = Packet.TcpFrom(f.At(f.RemoteNode, 40000), f.At(f.Host, Port));
        c.Node.FromNetwork(other);
        IReadOnlyList<Translation> answers = c.Node.Translations(f.IsV6, NatDirection.In);
        Assert.Equal(2, answers.Select(a => a.DestinationPort).Distinct().Count());
        foreach (Translation answer in answers)
        {
            Packet reply = Packet.TcpFrom(f.At(f.Remote, 8080), f.At(f.Host, answer.DestinationPort), Tcp.SynAck);
            Assert.Equal(reply.FromService(f.At(f.Host, Port)).ToService(f.At(answer.Becomes, 40000)).Routed().ToBytes(), c.Node.FromNetwork(reply).Bytes);
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void With_all_ports_taken_new_connections_are_dropped_and_counted_and_old_ones_go_on(Family f)
    {
        using Cluster c = Serving(f, new EdgeOptions { NodePorts = true, NatPortMin = 50000, NatPortMax = 50000 });
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(From(f, 40000)).Verdict);
        Assert.Equal(DropReason.NoMappingForNatMasquerade, c.Node.FromNetwork(From(f, 40001)).Dropped);
        Assert.Equal(1u, c.Node.AllocationTries(f.IsV6, (uint)AbiLimits.NatTries));
        Assert.Equal(1u, c.Node.AllocationTries(f.IsV6, 0));
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(From(f, 40000) with { Flags = Tcp.Ack }).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_port_whose_time_is_over_is_taken_over(Family f)
    {
        using Cluster c = Serving(f, new EdgeOptions { NodePorts = true, NatPortMin = 50000, NatPortMax = 50000 });
        c.Node.FromNetwork(From(f, 40000));
        Age(c.Node, f);
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(From(f, 40001)).Verdict);
        Assert.Equal(40001, Assert.Single(c.Node.Translations(f.IsV6, NatDirection.In)).BecomesPort);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_lost_answer_entry_comes_back_with_the_same_port(Family f)
    {
        using Cluster c = Serving(f, new EdgeOptions { NodePorts = true, NatPortMin = 50000, NatPortMax = 60000 });
        c.Node.FromNetwork(From(f, 40000));
        ushort port = Assert.Single(c.Node.Translations(f.IsV6, NatDirection.In)).DestinationPort;
        c.Node.ForgetTranslations(f.IsV6, NatDirection.In);
        Assert.Empty(c.Node.Translations(f.IsV6, NatDirection.In));
        // New flags have the entries looked at again, as each new second does.
        c.Node.FromNetwork(From(f, 40000) with { Flags = Tcp.Ack });
        Assert.Equal(port, Assert.Single(c.Node.Translations(f.IsV6, NatDirection.In)).DestinationPort);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_connection_whose_choice_was_lost_keeps_its_port(Family f)
    {
        using Cluster c = Serving(f, new EdgeOptions { NodePorts = true, NatPortMin = 40000, NatPortMax = 40100 });
        byte[] first = c.Node.FromNetwork(From(f, 40000)).Bytes;
        c.Node.ForgetConnections(f.IsV6);
        Assert.Equal(first, c.Node.FromNetwork(From(f, 40000)).Bytes);
        Assert.Single(c.Node.Translations(f.IsV6, NatDirection.In));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_port_that_a_socket_of_the_node_has_is_left_alone(Family f)
    {
        using var socket = new Socket(f.Sockets, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(f.IsV6 ? IPAddress.IPv6Any : IPAddress.Any, 0));
        ushort taken = (ushort)((IPEndPoint)socket.LocalEndPoint!).Port;
        using var c = new Cluster(f, edge: new EdgeOptions { NodePorts = true, NatPortMin = taken, NatPortMax = taken });
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 17, [f.At(f.Remote, 8080)]);
        c.Node.AddFrontend(f.At(f.Host, Port), 8, 6, [f.At(f.Remote, 8080)]);
        Assert.Equal(DropReason.NoMappingForNatMasquerade, c.Node.FromNetwork(Packet.UdpFrom(f.At(f.Outside, 40000), f.At(f.Host, Port))).Dropped);
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(From(f, 40000)).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_port_of_a_service_on_the_nodes_address_is_left_alone(Family f)
    {
        using Cluster c = Serving(f, new EdgeOptions { NodePorts = true, NatPortMin = 50000, NatPortMax = 50000 });
        c.Node.AddFrontend(f.At(f.Host, 50000), 8, 6, [f.At(f.Remote, 9090)], LbFlags.Routable | LbFlags.HostPort);
        Assert.Equal(DropReason.NoMappingForNatMasquerade, c.Node.FromNetwork(From(f, 40000)).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_finished_connection_frees_its_port_soon(Family f)
    {
        using Cluster c = Serving(f, new EdgeOptions { NodePorts = true });
        Packet reply = Packet.TcpFrom(f.At(f.Remote, 8080), f.At(f.Host, 40000), Tcp.SynAck);
        c.Node.FromNetwork(From(f, 40000));
        c.Node.FromNetwork(reply);
        uint opening = Life(c.Node, f);
        c.Node.FromNetwork(From(f, 40000) with { Flags = Tcp.Ack });
        uint established = Life(c.Node, f);
        c.Node.FromNetwork(From(f, 40000) with { Flags = Tcp.Ack | Tcp.Fin });
        c.Node.FromNetwork(reply with { Flags = Tcp.Ack | Tcp.Fin });
        uint closed = Life(c.Node, f);
        Assert.True(closed < opening && opening < established, $"lives of {opening}, {established} and {closed} seconds");
    }

    private static Cluster Serving(Family f, EdgeOptions edge)
    {
        var cluster = new Cluster(f, edge: edge);
        cluster.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.Remote, 8080)]);
        return cluster;
    }

    private static Packet From(Family f, ushort port) => Packet.TcpFrom(f.At(f.Outside, port), f.At(f.Host, Port));

    private static uint Life(Node node, Family f)
        => f.IsV6
            ? node.Map(Maps.CiliumSnatV6External).Entries().Select(e => e.Value.LifetimeS - e.Value.CreatedS).Single()
            : node.Map(Maps.CiliumSnatV4External).Entries().Select(e => e.Value.LifetimeS - e.Value.CreatedS).Single();

    private static void Age(Node node, Family f)
    {
        foreach ((Nat4Key key, Nat4Entry entry) in f.IsV6 ? [] : node.Map(Maps.CiliumSnatV4External).Entries().ToList())
            node.Map(Maps.CiliumSnatV4External).Update(key, entry with { LifetimeS = 1 });
        foreach ((Nat6Key key, Nat6Entry entry) in f.IsV6 ? node.Map(Maps.CiliumSnatV6External).Entries().ToList() : [])
            node.Map(Maps.CiliumSnatV6External).Update(key, entry with { LifetimeS = 1 });
    }
}
