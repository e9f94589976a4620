// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.LoadBalancing;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Metrics;

/// <summary>Stands before the writer of the service maps and tells the metrics what is in the kernel now.</summary>
internal sealed class TimedServiceTarget(
    IReconcileTarget<ServiceMapKey, ServiceMapEntry> writer, Table<L4Address, Frontend> frontends, ServiceMetrics metrics)
    : IReconcileTarget<ServiceMapKey, ServiceMapEntry>
{
    public async ValueTask ApplyAsync(
        IReadOnlyList<ServiceMapEntry> values, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
    {
        await writer.ApplyAsync(values, failures, cancellationToken);
        metrics.NoteWritten(values.Select(service => service.Key).Where(key => failures.Find(key) is null), frontends.Snapshot());
    }

    public async ValueTask DeleteAsync(
        IReadOnlyList<ServiceMapKey> keys, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
    {
        await writer.DeleteAsync(keys, failures, cancellationToken);
        metrics.NoteDeleted();
    }

    public ValueTask<IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry>> ReadActualAsync(CancellationToken cancellationToken)
        => writer.ReadActualAsync(cancellationToken);

    public bool IsSame(ServiceMapEntry desired, ServiceMapEntry actual) => writer.IsSame(desired, actual);
}
