// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>What comes out of the tunnel, with the identity that the sending node gave.</summary>
public sealed class OverlayTests
{
    private const ushort Port = 30080;
    private static readonly BpfObjectImage Tunnel = BpfObjectImage.FromResource(Assembly.GetExecutingAssembly(), "tunnel");
    private static readonly EdgeOptions NodePorts = new() { NodePorts = true };

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_gets_the_packet_and_policy_sees_the_identity_of_the_tunnel(Family f)
    {
        using var c = new Cluster(f, tunnel: true);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Packet syn = Packet.TcpFrom(f.At(f.Remote, 40000), f.At(f.Server, 80));
        Assert.Equal(DropReason.PolicyDenied, Arrive(c, syn, 777).Dropped);
        Node.Rule(c.Server, TrafficDirection.Ingress, 777, 6, 80);
        Outcome outcome = Arrive(c, syn, 777);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal(syn.Delivered(c.Server).ToBytes(), outcome.Bytes);
        Assert.Equal(777u, outcome.Events.Last(e => e.Type == (byte)EventType.Trace).SourceIdentity);
        // Our own table says otherwise, and is not asked.
        Assert.Equal(DropReason.PolicyDenied, Arrive(c, syn with { FromPort = 40001 }, Cluster.RemoteIdentity).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_that_is_not_known_yet_does_not_get_in_by_the_identity_of_the_tunnel(Family f)
    {
        const uint Unmanaged = 3;
        using var c = new Cluster(f, tunnel: true);
        c.Node.AddIdentity(f.Remote, Unmanaged);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Node.Rule(c.Server, TrafficDirection.Ingress, 777, 6, 80);
        Assert.Equal(DropReason.PolicyDenied, Arrive(c, Packet.TcpFrom(f.At(f.Remote, 40000), f.At(f.Server, 80)), 777).Dropped);
        Node.Rule(c.Server, TrafficDirection.Ingress, Unmanaged, 6, 80);
        Assert.Equal(TcVerdict.Redirect, Arrive(c, Packet.TcpFrom(f.At(f.Remote, 40001), f.At(f.Server, 80)), 777).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Another_nodes_own_packets_are_of_a_remote_node_and_of_the_one_that_our_table_knows(Family f)
    {
        const uint Host = 1, RemoteNode = 6, WithLabels = 0x02000007;
        using var c = new Cluster(f, tunnel: true);
        Packet syn = Packet.TcpFrom(f.At(f.RemoteNode, 40000), f.At(f.Server, 80));
        Assert.Equal(RemoteNode, Seen(Host));
        Assert.Equal(RemoteNode, Seen(RemoteNode));
        c.Node.AddIdentity(f.RemoteNode, WithLabels);
        Assert.Equal(WithLabels, Seen(Host));
        Assert.Equal(WithLabels, Seen(RemoteNode));

        uint Seen(uint sent)
        {
            syn = syn with { FromPort = (ushort)(syn.FromPort + 1) };
            return Arrive(c, syn, sent).Events.Last(e => e.Type == (byte)EventType.Trace).SourceIdentity;
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_node_port_asked_for_through_the_tunnel_is_served(Family f)
    {
        using var c = new Cluster(f, tunnel: true, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.Server, 8080)]);
        Packet syn = Packet.TcpFrom(f.At(f.Remote, 40000), f.At(f.Host, Port));
        Outcome outcome = Arrive(c, syn, Cluster.RemoteIdentity);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal(syn.ToService(f.At(f.Server, 8080)).Delivered(c.Server).ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_answer_to_a_balanced_connection_goes_on_to_its_client(Family f)
    {
        using var c = new Cluster(f, tunnel: true, edge: NodePorts);
        c.Node.AddFrontend(f.At(f.Host, Port), 7, 6, [f.At(f.Remote, 8080)]);
        Packet sent = Packet.TcpFrom(f.At(f.Outside, 40000), f.At(f.Host, Port));
        c.Node.FromNetwork(sent);
        Packet reply = sent.ToService(f.At(f.Remote, 8080)).FromService(f.At(Node.Router(f.IsV6), 40000)).Reply();
        Outcome outcome = Arrive(c, reply, Cluster.RemoteIdentity);
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Assert.Equal(reply.FromService(f.At(f.Host, Port)).ToService(f.At(f.Outside, 40000)).Routed().ToBytes(), outcome.Bytes);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void What_is_for_the_node_itself_goes_to_its_stack(Family f)
    {
        using var c = new Cluster(f, tunnel: true, edge: NodePorts);
        Packet syn = Packet.TcpFrom(f.At(f.Remote, 40000), f.At(f.Host, 22));
        Outcome outcome = Arrive(c, syn, Cluster.RemoteIdentity);
        Assert.Equal(TcVerdict.Pass, outcome.Verdict);
        Assert.Equal(syn.ToBytes(), outcome.Bytes);
    }

    private static Outcome Arrive(Cluster c, Packet packet, uint identity)
    {
        using BpfObject device = Tunnel.Open();
        device.Load();
        c.Node.Overlay.Program(OverlayObject.FromOverlay).SetTailCall(device.Map("tunnel_next"), 0);
        return c.Node.Run(device.Program("arrive"), packet.ToBytes(), mark: identity);
    }
}
