// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Ipcache;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Nodes;

/// <summary>
/// Where the API server is, from the endpoints of service default/kubernetes: the entity kube-apiserver. An address that is a node's is also
/// that node's, which <see cref="Changed"/> is for.
/// </summary>
internal sealed class ApiServerAddresses(ClusterState cluster, Ipcache.Ipcache ipcache, ILogger<ApiServerAddresses> log)
{
    private readonly Dictionary<ResourceName, List<IpPrefix>> _bySlice = [];
    private volatile FrozenSet<IpAddress> _addresses = FrozenSet<IpAddress>.Empty;

    /// <summary>Called after the addresses have changed.</summary>
    public event Action? Changed;

    public bool Contains(IpAddress address) => _addresses.Contains(address);

    public Task RunAsync(CancellationToken cancellation) => cluster.EndpointSlices.FollowAsync(Apply, log, cancellation);

    private void Apply(Change<ResourceName, EndpointSlice> change)
    {
        bool isOurs = change.Key.Namespace == "default" && change.Value?.Metadata.Label("kubernetes.io/service-name") == "kubernetes";
        if (!isOurs && !_bySlice.ContainsKey(change.Key))
            return;
        List<IpcacheRecord> statements = [];
        foreach (string text in isOurs ? (change.Value!.Endpoints ?? []).SelectMany(e => e.Addresses ?? []) : [])
        {
            if (IpAddress.TryParse(text, out IpAddress address))
                statements.Add(new IpcacheRecord(IpPrefix.Single(address), SecurityIdentity.KubeApiServer, Node: null, IpcacheSource.ApiServer, change.Key.Name));
        }

        ipcache.Replace(_bySlice.GetValueOrDefault(change.Key, []), statements, IpcacheSource.ApiServer, change.Key.Name);
        _bySlice[change.Key] = [.. statements.Select(s => s.Prefix)];
        FrozenSet<IpAddress> addresses = _bySlice.Values.SelectMany(prefixes => prefixes).Select(prefix => prefix.Address).ToFrozenSet();
        if (addresses.SetEquals(_addresses))
            return;
        _addresses = addresses;
        Changed?.Invoke();
    }
}
