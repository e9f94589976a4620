// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Kubernetes.Resources;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Endpoints;

/// <summary>Labels of pods and namespaces can change at any time, and with them identities.</summary>
internal sealed class PodRelabelling(ClusterState cluster, EndpointLifecycle lifecycle, ILogger<PodRelabelling> log)
{
    public Task RunAsync(CancellationToken cancellation) => Task.WhenAll(
        cluster.Pods.FollowAsync(change => FollowPodAsync(change, cancellation), log, cancellation),
        cluster.Namespaces.FollowAsync(change => FollowNamespaceAsync(change, cancellation), log, cancellation));

    private Task FollowPodAsync(Change<ResourceName, Pod> change, CancellationToken cancellation)
        => change.Value is { } pod && cluster.Namespaces.Snapshot().Contains(new ResourceName(pod.Metadata.Namespace))
            ? lifecycle.RelabelAsync(change.Key, pod, cancellation)
            : Task.CompletedTask;

    private async Task FollowNamespaceAsync(Change<ResourceName, Namespace> change, CancellationToken cancellation)
    {
        if (change.IsDelete)
            return;
        foreach (Pod pod in cluster.Pods.Snapshot().Values)
        {
            if (pod.Metadata.Namespace == change.Key.Name)
                await lifecycle.RelabelAsync(pod.ResourceName, pod, cancellation);
        }
    }
}
