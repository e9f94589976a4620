// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Nodes;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Endpoints;

/// <summary>Keeps a CiliumEndpoint object for each pod of this node; through them the other nodes learn identities and addresses.</summary>
internal sealed class CiliumEndpointTarget(
    KubernetesClient client, ClusterState cluster, EndpointTables tables, LocalNode node) : IReconcileTarget<ushort, Endpoint>
{
    private const string FieldManager = "cilium-agent";

    // A deletion has only the id: what object it had must be remembered.
    private readonly Dictionary<ushort, ResourceName> _written = [];

    public async ValueTask ApplyAsync(IReadOnlyList<Endpoint> values, ReconcileFailures<ushort> failures, CancellationToken cancellationToken)
    {
        foreach (Endpoint endpoint in values)
        {
            // Interfaces of containers that are no pods have no object.
            if (endpoint.Pod.Name.Length == 0)
                continue;
            try
            {
                await WriteAsync(endpoint, cancellationToken);
                _written[endpoint.Id] = endpoint.Pod;
            }
            catch (Exception e) when (e is KubernetesException or HttpRequestException or TimeoutException or IOException)
            {
                failures.Add(endpoint.Id, $"CiliumEndpoint {endpoint.Pod}: {e.Message}");
            }
        }
    }

    public async ValueTask DeleteAsync(IReadOnlyList<ushort> keys, ReconcileFailures<ushort> failures, CancellationToken cancellationToken)
    {
        foreach (ushort id in keys)
        {
            ResourceName? name = _written.TryGetValue(id, out ResourceName written) ? written : FindOwn(id);
            // A new pod of the same name, such as a StatefulSet's, has taken the object over.
            bool isTaken = name is { } pod && tables.Endpoints.Snapshot().Values.Any(e => e.Pod == pod);
            try
            {
                if (name is { } gone && !isTaken)
                    await client.Of(Kinds.CiliumEndpoints).DeleteAsync(gone, cancellationToken: cancellationToken);
                _written.Remove(id);
            }
            catch (Exception e) when (e is KubernetesException or HttpRequestException or TimeoutException or IOException)
            {
                failures.Add(id, $"CiliumEndpoint {name}: {e.Message}");
            }
        }
    }

    public async ValueTask<IReadOnlyDictionary<ushort, Endpoint>> ReadActualAsync(CancellationToken cancellationToken)
    {
        await cluster.CiliumEndpoints.WhenInitializedAsync(cancellationToken);
        var present = new Dictionary<ushort, Endpoint>();
        TableSnapshot<ushort, Endpoint> endpoints = tables.Endpoints.Snapshot();
        var byPod = new Dictionary<ResourceName, ushort>();
        foreach (Endpoint endpoint in endpoints.Values)
            byPod[endpoint.Pod] = endpoint.Id;
        foreach (CiliumEndpoint resource in cluster.CiliumEndpoints.Snapshot().Values)
        {
            // Slices do not tell the number; what they hold of pods that are gone is the operator's to remove.
            if (!IsOwn(resource) || (resource.Status?.Id ?? byPod.GetValueOrDefault(resource.ResourceName)) is not (> 0 and <= ushort.MaxValue and var number))
                continue;
            var id = (ushort)number;
            _written[id] = resource.ResourceName;
            // Same content stands for the same endpoint; everything else is to be written or removed.
            present[id] = endpoints.TryGet(id, out Endpoint? endpoint) && IsSame(resource, endpoint)
                ? endpoint
                : Placeholder(id, resource.ResourceName);
        }

        foreach (Endpoint endpoint in endpoints.Values.Where(e => e.Pod.Name.Length == 0))
            present[endpoint.Id] = endpoint;
        return present;
    }

    private static Endpoint Placeholder(ushort id, ResourceName pod) => new()
    {
        Id = id,
        Attachment = default,
        NetworkNamespace = "",
        Pod = pod,
        HostInterface = "",
        HostMac = default,
        PodMac = default,
    };

    private ResourceName? FindOwn(ushort id)
        => cluster.CiliumEndpoints.Snapshot().Values.FirstOrDefault(r => IsOwn(r) && r.Status?.Id == id)?.ResourceName;

    private bool IsOwn(CiliumEndpoint resource)
        => IpAddress.TryParse(resource.Status?.Networking?.Node, out IpAddress host) && node.NodeAddresses.Contains(host);

    private static bool IsSame(CiliumEndpoint resource, Endpoint endpoint)
        => resource.ResourceName == endpoint.Pod
            && resource.Status?.Identity?.Id == endpoint.Identity.Value
            && resource.Status.Networking?.Addressing is [{ } pair]
            && pair.Ipv4 == endpoint.IPv4?.ToString()
            && pair.Ipv6 == endpoint.IPv6?.ToString();

    private async Task WriteAsync(Endpoint endpoint, CancellationToken cancellation)
    {
        ResourceClient<CiliumEndpoint> resources = client.Of(Kinds.CiliumEndpoints);
        CiliumEndpoint desired = Describe(endpoint);
        try
        {
            await resources.CreateAsync(desired, FieldManager, cancellation);
        }
        catch (KubernetesException e) when (e.IsConflict)
        {
            await resources.ModifyAsync(
                endpoint.Pod, present => present with { Metadata = present.Metadata with { OwnerReferences = desired.Metadata.OwnerReferences }, Status = desired.Status }, cancellation);
        }
    }

    private CiliumEndpoint Describe(Endpoint endpoint) => new()
    {
        Metadata = new ObjectMeta
        {
            Name = endpoint.Pod.Name,
            Namespace = endpoint.Pod.Namespace,
            OwnerReferences = endpoint.PodUid.Length == 0
                ? null
                : [new OwnerReference { ApiVersion = "v1", Kind = "Pod", Name = endpoint.Pod.Name, Uid = endpoint.PodUid, BlockOwnerDeletion = true }],
        },
        Status = new Kubernetes.Resources.EndpointStatus
        {
            Id = endpoint.Id,
            State = "ready",
            Identity = new EndpointIdentity { Id = endpoint.Identity.Value, Labels = [.. endpoint.Labels.Select(l => l.ToString())] },
            Networking = new EndpointNetworking
            {
                Node = node.NodeAddresses.First().ToString(),
                Addressing = [new AddressPair { Ipv4 = endpoint.IPv4?.ToString(), Ipv6 = endpoint.IPv6?.ToString() }],
            },
            Encryption = new EncryptionSpec { Key = 0 },
            ExternalIdentifiers = new EndpointIdentifiers
            {
                ContainerId = endpoint.Attachment.ContainerId,
                CniAttachmentId = endpoint.Attachment.ToString(),
                K8sNamespace = endpoint.Pod.Namespace,
                K8sPodName = endpoint.Pod.Name,
                PodName = endpoint.Pod.ToString(),
            },
            NamedPorts =
            [
                .. endpoint.NamedPorts.Ports.Select(p => new EndpointNamedPort { Name = p.Name, Port = p.Port, Protocol = p.Protocol.ToString().ToUpperInvariant() }),
            ],
        },
    };
}
