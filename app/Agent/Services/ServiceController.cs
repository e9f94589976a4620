// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Threading.Channels;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Sockets;
using Axoneme.Datapath;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Services;

/// <summary>
/// Services, endpoint slices, pods of this node and redirect policies into frontends, and those into what the load-balancing maps hold. A
/// service without its slices has no backends, so until all kinds are complete nothing is published, and the kernel goes on with what an
/// earlier run left.
/// </summary>
internal sealed class ServiceController
{
    private const string Initializer = "services";

    // A rollout writes many slices at once; a few milliseconds gather them, and nobody waits for a change that long.
    private static readonly TimeSpan BatchTime = TimeSpan.FromMilliseconds(5);

    private readonly ClusterState _cluster;
    private readonly Table<L4Address, NodeListener> _listeners;
    private readonly AgentOptions _options;
    private readonly ServiceCatalog _catalog;
    private readonly ServiceRows _rows;
    private readonly ServiceProblems _problems;
    private readonly ILogger<ServiceController> _log;

    // The catalogue has one owner at a time; each kind of object arrives on a task of its own.
    private readonly Lock _gate = new();
    private readonly Channel<bool> _changed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly TaskCompletionSource _addressesKnown = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<ResourceName, ImmutableArray<IpAddress>> _otherNodes = [];
    private NodeFacts _node = NodeFacts.None;
    private bool _otherNodesChanged;

    public ServiceController(
        ClusterState cluster, Table<L4Address, NodeListener> listeners, AgentOptions options, EventRecorder events,
        ILogger<ServiceController> log)
    {
        _cluster = cluster;
        _listeners = listeners;
        _options = options;
        _catalog = new ServiceCatalog(CatalogSettings.For(options));
        _rows = new ServiceRows(options.Services.ExternalClusterIP);
        _problems = new ServiceProblems(cluster, events, log);
        _log = log;
        Maps.RegisterInitializer(Initializer);
        Exemptions.Table.RegisterInitializer(Initializer);
    }

    public Table<L4Address, Frontend> Frontends { get; } = new(
        "frontends",
        frontend => frontend.Address,
        columns:
        [
            new("Address", f => f.Address.ToString()),
            new("Type", f => f.Type.ToString()),
            new("Service", f => f.Service.ToString()),
            new("Outside", f => f.Outside.ToString()),
            new("Inside", f => ReferenceEquals(f.Inside, f.Outside) ? "" : f.Inside.ToString()),
            new("RedirectPolicy", f => f.RedirectPolicy?.ToString() ?? ""),
        ]);

    /// <summary>What the kernel has to know.</summary>
    public Table<ServiceMapKey, ServiceMapEntry> Maps { get; } = new(
        "lb-services",
        entry => entry.Key,
        columns:
        [
            new("Frontend", e => e.Key.ToString()),
            new("Flags", e => $"{e.Flags} {e.Flags2}"),
            new("Backends", e => string.Join(' ', e.Backends.Select(b => b.Address))),
        ]);

    /// <summary>Pods that redirect policies leave alone, for the kernel.</summary>
    public RedirectExemptions Exemptions { get; } = new();

    /// <summary>What is wrong with services, pods and policies.</summary>
    public Table<CatalogObject, CatalogProblems> Problems => _problems.Table;

    public async Task RunAsync(CancellationToken cancellation)
    {
        var complete = new List<Task> { _addressesKnown.Task };
        var followers = new List<Task>();
        Follow(_cluster.Services, Take);
        Follow(_cluster.EndpointSlices, Take);
        Follow(_cluster.Pods, Take);
        Follow(_cluster.CiliumLocalRedirectPolicies, Take);
        Follow(_cluster.OwnNode, Take);
        Follow(_cluster.CiliumNodes, Take);
        Follow(_listeners, change => _catalog.SetListener(change.Key, !change.IsDelete));
        followers.Add(PublishAsync(Task.WhenAll(complete), cancellation));
        await Task.WhenAll(followers);

        void Follow<TKey, TValue>(Table<TKey, TValue> table, Action<Change<TKey, TValue>> take)
            where TKey : notnull
            where TValue : class
        {
            var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            complete.Add(done.Task);
            followers.Add(table.FollowAsync(change => Locked(() => take(change)), _log, cancellation, done));
        }
    }

