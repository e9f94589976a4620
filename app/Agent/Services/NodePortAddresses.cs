// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Agent.Services;

/// <summary>Which of the node's addresses answer on node ports.</summary>
internal static class NodePortAddresses
{
    private static readonly ImmutableArray<IpPrefix> Private =
    [
        IpPrefix.Parse("10.0.0.0/8"), IpPrefix.Parse("172.16.0.0/12"), IpPrefix.Parse("192.168.0.0/16"), IpPrefix.Parse("fc00::/7"),
    ];

    /// <summary>
    /// With prefixes, every address of the devices in one of them; without, one address of each device and family: the node's own, or else the
    /// first private one, or else the first.
    /// </summary>
    public static ImmutableArray<IpAddress> Choose(
        IReadOnlyCollection<LinkAddress> addresses, IReadOnlySet<int> devices, IReadOnlyCollection<IpAddress> nodeAddresses,
        ImmutableArray<IpPrefix> prefixes)
    {
        List<LinkAddress> usable =
        [
            .. addresses.Where(a => devices.Contains(a.Device) && a.Scope is RouteScope.Universe or RouteScope.Site
                && (a.Flags & (AddressFlags.Tentative | AddressFlags.DadFailed)) == 0),
        ];
        if (!prefixes.IsEmpty)
            return [.. usable.Select(a => a.Address).Where(a => prefixes.Any(p => p.Contains(a))).Distinct().Order()];
        return
        [
            .. usable.GroupBy(a => (a.Device, a.Address.IsV6))
                .OrderBy(g => g.Key.IsV6).ThenBy(g => g.Key.Device)
                .Select(g => First([.. g], nodeAddresses))
                .Distinct(),
        ];
    }

    private static IpAddress First(IReadOnlyList<LinkAddress> ofDevice, IReadOnlyCollection<IpAddress> nodeAddresses)
        => ofDevice.OrderBy(a => nodeAddresses.Contains(a.Address) ? 0 : 1)
            .ThenBy(a => (a.Flags & (AddressFlags.Secondary | AddressFlags.Deprecated)) == 0 ? 0 : 1)
            .ThenBy(a => Private.Any(p => p.Contains(a.Address)) ? 0 : 1)
            .First().Address;
}
