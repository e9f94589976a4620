// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Nodes;
using Axoneme.Netlink;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.HostPolicy;

/// <summary>
/// Keeps the addresses that count as the node's: those that its uplinks have now, whatever they had at the start. And knows by which other devices
/// the node may be reached without being judged.
/// </summary>
/// <param name="uplinks">Names of the devices that have the programs.</param>
/// <param name="node">Its addresses in the cluster, which always count.</param>
/// <param name="tables">Told of the addresses.</param>
/// <param name="log">Where changes of the other devices are told.</param>
internal sealed class UplinkFollower(ImmutableArray<string> uplinks, LocalNode node, EndpointTables tables, ILogger<UplinkFollower> log)
{
    public const string ModuleName = "uplink-addresses";

    // Addresses come in bursts, such as when a device goes up.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private volatile string? _warning;

    /// <summary>Which devices are not judged although they have addresses; null: none.</summary>
    public string? Warning => _warning;

    public async Task RunAsync(CancellationToken cancellation)
    {
        using RouteMonitor monitor = RouteMonitor.Open(RouteEventKinds.Addresses);
        await using IAsyncEnumerator<RouteEvent> events = monitor.ReadAsync(cancellation).GetAsyncEnumerator(cancellation);
        do
        {
            using (RouteNetlink netlink = RouteNetlink.Open())
                Take(netlink.ListLinks(), netlink.ListAddresses());
            await Task.Delay(Pause, cancellation);
        }
        while (await events.MoveNextAsync());
    }

    internal void Take(IReadOnlyList<Link> links, IReadOnlyList<LinkAddress> addresses)
    {
        tables.PublishHost(node, Uplinks.Addresses(links, addresses, uplinks));
        ImmutableArray<string> others = Uplinks.Others(links, addresses, uplinks);
        string? warning = others.IsEmpty ? null : $"not judged: {string.Join(", ", others)} (not among the devices at the start of the agent)";
        if (warning is not null && warning != _warning)
            log.LogWarning("Host firewall: {Warning}", warning);
        _warning = warning;
    }
}
