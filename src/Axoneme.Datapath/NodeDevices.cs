// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>The node's own devices: uplinks, the router's pair and the tunnel.</summary>
internal sealed class NodeDevices(DatapathOptions options, RouteNetlink netlink)
{
    // The kernel's counterpart of "default" for a device; others are set where the device is made.
    private const string V4 = "net/ipv4/conf/";
    private const string V6 = "net/ipv6/conf/";

    public IReadOnlyList<Link> Uplinks { get; private set; } = [];

    public Link Host { get; private set; } = null!;

    /// <summary>The other end of <see cref="Host"/>, by which packets come back into the stack.</summary>
    public Link Net { get; private set; } = null!;

    public Link? Tunnel { get; private set; }

    /// <summary>Largest IP packet of the underlay.</summary>
    public int Mtu { get; private set; }

    /// <summary>Largest IP packet to a pod of another node.</summary>
    public int RouteMtu => options.IsTunnel ? Mtu - DatapathOptions.TunnelOverhead : Mtu;

    /// <exception cref="InvalidOperationException">An uplink does not exist.</exception>
    public void Ensure(DatapathReport report)
    {
        Uplinks = [.. options.Devices.Select(name => netlink.FindLink(name)
            ?? throw new InvalidOperationException($"device {name} (option devices or direct-routing-device) does not exist"))];
        Mtu = options.Mtu != 0 ? options.Mtu : Uplinks is [{ } first, ..] ? first.Mtu : 1500;
        Host = EnsurePair(report);
        Tunnel = EnsureTunnel(report);
        EnsureAddresses(report);
        EnsureSysctls(report);
    }

    /// <summary>Removes what <see cref="Ensure"/> made; deleting one end of a pair deletes both.</summary>
    public void Remove()
    {
        netlink.DeleteLink(DatapathPaths.HostDevice);
        netlink.DeleteLink(DatapathPaths.TunnelDevice);
    }

    private Link EnsurePair(DatapathReport report)
    {
        Link? host = netlink.FindLink(DatapathPaths.HostDevice);
        Link? net = netlink.FindLink(DatapathPaths.NetDevice);
        bool isPair = host is { Kind: "veth" } && net is not null && host.PeerIndex == net.Index;
        if (isPair)
        {
            report.AddAdopted($"device {DatapathPaths.HostDevice}");
        }
        else
        {
            netlink.DeleteLink(DatapathPaths.HostDevice);
            netlink.DeleteLink(DatapathPaths.NetDevice);
            netlink.AddLink(new LinkSpec(DatapathPaths.HostDevice)
            {
                Mtu = Mtu,
                NoArp = true,
                Kind = new VethKind(new LinkSpec(DatapathPaths.NetDevice) { Mtu = Mtu, NoArp = true }),
            });
            report.AddCreated($"device {DatapathPaths.HostDevice}");
            host = netlink.FindLink(DatapathPaths.HostDevice);
            net = netlink.FindLink(DatapathPaths.NetDevice);
        }

        var change = new LinkChange { Up = true, NoArp = true, Mtu = Mtu, AddressGeneration = AddressGenerationMode.None };
        netlink.Execute(new RequestBatch().SetLink(host!.Index, change).SetLink(net!.Index, change));
        Net = net;
        return netlink.FindLink(host.Index)!;
    }

    private Link? EnsureTunnel(DatapathReport report)
    {
        Link? tunnel = netlink.FindLink(DatapathPaths.TunnelDevice);
        var wanted = new VxlanKind { CollectMetadata = true, Port = options.TunnelPort };
        if (!options.IsTunnel || (tunnel is not null && tunnel.Vxlan != wanted))
        {
            if (tunnel is not null && netlink.DeleteLink(tunnel.Index))
                report.AddRepaired($"device {DatapathPaths.TunnelDevice} of other settings was removed");
            tunnel = null;
        }

        if (!options.IsTunnel)
            return null;
        if (tunnel is null)
        {
            netlink.AddLink(new LinkSpec(DatapathPaths.TunnelDevice) { Kind = wanted });
            tunnel = netlink.FindLink(DatapathPaths.TunnelDevice)!;
            report.AddCreated($"device {DatapathPaths.TunnelDevice}");
        }
        else
        {
            report.AddAdopted($"device {DatapathPaths.TunnelDevice}");
        }

        netlink.SetLink(tunnel.Index, new LinkChange { Up = true, AddressGeneration = AddressGenerationMode.None });
        return netlink.FindLink(tunnel.Index);
    }

    private void EnsureAddresses(DatapathReport report)
    {
        IReadOnlyList<LinkAddress> present = netlink.ListAddresses(Host.Index);
        List<LinkAddress> wanted = [];
        if (options.EnableIPv4 && options.RouterIPv4 is { } v4)
            wanted.Add(new LinkAddress(Host.Index, v4, 32) { Scope = RouteScope.Link });
        if (options.EnableIPv6 && options.RouterIPv6 is { } v6)
            wanted.Add(new LinkAddress(Host.Index, v6, 128) { Flags = AddressFlags.NoDad });
        foreach (LinkAddress address in wanted)
        {
            if (present.Any(a => a.Address == address.Address && a.PrefixLength == address.PrefixLength))
                continue;
            netlink.ReplaceAddress(address);
            report.AddCreated($"address {address.Address} on {DatapathPaths.HostDevice}");
        }

        foreach (LinkAddress stale in present.Where(p => wanted.All(w => w.Address != p.Address)))
        {
            netlink.DeleteAddress(stale);
            report.AddRepaired($"address {stale.Address} was removed from {DatapathPaths.HostDevice}");
        }
    }

    private void EnsureSysctls(DatapathReport report)
    {
        List<(string Path, string Value)> settings =
        [
            // The effective value is the larger one of "all" and the device's; asymmetric paths are normal here.
            (V4 + "all/rp_filter", "0"),
            (V4 + "all/forwarding", "1"),
            (V4 + DatapathPaths.HostDevice + "/rp_filter", "0"),
            (V4 + DatapathPaths.NetDevice + "/rp_filter", "0"),
            // Packets of the host's own addresses come in here after a detour through the programs.
            (V4 + DatapathPaths.NetDevice + "/accept_local", "1"),
            (V4 + DatapathPaths.HostDevice + "/send_redirects", "0"),
        ];
        if (options.IsTunnel)
            settings.Add((V4 + DatapathPaths.TunnelDevice + "/rp_filter", "0"));
        if (options.EnableIPv6)
            settings.Add((V6 + "all/forwarding", "1"));
        foreach (string path in Sysctl.WriteAll(options.HostNamespace, settings))
            report.AddCreated($"sysctl {path}");
        ServiceForwarding services = options.Services;
        if (services.ProtectNodePorts && InHost(() => ReservedPorts.Ensure(services.NodePortMin, services.NodePortMax)))
            report.AddCreated($"reservation of ports {services.NodePortMin} to {services.NodePortMax}");
    }

    private T InHost<T>(Func<T> work) => options.HostNamespace is { } host ? host.Run(work) : work();
}
