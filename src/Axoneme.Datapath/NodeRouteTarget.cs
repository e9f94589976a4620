// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Datapath;

/// <summary>
/// Keeps the host's routes to the pods of other nodes: through the node's own address where auto-direct-node-routes is on, through
/// cilium_host, where a program encapsulates, in tunnel mode. In native mode without that option it keeps none.
/// </summary>
public sealed class NodeRouteTarget(NodeDatapath node) : IReconcileTarget<IpPrefix, NodeRoute>
{
    public ValueTask ApplyAsync(
        IReadOnlyList<NodeRoute> values, ReconcileFailures<IpPrefix> failures, CancellationToken cancellationToken)
    {
        foreach (NodeRoute value in values)
        {
            if (ToRoute(value) is not { } route)
                continue;
            try
            {
                node.Netlink.ReplaceRoute(route);
            }
            catch (NetlinkException e)
            {
                string hint = e.Errno == Errno.ENETUNREACH && !node.Options.IsTunnel
                    ? $": node {value.Node} is not on a directly connected network, which auto-direct-node-routes needs"
                    : "";
                failures.Add(value.PodPrefix, e.Message + hint);
            }
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask DeleteAsync(IReadOnlyList<IpPrefix> keys, ReconcileFailures<IpPrefix> failures, CancellationToken cancellationToken)
    {
        IReadOnlyList<Route> present = OwnRoutes();
        foreach (Route route in present.Where(r => keys.Contains(r.Destination)))
            node.Netlink.DeleteRoute(route);
        return ValueTask.CompletedTask;
    }

    public ValueTask<IReadOnlyDictionary<IpPrefix, NodeRoute>> ReadActualAsync(CancellationToken cancellationToken)
    {
        var actual = new Dictionary<IpPrefix, NodeRoute>();
        foreach (Route route in OwnRoutes())
            actual[route.Destination] = new NodeRoute(route.Destination, route.Gateway ?? default);
        return ValueTask.FromResult<IReadOnlyDictionary<IpPrefix, NodeRoute>>(actual);
    }

    /// <summary>In tunnel mode the route does not name the node.</summary>
    public bool IsSame(NodeRoute desired, NodeRoute actual)
    {
        ArgumentNullException.ThrowIfNull(desired);
        ArgumentNullException.ThrowIfNull(actual);
        return node.Options.IsTunnel ? actual.Node == default : !node.Options.AutoDirectNodeRoutes || desired == actual;
    }

    private Route? ToRoute(NodeRoute value)
    {
        if (node.Options.IsTunnel)
        {
            return new Route(value.PodPrefix)
            {
                Device = node.HostDevice,
                Source = value.PodPrefix.IsV6 ? node.Options.RouterIPv6 : node.Options.RouterIPv4,
                Mtu = (uint)node.RouteMtu,
            };
        }

        return node.Options.AutoDirectNodeRoutes ? new Route(value.PodPrefix) { Gateway = value.Node } : null;
    }

    // Single addresses are the routes to our own pods, which belong to their endpoints.
    private List<Route> OwnRoutes()
        => [.. node.Netlink.ListRoutes().Where(r => r.Protocol == RouteProtocol.Axoneme && !r.Destination.IsSingle)];
}
