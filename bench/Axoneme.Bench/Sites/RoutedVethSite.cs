// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Bench.Sites;

/// <summary>
/// What the measurements are compared with: the kernel's own routing between namespaces of the same shape as the lab's, and
/// nothing else. No netfilter rule, no BPF program.
/// </summary>
/// <remarks>
/// <code>
/// client --veth-- node1 --veth-- bridge --veth-- node2 --veth-- far
///                   |              |
///                 near          outside
/// </code>
/// </remarks>
internal sealed class RoutedVethSite : IDisposable
{
    private const string Directory = "/run/netns";
    private const int Mtu = 1500;

    private readonly Dictionary<string, NetworkNamespace> _namespaces = [];
    private readonly List<Process> _servers = [];

    private readonly string _prefix;

    /// <param name="prefix">Begins the names of its namespaces; sites with different ones live side by side.</param>
    public RoutedVethSite(string prefix = "axb")
    {
        _prefix = prefix;
        SameNode = new("routed veth, one node", Enter("client"), IPAddress.Parse("198.18.1.3"));
        CrossNode = new("routed veth, two nodes", Enter("client"), IPAddress.Parse(FarAddress));
        Outside = new("routed veth, outside", Enter("outside"), IPAddress.Parse(NodeAddress));
        Leftovers.Add(this);
        try
        {
            Build();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public const string PodCidr = "198.18.0.0/16";
    public const string NodeAddress = "203.0.113.129";
    public const string NearAddress = "198.18.1.3";
    public const string FarAddress = "198.18.2.2";

    private const string RouterAddress = "198.18.0.254";
    private const string OutsideAddress = "203.0.113.10";

    public TrafficPath SameNode { get; }

    public TrafficPath CrossNode { get; }

    /// <summary>From a host beyond the bridge to the first node, which serves nothing by itself.</summary>
    public TrafficPath Outside { get; }

    public void Dispose() => Leftovers.Remove(this, Remove);

    private void Remove()
    {
        foreach (Process server in _servers)
        {
            server.Kill(entireProcessTree: true);
            server.WaitForExit();
            server.Dispose();
        }

        foreach ((string name, NetworkNamespace space) in _namespaces)
        {
            space.Dispose();
            NetworkNamespace.Delete(Directory, FullName(name));
        }
    }

    private string FullName(string name) => $"{_prefix}-{name}";

    /// <summary>Words that start a program at a place of the site.</summary>
    public string[] Enter(string name) => ["nsenter", $"--net={Directory}/{FullName(name)}", "--"];

    private void Build()
    {
        foreach (string name in new[] { "client", "near", "far", "node1", "node2", "bridge", "outside" })
        {
            NetworkNamespace.Delete(Directory, FullName(name));
            _namespaces[name] = NetworkNamespace.Create(Directory, FullName(name));
            using RouteNetlink netlink = RouteNetlink.Open(_namespaces[name]);
            netlink.SetLink(netlink.FindLink("lo")!.Index, new LinkChange { Up = true });
        }

        AttachPod("client", "node1", "198.18.1.2");
        AttachPod("near", "node1", NearAddress);
        AttachPod("far", "node2", FarAddress);
        AttachNode("node1", "198.18.0.1", new Route(IpPrefix.Parse("198.18.2.0/24")) { Gateway = IpAddress.Parse("198.18.0.2") });
        AttachNode("node2", "198.18.0.2", new Route(IpPrefix.Parse("198.18.1.0/24")) { Gateway = IpAddress.Parse("198.18.0.1") });
        AttachOutside();
        _servers.Add(Worker.StartServer(Enter("near")));
        _servers.Add(Worker.StartServer(Enter("far")));
    }

    /// <summary>A pod with a /32 address and a host route to it, as ours have.</summary>
    private void AttachPod(string pod, string node, string address)
    {
        var podAddress = IpAddress.Parse(address);
        var gateway = IpAddress.Parse("198.18.255.1");
        using RouteNetlink inNode = RouteNetlink.Open(_namespaces[node]);
        inNode.AddLink(new LinkSpec(pod)
        {
            Mtu = Mtu,
            Kind = new VethKind(new LinkSpec("eth0") { Mtu = Mtu, NamespaceDescriptor = _namespaces[pod].Descriptor }),
        });
        Link hostSide = inNode.FindLink(pod)!;
        inNode.SetLink(hostSide.Index, new LinkChange { Up = true });
        inNode.ReplaceRoute(new Route(IpPrefix.Single(podAddress)) { Device = hostSide.Index, Scope = RouteScope.Link });

        using RouteNetlink inPod = RouteNetlink.Open(_namespaces[pod]);
        Link podSide = inPod.FindLink("eth0")!;
        inPod.SetLink(podSide.Index, new LinkChange { Up = true });
        inPod.ReplaceAddress(new LinkAddress(podSide.Index, podAddress, 32));
        inPod.ReplaceNeighbor(new Neighbor(podSide.Index, gateway) { Mac = hostSide.Mac });
        inPod.ReplaceRoute(new Route(IpPrefix.Parse("0.0.0.0/0")) { Device = podSide.Index, Gateway = gateway, OnLink = true });
        inNode.ReplaceNeighbor(new Neighbor(hostSide.Index, podAddress) { Mac = podSide.Mac });
    }

    private void AttachNode(string node, string address, Route route)
    {
        using RouteNetlink inBridge = RouteNetlink.Open(_namespaces["bridge"]);
        if (inBridge.FindLink("br0") is null)
        {
            inBridge.AddLink(new LinkSpec("br0") { Kind = new BridgeKind(), Up = true });
            inBridge.ReplaceAddress(new LinkAddress(inBridge.FindLink("br0")!.Index, IpAddress.Parse(RouterAddress), 24));
        }

        inBridge.AddLink(new LinkSpec(node)
        {
            Mtu = Mtu,
            Master = inBridge.FindLink("br0")!.Index,
            Kind = new VethKind(new LinkSpec("eth0") { Mtu = Mtu, NamespaceDescriptor = _namespaces[node].Descriptor }),
        });
        inBridge.SetLink(inBridge.FindLink(node)!.Index, new LinkChange { Up = true });

        using RouteNetlink inNode = RouteNetlink.Open(_namespaces[node]);
        int device = inNode.FindLink("eth0")!.Index;
        inNode.SetLink(device, new LinkChange { Up = true });
        inNode.ReplaceAddress(new LinkAddress(device, IpAddress.Parse(address), 24));
        inNode.ReplaceRoute(route with { Device = device });
        inNode.ReplaceRoute(new Route(IpPrefix.Parse("0.0.0.0/0")) { Device = device, Gateway = IpAddress.Parse(RouterAddress) });
        _namespaces[node].Run(() => Sysctl.Write("net/ipv4/ip_forward", "1"));
    }

    /// <summary>A host behind the bridge's namespace as router; to it, the first node has an address outside of <see cref="PodCidr"/>.</summary>
    private void AttachOutside()
    {
        NetworkNamespace bridge = _namespaces["bridge"];
        using RouteNetlink router = RouteNetlink.Open(bridge);
        router.AddLink(new LinkSpec("outside")
        {
            Mtu = Mtu,
            Kind = new VethKind(new LinkSpec("eth0") { Mtu = Mtu, NamespaceDescriptor = _namespaces["outside"].Descriptor }),
        });
        int toOutside = router.FindLink("outside")!.Index;
        router.SetLink(toOutside, new LinkChange { Up = true });
        var gateway = IpAddress.Parse("203.0.113.1");
        router.ReplaceAddress(new LinkAddress(toOutside, gateway, 25));
        var nodeAddress = IpAddress.Parse(NodeAddress);
        router.ReplaceRoute(new Route(IpPrefix.Single(nodeAddress)) { Device = router.FindLink("br0")!.Index, Gateway = IpAddress.Parse("198.18.0.1") });
        bridge.Run(() => Sysctl.Write("net/ipv4/ip_forward", "1"));

        using RouteNetlink host = RouteNetlink.Open(_namespaces["outside"]);
        int device = host.FindLink("eth0")!.Index;
        host.SetLink(device, new LinkChange { Up = true });
        host.ReplaceAddress(new LinkAddress(device, IpAddress.Parse(OutsideAddress), 25));
        host.ReplaceRoute(new Route(IpPrefix.Parse("0.0.0.0/0")) { Device = device, Gateway = gateway });

        using RouteNetlink node = RouteNetlink.Open(_namespaces["node1"]);
        node.ReplaceAddress(new LinkAddress(node.FindLink("eth0")!.Index, nodeAddress, 32));
    }
}
