// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Direct server return: both ends of it.</summary>
public sealed class DsrTests
{
    private const ushort Port = 30080;
    private static readonly EdgeOptions Dsr = new() { NodePorts = true, Dsr = true };

    [Theory, MemberData(nameof(NodePortTests.FamiliesAndProtocols), MemberType = typeof(NodePortTests))]
    public void The_backends_node_is_told_the_service_address(Family f, byte protocol)
    {
        using Cluster c = Balancing(f, protocol);
        Packet sent = FromOutside(f, protocol);
        Outcome there = c.Node.FromNetwork(sent);
        Assert.Equal(TcVerdict.Redirect, there.Verdict);
        Assert.Equal(Told(sent.ToService(f.At(f.Remote, 8080)).Routed(), f), there.Bytes);
        Assert.Empty(c.Node.Translations(f.IsV6, NatDirection.In));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Later_packets_of_a_tcp_connection_carry_nothing(Family f)
    {
        using Cluster c = Balancing(f, 6);
        c.Node.FromNetwork(FromOutside(f, 6));
        Packet next = FromOutside(f, 6) with { Flags = Tcp.Ack };
        Assert.Equal(next.ToService(f.At(f.Remote, 8080)).Routed().ToBytes(), c.Node.FromNetwork(next).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_connection_that_began_with_a_translated_source_stays_so(Family f)
    {
        using var c = new Cluster(f, edge: Dsr);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 17, [f.At(f.Remote, 8080)]);
        byte[] first = c.Node.FromNetwork(FromOutside(f, 17)).Bytes;
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 17, [f.At(f.Remote, 8080)], flags2: LbFlags2.Dsr);
        Assert.Equal(first, c.Node.FromNetwork(FromOutside(f, 17)).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Beside_a_tunnel_the_source_is_translated(Family f)
    {
        using var c = new Cluster(f, tunnel: true, edge: Dsr);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.Remote, 8080)], flags2: LbFlags2.Dsr);
        Packet sent = FromOutside(f, 6);
        Assert.Equal(sent.ToService(f.At(f.Remote, 8080)).FromService(f.At(Node.Router(f.IsV6), 40000)).Routed().ToBytes(), c.Node.FromNetwork(sent).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_packet_without_room_for_the_address_is_answered_with_the_size_that_has(Family f)
    {
        using Cluster c = Balancing(f, 17);
        int headers = f.IsV6 ? 48 : 28;
        int option = f.IsV6 ? 24 : 8;
        Packet large = FromOutside(f, 17) with { Payload = new byte[1500 - headers - option + 1] };
        Outcome outcome = c.Node.FromNetwork(large);
        Assert.Equal(DropReason.FragmentationNeeded, outcome.Dropped);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal(1500 - option, BinaryPrimitives.ReadUInt16BigEndian(outcome.Bytes.AsSpan(f.IsV6 ? 60 : 40)));
        Assert.Equal(TcVerdict.Redirect, c.Node.FromNetwork(large with { Payload = large.Payload[1..] }).Verdict);
        Assert.Null(c.Node.FromNetwork(large with { Payload = large.Payload[1..] }).Dropped);
    }

    [Theory, MemberData(nameof(NodePortTests.FamiliesAndProtocols), MemberType = typeof(NodePortTests))]
    public void A_pod_that_another_node_balances_to_answers_as_the_service(Family f, byte protocol)
    {
        using var c = new Cluster(f, edge: Dsr);
        byte[] told = Told(FromOutside(f, protocol).ToService(f.At(f.Server, 8080)), f);
        Outcome there = c.Node.Run(c.Node.Host.Program(HostObject.FromNetdev), told);
        Assert.Equal(TcVerdict.Redirect, there.Verdict);
        Packet reply = FromOutside(f, protocol).ToService(f.At(f.Server, 8080)).Reply();
        Outcome back = c.Node.Send(c.Server, reply);
        Assert.Equal(TcVerdict.Redirect, back.Verdict);
        Assert.Equal(reply.FromService(f.At(f.Host, Port)).Routed().ToBytes(), back.Bytes);
        // The program at the device has nothing to add to it.
        Assert.Equal(back.Bytes, c.Node.ToNetwork(back.Bytes, back.Mark).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_policy_refuses_leaves_no_translation(Family f)
    {
        using var c = new Cluster(f, edge: Dsr);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        byte[] told = Told(FromOutside(f, 6).ToService(f.At(f.Server, 8080)), f);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Run(c.Node.Host.Program(HostObject.FromNetdev), told).Dropped);
        Assert.Empty(c.Node.Translations(f.IsV6, NatDirection.Out));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_backend_on_the_nodes_own_network_answers_as_the_service(Family f)
    {
        using var c = new Cluster(f, edge: Dsr);
        Packet sent = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Service, 80));
        byte[] told = Told(sent.ToService(f.At(f.Host, 8080)), f, f.Service, 80);
        Outcome there = c.Node.Run(c.Node.Host.Program(HostObject.FromNetdev), told);
        Assert.Equal(TcVerdict.Pass, there.Verdict);
        Assert.Equal(told, there.Bytes);
        Packet reply = sent.ToService(f.At(f.Host, 8080)).Reply();
        Assert.Equal(reply.FromService(f.At(f.Service, 80)).ToBytes(), c.Node.ToNetwork(reply).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_connection_whose_entry_was_lost_is_known_by_its_translation(Family f)
    {
        using var c = new Cluster(f, edge: Dsr);
        Packet atServer = FromOutside(f, 6).ToService(f.At(f.Server, 8080));
        c.Node.Run(c.Node.Host.Program(HostObject.FromNetdev), Told(atServer, f));
        c.Node.ForgetConnections(f.IsV6);
        c.Node.FromNetwork(atServer with { Flags = Tcp.Ack });
        Packet reply = atServer.Reply(Tcp.Ack);
        Assert.Equal(reply.FromService(f.At(f.Host, Port)).Routed().ToBytes(), c.Node.Send(c.Server, reply).Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_answer_whose_service_is_forgotten_is_not_sent(Family f)
    {
        using var c = new Cluster(f, edge: Dsr);
        Packet atServer = FromOutside(f, 6).ToService(f.At(f.Server, 8080));
        c.Node.Run(c.Node.Host.Program(HostObject.FromNetdev), Told(atServer, f));
        c.Node.ForgetTranslations(f.IsV6, NatDirection.Out);
        Assert.Equal(DropReason.NoMappingForNatMasquerade, c.Node.Send(c.Server, atServer.Reply()).Dropped);
    }

    private static Cluster Balancing(Family f, byte protocol)
    {
        var cluster = new Cluster(f, edge: Dsr);
        cluster.Node.AddFrontend(f.At(f.Host, Port), 7, protocol, [f.At(f.Remote, 8080)], flags2: LbFlags2.Dsr);
        return cluster;
    }

    private static Packet FromOutside(Family f, byte protocol)
        => Packet.Between(f.At(f.Outside, 40000), f.At(f.Host, Port), protocol) with { Flags = protocol == 6 ? Tcp.Syn : 0 };

    // Written out as it is on the wire: the IPv4 option has both numbers with their bytes reversed.
    internal static byte[] Told(Packet packet, Family f, string? service = null, ushort port = Port)
    {
        byte[] frame = packet.ToBytes();
        byte[] address = new byte[f.IsV6 ? 16 : 4];
        Network.IpAddress.Parse(service ?? f.Host).WriteBytes(address);
        byte[] number = [(byte)(port >> 8), (byte)port];
        if (f.IsV6)
        {
            byte[] option = [frame[20], 2, 0x1b, 20, .. address, .. number, 0, 0];
            frame[20] = 60;
            Add(frame.AsSpan(18), option.Length);
            return [.. frame[..54], .. option, .. frame[54..]];
        }

        byte[] option4 = [0x9a, 8, .. number.Reverse(), .. address.Reverse()];
        byte[] header = [.. frame[14..34], .. option4];
        header[0] = 0x47;
        Add(header.AsSpan(2), option4.Length);
        header[10] = header[11] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(10), Packet.Checksum(header));
        return [.. frame[..14], .. header, .. frame[34..]];
    }

    private static void Add(Span<byte> field, int value)
        => BinaryPrimitives.WriteUInt16BigEndian(field, (ushort)(BinaryPrimitives.ReadUInt16BigEndian(field) + value));
}
