// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.HostPolicy;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Nodes;
using Axoneme.Datapath;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Endpoints;

/// <summary>The endpoints of this node, and what the kernel has to know of their addresses and the node's own.</summary>
internal sealed class EndpointTables
{
    public const string Initializer = "endpoints";

    private readonly Ipcache.Ipcache _ipcache;

    // Changed by whoever follows the node's devices, one call after the other.
    private HashSet<IpAddress> _hostAddresses = [];

    public EndpointTables(Ipcache.Ipcache ipcache)
    {
        _ipcache = ipcache;
        Addresses.RegisterInitializer(Initializer);
        Endpoints.RegisterInitializer(Initializer);
        ipcache.Table.RegisterInitializer(Initializer);
    }

    public Table<ushort, Endpoint> Endpoints { get; } = new(
        "endpoints",
        endpoint => endpoint.Id,
        columns:
        [
            new("Id", e => e.Id.ToString()),
            new("Pod", e => e.Pod.ToString()),
            new("Identity", e => e.Identity.ToString()),
            new("IPv4", e => e.IPv4?.ToString() ?? ""),
            new("IPv6", e => e.IPv6?.ToString() ?? ""),
            new("Device", e => e.HostInterface),
            new("State", e => e.State.ToString()),
        ]);

    public Table<IpAddress, EndpointMapEntry> Addresses { get; } = new(
        "local-addresses",
        entry => entry.Address,
        columns:
        [
            new("Address", e => e.Address.ToString()),
            new("Endpoint", e => e.IsHost ? "host" : e.EndpointId.ToString()),
            new("Device", e => e.Device.ToString()),
        ]);

    /// <summary>The node itself as an endpoint. It is none of <see cref="Endpoints"/>, which have interfaces; null until it is known.</summary>
    public HostEndpoint? Host { get; set; }

    /// <summary>The node's own addresses: delivered by the host's stack. Those of an earlier call that are not among them go.</summary>
    /// <param name="node">Its addresses in the cluster.</param>
    /// <param name="others">Further ones that its devices have.</param>
    public void PublishHost(LocalNode node, IEnumerable<IpAddress> others)
    {
        HashSet<IpAddress> before = _hostAddresses;
        _hostAddresses = [.. node.NodeAddresses.Concat(node.Routers).Concat(others)];
        foreach (IpAddress gone in before.Except(_hostAddresses))
        {
            Addresses.Remove(gone);
            _ipcache.Remove(IpPrefix.Single(gone), IpcacheSource.Node, node.Name);
        }

        foreach (IpAddress address in _hostAddresses.Except(before))
        {
            Addresses.Upsert(new EndpointMapEntry(address) { IsHost = true, Identity = SecurityIdentity.Host });
            _ipcache.Set(new IpcacheRecord(IpPrefix.Single(address), SecurityIdentity.Host, Node: null, IpcacheSource.Node, node.Name));
        }
    }

    /// <summary>Makes the endpoint reachable under its identity.</summary>
    public void Publish(Endpoint endpoint, EndpointInterface pair)
    {
        Addresses.Write(writer =>
        {
            foreach (EndpointMapEntry entry in pair.MapEntries())
                writer.Upsert(entry);
        });
        foreach (IpAddress address in endpoint.Addresses)
            _ipcache.Set(Statement(endpoint, address));
        Endpoints.Upsert(endpoint);
    }

    public void Withdraw(Endpoint endpoint)
    {
        Addresses.Write(writer =>
        {
            foreach (IpAddress address in endpoint.Addresses)
                writer.Remove(address);
        });
        foreach (IpAddress address in endpoint.Addresses)
            _ipcache.Remove(IpPrefix.Single(address), IpcacheSource.LocalEndpoint, OwnerOf(endpoint));
        Endpoints.Remove(endpoint.Id);
    }

    /// <summary>Everything that an earlier run left is published again, so what is not here may go.</summary>
    public void MarkInitialized()
    {
        Addresses.MarkInitialized(Initializer);
        Endpoints.MarkInitialized(Initializer);
        _ipcache.Table.MarkInitialized(Initializer);
    }

    private static IpcacheRecord Statement(Endpoint endpoint, IpAddress address)
        => new(IpPrefix.Single(address), endpoint.Identity, Node: null, IpcacheSource.LocalEndpoint, OwnerOf(endpoint));

    private static string OwnerOf(Endpoint endpoint) => endpoint.Attachment.ToString();
}
