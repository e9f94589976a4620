// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Bpf;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Lab.Fabric;

/// <summary>
/// The network between the nodes: a namespace with a bridge that is also the router to two hosts beyond the cluster. Nothing of it
/// touches the machine's own network.
/// </summary>
internal sealed class LabFabric(LabPaths paths) : IDisposable
{
    public const int FirstNodeOctet = 11;
    public const ushort ApiPort = 6443;

    public static readonly IpAddress ApiAddress = IpAddress.Parse("172.30.0.2");
    /// <summary>The hosts beyond the cluster, by their names.</summary>
    public static readonly IReadOnlyList<OutsideHost> OutsideHosts =
    [
        new("outside", IpAddress.Parse("203.0.113.10"), IpAddress.Parse("2001:db8::10"), IpAddress.Parse("203.0.113.1"), IpAddress.Parse("2001:db8::1")),
        new("outside2", IpAddress.Parse("192.0.2.10"), IpAddress.Parse("2001:db8:2::10"), IpAddress.Parse("192.0.2.1"), IpAddress.Parse("2001:db8:2::1")),
    ];

    /// <summary>Where services of type LoadBalancer have their addresses.</summary>
    public static readonly IReadOnlyList<IpPrefix> LoadBalancerPools =
        [IpPrefix.Parse("198.51.100.0/24"), IpPrefix.Parse("2001:db8:51::/112")];

    private static readonly IpAddress RouterV4 = IpAddress.Parse("172.30.0.1");
    private static readonly IpAddress RouterV6 = IpAddress.Parse("fd00:30::1");
    private const int V4Length = 24;
    private const int V6Length = 64;

    /// <summary>
    /// Cables for native XDP: a frame that a node's program sends back needs a receiver with a program of its own, and a program that
    /// rewrites addresses needs checksums that are complete.
    /// </summary>
    public bool ForXdp { get; init; }

    // Held by this process alone, and gone with it.
    private readonly List<BpfLink> _links = [];
    private BpfProgram? _pass;
    private NetworkNamespace? _fabric;
    private int _bridge;

    private NetworkNamespace Namespace => _fabric ?? throw new InvalidOperationException("The fabric was not created.");

    public static IpAddress NodeV4(int index) => IpAddress.Parse($"172.30.0.{FirstNodeOctet + index}");

    // The digits read alike in both families: node 1 is .11 and ::11.
    public static IpAddress NodeV6(int index) => IpAddress.Parse($"fd00:30::{FirstNodeOctet + index}");

    public void Create()
    {
        _fabric = NetworkNamespace.Create(paths.Namespaces, "axl-fabric");
        Sysctl.WriteAll(_fabric,
        [
            ("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1"),
            ("net/ipv6/conf/default/accept_dad", "0"), ("net/ipv4/conf/all/rp_filter", "0"), ("net/ipv4/conf/default/rp_filter", "0"),
        ]);
        using RouteNetlink netlink = RouteNetlink.Open(_fabric);
        netlink.SetLink(Index(netlink, "lo"), new LinkChange { Up = true });
        netlink.AddLink(new LinkSpec("br0") { Kind = new BridgeKind(), Up = true });
        _bridge = Index(netlink, "br0");
        AddAddress(netlink, _bridge, RouterV4, V4Length);
        AddAddress(netlink, _bridge, ApiAddress, V4Length);
        AddAddress(netlink, _bridge, RouterV6, V6Length);
        foreach (OutsideHost host in OutsideHosts)
            CreateOutside(netlink, host);
    }

    private void CreateOutside(RouteNetlink fabric, OutsideHost host)
    {
        using NetworkNamespace outside = NetworkNamespace.Create(paths.Namespaces, $"axl-{host.Name}");
        Sysctl.WriteAll(outside, [("net/ipv6/conf/default/accept_dad", "0")]);
        AddCable(fabric, outside, host.Name, master: null);
        AddAddress(fabric, Index(fabric, host.Name), host.RouterV4, V4Length);
        AddAddress(fabric, Index(fabric, host.Name), host.RouterV6, V6Length);
        using RouteNetlink netlink = RouteNetlink.Open(outside);
        ConfigureHost(netlink, (host.V4, V4Length, host.RouterV4), (host.V6, V6Length, host.RouterV6));
    }

