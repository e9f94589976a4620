// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Operator.Slices;

/// <summary>Keeps the CiliumEndpointSlice objects as <see cref="SlicePacking"/> wants them, no faster than the limits allow.</summary>
internal sealed class SlicePublisher(
    KubernetesClient client, ClusterObjects cluster, OperatorOptions options, OperatorMetrics metrics, TimeProvider time, ILogger<SlicePublisher> log)
{
    private const string PriorityAnnotation = "cilium.io/ces-namespace";

    // Pods of a rollout come in crowds; a crowd becomes one write of a slice.
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(200);

    private readonly ResourceClient<CiliumEndpointSlice> _slices = client.Of(Kinds.CiliumEndpointSlices);
    private readonly SlicePacking _packing = new(options.SliceCapacity, NewName);

    public async Task RunAsync(CancellationToken cancellation)
    {
        await cluster.WhenCompleteAsync(cancellation);
        using ChangeStream<ResourceName, CiliumEndpoint> stream = cluster.Endpoints.Watch();
        foreach (CiliumEndpointSlice existing in cluster.Slices.Snapshot().Values.OrderBy(s => s.Metadata.Name, StringComparer.Ordinal))
            _packing.Adopt(existing);
        TableSnapshot<ResourceName, CiliumEndpoint> present = cluster.Endpoints.Snapshot();
        foreach (ResourceName gone in _packing.Endpoints.Where(name => !present.Contains(name)).ToArray())
            _packing.Remove(gone);
        while (true)
        {
            ChangeBatch<ResourceName, CiliumEndpoint> batch = await stream.NextAsync(cancellation);
            await Task.Delay(Gathering, time, cancellation);
            do
                Take(batch);
            while (stream.TryNext(out batch!));
            await WriteAsync(stream, cancellation);
        }
    }

    private void Take(ChangeBatch<ResourceName, CiliumEndpoint> batch)
    {
        foreach (Change<ResourceName, CiliumEndpoint> change in batch.Changes)
        {
            if (change.Value is { Status.Identity: not null } endpoint)
                _packing.Upsert(endpoint);
            else
                _packing.Remove(change.Key);
        }
    }

    // A burst, and then as many as the limit allows each second; endpoints that change meanwhile go along.
    private async Task WriteAsync(ChangeStream<ResourceName, CiliumEndpoint> stream, CancellationToken cancellation)
    {
        SliceLimit limit = options.SliceLimits.For(cluster.CountNodes());
        int allowed = limit.Burst;
        while (_packing.HasChanges)
        {
            foreach (SliceChange change in _packing.TakeChanges(allowed, IsFirst))
                await WriteAsync(change, cancellation);
            if (!_packing.HasChanges)
                return;
            allowed = (int)Math.Max(1, Math.Ceiling(limit.Limit));
            await Task.Delay(TimeSpan.FromSeconds(allowed / limit.Limit), time, cancellation);
            while (stream.TryNext(out ChangeBatch<ResourceName, CiliumEndpoint>? batch))
                Take(batch);
        }
    }

    private bool IsFirst(string space) => cluster.Namespaces.Snapshot().Find(new ResourceName(space))?.Metadata.Annotation(PriorityAnnotation) == "priority";

    private async Task WriteAsync(SliceChange change, CancellationToken cancellation)
    {
        var name = new ResourceName(change.Name);
        try
        {
            if (change.Content is not { } content)
                await _slices.DeleteAsync(name, null, cancellation);
            else if (await _slices.FindAsync(name, cancellation) is { } present)
                await _slices.UpdateAsync(content with { Metadata = present.Metadata }, null, cancellation);
            else
                await _slices.CreateAsync(content, null, cancellation);
            metrics.NoteSlice("success", change.Content?.Endpoints?.Count);
        }
        catch (Exception e) when (e is KubernetesException or HttpRequestException or IOException or TimeoutException)
        {
            metrics.NoteSlice("fail", null);
            log.LogWarning("CiliumEndpointSlice {Name} could not be written and is tried again: {Reason}", change.Name, e.Message);
            _packing.PutBack(change);
        }
    }

    // As upstream: nothing that reads like a word.
    private static string NewName()
    {
        const string alphabet = "bcdfghjklmnpqrstvwxz2456789";
        return $"ces-{Random.Shared.GetString(alphabet, 9)}-{Random.Shared.GetString(alphabet, 5)}";
    }
}
