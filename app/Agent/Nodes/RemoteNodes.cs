// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Ipcache;
using Axoneme.Datapath;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Nodes;

/// <summary>Another node: where it is and which pod addresses are behind it.</summary>
internal sealed record RemoteNode(
    string Name, IpAddress? IPv4, IpAddress? IPv6, ImmutableArray<IpAddress> Routers, ImmutableArray<IpPrefix> PodRanges)
{
    /// <summary>Those of its Node object that its identity has, sorted.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Labels { get; init; } = [];

    public IpAddress? AddressFor(bool isV6) => isV6 ? IPv6 ?? IPv4 : IPv4 ?? IPv6;

    /// <summary>Where tunnels to the node end, for both families: the MTU of pods has room for IPv4 around their packets.</summary>
    public IpAddress? TunnelEndpoint => IPv4 ?? IPv6;

    public bool Equals(RemoteNode? other)
        => other is not null && Name == other.Name && IPv4 == other.IPv4 && IPv6 == other.IPv6
            && Routers.AsSpan().SequenceEqual(other.Routers.AsSpan()) && PodRanges.AsSpan().SequenceEqual(other.PodRanges.AsSpan())
            && Labels.AsSpan().SequenceEqual(other.Labels.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Name, IPv4, IPv6);
}

/// <summary>The other nodes, from CiliumNode objects: a table for routes, and the pod ranges behind them in the ipcache.</summary>
internal sealed class RemoteNodes
{
    private const string Initializer = "cilium-nodes";

    private readonly ClusterState _cluster;
    private readonly AgentOptions _options;
    private readonly Ipcache.Ipcache _ipcache;
    private readonly ILogger<RemoteNodes> _log;
    private readonly NodeIdentities _identities;

    public RemoteNodes(ClusterState cluster, AgentOptions options, Ipcache.Ipcache ipcache, NodeIdentities identities, ILogger<RemoteNodes> log)
    {
        _identities = identities;
        _cluster = cluster;
        _options = options;
        _ipcache = ipcache;
        _log = log;
        Table.RegisterInitializer(Initializer);
        Routes.RegisterInitializer(Initializer);
        ipcache.Table.RegisterInitializer(Initializer);
    }

    public Table<string, RemoteNode> Table { get; } = new(
        "nodes",
        node => node.Name,
        columns:
        [
            new("Name", n => n.Name),
            new("IPv4", n => n.IPv4?.ToString() ?? ""),
            new("IPv6", n => n.IPv6?.ToString() ?? ""),
            new("PodRanges", n => string.Join(' ', n.PodRanges)),
        ]);

    /// <summary>The pod ranges behind the nodes, for the host's routing table.</summary>
    public Table<IpPrefix, NodeRoute> Routes { get; } = new("node-routes", route => route.PodPrefix);

    public async Task RunAsync(CancellationToken cancellation)
    {
        using ChangeStream<ResourceName, CiliumNode> stream = _cluster.CiliumNodes.Watch();
        await foreach (ChangeBatch<ResourceName, CiliumNode> batch in stream.ReadAllAsync(cancellation))
        {
            foreach (Change<ResourceName, CiliumNode> change in batch.Changes)
            {
                if (change.Key.Name != _options.NodeName)
                    Apply(change);
            }

            if (batch.IsInitialized)
            {
                Table.MarkInitialized(Initializer);
                Routes.MarkInitialized(Initializer);
                _ipcache.Table.MarkInitialized(Initializer);
            }
        }
    }

    private void Apply(Change<ResourceName, CiliumNode> change)
    {
        string name = change.Key.Name;
        RemoteNode? node = change.IsDelete ? null : Read(change.Value!);
        RemoteNode? before = Table.Snapshot().Find(name);
        _ipcache.Replace(before?.PodRanges ?? [], node is null ? [] : [.. Statements(node)], IpcacheSource.PodRange, name);
        PublishRoutes(before, node);
        if (node is null)
            Table.Remove(name);
        else
            Table.Upsert(node);
    }

    private void PublishRoutes(RemoteNode? before, RemoteNode? after) => Routes.Write(writer =>
    {
        foreach (IpPrefix range in before?.PodRanges ?? [])
        {
            if (after is null || !after.PodRanges.Contains(range))
                writer.Remove(range);
        }

        foreach (IpPrefix range in after?.PodRanges ?? [])
        {
            if (after!.AddressFor(range.IsV6) is { } gateway)
                writer.Upsert(new NodeRoute(range, gateway));
        }
    });

    private RemoteNode Read(CiliumNode resource)
    {
        List<IpAddress> internals = [];
        List<IpAddress> routers = [];
        foreach (CiliumNodeAddress entry in resource.Spec.Addresses ?? [])
        {
            if (!IpAddress.TryParse(entry.Ip, out IpAddress address))
                _log.LogWarning("CiliumNode {Node}: spec.addresses has '{Text}', which is not an address", resource.Metadata.Name, entry.Ip);
            else if (entry.Type == "InternalIP")
                internals.Add(address);
            else if (entry.Type == "CiliumInternalIP")
                routers.Add(address);
        }

        List<IpPrefix> ranges = [];
        foreach (string text in resource.Spec.Ipam?.PodCIDRs ?? [])
        {
            if (IpPrefix.TryParse(text, out IpPrefix range))
                ranges.Add(range);
            else
                _log.LogWarning("CiliumNode {Node}: spec.ipam.podCIDRs has '{Text}', which is not a prefix", resource.Metadata.Name, text);
        }

        return new RemoteNode(
            resource.Metadata.Name,
            internals.Where(a => a.IsV4).Select(a => (IpAddress?)a).FirstOrDefault(),
            internals.Where(a => a.IsV6).Select(a => (IpAddress?)a).FirstOrDefault(),
            [.. routers],
            [.. ranges.Where(r => r.IsV6 ? _options.EnableIPv6 : _options.EnableIPv4)])
        {
            Labels = [.. _identities.Filter(resource.Metadata.Labels).OrderBy(l => l.Key, StringComparer.Ordinal)],
        };
    }

    // An address in there is a pod's, of which nothing is known before its CiliumEndpoint arrives: it is reached, but what the world may do is not for it.
    private static IEnumerable<IpcacheRecord> Statements(RemoteNode node) => node.PodRanges.Select(
        range => new IpcacheRecord(range, SecurityIdentity.Unmanaged, node.TunnelEndpoint, IpcacheSource.PodRange, node.Name));
}
