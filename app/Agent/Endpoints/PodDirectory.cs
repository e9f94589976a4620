// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Cni;
using Axoneme.Agent.Configuration;
using Axoneme.Cni;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;

namespace Axoneme.Agent.Endpoints;

/// <summary>What the API says of this node's pods, as far as it makes their identity.</summary>
internal sealed class PodDirectory(ClusterState cluster, AgentOptions options, LabelFilter filter)
{
    // A runtime may be quicker than our watch, but not by this much.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    /// <summary>Waits for the pod that the runtime speaks of; not for another one of the same name.</summary>
    /// <exception cref="CniException">It did not appear in time.</exception>
    public async Task<Pod> WaitForPodAsync(CniCall call, CancellationToken cancellation)
    {
        var name = new ResourceName(call.PodNamespace, call.PodName);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Patience);
        using ChangeStream<ResourceName, Pod> stream = cluster.Pods.Watch();
        try
        {
            await foreach (ChangeBatch<ResourceName, Pod> batch in stream.ReadAllAsync(limit.Token))
            {
                bool isRight = batch.Snapshot.TryGet(name, out Pod? pod) && (call.PodUid.Length == 0 || pod.Metadata.Uid == call.PodUid);
                // The namespace's labels are part of the identity.
                if (isRight && cluster.Namespaces.Snapshot().Contains(new ResourceName(name.Namespace)))
                    return pod!;
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
        }

        string api = cluster.Problem is { } problem ? $" ({problem})" : "";
        throw new CniException(CniErrorCode.TryAgainLater, $"the API did not show pod {name} on node {options.NodeName} within {Patience.TotalSeconds:0} s{api}");
    }

    public LabelSet LabelsOf(Pod pod)
    {
        Namespace? space = cluster.Namespaces.Snapshot().Find(new ResourceName(pod.Metadata.Namespace));
        return PodLabels.For(
            new PodIdentitySource
            {
                Namespace = pod.Metadata.Namespace,
                Cluster = options.ClusterName,
                ServiceAccount = pod.Spec.ServiceAccountName ?? "default",
                Labels = pod.Metadata.Labels ?? new Dictionary<string, string>(),
                NamespaceLabels = space?.Metadata.Labels ?? new Dictionary<string, string>(),
            },
            filter);
    }
}