    /// <summary>Makes a node's namespace with eth0 on the fabric and a default route to the outside.</summary>
    public void CreateNode(string node, int index)
    {
        using NetworkNamespace space = NetworkNamespace.Create(paths.Namespaces, $"axl-{node}");
        Sysctl.WriteAll(space,
        [
            ("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1"), ("net/ipv6/conf/default/accept_dad", "0"),
        ]);
        using (RouteNetlink fabric = RouteNetlink.Open(Namespace))
            AddCable(fabric, space, node, _bridge);
        using RouteNetlink netlink = RouteNetlink.Open(space);
        ConfigureHost(netlink, (NodeV4(index), V4Length, RouterV4), (NodeV6(index), V6Length, RouterV6));
    }

    /// <summary>Lets the router, and so the outside, reach the pods of a node.</summary>
    public void RoutePods(IEnumerable<IpPrefix> podCidrs, int nodeIndex)
    {
        using RouteNetlink netlink = RouteNetlink.Open(Namespace);
        foreach (IpPrefix prefix in podCidrs)
            netlink.ReplaceRoute(new Route(prefix)
            {
                Device = _bridge,
                Gateway = prefix.IsV6 ? NodeV6(nodeIndex) : NodeV4(nodeIndex),
            });
    }

    /// <summary>Sends what is for an address of a service to a node.</summary>
    public void RouteAddress(IpAddress address, int nodeIndex)
    {
        using RouteNetlink netlink = RouteNetlink.Open(Namespace);
        netlink.ReplaceRoute(new Route(IpPrefix.Single(address))
        {
            Device = _bridge,
            Gateway = address.IsV6 ? NodeV6(nodeIndex) : NodeV4(nodeIndex),
        });
    }

    public void RemoveRoute(IpAddress address)
    {
        using RouteNetlink netlink = RouteNetlink.Open(Namespace);
        netlink.DeleteRoute(new Route(IpPrefix.Single(address)) { Device = _bridge });
    }

    /// <summary>Whether the router has the address on a link of its own, so that no route is needed.</summary>
    public static bool IsOnLink(IpAddress address)
        => new IpPrefix(address, address.IsV6 ? V6Length : V4Length) == new IpPrefix(address.IsV6 ? RouterV6 : RouterV4, address.IsV6 ? V6Length : V4Length);

    /// <summary>A socket that listens inside the fabric; the caller owns the descriptor.</summary>
    public long ListenForApi() => Namespace.Run(() =>
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(ApiAddress.ToIPAddress(), ApiPort));
        socket.Listen(512);
        long descriptor = socket.SafeHandle.DangerousGetHandle();
        // The descriptor goes to its new owner; disposing or finalising this object would close it under that one.
        socket.SafeHandle.SetHandleAsInvalid();
        return descriptor;
    });

    private void AddCable(RouteNetlink fabric, NetworkNamespace host, string name, int? master)
    {
        var peer = new LinkSpec("eth0") { NamespaceDescriptor = host.Descriptor };
        fabric.AddLink(new LinkSpec(name) { Kind = new VethKind(peer), Master = master, Up = true });
        if (!ForXdp)
            return;
        _links.Add(Namespace.Run(() => BpfLink.AttachXdp(_pass ??= XdpPass.Load(), Index(fabric, name), XdpMode.Native)));
        host.Run(() => EthernetFeatures.Set("eth0", EthernetFeature.TransmitChecksum, false));
    }

    private static void ConfigureHost(
        RouteNetlink netlink, (IpAddress Address, int Length, IpAddress Router) v4, (IpAddress Address, int Length, IpAddress Router) v6)
    {
        netlink.SetLink(Index(netlink, "lo"), new LinkChange { Up = true });
        int eth0 = Index(netlink, "eth0");
        netlink.SetLink(eth0, new LinkChange { Up = true });
        foreach ((IpAddress address, int length, IpAddress router) in new[] { v4, v6 })
        {
            AddAddress(netlink, eth0, address, length);
            netlink.ReplaceRoute(new Route(IpPrefix.Parse(address.IsV6 ? "::/0" : "0.0.0.0/0")) { Device = eth0, Gateway = router, Protocol = RouteProtocol.Static });
        }
    }

    private static void AddAddress(RouteNetlink netlink, int device, IpAddress address, int length)
        => netlink.ReplaceAddress(new LinkAddress(device, address, length) { Flags = address.IsV6 ? AddressFlags.NoDad : 0 });

    private static int Index(RouteNetlink netlink, string name)
        => netlink.FindLink(name)?.Index ?? throw new IOException($"link {name} has vanished");

    public void Dispose()
    {
        _links.ForEach(l => l.Dispose());
        _pass?.Dispose();
        _fabric?.Dispose();
    }
}

/// <summary>A host beyond the cluster and its router's addresses on the way there.</summary>
internal sealed record OutsideHost(string Name, IpAddress V4, IpAddress V6, IpAddress RouterV4, IpAddress RouterV6);
