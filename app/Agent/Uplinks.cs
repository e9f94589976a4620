// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Nodes;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Agent;

/// <summary>The devices that lead out of the node: those of the option, or the ones that have the node's own addresses.</summary>
internal static class Uplinks
{
    private static readonly ImmutableArray<string> OwnPrefixes = ["cilium_", "lxc"];
    private static readonly ImmutableArray<IpPrefix> LinkLocal = [IpPrefix.Parse("fe80::/10"), IpPrefix.Parse("169.254.0.0/16")];

    /// <summary>All addresses of the uplinks but those that mean something on their link only.</summary>
    public static ImmutableArray<IpAddress> Addresses(RouteNetlink netlink, IEnumerable<string> uplinks)
        => Addresses(netlink.ListLinks(), netlink.ListAddresses(), uplinks);

    /// <inheritdoc cref="Addresses(RouteNetlink, IEnumerable{string})"/>
    internal static ImmutableArray<IpAddress> Addresses(IEnumerable<Link> links, IEnumerable<LinkAddress> addresses, IEnumerable<string> uplinks)
    {
        var names = uplinks.ToHashSet(StringComparer.Ordinal);
        var devices = links.Where(link => names.Contains(link.Name)).Select(link => link.Index).ToHashSet();
        return [.. addresses.Where(a => devices.Contains(a.Device) && IsOfNode(a.Address)).Select(a => a.Address)];
    }

    /// <summary>Devices by which somebody may reach the node although they are no uplinks. Those of the agent and of pods are not among them.</summary>
    public static ImmutableArray<string> Others(IEnumerable<Link> links, IReadOnlyList<LinkAddress> addresses, IEnumerable<string> uplinks)
    {
        var names = uplinks.ToHashSet(StringComparer.Ordinal);
        return
        [
            .. links.Where(link => !names.Contains(link.Name) && (link.Flags & LinkFlags.Loopback) == 0
                    && !OwnPrefixes.Any(own => link.Name.StartsWith(own, StringComparison.Ordinal))
                    && addresses.Any(a => a.Device == link.Index && IsOfNode(a.Address)))
                .Select(link => link.Name),
        ];
    }

    /// <exception cref="InvalidOperationException">No device can be found; the message says what was looked for.</exception>
    public static ImmutableArray<string> Find(AgentOptions options, LocalNode node)
    {
        using RouteNetlink netlink = RouteNetlink.Open();
        IReadOnlyList<Link> links = netlink.ListLinks();
        if (!options.Devices.IsEmpty)
        {
            foreach (string name in options.Devices)
            {
                if (!links.Any(link => link.Name == name))
                    throw new InvalidOperationException($"devices: there is no device {name} on this node");
            }

            return options.Devices;
        }

        var owners = netlink.ListAddresses().Where(a => node.NodeAddresses.Contains(a.Address)).Select(a => a.Device).ToHashSet();
        ImmutableArray<string> found = [.. links.Where(link => owners.Contains(link.Index)).Select(link => link.Name)];
        return found.IsEmpty
            ? throw new InvalidOperationException($"no device has an address of this node ({string.Join(", ", node.NodeAddresses)}); name one with the option devices")
            : found;
    }

    private static bool IsOfNode(IpAddress address) => !LinkLocal.Any(p => p.Contains(address));
}
