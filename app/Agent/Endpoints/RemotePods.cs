// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Nodes;
using Axoneme.Agent.Policies;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Endpoints;

/// <summary>
/// Pods of all nodes from CiliumEndpoint objects: the other nodes' addresses into the ipcache, everybody's container ports to
/// the policy engine, whose egress rules may name them.
/// </summary>
internal sealed class RemotePods
{
    private const string Initializer = "cilium-endpoints";

    private readonly ClusterState _cluster;
    private readonly LocalNode _node;
    private readonly Ipcache.Ipcache _ipcache;
    private readonly PolicyController _policies;
    private readonly ILogger<RemotePods> _log;
    private readonly Dictionary<ResourceName, ImmutableArray<IpPrefix>> _addresses = [];
    private readonly Dictionary<ResourceName, SecurityIdentity> _identities = [];
    private readonly Dictionary<SecurityIdentity, Dictionary<ResourceName, NamedPorts>> _ports = [];

    public RemotePods(ClusterState cluster, LocalNode node, Ipcache.Ipcache ipcache, PolicyController policies, ILogger<RemotePods> log)
    {
        _cluster = cluster;
        _node = node;
        _ipcache = ipcache;
        _policies = policies;
        _log = log;
        ipcache.Table.RegisterInitializer(Initializer);
    }

    public Task RunAsync(CancellationToken cancellation)
    {
        var complete = new TaskCompletionSource();
        return Task.WhenAll(_cluster.CiliumEndpoints.FollowAsync(Apply, _log, cancellation, complete), InitializeAsync(complete.Task, cancellation));
    }

    private async Task InitializeAsync(Task complete, CancellationToken cancellation)
    {
        await complete.WaitAsync(cancellation);
        _ipcache.Table.MarkInitialized(Initializer);
    }

    private void Apply(Change<ResourceName, CiliumEndpoint> change)
    {
        Kubernetes.Resources.EndpointStatus? status = change.Value?.Status;
        SecurityIdentity? identity = status?.Identity is { Id: > 0 and <= uint.MaxValue } known ? new SecurityIdentity((uint)known.Id) : null;
        ApplyAddresses(change.Key, status, identity);
        ApplyPorts(change.Key, status, identity);
    }

    private void ApplyAddresses(ResourceName pod, Kubernetes.Resources.EndpointStatus? status, SecurityIdentity? identity)
    {
        var statements = ImmutableArray.CreateBuilder<IpcacheRecord>();
        bool isRemote = IpAddress.TryParse(status?.Networking?.Node, out IpAddress host) && !_node.NodeAddresses.Contains(host);
        if (isRemote && identity is { } id)
        {
            foreach (AddressPair pair in status!.Networking!.Addressing ?? [])
            {
                foreach (string? text in new[] { pair.Ipv4, pair.Ipv6 })
                {
                    if (IpAddress.TryParse(text, out IpAddress address))
                        statements.Add(new IpcacheRecord(IpPrefix.Single(address), id, host, IpcacheSource.Pod, pod.ToString()));
                    else if (!string.IsNullOrEmpty(text))
                        _log.LogWarning("CiliumEndpoint {Pod}: status.networking.addressing has '{Text}', which is not an address", pod, text);
                }
            }
        }

        _ipcache.Replace(_addresses.GetValueOrDefault(pod, []), statements, IpcacheSource.Pod, pod.ToString());
        if (statements.Count > 0)
            _addresses[pod] = [.. statements.Select(s => s.Prefix)];
        else
            _addresses.Remove(pod);
    }

    private void ApplyPorts(ResourceName pod, Kubernetes.Resources.EndpointStatus? status, SecurityIdentity? identity)
    {
        if (_identities.Remove(pod, out SecurityIdentity before) && _ports.TryGetValue(before, out Dictionary<ResourceName, NamedPorts>? old))
        {
            bool had = old.Remove(pod, out _);
            if (old.Count == 0)
                _ports.Remove(before);
            if (had && before != identity)
                Announce(before);
        }

        if (identity is not { } id || status?.NamedPorts is not { Count: > 0 } ports)
            return;
        if (!_ports.TryGetValue(id, out Dictionary<ResourceName, NamedPorts>? ofIdentity))
            _ports[id] = ofIdentity = [];
        ofIdentity[pod] = PodPorts.Read(ports);
        _identities[pod] = id;
        Announce(id);
    }

    private void Announce(SecurityIdentity id)
    {
        NamedPorts all = _ports.TryGetValue(id, out Dictionary<ResourceName, NamedPorts>? pods)
            ? NamedPorts.From(pods.Values.SelectMany(p => p.Ports))
            : NamedPorts.Empty;
        _ = _policies.ChangeAsync(engine =>
        {
            // Unknown so far: the identity's own object brings the labels, and nothing refers to the ports before.
            if (engine.FindIdentity(id) is { } identity)
                engine.UpsertIdentity(id, identity.Labels, all);
        });
    }
}
