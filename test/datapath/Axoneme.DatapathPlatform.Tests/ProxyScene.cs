// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>Where the server is, seen from the pod that asks it.</summary>
public enum ServerPlace
{
    SameNode,
    OtherNode,
    BehindTunnel,
    World,

    /// <summary>On the network of the pod's own node.</summary>
    OwnHost,
}

/// <summary>A pod that may speak to others on one port through the node's proxy only, and a server.</summary>
internal sealed class ProxyScene : IDisposable
{
    public const ushort ServerPort = 5353;
    public const ushort ProxyPort = 10053;
    public const ushort ServicePort = 53;
    public const ushort ClientId = 5;
    public const ushort ServerId = 6;
    private static readonly IpPrefix Wire4 = IpPrefix.Parse("192.168.9.0/24");
    private static readonly IpPrefix Wire6 = IpPrefix.Parse("fd00:9::/64");

    private readonly TestNode _test;
    private readonly TestNode? _other;
    private NodeDatapath? _otherNode;
    private readonly List<EchoServer> _servers = [];
    private readonly ServerPlace _place;
    private NetworkNamespace _home = null!;
    private uint _revision = 1;

    private ProxyScene(ServerPlace place, bool balancesPackets)
    {
        _place = place;
        RoutingMode mode = place == ServerPlace.BehindTunnel ? RoutingMode.Vxlan : RoutingMode.Native;
        _test = new TestNode(mode);
        _test.Options = _test.Options with
        {
            PacketLoadBalancing = balancesPackets,
            Masquerade = new Masquerading { IPv4 = true, IPv6 = true },
        };
        if (place is not (ServerPlace.SameNode or ServerPlace.OwnHost))
        {
            _other = new TestNode(mode);
            Connect(_test, _other);
        }

    }

    public NodeDatapath Node { get; private set; } = null!;

    public NetworkNamespace Host => _test.Host;

    public NetworkNamespace Client { get; private set; } = null!;

    /// <summary>The node or, in the world, the network that the server is in.</summary>
    public static async Task<ProxyScene> CreateAsync(ServerPlace place, CancellationToken cancellation, bool balancesPackets = false)
    {
        var scene = new ProxyScene(place, balancesPackets);
        try
        {
            scene.Node = scene._test.Start();
            if (place is ServerPlace.OtherNode or ServerPlace.BehindTunnel)
                scene._otherNode = scene._other!.Start();
            scene.Client = await scene._test.AddPodAsync(scene.Node, ClientId, cancellation);
            await scene.AddServerAsync(place, cancellation);
            await scene.RedirectAsync(ProxyPort, cancellation);
            return scene;
        }
        catch
        {
            scene.Dispose();
            throw;
        }
    }

    public static IpAddress ClientAddress(bool isV6) => Pod(ClientId, isV6);

    public static IpAddress ServerAddress(ServerPlace place, bool isV6)
        => place switch
        {
            ServerPlace.World => (isV6 ? Wire6 : Wire4).Address.Add(2),
            ServerPlace.OwnHost => isV6 ? TestNode.Router6 : TestNode.Router4,
            _ => Pod(ServerId, isV6),
        };

    /// <summary>From where a server in a place sees the pod.</summary>
    public static IpAddress SeenAs(ServerPlace place, bool isV6)
        => place == ServerPlace.World ? (isV6 ? Wire6 : Wire4).Address.Add(1) : ClientAddress(isV6);

    /// <summary>Sends what the client sends to the server's port to the proxy; 0 lets it pass.</summary>
    public Task RedirectAsync(ushort proxyPort, CancellationToken cancellation, ushort serverPort = ServerPort, bool lacksProxy = false)
    {
        var entries =
            from protocol in new[] { L4Protocol.Udp, L4Protocol.Tcp }
            from peer in new[] { TestNode.Endpoint(ServerId).Identity, SecurityIdentity.Unknown }
            select new PolicyMapEntry(new PolicyMapKey(TrafficDirection.Egress, peer, protocol, serverPort, 16))
            {
                Precedence = 10,
                ProxyPort = proxyPort,
                Deny = lacksProxy,
                LacksProxy = lacksProxy,
            };
        return ApplyAsync(
            new EndpointPolicy(ClientId, ++_revision) { EgressEnforced = true, Entries = PolicyMapEntryCollection.Of(entries) }, cancellation);
    }

