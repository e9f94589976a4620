// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Bpf;

namespace Axoneme.Datapath.Tests;

/// <summary>Services translated at the socket: real sockets on loopback, in a control group of the test's own.</summary>
public sealed class SocketTests : IDisposable
{
    private const string Root = "/sys/fs/cgroup/unified";
    private readonly string _group = Path.Combine(Root, $"axoneme-progs-{Environment.ProcessId}");
    private readonly string _home;
    private readonly Node _node = new();
    private readonly List<BpfLink> _links = [];

    public SocketTests()
    {
        Directory.CreateDirectory(_group);
        _home = Root + File.ReadLines("/proc/self/cgroup").Single(line => line.StartsWith("0::", StringComparison.Ordinal))[3..].TrimEnd('/');
        BpfObject programs = _node.LoadSocketPrograms();
        foreach ((string name, BpfAttachType type) in (ReadOnlySpan<(string, BpfAttachType)>)[
            ("sock_connect4", BpfAttachType.CgroupInet4Connect), ("sock_connect6", BpfAttachType.CgroupInet6Connect),
            ("sock_sendmsg4", BpfAttachType.CgroupUdp4SendMessage), ("sock_sendmsg6", BpfAttachType.CgroupUdp6SendMessage),
            ("sock_recvmsg4", BpfAttachType.CgroupUdp4ReceiveMessage), ("sock_recvmsg6", BpfAttachType.CgroupUdp6ReceiveMessage),
            ("sock_getpeername4", BpfAttachType.CgroupInet4GetPeerName), ("sock_getpeername6", BpfAttachType.CgroupInet6GetPeerName)])
            _links.Add(BpfLink.AttachCgroup(programs.Program(name), _group, type));
        File.WriteAllText(Path.Combine(_group, "cgroup.procs"), Environment.ProcessId.ToString());
    }

    [Fact]
    public void Connect_reaches_a_backend_and_the_peer_is_the_service()
    {
        using var server = new TcpListener(IPAddress.Loopback, 0);
        server.Start();
        _node.AddService("10.96.0.10:80", 7, 6, server.LocalEndpoint.ToString()!);
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.Connect("10.96.0.10", 80);
        Assert.Equal("10.96.0.10:80", client.RemoteEndPoint!.ToString());
        using Socket accepted = server.AcceptSocket();
        Assert.Equal(client.LocalEndPoint!.ToString(), accepted.RemoteEndPoint!.ToString());
    }

    [Fact]
    public void An_unconnected_datagram_is_answered_by_the_service()
    {
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        server.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _node.AddService("10.96.0.10:53", 7, 17, server.LocalEndPoint!.ToString()!);
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        client.ReceiveTimeout = server.ReceiveTimeout = 5000;
        client.SendTo("query"u8.ToArray(), IPEndPoint.Parse("10.96.0.10:53"));
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        byte[] buffer = new byte[64];
        server.ReceiveFrom(buffer, ref from);
        server.SendTo("answer"u8.ToArray(), from);
        client.ReceiveFrom(buffer, ref from);
        Assert.Equal("10.96.0.10:53", from.ToString());
    }

    [Fact]
    public void A_service_without_backends_is_unreachable_at_once()
    {
        _node.AddService("10.96.0.11:80", 8, 6);
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        SocketException refused = Assert.Throws<SocketException>(() => client.Connect("10.96.0.11", 80));
        Assert.Equal(SocketError.HostUnreachable, refused.SocketErrorCode);
    }

    public void Dispose()
    {
        File.WriteAllText(Path.Combine(_home, "cgroup.procs"), Environment.ProcessId.ToString());
        _links.ForEach(link => link.Dispose());
        _node.Dispose();
        Directory.Delete(_group);
    }
}
