// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Services translated for each packet.</summary>
public sealed class ServiceTests
{
    [Theory]
    [MemberData(nameof(Cases))]
    public void A_pod_reaches_a_service_and_the_answer_comes_from_it(Family f, byte protocol)
    {
        using var c = new Cluster(f, perPacketLb: true);
        c.Node.AddService(f.At(f.Service, 80), 7, protocol, f.At(f.Server, 8080));
        Packet sent = Packet.Between(f.At(f.Client, 40000), f.At(f.Service, 80), protocol) with { Flags = protocol == 6 ? Tcp.Syn : 0 };
        Packet atServer = sent.ToService(f.At(f.Server, 8080)).Delivered(c.Server);
        Outcome there = c.Node.Send(c.Client, sent);
        Assert.Equal(TcVerdict.Redirect, there.Verdict);
        Assert.Equal(atServer.ToBytes(), there.Bytes);
        Assert.True(((EventFlags)there.Trace.Flags).HasFlag(EventFlags.HasOriginal));
        Assert.Equal(80, there.Trace.OriginalPort.Value);

        Packet reply = atServer.Reply();
        Assert.Equal(reply.FromService(f.At(f.Service, 80)).Delivered(c.Client).ToBytes(), c.Node.Send(c.Server, reply).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Where_sockets_are_translated_sctp_is_nevertheless_here(Family f)
    {
        const byte Sctp = 132;
        using var c = new Cluster(f, perPacketLb: false);
        c.Node.AddService(f.At(f.Service, 80), 7, Sctp, f.At(f.Server, 8080));
        Packet sent = Packet.Between(f.At(f.Client, 40000), f.At(f.Service, 80), Sctp);
        Packet atServer = sent.ToService(f.At(f.Server, 8080)).Delivered(c.Server);
        Assert.Equal(atServer.ToBytes(), c.Node.Send(c.Client, sent).Bytes);
        Packet reply = atServer.Reply();
        Assert.Equal(reply.FromService(f.At(f.Service, 80)).Delivered(c.Client).ToBytes(), c.Node.Send(c.Server, reply).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_connection_keeps_its_backend(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        c.Node.AddService(f.At(f.Service, 80), 7, 6, f.At(f.Server, 8080));
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Service, 80));
        byte[] first = c.Node.Send(c.Client, syn).Bytes;
        c.Node.AddService(f.At(f.Service, 80), 7, 6, f.At(f.Server, 8080), f.At(f.Server, 9090), f.At(f.Server, 9091), f.At(f.Server, 9092));
        for (int i = 0; i < 20; i++)
            Assert.Equal(first, c.Node.Send(c.Client, syn).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_service_without_backends_drops(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        c.Node.AddService(f.At(f.Service, 80), 7, 6);
        Outcome outcome = c.Node.Send(c.Client, Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Service, 80)));
        Assert.Equal(DropReason.ServiceBackendNotFound, outcome.Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_service_without_backends_may_leave_its_address_to_others(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true, edge: new EdgeOptions { Claim = false });
        c.Node.AddService(f.At(f.Service, 80), 7, 6);
        Packet sent = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Service, 80));
        Outcome outcome = c.Node.Send(c.Client, sent);
        Assert.Equal(TcVerdict.Pass, outcome.Verdict);
        Assert.Equal(sent.ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_that_is_its_own_backend_sees_the_loopback_address(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        c.Node.Enforce(c.Client, PolicyStateFlags.IngressEnforced | PolicyStateFlags.EgressEnforced);
        c.Node.AddService(f.At(f.Service, 80), 7, 6, f.At(f.Client, 8080));
        Packet sent = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Service, 80));
        Packet atServer = sent.ToService(f.At(f.Client, 8080)).FromService(f.At(f.Loopback, 40000)).Delivered(c.Client);
        Assert.Equal(atServer.ToBytes(), c.Node.Send(c.Client, sent).Bytes);
        Packet reply = atServer.Reply();
        Packet atClient = reply.FromService(f.At(f.Service, 80)).ToService(f.At(f.Client, 40000)).Delivered(c.Client);
        Assert.Equal(atClient.ToBytes(), c.Node.Send(c.Client, reply).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_error_about_a_translated_packet_speaks_of_the_service(Family f)
    {
        using var c = new Cluster(f, perPacketLb: true);
        c.Node.Enforce(c.Client, PolicyStateFlags.IngressEnforced);
        c.Node.AddService(f.At(f.Service, 53), 7, 17, f.At(f.Server, 5353));
        Packet query = Packet.UdpFrom(f.At(f.Client, 40000), f.At(f.Service, 53));
        c.Node.Send(c.Client, query);
        Packet atServer = query.ToService(f.At(f.Server, 5353)).Delivered(c.Server);
        Packet error = atServer.Error(f.Server, f.PortUnreachable.Type, f.PortUnreachable.Code);
        Outcome outcome = c.Node.Send(c.Server, error);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal((byte)CtState.Related, outcome.Trace.CtState);
        byte[] expected = atServer.ToService(f.At(f.Service, 53)).Error(f.Service, f.PortUnreachable.Type, f.PortUnreachable.Code).Delivered(c.Client).ToBytes();
        // The quoted checksum of the query stays that of the translated one; nobody looks at it. So the message's checksum differs too.
        int quotedChecksum = expected.Length - 2;
        int messageChecksum = f.IsV6 ? 56 : 36;
        foreach (int at in (int[])[quotedChecksum, quotedChecksum + 1, messageChecksum, messageChecksum + 1])
            expected[at] = outcome.Bytes[at];
        Assert.Equal(expected, outcome.Bytes);
        Assert.True(Packet.HasRightIcmpChecksum(outcome.Bytes, f.IsV6));
    }

    public static TheoryData<Family, byte> Cases()
    {
        var cases = new TheoryData<Family, byte>();
        foreach (bool v6 in (bool[])[false, true])
        {
            cases.Add(new Family(v6), 6);
            cases.Add(new Family(v6), 17);
        }

        return cases;
    }
}
