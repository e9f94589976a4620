// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

/// <summary>
/// A device that leads out, in a network namespace of its own, with an address, two neighbours, and routes by them: the pods of another
/// node behind one, everything else behind the other. Frames go in by test runs of a program that is attached, because the driver
/// prepares the device then.
/// </summary>
public sealed class Uplink : IDisposable
{
    public const string Mac = "0c0000000011";
    public const string NodeMac = "0c0000000012";
    public const string GatewayMac = "0c0000000001";
    private const string Folder = "/run/netns";
    private static int s_count;

    private readonly string _name = $"axoneme-wire-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}";
    private readonly NetworkNamespace _namespace;
    private BpfProgram? _program;
    private BpfLink? _link;

    /// <param name="pods">The other node's; the link has a prefix of the same length.</param>
    public Uplink(IpAddress address, IpAddress node, IpAddress gateway, IpPrefix pods)
    {
        _namespace = NetworkNamespace.Create(Folder, _name);
        try
        {
            Configure(address, node, gateway, pods);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public int Index { get; private set; }

    /// <summary>Attaches the program; it stays the caller's.</summary>
    public void Attach(BpfProgram program)
    {
        _program = program;
        _link = _namespace.Run(() => BpfLink.AttachXdp(program, Index, XdpMode.Native));
    }

    public BpfTestRunResult Run(byte[] frame, byte[] output, int repeat = 1) => _namespace.Run(() => RunHere(frame, output, repeat));

    /// <summary>Likewise, on a thread that is in the namespace.</summary>
    public BpfTestRunResult RunHere(byte[] frame, byte[] output, int repeat = 1)
    {
        var context = new XdpContext { DataEnd = (uint)frame.Length, IngressInterface = (uint)Index };
        return _program!.TestRun(frame, output, ref context, repeat);
    }

    /// <summary>Does something on a thread of the namespace.</summary>
    public T Inside<T>(Func<T> action) => _namespace.Run(action);

    /// <summary>Makes the device carry no more than so many bytes. Routers go by that: they leave the MTU of a route to its own traffic.</summary>
    public void SetMtu(int mtu)
    {
        using RouteNetlink netlink = RouteNetlink.Open(_namespace);
        netlink.SetLink(Index, new LinkChange { Mtu = mtu });
    }

    /// <summary>Tells a neighbour's Ethernet address, or forgets it.</summary>
    public void SetNeighbor(IpAddress address, string? mac)
    {
        using RouteNetlink netlink = RouteNetlink.Open(_namespace);
        if (mac is null)
            netlink.DeleteNeighbor(new Neighbor(Index, address));
        else
            netlink.ReplaceNeighbor(new Neighbor(Index, address) { Mac = Parse(mac) });
    }

    public void Dispose()
    {
        _link?.Dispose();
        _namespace.Dispose();
        NetworkNamespace.Delete(Folder, _name);
    }

    private void Configure(IpAddress address, IpAddress node, IpAddress gateway, IpPrefix pods)
    {
        using RouteNetlink netlink = RouteNetlink.Open(_namespace);
        netlink.AddLink(new LinkSpec("uplink") { Kind = new VethKind(new LinkSpec("wire")), Mac = Parse(Mac), Up = true });
        netlink.SetLink(netlink.FindLink("wire")!.Index, new LinkChange { Up = true });
        Sysctl.WriteAll(_namespace, [("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")]);
        Index = netlink.FindLink("uplink")!.Index;
        netlink.ReplaceAddress(new LinkAddress(Index, address, pods.Length));
        SetNeighbor(node, NodeMac);
        SetNeighbor(gateway, GatewayMac);
        netlink.ReplaceRoute(new Route(pods) { Device = Index, Gateway = node });
        netlink.ReplaceRoute(new Route(IpPrefix.Parse(address.IsV6 ? "::/0" : "0.0.0.0/0")) { Device = Index, Gateway = gateway });
    }

    private static MacAddress Parse(string hex) => MacAddress.Parse(string.Join(':', hex.Chunk(2).Select(pair => new string(pair))));
}
