// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;

namespace Axoneme.Datapath.Tests;

/// <summary>Services translated at the socket.</summary>
[Collection(SocketPlace.Collection)]
public sealed class SocketTests
{
    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Connect_reaches_a_backend_and_the_peer_is_the_service(Family f)
    {
        using var place = new SocketPlace();
        using Socket server = place.Listen(f);
        new TestService(f.At(f.Service, 80), 7, 6) { Backends = [server.LocalEndPoint!.ToString()!] }.Install(place.Node);
        Socket client = place.Connect(f, f.At(f.Service, 80));
        Assert.Equal(f.At(f.Service, 80), client.RemoteEndPoint!.ToString());
        using Socket accepted = server.Accept();
        Assert.Equal(client.LocalEndPoint!.ToString(), accepted.RemoteEndPoint!.ToString());
    }

    [Fact]
    public void An_ipv6_socket_that_speaks_ipv4_is_translated_as_well()
    {
        var f = new Family(false);
        using var place = new SocketPlace();
        using Socket server = place.Listen(f);
        new TestService(f.At(f.Service, 80), 7, 6) { Backends = [server.LocalEndPoint!.ToString()!] }.Install(place.Node);
        using var client = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = true };
        client.Connect(IPAddress.Parse("::ffff:" + f.Service), 80);
        Assert.Equal($"[::ffff:{f.Service}]:80", client.RemoteEndPoint!.ToString());
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_peer_whose_service_is_another_one_by_now_is_shown_as_it_is(Family f)
    {
        using var place = new SocketPlace();
        using Socket server = place.Listen(f);
        string backend = server.LocalEndPoint!.ToString()!;
        TestService service = new TestService(f.At(f.Service, 80), 7, 6) { Backends = [backend] }.Install(place.Node);
        Socket client = place.Connect(f, f.At(f.Service, 80));
        (service with { ReverseNat = 8 }).Install(place.Node);
        Assert.Equal(backend, client.RemoteEndPoint!.ToString());
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_service_without_backends_fails_at_once_with_the_chosen_error(Family f)
    {
        using (var place = new SocketPlace())
        {
            new TestService(f.At(f.Service, 80), 8, 6).Install(place.Node);
            Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, f.At(f.Service, 80)));
        }

