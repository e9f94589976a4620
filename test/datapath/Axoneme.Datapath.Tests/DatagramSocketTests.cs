// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Sockets that name their peer with each datagram.</summary>
[Collection(SocketPlace.Collection)]
public sealed class DatagramSocketTests
{
    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_unconnected_datagram_is_answered_by_the_service(Family f)
    {
        using var place = new SocketPlace();
        Socket server = place.Datagrams(f, bound: true);
        new TestService(f.At(f.Service, 53), 7, 17) { Backends = [server.LocalEndPoint!.ToString()!] }.Install(place.Node);
        AssertAnswered(place.Datagrams(f), server, f.At(f.Service, 53));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_node_port_answers_from_the_address_that_was_asked(Family f)
    {
        using var place = new SocketPlace();
        Socket server = place.Datagrams(f, bound: true);
        new TestService(f.At(f.Any, 30053), 7, 17) { Flags = LbFlags.NodePort, Backends = [server.LocalEndPoint!.ToString()!] }.Install(place.Node);
        place.Node.AddIdentity(f.RemoteNode, 6);
        AssertAnswered(place.Datagrams(f), server, f.At(f.RemoteNode, 30053));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void The_datagrams_of_a_socket_go_to_one_backend_while_it_exists(Family f)
    {
        using var place = new SocketPlace();
        Socket[] servers = [.. Enumerable.Range(0, 4).Select(_ => place.Datagrams(f, bound: true))];
        TestService service = new TestService(f.At(f.Service, 443), 7, 17)
        {
            Backends = [.. servers.Select(server => server.LocalEndPoint!.ToString()!)],
        }.Install(place.Node);
        Socket client = place.Datagrams(f);
        Send(client, f, 20);
        int first = Array.FindIndex(servers, server => server.Available > 0);
        Assert.Equal(20, Drain(servers[first]));
        Assert.All(servers, server => Assert.Equal(0, server.Available));

        // A terminating backend finishes what it has begun.
        int next = (first + 1) % 4;
        service.SetBackend(place.Node, first, LbBackendState.Terminating);
        service.UseOnly(place.Node, service.BackendId(next));
        Send(client, f, 5);
        Assert.Equal(5, Drain(servers[first]));
        service.RemoveBackend(place.Node, first);
        Send(client, f, 5);
        Assert.Equal(5, Drain(servers[next]));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Another_socket_chooses_for_itself(Family f)
    {
        using var place = new SocketPlace();
        Socket[] servers = [.. Enumerable.Range(0, 2).Select(_ => place.Datagrams(f, bound: true))];
        new TestService(f.At(f.Service, 443), 7, 17) { Backends = [.. servers.Select(server => server.LocalEndPoint!.ToString()!)] }.Install(place.Node);
        // That 64 sockets all choose the same of two happens once in 2^63 times.
        for (int i = 0; i < 64; i++)
            Send(place.Datagrams(f), f, 1);
        Assert.All(servers, server => Assert.NotEqual(0, Drain(server)));
    }

    private static void AssertAnswered(Socket client, Socket server, string service)
    {
        byte[] buffer = new byte[64];
        EndPoint from = new IPEndPoint(client.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any, 0);
        client.SendTo("query"u8.ToArray(), IPEndPoint.Parse(service));
        server.ReceiveFrom(buffer, ref from);
        server.SendTo("answer"u8.ToArray(), from);
        client.ReceiveFrom(buffer, ref from);
        Assert.Equal(service, from.ToString());
    }

    private static void Send(Socket client, Family f, int count)
    {
        for (int i = 0; i < count; i++)
            client.SendTo("data"u8.ToArray(), IPEndPoint.Parse(f.At(f.Service, 443)));
    }

    private static int Drain(Socket server)
    {
        int count = 0;
        for (byte[] buffer = new byte[64]; server.Poll(TimeSpan.Zero, SelectMode.SelectRead); count++)
            server.Receive(buffer);
        return count;
    }
}
