// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Collections.Immutable;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Dns;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Identities;
using Axoneme.Agent.Policies;
using Axoneme.Agent.Services;
using Axoneme.Datapath;
using Axoneme.Hubble;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Flows;

/// <summary>Names for the numbers in flows. Everything is prepared when the cluster changes, so that an event costs lookups only.</summary>
internal sealed class FlowEnrichment(
    AgentOptions options,
    ClusterState cluster,
    EndpointTables endpoints,
    Ipcache.Ipcache ipcache,
    IdentityDirectory identities,
    PolicyController policies,
    ServiceController services,
    AddressNames names,
    ILogger<FlowEnrichment> log) : IFlowEnrichment
{
    private readonly ConcurrentDictionary<IpAddress, FlowEndpoint> _pods = new();
    private readonly ConcurrentDictionary<ResourceName, ImmutableArray<IpAddress>> _podAddresses = new();
    private readonly ConcurrentDictionary<L4Address, FlowService> _services = new();
    private readonly ConcurrentDictionary<uint, FlowEndpoint> _byIdentity = new();
    private readonly ConcurrentDictionary<uint, string> _interfaces = new();
    private readonly VerdictAttribution _attribution = new(policies.Cookies, policies.DefaultDenies);

    public Task RunAsync(CancellationToken cancellation) => Task.WhenAll(
        cluster.CiliumEndpoints.FollowAsync(NotePod, log, cancellation),
        endpoints.Endpoints.FollowAsync(NoteLocal, log, cancellation),
        services.Frontends.FollowAsync(NoteService, log, cancellation));

    public FlowEndpoint? FindEndpoint(IpAddress address)
    {
        if (_pods.TryGetValue(address, out FlowEndpoint? pod))
            return pod;
        if (ipcache.Find(address) is not { } entry)
            return null;
        if (_byIdentity.TryGetValue(entry.Identity.Value, out FlowEndpoint? known))
            return known;
        if (FindLabels(entry.Identity) is not { } labels)
            return new FlowEndpoint(0, entry.Identity, LabelSet.Empty);
        return _byIdentity[entry.Identity.Value] = new FlowEndpoint(0, entry.Identity, labels);
    }

    public LabelSet? FindLabels(SecurityIdentity identity)
        => identities.Table.Snapshot().Find(identity)?.Labels ?? policies.Read(engine => engine.FindIdentity(identity))?.Labels;

    public FlowService? FindService(L4Address frontend) => _services.GetValueOrDefault(frontend);

    // The names are of the node: who else asked does not matter to whom reads the flow.
    public ImmutableArray<string> FindNames(ushort endpointId, IpAddress address) => names.Find(address);

    public FlowAttribution? FindRules(uint cookie) => _attribution.OfCookie(cookie);

    public FlowAttribution? FindDefaultDeny(ushort endpointId, bool isEgress, bool isShadow)
        => _attribution.OfDefault(endpointId, isEgress ? TrafficDirection.Egress : TrafficDirection.Ingress, isShadow);

    public string? FindInterface(uint index) => _interfaces.GetValueOrDefault(index);

    /// <summary>Notes a device that is not an endpoint's, such as an uplink.</summary>
    public void NoteInterface(int index, string name) => _interfaces[(uint)index] = name;

    private void NotePod(Change<ResourceName, CiliumEndpoint> change)
    {
        foreach (IpAddress old in _podAddresses.GetValueOrDefault(change.Key, []))
        {
            if (_pods.TryGetValue(old, out FlowEndpoint? known) && known.Id == 0 && known.Namespace == change.Key.Namespace && known.PodName == change.Key.Name)
                _pods.TryRemove(old, out _);
        }

        _podAddresses.TryRemove(change.Key, out _);
        if (change.Value?.Status is not { Identity.Id: > 0 and <= uint.MaxValue } status)
            return;
        var identity = new SecurityIdentity((uint)status.Identity.Id);
        var labels = LabelSet.Parse(status.Identity.Labels ?? []);
        ImmutableArray<IpAddress> addresses = AddressesOf(status);
        foreach (IpAddress address in addresses)
        {
            // Our own table knows the number on this node.
            if (!_pods.TryGetValue(address, out FlowEndpoint? local) || local.Id == 0)
                _pods[address] = Describe(0, identity, labels, change.Key);
        }

        _podAddresses[change.Key] = addresses;
    }

    private static ImmutableArray<IpAddress> AddressesOf(Kubernetes.Resources.EndpointStatus status)
    {
        var addresses = ImmutableArray.CreateBuilder<IpAddress>();
        foreach (AddressPair pair in status.Networking?.Addressing ?? [])
        {
            if (IpAddress.TryParse(pair.Ipv4, out IpAddress v4))
                addresses.Add(v4);
            if (IpAddress.TryParse(pair.Ipv6, out IpAddress v6))
                addresses.Add(v6);
        }

        return addresses.ToImmutable();
    }

    private void NoteLocal(Change<ushort, Endpoint> change)
    {
        foreach ((IpAddress address, FlowEndpoint known) in _pods)
        {
            if (known.Id == change.Key)
                _pods.TryRemove(address, out _);
        }

        if (change.Value is not { } endpoint)
            return;
        foreach (IpAddress address in endpoint.Addresses)
            _pods[address] = Describe(endpoint.Id, endpoint.Identity, endpoint.Labels, endpoint.Pod);
        if (endpoints.Addresses.Snapshot().Values.FirstOrDefault(a => a.EndpointId == endpoint.Id) is { } entry)
            _interfaces[(uint)entry.Device] = endpoint.HostInterface;
    }

    private void NoteService(Change<L4Address, Frontend> change)
    {
        if (change.Value is { } frontend)
            _services[change.Key] = new FlowService(frontend.Service.Namespace, frontend.Service.Name);
        else
            _services.TryRemove(change.Key, out _);
    }

    private FlowEndpoint Describe(ushort id, SecurityIdentity identity, LabelSet labels, ResourceName pod)
    {
        Pod? resource = cluster.Pods.Snapshot().Find(pod);
        return new FlowEndpoint(id, identity, labels)
        {
            ClusterName = options.ClusterName,
            Namespace = pod.Namespace,
            PodName = pod.Name,
            Workloads = resource is null ? [] : [.. WorkloadsOf(resource)],
        };
    }

    private static IEnumerable<FlowWorkload> WorkloadsOf(Pod pod)
    {
        foreach (OwnerReference owner in pod.Metadata.OwnerReferences ?? [])
        {
            if (owner.Controller != true)
                continue;
            // A ReplicaSet made by a Deployment is named after it and the template's hash.
            string? hash = pod.Metadata.Label("pod-template-hash");
            yield return owner.Kind == "ReplicaSet" && hash is not null && owner.Name.EndsWith("-" + hash, StringComparison.Ordinal)
                ? new FlowWorkload("Deployment", owner.Name[..^(hash.Length + 1)])
                : new FlowWorkload(owner.Kind, owner.Name);
        }
    }
}
