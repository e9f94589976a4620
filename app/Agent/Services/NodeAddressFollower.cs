// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Nodes;
using Axoneme.Netlink;
using Axoneme.Network;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Services;

/// <summary>Tells the service controller which addresses the node has, now and whenever they change.</summary>
internal sealed class NodeAddressFollower(
    AgentOptions options, LocalNode node, ServiceController services, ILogger<NodeAddressFollower> log)
{
    // Addresses come in bursts, such as when a device goes up.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private ImmutableArray<IpAddress> _nodePorts = [];

    public async Task RunAsync(CancellationToken cancellation)
    {
        using RouteMonitor monitor = RouteMonitor.Open(RouteEventKinds.Addresses);
        await using IAsyncEnumerator<RouteEvent> events = monitor.ReadAsync(cancellation).GetAsyncEnumerator(cancellation);
        do
        {
            Tell();
            await Task.Delay(Pause, cancellation);
        }
        while (await events.MoveNextAsync());
    }

    private void Tell()
    {
        using RouteNetlink netlink = RouteNetlink.Open();
        IReadOnlyList<LinkAddress> addresses = netlink.ListAddresses();
        var uplinks = Uplinks.Find(options, node).ToHashSet(StringComparer.Ordinal);
        var devices = netlink.ListLinks().Where(link => uplinks.Contains(link.Name)).Select(link => link.Index).ToHashSet();
        ImmutableArray<IpAddress> nodePorts =
            NodePortAddresses.Choose(addresses, devices, [.. node.NodeAddresses], options.Services.NodePortAddresses);
        if (!nodePorts.AsSpan().SequenceEqual(_nodePorts.AsSpan()))
            log.LogInformation("Node ports are served on {Addresses}", string.Join(' ', nodePorts));
        _nodePorts = nodePorts;
        services.SetNodeAddresses(nodePorts, addresses.Select(a => a.Address).Concat(node.NodeAddresses));
    }
}
