// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Nodes;

/// <summary>Finds out who this node is: from the last run, or else from its Node object once that has what is needed.</summary>
internal sealed class LocalNodeDiscovery(ClusterState cluster, AgentOptions options, ILogger<LocalNodeDiscovery> log)
{
    /// <summary>What the node still lacks; shown while the agent waits. Null when it is known.</summary>
    public string? Waiting { get; private set; } = "the agent has just started";

    public async Task<LocalNode> DiscoverAsync(CancellationToken cancellation)
    {
        LocalNode? saved = LocalNodeFile.Load(options.StateDirectory);
        if (saved is not null && saved.Name == options.NodeName && Missing(saved) is null)
        {
            Waiting = null;
            return saved;
        }

        using ChangeStream<ResourceName, Node> stream = cluster.OwnNode.Watch();
        await foreach (ChangeBatch<ResourceName, Node> batch in stream.ReadAllAsync(cancellation))
        {
            Node? resource = batch.Snapshot.Find(new ResourceName(options.NodeName));
            LocalNode? node = resource is null ? null : Read(resource);
            Waiting = node is null ? $"there is no Node {options.NodeName} in the API" : Missing(node);
            if (Waiting is null)
            {
                LocalNodeFile.Save(options.StateDirectory, node!);
                return node!;
            }

            log.LogInformation("Waiting: {Reason}", Waiting);
        }

        throw new OperationCanceledException(cancellation);
    }

    private LocalNode Read(Node resource)
    {
        List<IpPrefix> ranges = [];
        foreach (string text in resource.Spec.PodCIDRs ?? (resource.Spec.PodCIDR is { } single ? [single] : []))
        {
            if (IpPrefix.TryParse(text, out IpPrefix range))
                ranges.Add(range);
            else
                log.LogError("Node {Node}: spec.podCIDRs has '{Text}', which is not a prefix", options.NodeName, text);
        }

        List<IpAddress> addresses = [];
        foreach (NodeAddress address in resource.Status.Addresses ?? [])
        {
            if (address.Type == "InternalIP" && IpAddress.TryParse(address.Address, out IpAddress parsed))
                addresses.Add(parsed);
        }

        return new LocalNode
        {
            Name = options.NodeName,
            IPv4 = options.EnableIPv4 ? First(addresses, a => a.IsV4) : null,
            IPv6 = options.EnableIPv6 ? First(addresses, a => a.IsV6) : null,
            IPv4PodRange = options.EnableIPv4 ? First(ranges, r => !r.IsV6) : null,
            IPv6PodRange = options.EnableIPv6 ? First(ranges, r => r.IsV6) : null,
        };
    }

    private static T? First<T>(List<T> items, Predicate<T> matches)
        where T : struct
    {
        int index = items.FindIndex(matches);
        return index < 0 ? null : items[index];
    }

    private string? Missing(LocalNode node)
    {
        if (options.EnableIPv4 && node.IPv4PodRange is null)
            return $"Node {node.Name} has no IPv4 range in spec.podCIDRs";
        if (options.EnableIPv6 && node.IPv6PodRange is null)
            return $"Node {node.Name} has no IPv6 range in spec.podCIDRs";
        if (options.EnableIPv4 && node.IPv4 is null)
            return $"Node {node.Name} has no InternalIP of IPv4 in status.addresses";
        if (options.EnableIPv6 && node.IPv6 is null)
            return $"Node {node.Name} has no InternalIP of IPv6 in status.addresses";
        return null;
    }
}
