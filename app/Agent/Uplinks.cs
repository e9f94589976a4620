// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Nodes;
using Axoneme.Datapath;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Agent;

/// <summary>The devices that lead out of the node: those of the option, or the ones that have the node's own addresses.</summary>
internal static class Uplinks
{
    private static readonly ImmutableArray<IpPrefix> LinkLocal = [IpPrefix.Parse("fe80::/10"), IpPrefix.Parse("169.254.0.0/16")];

    /// <summary>All addresses of the uplinks but those that mean something on their link only.</summary>
    public static ImmutableArray<IpAddress> Addresses(NodeDatapath datapath)
    {
        var uplinks = datapath.Options.Devices.Select(name => datapath.Netlink.FindLink(name)?.Index).ToHashSet();
        return [.. datapath.Netlink.ListAddresses().Where(a => uplinks.Contains(a.Device) && !LinkLocal.Any(p => p.Contains(a.Address))).Select(a => a.Address)];
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
}
