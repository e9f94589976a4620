// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>What pods send beyond the cluster leaves with the node's address; what they send within it does not.</summary>
public sealed class MasqueradeTests
{
    /// <summary>The device that test runs are on.</summary>
    private const uint Loopback = 1;

    private static readonly EdgeOptions Masquerade = new() { Masquerade = true };

    [Theory, MemberData(nameof(FamiliesAndProtocols))]
    public void A_pod_speaks_to_the_world_as_the_node_and_hears_the_answer(Family f, byte protocol)
    {
        using Cluster c = Masquerading(f);
        Packet sent = Packet.Between(f.At(f.Client, 40000), f.At(f.Outside, 443), protocol) with { Flags = protocol == 6 ? Tcp.Syn : 0 };
        Packet outside = sent.Routed().FromService(f.At(f.Host, 40000));
        Assert.Equal(outside.ToBytes(), Leave(c, sent).Bytes);
        Packet reply = outside.Reply();
        Outcome back = c.Node.FromNetwork(reply);
        Assert.Equal(TcVerdict.Redirect, back.Verdict);
        Assert.Equal(reply.ToService(f.At(f.Client, 40000)).Delivered(c.Client).ToBytes(), back.Bytes);
        Assert.Equal((byte)CtState.Reply, back.Trace.CtState);
        Packet next = sent with { Flags = protocol == 6 ? Tcp.Ack : 0 };
        Assert.Equal(next.Routed().FromService(f.At(f.Host, 40000)).ToBytes(), Leave(c, next).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Echoes_of_two_pods_with_one_identifier_are_told_apart(Family f)
    {
        using Cluster c = Masquerading(f);
        const ushort id = 40077;
        Packet first = Packet.Ping(f.Client, f.Outside, id);
        Assert.Equal((first.Routed() with { From = Packet.Ping(f.Host, f.Outside).From }).ToBytes(), Leave(c, first).Bytes);
        Packet second = Packet.Ping(f.Server, f.Outside, id);
        c.Node.Send(c.Server, second);
        Assert.Equal(TcVerdict.Pass, c.Node.ToNetwork(second.Routed()).Verdict);
        foreach (Pod pod in (Pod[])[c.Client, c.Server])
        {
            string address = f.IsV6 ? pod.Address6.ToString() : pod.Address4.ToString();
            Translation answer = Assert.Single(c.Node.Translations(f.IsV6, NatDirection.In), t => t.Becomes == address);
            Packet reply = Packet.Ping(f.Host, f.Outside, answer.DestinationPort).Reply();
            Assert.Equal((reply with { IcmpId = id, To = Packet.Ping(address, f.Outside).From }).Delivered(pod).ToBytes(), c.Node.FromNetwork(reply).Bytes);
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Pods_and_nodes_of_the_cluster_see_the_pod(Family f)
    {
        using Cluster c = Masquerading(f);
        c.Node.AddIdentity(f.RemoteNode, 6);
        foreach (string to in (string[])[f.Remote, f.RemoteNode])
        {
            Packet packet = Packet.TcpFrom(f.At(f.Client, 40000), f.At(to, 443));
            Assert.Equal(packet.ToBytes(), c.Node.ToNetwork(packet).Bytes);
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Beside_a_tunnel_nodes_see_the_node(Family f)
    {
        using Cluster c = Masquerading(f, tunnel: true);
        c.Node.AddIdentity(f.RemoteNode, 6);
        Packet packet = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.RemoteNode, 443));
        Assert.Equal(packet.FromService(f.At(f.Host, 40000)).ToBytes(), c.Node.ToNetwork(packet).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_api_server_that_is_on_no_node_sees_the_node(Family f)
    {
        using Cluster c = Masquerading(f);
        c.Node.AddIdentity(f.Outside, 7);
        Packet packet = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Outside, 6443));
        Assert.Equal(packet.FromService(f.At(f.Host, 40000)).ToBytes(), c.Node.ToNetwork(packet).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Native_destinations_see_the_pod(Family f)
    {
        using Cluster c = Masquerading(f, new EdgeOptions { Masquerade = true, NativePrefixes = [f.OutsidePrefix] });
        Packet packet = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Outside, 443));
        Assert.Equal(packet.ToBytes(), c.Node.ToNetwork(packet).Bytes);
        Packet other = packet.ToService(f.At(f.Service, 443));
        Assert.Equal(other.FromService(f.At(f.Host, 40000)).ToBytes(), c.Node.ToNetwork(other).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Exceptions_see_the_pod(Family f)
    {
        using Cluster c = Masquerading(f, new EdgeOptions { Masquerade = true, MasqueradeExceptions = true });
        Packet packet = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Outside, 443));
        c.Node.AddMasqueradeException(f.OutsidePrefix);
        Assert.Equal(packet.ToBytes(), c.Node.ToNetwork(packet).Bytes);
        Packet other = packet.ToService(f.At(f.Service, 443));
        Assert.Equal(other.FromService(f.At(f.Host, 40000)).ToBytes(), c.Node.ToNetwork(other).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Who_came_to_the_pods_address_is_answered_from_it(Family f)
    {
        using Cluster c = Masquerading(f);
        Packet sent = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Server, 80));
        c.Node.FromNetwork(sent);
        Packet reply = sent.Reply();
        Assert.Equal(reply.Routed().ToBytes(), Leave(c, reply, c.Server).Bytes);
        Assert.Empty(c.Node.Translations(f.IsV6, NatDirection.Out));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Pods_with_the_same_port_do_not_meet(Family f)
    {
        using Cluster c = Masquerading(f);
        c.Node.ToNetwork(Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Outside, 443)));
        c.Node.ToNetwork(Packet.TcpFrom(f.At(f.Server, 40000), f.At(f.Outside, 443)));
        IReadOnlyList<Translation> answers = c.Node.Translations(f.IsV6, NatDirection.In);
        Assert.Equal(2, answers.Select(a => a.DestinationPort).Distinct().Count());
        Assert.Equal([f.Client, f.Server], answers.Select(a => a.Becomes).Order());
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_connection_of_the_node_that_would_meet_a_pods_gets_another_port(Family f)
    {
        using Cluster c = Masquerading(f);
        c.Node.ToNetwork(Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Outside, 443)));
        Packet own = Packet.TcpFrom(f.At(f.Host, 40000), f.At(f.Outside, 443));
        Assert.NotEqual(own.ToBytes(), c.Node.ToNetwork(own).Bytes);
        Translation answer = Assert.Single(c.Node.Translations(f.IsV6, NatDirection.In), t => t.Flags.HasFlag(NatFlags.FromHost));
        Packet sent = own.FromService(f.At(f.Host, answer.DestinationPort));
        Assert.Equal(sent.ToBytes(), c.Node.ToNetwork(own).Bytes);
        Outcome back = c.Node.FromNetwork(sent.Reply());
        Assert.Equal(TcVerdict.Pass, back.Verdict);
        Assert.Equal(sent.Reply().ToService(f.At(f.Host, 40000)).ToBytes(), back.Bytes);
        Packet other = Packet.TcpFrom(f.At(f.Host, 40001), f.At(f.Outside, 443));
        Assert.Equal(other.ToBytes(), c.Node.ToNetwork(other).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_lost_answer_entry_comes_back(Family f)
    {
        using Cluster c = Masquerading(f);
        Packet sent = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Outside, 443));
        byte[] first = c.Node.ToNetwork(sent).Bytes;
        c.Node.ForgetTranslations(f.IsV6, NatDirection.In);
        Packet next = sent with { Flags = Tcp.Ack };
        Assert.Equal(next.FromService(f.At(f.Host, 40000)).ToBytes(), c.Node.ToNetwork(next).Bytes);
        Assert.Single(c.Node.Translations(f.IsV6, NatDirection.In));
        c.Node.ForgetTranslations(f.IsV6, NatDirection.Out);
        Assert.Equal(first, c.Node.ToNetwork(sent).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_protocol_that_cannot_be_translated_does_not_leave_with_the_pods_address(Family f)
    {
        using Cluster c = Masquerading(f);
        Assert.Equal(DropReason.UnsupportedProtocolForNatMasquerade, c.Node.ToNetwork(Packet.Between(f.At(f.Client, 0), f.At(f.Outside, 0), 47)).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Errors_reach_the_pod_and_leave_it_as_the_node(Family f)
    {
        using Cluster c = Masquerading(f);
        Packet query = Packet.UdpFrom(f.At(f.Client, 40000), f.At(f.Outside, 53));
        Packet outside = query.Routed().FromService(f.At(f.Host, 40000));
        Leave(c, query);
        (byte type, byte code) = f.PortUnreachable;
        Outcome inward = c.Node.FromNetwork(outside.Error(f.Outside, type, code));
        Assert.Equal(TcVerdict.Redirect, inward.Verdict);
        Errors.AssertSame(query.Routed().Error(f.Outside, type, code).Delivered(c.Client), inward.Bytes);

        Packet answer = outside.Reply();
        c.Node.FromNetwork(answer);
        Packet atPod = answer.ToService(f.At(f.Client, 40000)).Delivered(c.Client);
        Outcome sent = c.Node.Send(c.Client, atPod.Error(f.Client, type, code));
        Assert.Equal((byte)CtState.Related, sent.Trace.CtState);
        Outcome outward = c.Node.ToNetwork(sent.Bytes, sent.Mark);
        Errors.AssertSame(atPod.ToService(f.At(f.Host, 40000)).Error(f.Host, type, code).Routed(), outward.Bytes);
    }

    public static TheoryData<Family, byte> FamiliesAndProtocols() => NodePortTests.FamiliesAndProtocols();

    private static Cluster Masquerading(Family f, EdgeOptions? edge = null, bool tunnel = false)
    {
        var cluster = new Cluster(f, tunnel: tunnel, edge: edge ?? Masquerade);
        cluster.Node.AddDevice(Loopback, "172.30.0.11", "fd00:30::11");
        return cluster;
    }

    // Through the program of the pod's device, and the one of the uplink with the mark that the first gave.
    private static Outcome Leave(Cluster c, Packet packet, Pod? from = null)
    {
        Outcome sent = c.Node.Send(from ?? c.Client, packet);
        Assert.Equal(TcVerdict.Redirect, sent.Verdict);
        Outcome outcome = c.Node.ToNetwork(sent.Bytes, sent.Mark);
        Assert.Equal(TcVerdict.Pass, outcome.Verdict);
        return outcome;
    }
}