    /// <summary>The ingress policy of a server on the same node: from the client only, or from nobody.</summary>
    public Task EnforceAtServerAsync(bool allowsClient, CancellationToken cancellation)
    {
        var entry = new PolicyMapEntry(new PolicyMapKey(
            TrafficDirection.Ingress, TestNode.Endpoint(ClientId).Identity, L4Protocol.Any, 0, 0))
        { Precedence = 1 };
        return ApplyAsync(
            new EndpointPolicy(ServerId, ++_revision) { IngressEnforced = true, Entries = PolicyMapEntryCollection.Of(allowsClient ? [entry] : []) },
            cancellation);
    }

    /// <summary>Addresses of a service that has the server for its only backend.</summary>
    public async Task<IpAddress> AddServiceAsync(ServerPlace place, bool isV6, CancellationToken cancellation)
    {
        IpAddress address = IpAddress.Parse(isV6 ? "fd00:96::a" : "10.96.0.10");
        var target = new ServiceTarget(Node.Maps, new MaglevSettings(11, "seed", ServiceModel.Fill));
        var failures = new ReconcileFailures<ServiceMapKey>();
        await target.ApplyAsync(
            [.. new[] { L4Protocol.Udp, L4Protocol.Tcp }.Select(protocol => new ServiceMapEntry(new(new L4Address(address, ServicePort, protocol)))
            {
                Backends = [new BackendMapEntry(new L4Address(ServerAddress(place, isV6), ServerPort, protocol))],
            })],
            failures, cancellation);
        Assert.Equal(0, failures.Count);
        return address;
    }

    /// <summary>One more server where the first one is.</summary>
    public EchoServer StartServer(bool isV6, ushort port, int repeat = 1) => new(_home, ServerAddress(_place, isV6), port, repeat);

    public TransparentProxy StartProxy(bool isV6, ushort port = ProxyPort) => new(Host, isV6, port, ServerPort);

