// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Node ports and host ports at the socket. "Unreachable" is the answer of a service without backends: the socket was translated.</summary>
[Collection(SocketPlace.Collection)]
public sealed class NodePortSocketTests
{
    private const ushort Port = 30080;
    private const uint RemoteNodeIdentity = 6;

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_node_port_is_open_on_every_node_and_on_the_nodes_own_loopback(Family f)
    {
        using var place = new SocketPlace();
        using Socket server = place.Listen(f);
        new TestService(f.At(f.Any, Port), 7, 6) { Flags = LbFlags.NodePort, Backends = [server.LocalEndPoint!.ToString()!] }.Install(place.Node);
        place.Node.AddHostAddress(f.Host);
        place.Node.AddIdentity(f.RemoteNode, RemoteNodeIdentity);
        foreach (string address in (string[])[f.Host, f.RemoteNode, f.Self])
        {
            Socket client = place.Connect(f, f.At(address, Port));
            Assert.Equal(f.At(address, Port), client.RemoteEndPoint!.ToString());
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_pod_reaches_it_at_nodes_but_its_loopback_is_its_own(Family f)
    {
        using var place = new SocketPlace();
        new TestService(f.At(f.Any, Port), 7, 6) { Flags = LbFlags.NodePort }.Install(place.Node);
        place.Node.AddIdentity(f.RemoteNode, RemoteNodeIdentity);
        Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, f.At(f.RemoteNode, Port), inPod: true));
        Assert.Equal(SocketError.ConnectionRefused, place.Refusal(f, f.At(f.Self, Port), inPod: true));
        Assert.Equal(SocketError.ConnectionRefused, place.Refusal(f, f.At(f.Any, Port), inPod: true));
        Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, f.At(f.Any, Port)));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Other_addresses_and_ports_outside_of_the_range_are_not_meant(Family f)
    {
        using var place = new SocketPlace();
        new TestService(f.At(f.Any, Port), 7, 6) { Flags = LbFlags.NodePort }.Install(place.Node);
        new TestService(f.At(f.Any, 8080), 8, 6) { Flags = LbFlags.NodePort }.Install(place.Node);
        place.Node.AddIdentity(f.RemoteNode, RemoteNodeIdentity);
        Assert.Equal(SocketError.NetworkUnreachable, place.Refusal(f, f.At(f.Outside, Port), inPod: true));
        Assert.Equal(SocketError.NetworkUnreachable, place.Refusal(f, f.At(f.Remote, Port), inPod: true));
        Assert.Equal(SocketError.NetworkUnreachable, place.Refusal(f, f.At(f.RemoteNode, 8080), inPod: true));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_host_port_is_open_on_its_own_node_only(Family f)
    {
        using var place = new SocketPlace();
        new TestService(f.At(f.Any, 8080), 7, 6) { Flags = LbFlags.HostPort }.Install(place.Node);
        place.Node.AddHostAddress(f.Host);
        place.Node.AddIdentity(f.RemoteNode, RemoteNodeIdentity);
        Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, f.At(f.Host, 8080), inPod: true));
        Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, f.At(f.Self, 8080)));
        Assert.Equal(SocketError.NetworkUnreachable, place.Refusal(f, f.At(f.RemoteNode, 8080), inPod: true));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_host_port_on_the_loopback_address_is_for_the_node_alone(Family f)
    {
        using var place = new SocketPlace();
        new TestService(f.At(f.Any, 8080), 7, 6) { Flags = LbFlags.HostPort, Flags2 = LbFlags2.Loopback }.Install(place.Node);
        place.Node.AddHostAddress(f.Host);
        Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, f.At(f.Self, 8080)));
        Assert.Equal(SocketError.ConnectionRefused, place.Refusal(f, f.At(f.Self, 8080), inPod: true));
        Assert.Equal(SocketError.NetworkUnreachable, place.Refusal(f, f.At(f.Host, 8080), inPod: true));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void No_socket_of_the_node_binds_to_a_node_port_in_use(Family f)
    {
        using var place = new SocketPlace();
        new TestService(f.At(f.Any, Port), 7, 6) { Flags = LbFlags.NodePort }.Install(place.Node);
        Assert.Equal(SocketError.AddressAlreadyInUse, BindError(place, f, f.Any, Port));
        Assert.Equal(SocketError.AddressAlreadyInUse, BindError(place, f, f.Self, Port));
        Assert.Null(BindError(place, f, f.Any, Port + 1));
        Assert.Null(BindError(place, f, f.Any, Port, inPod: true));
        Assert.Null(BindError(place, f, f.Any, Port, datagrams: true));
    }

    [Fact]
    public void A_socket_for_both_families_counts_in_both()
    {
        using var place = new SocketPlace();
        new TestService("0.0.0.0:30080", 7, 6) { Flags = LbFlags.NodePort }.Install(place.Node);
        using var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = true };
        SocketException refused = Assert.Throws<SocketException>(() => socket.Bind(new IPEndPoint(IPAddress.IPv6Any, Port)));
        Assert.Equal(SocketError.AddressAlreadyInUse, refused.SocketErrorCode);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Without_protection_it_may(Family f)
    {
        using var place = new SocketPlace(constants => constants with { ProtectNodePorts = false });
        new TestService(f.At(f.Any, Port), 7, 6) { Flags = LbFlags.NodePort }.Install(place.Node);
        Assert.Null(BindError(place, f, f.Any, Port));
    }

    private static SocketError? BindError(SocketPlace place, Family f, string address, ushort port, bool inPod = false, bool datagrams = false)
    {
        return inPod ? place.Pod.Run(Bind) : Bind();

        SocketError? Bind()
        {
            using Socket socket = datagrams
                ? new Socket(f.Sockets, SocketType.Dgram, ProtocolType.Udp)
                : new Socket(f.Sockets, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Parse(address), port));
                return null;
            }
            catch (SocketException refused)
            {
                return refused.SocketErrorCode;
            }
        }
    }
}
