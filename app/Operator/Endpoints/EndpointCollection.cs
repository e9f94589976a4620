// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Microsoft.Extensions.Logging;

namespace Axoneme.Operator.Endpoints;

/// <summary>
/// Removes CiliumEndpoint objects whose pods are gone. Agents remove those of their pods and the API follows owners, so these are what a node
/// left that did not come back, and they would keep addresses and identities in use.
/// </summary>
internal sealed class EndpointCollection(
    KubernetesClient client, ClusterObjects cluster, OperatorOptions options, OperatorMetrics metrics, TimeProvider time, ILogger<EndpointCollection> log)
{
    private readonly ResourceClient<CiliumEndpoint> _endpoints = client.Of(Kinds.CiliumEndpoints);
    private readonly ResourceClient<Pod> _pods = client.Of(Kinds.Pods);

    public async Task RunAsync(CancellationToken cancellation)
    {
        await cluster.WhenCompleteAsync(cancellation);
        using var timer = new PeriodicTimer(options.EndpointInterval, time);
        do
            await PassAsync(cancellation);
        while (await timer.WaitForNextTickAsync(cancellation));
    }

    internal async Task PassAsync(CancellationToken cancellation)
    {
        foreach (CiliumEndpoint orphan in FindOrphans(cluster.Endpoints.Snapshot().Values, cluster.PodUid))
        {
            // Two watches are not in step: only the API itself knows that there is no such pod.
            if (IsPodOf(orphan, (await _pods.FindAsync(orphan.ResourceName, cancellation))?.Metadata.Uid))
                continue;
            try
            {
                var unchanged = new DeleteOptions(Uid: orphan.Metadata.Uid, ResourceVersion: orphan.Metadata.ResourceVersion);
                if (!await _endpoints.DeleteAsync(orphan.ResourceName, unchanged, cancellation))
                    continue;
                metrics.NoteEndpoint("success");
                log.LogInformation("CiliumEndpoint {Name} had no pod and is deleted", orphan.ResourceName);
            }
            catch (KubernetesException e)
            {
                metrics.NoteEndpoint("fail");
                if (e.Code != HttpStatusCode.Conflict)
                    log.LogWarning("CiliumEndpoint {Name} has no pod and could not be deleted: {Reason}", orphan.ResourceName, e.Message);
            }
        }
    }

    /// <summary>Those for which there is no pod of that name, or another one than theirs.</summary>
    /// <param name="podUid">Uid of the pod of a name; null: there is none.</param>
    internal static IReadOnlyList<CiliumEndpoint> FindOrphans(IEnumerable<CiliumEndpoint> endpoints, Func<ResourceName, string?> podUid)
        => [.. endpoints.Where(e => !IsPodOf(e, podUid(e.ResourceName)))];

    private static bool IsPodOf(CiliumEndpoint endpoint, string? podUid)
    {
        if (podUid is null)
            return false;
        string? owner = endpoint.Metadata.OwnerReferences?.FirstOrDefault(o => o.Kind == "Pod")?.Uid;
        return owner is null || owner == podUid;
    }
}