    /// <summary>The server's answer to a new connection of the client; null if none came in time.</summary>
    public string? Ask(IpAddress server, bool isTcp, string question = "hello", int timeoutMs = 3000, ushort port = ServerPort)
    {
        using Socket socket = OpenClient(server, isTcp, timeoutMs);
        try
        {
            socket.Connect(new IPEndPoint(server.ToIPAddress(), port));
            return Exchange(socket, question);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    public Socket OpenClient(IpAddress server, bool isTcp, int timeoutMs = 3000)
    {
        AddressFamily family = server.ToIPAddress().AddressFamily;
        return Client.Run(() => new Socket(family, isTcp ? SocketType.Stream : SocketType.Dgram, isTcp ? ProtocolType.Tcp : ProtocolType.Udp)
        {
            ReceiveTimeout = timeoutMs,
            SendTimeout = timeoutMs,
        });
    }

    public static string? Exchange(Socket socket, string question)
    {
        byte[] buffer = new byte[8192];
        try
        {
            socket.Send(Encoding.ASCII.GetBytes(question));
            int length = socket.Receive(buffer);
            return length == 0 ? null : Encoding.ASCII.GetString(buffer, 0, length);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    /// <summary>Packets dropped for a reason, in both directions.</summary>
    public ulong Dropped(DropReason reason)
        => new DatapathDump(_test.Options.BpfRoot).Metrics().Where(m => m.Reason == reason).Aggregate(0ul, (sum, m) => sum + m.Packets);

    public IReadOnlyList<ConntrackEntry> Connections() => [.. new DatapathDump(_test.Options.BpfRoot).Conntrack()];

    public void Dispose()
    {
        _servers.ForEach(s => s.Dispose());
        // Null when it did not start.
        Node?.Dispose();
        _otherNode?.Dispose();
        _other?.Dispose();
        _test.Dispose();
    }

    private static IpAddress Pod(ushort id, bool isV6) => (isV6 ? TestNode.Router6 : TestNode.Router4).Add(id);

    private async Task AddServerAsync(ServerPlace place, CancellationToken cancellation)
    {
        _home = place switch
        {
            ServerPlace.SameNode => await _test.AddPodAsync(Node, ServerId, cancellation),
            ServerPlace.World => _other!.Host,
            ServerPlace.OwnHost => await IntroduceHostAsync(cancellation),
            _ => await _other!.AddPodAsync(_otherNode!, ServerId, cancellation),
        };
        foreach (bool isV6 in new[] { false, true })
            _servers.Add(StartServer(isV6, ServerPort));
        if (_otherNode is null)
            return;
        await IntroduceAsync(Node, ServerId, nodeNumber: 2, cancellation);
        await IntroduceAsync(_otherNode, ClientId, nodeNumber: 1, cancellation);
    }

    /// <summary>Makes the node's own addresses known for such.</summary>
    private async Task<NetworkNamespace> IntroduceHostAsync(CancellationToken cancellation)
    {
        IpAddress[] addresses = [TestNode.Router4, TestNode.Router6];
        var failures = new ReconcileFailures<IpAddress>();
        await new EndpointMapTarget(Node.Maps).ApplyAsync(
            [.. addresses.Select(a => new EndpointMapEntry(a) { IsHost = true, Identity = SecurityIdentity.Host })], failures, cancellation);
        var prefixes = new ReconcileFailures<IpPrefix>();
        await new IpcacheTarget(Node.Maps).ApplyAsync(
            [.. addresses.Select(a => new IpcacheEntry(IpPrefix.Single(a), SecurityIdentity.Host))], prefixes, cancellation);
        Assert.Equal(0, failures.Count + prefixes.Count);
        return Host;
    }

    /// <summary>Tells a node of a pod of the other one.</summary>
    private static async Task IntroduceAsync(NodeDatapath node, ushort pod, uint nodeNumber, CancellationToken cancellation)
    {
        foreach (bool isV6 in new[] { false, true })
        {
            IpAddress address = (isV6 && !node.Options.IsTunnel ? Wire6 : Wire4).Address.Add(nodeNumber);
            var failures = new ReconcileFailures<IpPrefix>();
            await new IpcacheTarget(node.Maps).ApplyAsync(
                [new IpcacheEntry(IpPrefix.Single(Pod(pod, isV6)), TestNode.Endpoint(pod).Identity, address)], failures, cancellation);
            await new NodeRouteTarget(node).ApplyAsync([new NodeRoute(IpPrefix.Single(Pod(pod, isV6)), address)], failures, cancellation);
            Assert.Equal(0, failures.Count);
        }
    }

    private async Task ApplyAsync(EndpointPolicy policy, CancellationToken cancellation)
    {
        var failures = new ReconcileFailures<ushort>();
        await new PolicyTarget(Node.Maps).ApplyAsync([policy], failures, cancellation);
        Assert.Equal(0, failures.Count);
    }

    /// <summary>A cable between two nodes, with an address of each family at both ends.</summary>
    private static void Connect(TestNode one, TestNode two)
    {
        using RouteNetlink first = RouteNetlink.Open(one.Host);
        using RouteNetlink second = RouteNetlink.Open(two.Host);
        first.AddLink(new LinkSpec("up0") { Kind = new VethKind(new LinkSpec("up0") { NamespaceDescriptor = two.Host.Descriptor }) });
        foreach ((RouteNetlink netlink, uint number) in new[] { (first, 1u), (second, 2u) })
        {
            int index = netlink.FindLink("up0")!.Index;
            netlink.SetLink(index, new LinkChange { Up = true });
            netlink.ReplaceAddress(new LinkAddress(index, Wire4.Address.Add(number), 24));
            netlink.ReplaceAddress(new LinkAddress(index, Wire6.Address.Add(number), 64) { Flags = AddressFlags.NoDad });
        }

        foreach (TestNode test in new[] { one, two })
            test.Options = test.Options with { Devices = ["up0"], AutoDirectNodeRoutes = true };
    }
}
