// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Threading.Channels;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Policies;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Nodes;

/// <summary>
/// The addresses of the other nodes into the ipcache, with their identities. What is special to a node comes after the kernel's policies know it, so
/// that a rule that denies some nodes does not let the first packets of such a node pass; until then the address is what it was before.
/// </summary>
internal sealed class NodeAddresses : IDisposable
{
    private const string Initializer = "node-addresses";

    private readonly Table<string, RemoteNode> _nodes;
    private readonly NodeIdentities _identities;
    private readonly ApiServerAddresses _apiServers;
    private readonly Ipcache.Ipcache _ipcache;
    private readonly PolicyController _policies;
    private readonly Dictionary<string, ImmutableArray<IpcacheRecord>> _statements = [];
    private readonly SemaphoreSlim _turn = new(1);

    // All nodes are looked at again, so that one signal stands for many.
    private readonly Channel<bool> _moves =
        Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public NodeAddresses(
        Table<string, RemoteNode> nodes, NodeIdentities identities, ApiServerAddresses apiServers, Ipcache.Ipcache ipcache, PolicyController policies)
    {
        _nodes = nodes;
        _identities = identities;
        _apiServers = apiServers;
        _ipcache = ipcache;
        _policies = policies;
        ipcache.Table.RegisterInitializer(Initializer);
    }

    public void Dispose() => _turn.Dispose();

    public async Task RunAsync(CancellationToken cancellation)
    {
        _apiServers.Changed += Look;
        try
        {
            await Task.WhenAll(FollowNodesAsync(cancellation), FollowApiServersAsync(cancellation));
        }
        finally
        {
            _apiServers.Changed -= Look;
        }
    }

    // The API server came to a node, or left it.
    private void Look() => _moves.Writer.TryWrite(true);

    private async Task FollowApiServersAsync(CancellationToken cancellation)
    {
        await foreach (bool _ in _moves.Reader.ReadAllAsync(cancellation))
            await StateAsync([.. _nodes.Snapshot().Keys], cancellation);
    }

    private async Task FollowNodesAsync(CancellationToken cancellation)
    {
        using ChangeStream<string, RemoteNode> stream = _nodes.Watch();
        await foreach (ChangeBatch<string, RemoteNode> batch in stream.ReadAllAsync(cancellation))
        {
            await StateAsync([.. batch.Changes.Select(change => change.Key)], cancellation);
            if (batch.IsInitialized)
                _ipcache.Table.MarkInitialized(Initializer);
        }
    }

    private async Task StateAsync(IReadOnlyList<string> names, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            TableSnapshot<string, RemoteNode> nodes = _nodes.Snapshot();
            List<(string Name, ImmutableArray<IpcacheRecord> After)> next =
                [.. names.Select(name => (name, nodes.Find(name) is { } node ? Statements(node).ToImmutableArray() : []))];
            await _identities.AnnounceAsync(cancellation);
            List<IpcacheRecord> replaced = [];
            foreach ((string name, ImmutableArray<IpcacheRecord> after) in next)
                replaced.AddRange(Replace(name, after));
            // After what replaced them, so that an identity that stays is not forgotten in between.
            await _policies.WhenAddressesInKernelAsync(replaced.Select(record => record.Prefix), cancellation);
            await _identities.ReleaseAsync(replaced.Select(record => record.Identity), cancellation);
        }
        finally
        {
            _turn.Release();
        }
    }

    private ImmutableArray<IpcacheRecord> Replace(string name, ImmutableArray<IpcacheRecord> after)
    {
        ImmutableArray<IpcacheRecord> before = _statements.GetValueOrDefault(name, []);
        _ipcache.Replace(before.Select(s => s.Prefix), after, IpcacheSource.Node, name);
        if (after.IsEmpty)
            _statements.Remove(name);
        else
            _statements[name] = after;
        return before;
    }

    private IEnumerable<IpcacheRecord> Statements(RemoteNode node)
    {
        foreach (IpAddress address in new[] { node.IPv4, node.IPv6 }.OfType<IpAddress>())
            yield return new IpcacheRecord(IpPrefix.Single(address), IdentityOf(node, address), Node: null, IpcacheSource.Node, node.Name);
        foreach (IpAddress router in node.Routers)
            yield return new IpcacheRecord(IpPrefix.Single(router), IdentityOf(node, router), node.TunnelEndpoint, IpcacheSource.Node, node.Name);
    }

    // The API server's address is the node's; its other addresses are just as much those of a node with the API server on it.
    private SecurityIdentity IdentityOf(RemoteNode node, IpAddress address)
    {
        bool isApiServer = new[] { node.IPv4, node.IPv6 }.Any(own => own is { } known && _apiServers.Contains(known));
        return _identities.Acquire(node.Labels, address, isApiServer);
    }
}
