// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>
/// The routing rules that keep packets for the proxy on the node, whatever their destination: without them the stack would forward what
/// the programs gave to the proxy's socket. Linux' documentation of transparent proxies (networking/tproxy.rst) has the pattern.
/// </summary>
internal sealed class ProxyRouting(DatapathOptions options, RouteNetlink netlink)
{
    // Before the main table (32766), behind the local one (0), which has the right answer for the node's own addresses.
    private const uint WayBackPriority = 8;
    private const uint Priority = 9;

    private const uint Table = 2004;

    /// <summary>Makes what is missing. Families that are not enabled get no rule, and lose one that they had.</summary>
    public void Ensure(DatapathReport report)
    {
        // Down in a namespace that was just made; no route leads through a device that is.
        netlink.SetLink(Loopback(), new LinkChange { Up = true });
        Ensure(isV6: false, options.EnableIPv4, report);
        Ensure(isV6: true, options.EnableIPv6, report);
    }

    /// <summary>Removes what any run made; routes go with all others of ours.</summary>
    public void Remove()
    {
        foreach (RoutingRule rule in Rules(isV6: false).Concat(Rules(isV6: true)))
            netlink.DeleteRule(rule);
    }

    private void Ensure(bool isV6, bool isEnabled, DatapathReport report)
    {
        string family = isV6 ? "IPv6" : "IPv4";
        IReadOnlyList<RoutingRule> present = netlink.ListRules(isV6);
        if (!isEnabled)
        {
            foreach (RoutingRule rule in Rules(isV6).Where(r => present.Contains(r) && netlink.DeleteRule(r)))
                report.AddRepaired($"rule {rule.Priority} of the proxy for {family} was removed");
            return;
        }

        Route route = LocalRoute(isV6);
        // The route first: a rule that leads to an empty table lets packets for the proxy go on to the next one.
        if (!netlink.ListRoutes(isV6, Table).Contains(route))
        {
            netlink.ReplaceRoute(route);
            report.AddCreated($"route to the proxy for {family}");
        }

        foreach (RoutingRule rule in Rules(isV6))
        {
            if (present.Contains(rule))
                report.AddAdopted($"rule {rule.Priority} of the proxy for {family}");
            else if (netlink.AddRule(rule))
                report.AddCreated($"rule {rule.Priority} of the proxy for {family}");
        }
    }

    private static RoutingRule[] Rules(bool isV6)
    {
        var marked = new RoutingRule(isV6, Priority, Table) { Mark = (uint)PacketMark.ToProxy, MarkMask = (uint)PacketMark.KindMask };
        // Where src_valid_mark is set, as wg-quick does, reverse-path checks ask with the packet's mark how its source is reached. They ask as
        // if from the loopback device, by which no packet for the proxy comes in.
        return [marked with { Priority = WayBackPriority, Table = RouteTable.Main, InputDevice = "lo" }, marked];
    }

    private Route LocalRoute(bool isV6) => new(IpPrefix.Parse(isV6 ? "::/0" : "0.0.0.0/0"))
    {
        Device = Loopback(),
        Type = RouteType.Local,
        Table = Table,
    };

    private int Loopback() => netlink.FindLink("lo")!.Index;
}
