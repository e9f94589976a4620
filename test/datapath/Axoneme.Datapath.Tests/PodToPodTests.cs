// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Two pods of one node: the packet is complete after one program run.</summary>
public sealed class PodToPodTests
{
    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_packet_is_delivered_as_a_router_would_and_so_is_the_answer(Family f)
    {
        using var c = new Cluster(f);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        Outcome sent = c.Node.Send(c.Client, syn);
        Assert.Equal(TcVerdict.Redirect, sent.Verdict);
        Assert.Equal(syn.Delivered(c.Server).ToBytes(), sent.Bytes);
        Assert.Equal((byte)TracePoint.ToEndpoint, sent.Trace.Point);
        Assert.Equal((byte)CtState.New, sent.Trace.CtState);
        Assert.Equal(c.Server.Interface, sent.Trace.Ifindex);
        Assert.Equal((c.Client.Identity, c.Server.Identity), (sent.Trace.SourceIdentity, sent.Trace.DestinationIdentity));

        Packet synAck = syn.Reply();
        Outcome answered = c.Node.Send(c.Server, synAck);
        Assert.Equal(TcVerdict.Redirect, answered.Verdict);
        Assert.Equal(synAck.Delivered(c.Client).ToBytes(), answered.Bytes);
        Assert.Equal((byte)CtState.Reply, answered.Trace.CtState);
        Assert.True(((EventFlags)answered.Trace.Flags).HasFlag(EventFlags.Reply));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_connection_has_one_entry_whoever_sends(Family f)
    {
        using var c = new Cluster(f);
        Packet syn = Packet.TcpFrom(f.At(f.Server, 80), f.At(f.Client, 40000));
        c.Node.Send(c.Server, syn);
        c.Node.Send(c.Client, syn.Reply());
        CtEntry entry = f.IsV6
            ? Assert.Single(c.Node.Map(Maps.CiliumCt6Global).Entries()).Value
            : Assert.Single(c.Node.Map(Maps.CiliumCt4Global).Entries()).Value;
        Assert.True(((CtFlags)entry.Flags).HasFlag(CtFlags.Replied));
        Assert.Equal(c.Server.Identity, entry.SourceIdentity);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_ping_and_its_answer_share_the_identifier(Family f)
    {
        using var c = new Cluster(f);
        Packet ping = Packet.Ping(f.Client, f.Server, id: 9);
        Assert.Equal(ping.Delivered(c.Server).ToBytes(), c.Node.Send(c.Client, ping).Bytes);
        Assert.Equal((byte)CtState.Reply, c.Node.Send(c.Server, ping.Reply()).Trace.CtState);
        Assert.Equal((byte)CtState.New, c.Node.Send(c.Server, ping.Reply() with { IcmpId = 10 }).Trace.CtState);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Established_packets_are_traced_when_something_new_is_in_their_flags(Family f)
    {
        using var c = new Cluster(f);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        c.Node.Send(c.Client, syn);
        c.Node.Send(c.Server, syn.Reply());
        Packet data = syn with { Flags = Tcp.Ack };
        Assert.Equal((byte)CtState.Established, c.Node.Send(c.Client, data).Trace.CtState);
        Assert.Empty(c.Node.Send(c.Client, data).Events);
        Assert.Single(c.Node.Send(c.Client, data with { Flags = Tcp.Ack | Tcp.Fin }).Events);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_finished_connection_is_new_again_with_the_next_syn(Family f)
    {
        using var c = new Cluster(f);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        c.Node.Send(c.Client, syn);
        c.Node.Send(c.Server, syn.Reply(Tcp.Rst));
        Assert.Equal((byte)CtState.New, c.Node.Send(c.Client, syn).Trace.CtState);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Without_hops_left_the_host_stack_gets_the_packet_to_answer(Family f)
    {
        using var c = new Cluster(f);
        Packet last = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53)) with { HopLimit = 1 };
        Outcome outcome = c.Node.Send(c.Client, last);
        Assert.Equal(TcVerdict.Pass, outcome.Verdict);
        Assert.Equal(DropReason.TtlExceeded, outcome.Dropped);
        Assert.Equal(last.ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_spoofed_source_is_dropped(Family f)
    {
        using var c = new Cluster(f);
        Outcome outcome = c.Node.Send(c.Client, Packet.UdpFrom(f.At(f.Stranger, 5000), f.At(f.Server, 53)));
        Assert.Equal(TcVerdict.Drop, outcome.Verdict);
        Assert.Equal(DropReason.InvalidSourceIp, outcome.Dropped);
        Assert.Equal(1ul, c.Node.Counted((byte)DropReason.InvalidSourceIp, MetricDirection.Egress));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void The_node_itself_is_reached_through_the_host_stack_and_may_answer(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.IngressEnforced);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Host, 10250));
        Outcome sent = c.Node.Send(c.Client, syn);
        Assert.Equal(TcVerdict.Pass, sent.Verdict);
        Assert.Equal((byte)TracePoint.ToHost, sent.Trace.Point);
        Assert.Equal(1u, sent.Trace.DestinationIdentity);
        Outcome answered = c.Node.Receive(c.Client, syn.Reply());
        Assert.Equal(TcVerdict.Pass, answered.Verdict);
        Assert.Equal((byte)CtState.Reply, answered.Trace.CtState);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_full_table_takes_new_connections_and_keeps_the_busy_ones(Family f)
    {
        using var c = new Cluster(f, connections: 512);
        Packet busy = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        c.Node.Send(c.Client, busy);
        for (ushort i = 1; i <= 2000; i++)
        {
            Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, busy with { FromPort = (ushort)(5000 + i) }).Verdict);
            c.Node.Send(c.Client, busy);
        }

        Assert.Equal((byte)CtState.Reply, c.Node.Send(c.Server, busy.Reply()).Trace.CtState);
    }
}
