// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Metrics;
using Microsoft.Extensions.Logging;

namespace Axoneme.Operator.Identities;

/// <summary>Carries out what <see cref="IdentityGarbage"/> decides, at intervals, and no faster than allowed.</summary>
internal sealed class IdentityCollection(
    KubernetesClient client, ClusterObjects cluster, OperatorOptions options, OperatorMetrics metrics, TimeProvider time, ILogger<IdentityCollection> log)
{
    private readonly ResourceClient<CiliumIdentity> _identities = client.Of(Kinds.CiliumIdentities);
    private readonly IdentityGarbage _garbage = new(options.IdentityTimeout);

    public async Task RunAsync(CancellationToken cancellation)
    {
        await cluster.WhenCompleteAsync(cancellation);
        using var timer = new PeriodicTimer(options.IdentityInterval, time);
        do
            await PassAsync(cancellation);
        while (await timer.WaitForNextTickAsync(cancellation));
    }

    internal async Task PassAsync(CancellationToken cancellation)
    {
        long start = time.GetTimestamp();
        DateTimeOffset now = time.GetUtcNow();
        CiliumIdentity[] identities = [.. cluster.Identities.Snapshot().Values];
        IdentityPass pass = _garbage.Pass(identities, cluster.UsedIdentities(), now);
        int deleted = 0;
        bool isComplete = false;
        try
        {
            foreach (CiliumIdentity identity in pass.Keep)
                await AnnotateAsync(identity, null, cancellation);
            foreach (CiliumIdentity identity in pass.Mark)
                await AnnotateAsync(identity, now, cancellation);
            foreach (CiliumIdentity identity in pass.Delete)
            {
                await PaceAsync(deleted, cancellation);
                deleted += await DeleteAsync(identity, cancellation) ? 1 : 0;
            }

            isComplete = true;
        }
        finally
        {
            metrics.NoteIdentities(identities.Length - deleted, deleted, isComplete, time.GetElapsedTime(start));
        }

        if (deleted > 0 || pass.Mark.Count > 0)
            log.LogInformation("Identities: {Alive} alive, {Marked} unused from now on, {Deleted} deleted", pass.Alive, pass.Mark.Count, deleted);
    }

    // A burst of the whole allowance, and then a pause: what is deleted is watched by every agent.
    private async Task PaceAsync(int deleted, CancellationToken cancellation)
    {
        if (deleted > 0 && deleted % options.IdentityRateLimit == 0)
            await Task.Delay(options.IdentityRateInterval, time, cancellation);
    }

    private async Task AnnotateAsync(CiliumIdentity identity, DateTimeOffset? mark, CancellationToken cancellation)
    {
        string value = mark is { } at ? $"\"{at.UtcDateTime:yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'}\"" : "null";
        // With the version that was judged: one that somebody has touched since is judged again at the next pass.
        string patch = $$$"""{"metadata":{"resourceVersion":"{{{identity.Metadata.ResourceVersion}}}","annotations":{"{{{IdentityGarbage.Annotation}}}":{{{value}}}} }}""";
        try
        {
            await _identities.PatchAsync(identity.ResourceName, PatchKind.Merge, patch, null, cancellation);
        }
        catch (KubernetesException e) when (e.IsConflict || e.IsNotFound)
        {
            log.LogDebug("Identity {Name} changed meanwhile", identity.Metadata.Name);
        }
    }

    private async Task<bool> DeleteAsync(CiliumIdentity identity, CancellationToken cancellation)
    {
        try
        {
            var unchanged = new DeleteOptions(Uid: identity.Metadata.Uid, ResourceVersion: identity.Metadata.ResourceVersion);
            return await _identities.DeleteAsync(identity.ResourceName, unchanged, cancellation);
        }
        catch (KubernetesException e) when (e.Code == HttpStatusCode.Conflict)
        {
            return false;
        }
    }
}
