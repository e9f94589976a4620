// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Nodes;

/// <summary>Keeps this node's CiliumNode object, through which the other nodes learn of it.</summary>
internal sealed class CiliumNodePublisher(KubernetesClient client, ClusterState cluster, LocalNode node, ILogger<CiliumNodePublisher> log)
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);
    private static readonly IReadOnlyDictionary<string, string> NoLabels = new Dictionary<string, string>();

    private string? _lastProblem;

    public async Task RunAsync(CancellationToken cancellation)
    {
        await cluster.CiliumNodes.WhenInitializedAsync(cancellation);
        await cluster.OwnNode.WhenInitializedAsync(cancellation);
        // Whatever happens to the object, deletion included, is put right; labels follow those of the Node.
        using var publishing = new SemaphoreSlim(1);
        await Task.WhenAll(FollowAsync(cluster.CiliumNodes, publishing, cancellation), FollowAsync(cluster.OwnNode, publishing, cancellation));
    }

    private async Task FollowAsync<T>(Table<ResourceName, T> table, SemaphoreSlim publishing, CancellationToken cancellation)
        where T : Resource
    {
        using ChangeStream<ResourceName, T> stream = table.Watch();
        await foreach (ChangeBatch<ResourceName, T> _ in stream.ReadAllAsync(cancellation))
        {
            await publishing.WaitAsync(cancellation);
            try
            {
                while (!await PublishAsync(cluster.CiliumNodes.Snapshot().Find(new ResourceName(node.Name)), cancellation))
                    await Task.Delay(RetryDelay, cancellation);
            }
            finally
            {
                publishing.Release();
            }
        }
    }

    private async Task<bool> PublishAsync(CiliumNode? present, CancellationToken cancellation)
    {
        CiliumNode desired = Desired();
        if (present is not null && IsSame(present, desired))
            return true;
        try
        {
            if (present is null)
                await client.Of(Kinds.CiliumNodes).CreateAsync(desired, cancellationToken: cancellation);
            else
                await client.Of(Kinds.CiliumNodes).ModifyAsync(
                    desired.ResourceName, current => IsSame(current, desired) ? null : Merge(current, desired), cancellation);
            return true;
        }
        catch (KubernetesException e) when (e.Reason == "AlreadyExists")
        {
            return true;
        }
        catch (Exception e) when (e is KubernetesException or HttpRequestException or TimeoutException or IOException)
        {
            if (_lastProblem != e.Message)
                log.LogWarning("CiliumNode {Node} cannot be written: {Reason}", node.Name, e.Message);
            _lastProblem = e.Message;
            return false;
        }
    }

    private CiliumNode Desired()
    {
        Node? owner = cluster.OwnNode.Snapshot().Find(new ResourceName(node.Name));
        return new CiliumNode
        {
            Metadata = new ObjectMeta
            {
                Name = node.Name,
                Labels = owner?.Metadata.Labels,
                // Goes with its Node, also when no agent is left to delete it.
                OwnerReferences = owner is null
                    ? null
                    : [new OwnerReference { ApiVersion = "v1", Kind = "Node", Name = node.Name, Uid = owner.Metadata.Uid ?? "" }],
            },
            Spec = new CiliumNodeSpec
            {
                Addresses =
                [
                    .. node.NodeAddresses.Select(a => new CiliumNodeAddress { Type = "InternalIP", Ip = a.ToString() }),
                    .. node.Routers.Select(a => new CiliumNodeAddress { Type = "CiliumInternalIP", Ip = a.ToString() }),
                ],
                Ipam = new CiliumNodeIpam { PodCIDRs = [.. node.PodRanges.Select(r => r.ToString())] },
                Encryption = new EncryptionSpec { Key = 0 },
            },
        };
    }

    internal static bool IsSame(CiliumNode present, CiliumNode desired)
        => (present.Spec.Addresses ?? []).SequenceEqual(desired.Spec.Addresses!)
            && (present.Spec.Ipam?.PodCIDRs ?? []).SequenceEqual(desired.Spec.Ipam!.PodCIDRs!)
            && (desired.Metadata.Labels is not { } labels || HaveSame(labels, present.Metadata.Labels ?? NoLabels));

    // Policies of other nodes select by these labels: one that the Node has lost must not stay.
    private static bool HaveSame(IReadOnlyDictionary<string, string> labels, IReadOnlyDictionary<string, string> present)
        => labels.Count == present.Count && labels.All(l => present.TryGetValue(l.Key, out string? value) && value == l.Value);

    private static CiliumNode Merge(CiliumNode present, CiliumNode desired) => present with
    {
        Metadata = present.Metadata with { Labels = desired.Metadata.Labels ?? present.Metadata.Labels },
        Spec = Merge(present.Spec, desired.Spec),
    };

    private static CiliumNodeSpec Merge(CiliumNodeSpec present, CiliumNodeSpec desired)
        => present with { Addresses = desired.Addresses, Ipam = (present.Ipam ?? new()) with { PodCIDRs = desired.Ipam!.PodCIDRs } };
}