        using (var place = new SocketPlace(constants => constants with { NoBackendErrno = Errno.ENETUNREACH }))
        {
            new TestService(f.At(f.Service, 80), 8, 6).Install(place.Node);
            Assert.Equal(SocketError.NetworkUnreachable, place.Refusal(f, f.At(f.Service, 80)));
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_service_without_backends_may_leave_its_address_to_others(Family f)
    {
        using var place = new SocketPlace(constants => constants with { ClaimWithoutBackend = false });
        using Socket server = place.Listen(f);
        string taken = server.LocalEndPoint!.ToString()!;
        new TestService(taken, 8, 6).Install(place.Node);
        Assert.Equal(taken, place.Connect(f, taken).RemoteEndPoint!.ToString());
        new TestService(taken, 8, 6) { Flags2 = LbFlags2.InternalLocal }.Install(place.Node);
        Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, taken));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_port_that_a_service_address_does_not_serve_refuses_at_once(Family f)
    {
        using var place = new SocketPlace();
        using Socket server = place.Listen(f);
        new TestService(f.At(f.Service, 80), 7, 6) { Backends = [server.LocalEndPoint!.ToString()!] }.Install(place.Node);
        new TestService(f.At(f.Service, 0), 0, 0).Install(place.Node);
        Assert.Equal(SocketError.ConnectionRefused, place.Refusal(f, f.At(f.Service, 81)));
        Socket datagrams = place.Datagrams(f);
        SocketException refused = Assert.Throws<SocketException>(() => datagrams.SendTo("query"u8, IPEndPoint.Parse(f.At(f.Service, 80))));
        Assert.Equal(SocketError.ConnectionRefused, refused.SocketErrorCode);
        Assert.True(place.Connect(f, f.At(f.Service, 80)).Connected);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Where_a_service_has_two_sets_of_backends_sockets_get_that_for_the_inside(Family f)
    {
        using var place = new SocketPlace();
        using Socket server = place.Listen(f);
        TestService outside = new TestService(f.At(f.Service, 80), 7, 6) { Flags2 = LbFlags2.TwoScopes }.Install(place.Node);
        (outside with { ReverseNat = 8, Scope = LbScope.Internal, Backends = [server.LocalEndPoint!.ToString()!] }).Install(place.Node);
        Assert.Equal(f.At(f.Service, 80), place.Connect(f, f.At(f.Service, 80)).RemoteEndPoint!.ToString());
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void With_affinity_a_namespace_keeps_its_backend(Family f)
    {
        using var place = new SocketPlace();
        using Socket first = place.Listen(f), second = place.Listen(f), third = place.Listen(f), fourth = place.Listen(f);
        TestService service = new TestService(f.At(f.Service, 80), 7, 6)
        {
            Affinity = 100,
            Backends = [.. ((Socket[])[first, second, third, fourth]).Select(socket => socket.LocalEndPoint!.ToString()!)],
        }.Install(place.Node);
        var key = new LbAffinityKey { RevNat = 7, IsCookie = 1 };
        using (NetworkNamespace own = NetworkNamespace.OpenCurrent())
            BitConverter.TryWriteBytes(key.Client.Bytes, own.ReadCookie());

        for (int i = 0; i < 20; i++)
            place.Connect(f, f.At(f.Service, 80));
        var map = place.Node.Map(f.IsV6 ? Maps.CiliumLb6Affinity : Maps.CiliumLb4Affinity);
        Assert.True(map.TryLookup(key, out LbAffinity affinity));
        Assert.Equal(20, Accepted(place, service, affinity.Backend, first, second, third, fourth));

        // One that is out of date is not followed; the service has another backend by now.
        uint other = service.BackendId(affinity.Backend == service.BackendId(0) ? 1 : 0);
        service.UseOnly(place.Node, other);
        map.Update(key, affinity with { LastUsedS = (uint)(Stopwatch.GetTimestamp() / Stopwatch.Frequency) - 101 });
        place.Connect(f, f.At(f.Service, 80));
        Assert.True(map.TryLookup(key, out LbAffinity renewed));
        Assert.Equal(other, renewed.Backend);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_backend_of_a_local_redirect_may_reach_the_address_itself(Family f)
    {
        using var place = new SocketPlace();
        using Socket redirected = place.Listen(f), inPod = place.Listen(f, inPod: true);
        string frontend = inPod.LocalEndPoint!.ToString()!;
        (string address, ushort port) = (f.IsV6 ? "::1" : "127.0.0.1", (ushort)((IPEndPoint)inPod.LocalEndPoint).Port);
        var service = new TestService(frontend, 7, 6) { Flags2 = LbFlags2.LocalRedirect, Backends = [] };
        service.Install(place.Node);
        Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, frontend, inPod: true));
        Skip(place, f, address, port);
        Assert.True(place.Connect(f, frontend, inPod: true).Connected);
        Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, frontend));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Sockets_of_pods_are_left_alone_if_only_the_nodes_are_wanted(Family f)
    {
        using var place = new SocketPlace(constants => constants with { SocketsOfHostOnly = true });
        new TestService(f.At(f.Service, 80), 8, 6).Install(place.Node);
        Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, f.At(f.Service, 80)));
        Assert.Equal(SocketError.NetworkUnreachable, place.Refusal(f, f.At(f.Service, 80), inPod: true));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_external_ip_is_translated_where_the_node_has_it_or_on_demand(Family f)
    {
        using (var place = new SocketPlace())
        {
            new TestService(f.At(f.Outside, 80), 8, 6) { Flags = LbFlags.ExternalIp }.Install(place.Node);
            // The address refuses what is not served there, which must not concern what is.
            new TestService(f.At(f.Outside, 0), 9, 0).Install(place.Node);
            Assert.Equal(SocketError.ConnectionRefused, place.Refusal(f, f.At(f.Outside, 81), inPod: true));
            Assert.Equal(SocketError.NetworkUnreachable, place.Refusal(f, f.At(f.Outside, 80), inPod: true));
            place.Node.AddHostAddress(f.Outside);
            Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, f.At(f.Outside, 80), inPod: true));
        }

        using (var place = new SocketPlace(constants => constants with { ExternalIpsOfNodeOnly = false }))
        {
            new TestService(f.At(f.Outside, 80), 8, 6) { Flags = LbFlags.ExternalIp }.Install(place.Node);
            Assert.Equal(SocketError.HostUnreachable, place.Refusal(f, f.At(f.Outside, 80), inPod: true));
        }
    }

    private static int Accepted(SocketPlace place, TestService service, uint backend, params Socket[] servers)
    {
        Socket server = servers[Enumerable.Range(0, servers.Length).Single(i => service.BackendId(i) == backend)];
        int count = 0;
        for (; server.Poll(TimeSpan.Zero, SelectMode.SelectRead); count++)
            server.Accept().Dispose();
        return count;
    }

    private static void Skip(SocketPlace place, Family f, string address, ushort port)
    {
        var ip = Axoneme.Network.IpAddress.Parse(address);
        ulong cookie = place.Pod.ReadCookie();
        if (f.IsV6)
            place.Node.Map(Maps.CiliumSkipLb6).Update(new Lb6SkipKey { NetnsCookie = cookie, Addr = Node.Ip6(ip), Port = port, Protocol = 6 }, 1);
        else
            place.Node.Map(Maps.CiliumSkipLb4).Update(new Lb4SkipKey { NetnsCookie = cookie, Addr = (uint)ip.Number, Port = port, Protocol = 6 }, 1);
    }
}