    /// <summary>Addresses of this node. Nothing is published before the first call.</summary>
    /// <param name="nodePorts">Where node ports and host ports are served.</param>
    /// <param name="all">Every address that is the node's own.</param>
    public void SetNodeAddresses(IEnumerable<IpAddress> nodePorts, IEnumerable<IpAddress> all)
    {
        Locked(() =>
        {
            _node = _node with { NodePortAddresses = [.. nodePorts], Addresses = all.ToFrozenSet() };
            _catalog.SetNode(_node);
        });
        _addressesKnown.TrySetResult();
    }

    private async Task PublishAsync(Task complete, CancellationToken cancellation)
    {
        await complete.WaitAsync(cancellation);
        Publish();
        Maps.MarkInitialized(Initializer);
        Exemptions.Table.MarkInitialized(Initializer);
        while (true)
        {
            await _changed.Reader.ReadAsync(cancellation);
            await Task.Delay(BatchTime, cancellation);
            Publish();
        }
    }

    private void Publish()
    {
        CatalogChange change;
        lock (_gate)
        {
            if (_otherNodesChanged)
                _catalog.SetOtherNodes(_otherNodes.Values.SelectMany(a => a));
            _otherNodesChanged = false;
            change = _catalog.Commit();
        }

        if (change.IsEmpty)
            return;
        _problems.Report(change.Problems);
        Exemptions.Apply(change);
        Write(change);
    }

    private void Write(CatalogChange change)
    {
        Maps.WriteWith(Frontends, (maps, frontends) =>
        {
            foreach (Frontend frontend in change.Deletes)
            {
                maps.Remove(ServiceRows.ExternalKey(frontend.Address));
                maps.Remove(ServiceRows.InternalKey(frontend.Address));
                frontends.Remove(frontend.Address);
            }

            foreach (Frontend frontend in change.Upserts)
            {
                frontends.Upsert(frontend);
                maps.Upsert(_rows.External(frontend));
                if (_rows.Internal(frontend) is { } inside)
                    maps.Upsert(inside);
                else
                    maps.Remove(ServiceRows.InternalKey(frontend.Address));
            }

            foreach (IpAddress address in change.ReleasedAddresses)
                maps.Remove(ServiceRows.GuardKey(address));
            foreach (IpAddress address in change.GuardedAddresses)
                maps.Upsert(ServiceRows.Guard(address));
        });
        _rows.Forget();
    }

    private void Take(Change<ResourceName, Service> change)
    {
        if (change.IsDelete)
            _catalog.DeleteService(change.Key);
        else
            _catalog.Upsert(change.Value!);
    }

    private void Take(Change<ResourceName, EndpointSlice> change)
    {
        if (change.IsDelete)
            _catalog.DeleteSlice(change.Key);
        else
            _catalog.Upsert(change.Value!);
    }

    private void Take(Change<ResourceName, Pod> change)
    {
        if (!change.IsDelete && LocalPod.From(change.Value!) is { } pod)
            _catalog.Upsert(pod);
        else
            _catalog.DeletePod(change.Key);
    }

    private void Take(Change<ResourceName, CiliumLocalRedirectPolicy> change)
    {
        if (change.IsDelete)
            _catalog.DeleteRedirectPolicy(change.Key);
        else
            _catalog.Upsert(change.Value!);
    }

    private void Take(Change<ResourceName, Node> change)
    {
        var labels = (change.Value?.Metadata.Labels ?? new Dictionary<string, string>()).ToFrozenDictionary();
        // The kubelet writes its Node every few seconds; hardly ever are the labels new.
        if (labels.Count == _node.Labels.Count && labels.All(l => _node.Labels.GetValueOrDefault(l.Key) == l.Value))
            return;
        _node = _node with { Labels = labels };
        _catalog.SetNode(_node);
    }

    private void Take(Change<ResourceName, CiliumNode> change)
    {
        if (change.Key.Name == _options.NodeName)
            return;
        _otherNodesChanged = true;
        if (change.IsDelete)
            _otherNodes.Remove(change.Key);
        else
            _otherNodes[change.Key] = [.. AddressesOf(change.Value!)];
    }

    private static IEnumerable<IpAddress> AddressesOf(CiliumNode node)
    {
        foreach (CiliumNodeAddress address in node.Spec.Addresses ?? [])
        {
            if (IpAddress.TryParse(address.Ip, out IpAddress parsed))
                yield return parsed;
        }
    }

    private void Locked(Action change)
    {
        lock (_gate)
            change();

        _changed.Writer.TryWrite(true);
    }
}
