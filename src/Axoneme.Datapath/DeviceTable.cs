// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>cilium_devices: the addresses that translated packets leave with, by device.</summary>
internal sealed class DeviceTable(DatapathMaps maps, RouteNetlink netlink, DatapathOptions options)
{
    /// <summary>
    /// Writes the uplinks, and the tunnel with the addresses of the first of them: what goes through it comes back to the node, not to the
    /// tunnel.
    /// </summary>
    public void Ensure(IReadOnlyList<Link> uplinks, Link? tunnel)
    {
        var wanted = new Dictionary<uint, DeviceInfo>();
        foreach (Link uplink in uplinks)
            wanted[(uint)uplink.Index] = Describe(uplink, uplink);
        if (tunnel is not null && uplinks is [var first, ..])
            wanted[(uint)tunnel.Index] = Describe(tunnel, first);
        foreach ((uint index, DeviceInfo present) in maps.Devices.Entries().ToArray())
        {
            if (!wanted.TryGetValue(index, out DeviceInfo info))
                maps.Devices.TryDelete(index);
            else if (info == present)
                wanted.Remove(index);
        }

        foreach ((uint index, DeviceInfo info) in wanted)
            maps.Devices.Update(index, info);
    }

    private DeviceInfo Describe(Link device, Link owner)
    {
        IReadOnlyList<LinkAddress> addresses = [.. netlink.ListAddresses(owner.Index).Where(IsUsable)];
        return new DeviceInfo
        {
            Ip4 = Choose(addresses, isV6: false)?.ToV4() ?? default,
            Ip6 = Choose(addresses, isV6: true)?.ToV6() ?? default,
            Mac = device.Mac?.ToAbi() ?? default,
        };
    }

    private IpAddress? Choose(IReadOnlyList<LinkAddress> addresses, bool isV6)
    {
        List<IpAddress> own = [.. addresses.Select(a => a.Address).Where(a => a.IsV6 == isV6)];
        foreach (IpAddress preferred in options.NodeAddresses)
        {
            if (own.Contains(preferred))
                return preferred;
        }

        return own.Count > 0 ? own[0] : null;
    }

    private static bool IsUsable(LinkAddress address)
        => address.Scope == RouteScope.Universe && (address.Flags & (AddressFlags.Tentative | AddressFlags.Deprecated | AddressFlags.DadFailed)) == 0;
}
