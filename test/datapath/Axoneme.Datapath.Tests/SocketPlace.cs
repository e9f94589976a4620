// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Netlink;

namespace Axoneme.Datapath.Tests;

/// <summary>
/// Real sockets under the socket programs: in a control group of the test's own, of which this process is a member meanwhile. What the
/// process's own network namespace has are sockets of the node; <see cref="InPod"/> makes those of a pod.
/// </summary>
public sealed class SocketPlace : IDisposable
{
    /// <summary>Tests with such a place run one after another: a process is in one control group.</summary>
    public const string Collection = "Sockets";

    private const string Root = "/sys/fs/cgroup/unified";
    private const string Namespaces = "/run/netns";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static int s_count;

    private readonly string _name = $"axoneme-progs-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}";
    private readonly string _home;
    private readonly List<BpfLink> _links = [];
    private readonly List<IDisposable> _sockets = [];
    private NetworkNamespace? _pod;

    public SocketPlace(Func<SockConstants, SockConstants>? adjust = null)
    {
        SockConstants constants = SockObject.Image.DefaultConstants<SockConstants>();
        using (NetworkNamespace own = NetworkNamespace.OpenCurrent())
            constants.HostNetnsCookie = own.ReadCookie();
        BpfObject programs = Node.LoadSocketPrograms(adjust?.Invoke(constants) ?? constants);
        Directory.CreateDirectory(Group);
        _home = Root + File.ReadLines("/proc/self/cgroup").Single(line => line.StartsWith("0::", StringComparison.Ordinal))[3..].TrimEnd('/');
        try
        {
            Attach(programs);
            File.WriteAllText(Path.Combine(Group, "cgroup.procs"), Environment.ProcessId.ToString());
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public Node Node { get; } = new();

    /// <summary>The namespace of a pod, with loopback only; its sockets are in the same control group.</summary>
    public NetworkNamespace Pod => _pod ??= CreatePod();

    private string Group => Path.Combine(Root, _name);

    /// <summary>A server on the loopback address of the node, or of the pod.</summary>
    public Socket Listen(Family f, bool inPod = false)
        => Make(inPod, () =>
        {
            var server = new Socket(f.Sockets, SocketType.Stream, ProtocolType.Tcp);
            server.Bind(f.LoopbackEndpoint);
            server.Listen();
            return server;
        });

    /// <summary>A socket for datagrams, bound to the loopback address unless it is a client's.</summary>
    public Socket Datagrams(Family f, bool bound = false, bool inPod = false)
        => Make(inPod, () =>
        {
            var socket = new Socket(f.Sockets, SocketType.Dgram, ProtocolType.Udp)
            {
                ReceiveTimeout = (int)Patience.TotalMilliseconds,
            };
            if (bound)
                socket.Bind(f.LoopbackEndpoint);
            return socket;
        });

    /// <summary>A new client's socket after connect; an error is a <see cref="SocketException"/>.</summary>
    public Socket Connect(Family f, string to, bool inPod = false)
        => Make(inPod, () =>
        {
            var client = new Socket(f.Sockets, SocketType.Stream, ProtocolType.Tcp);
            client.Connect(IPEndPoint.Parse(to));
            return client;
        });

    public SocketError Refusal(Family f, string to, bool inPod = false)
        => Assert.Throws<SocketException>(() => Connect(f, to, inPod)).SocketErrorCode;

    public void Dispose()
    {
        _sockets.ForEach(socket => socket.Dispose());
        File.WriteAllText(Path.Combine(_home, "cgroup.procs"), Environment.ProcessId.ToString());
        _links.ForEach(link => link.Dispose());
        Node.Dispose();
        Directory.Delete(Group);
        if (_pod is null)
            return;
        _pod.Dispose();
        NetworkNamespace.Delete(Namespaces, _name);
    }

    private void Attach(BpfObject programs)
    {
        foreach ((string name, BpfAttachType type) in (ReadOnlySpan<(string, BpfAttachType)>)[
            (SockObject.SockConnect4, BpfAttachType.CgroupInet4Connect), (SockObject.SockConnect6, BpfAttachType.CgroupInet6Connect),
            (SockObject.SockSendmsg4, BpfAttachType.CgroupUdp4SendMessage), (SockObject.SockSendmsg6, BpfAttachType.CgroupUdp6SendMessage),
            (SockObject.SockRecvmsg4, BpfAttachType.CgroupUdp4ReceiveMessage), (SockObject.SockRecvmsg6, BpfAttachType.CgroupUdp6ReceiveMessage),
            (SockObject.SockGetpeername4, BpfAttachType.CgroupInet4GetPeerName), (SockObject.SockGetpeername6, BpfAttachType.CgroupInet6GetPeerName),
            (SockObject.SockPostBind4, BpfAttachType.CgroupInet4PostBind), (SockObject.SockPostBind6, BpfAttachType.CgroupInet6PostBind)])
            _links.Add(BpfLink.AttachCgroup(programs.Program(name), Group, type));
    }

    private NetworkNamespace CreatePod()
    {
        NetworkNamespace pod = NetworkNamespace.Create(Namespaces, _name);
        using RouteNetlink netlink = RouteNetlink.Open(pod);
        netlink.SetLink(netlink.FindLink("lo")!.Index, new LinkChange { Up = true });
        return pod;
    }

    private Socket Make(bool inPod, Func<Socket> make)
    {
        Socket socket = inPod ? Pod.Run(make) : make();
        _sockets.Add(socket);
        return socket;
    }
}
