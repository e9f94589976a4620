// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Axoneme.Hosting;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent;

/// <summary>One reconciler as people see it.</summary>
/// <param name="Repaired">Objects put right since the start that somebody else had changed.</param>
/// <param name="Failing">Objects that could not be written, with the reason.</param>
internal sealed record ReconcilerView(string Name, Func<long> Repaired, Func<IReadOnlyList<(string Key, string Message)>> Failing);

/// <summary>Runs the reconcilers between tables and the kernel (or the API), and shows how they do.</summary>
internal sealed class Reconciliation(TableCatalog catalog, Modules modules, ILogger<Reconciliation> log)
{
    private readonly ConcurrentQueue<ReconcilerView> _views = new();

    public IEnumerable<ReconcilerView> Views => _views;

    public Reconciler<TKey, TValue> Start<TKey, TValue>(
        Table<TKey, TValue> table, IReconcileTarget<TKey, TValue> target, CancellationToken cancellation)
        where TKey : notnull
        where TValue : notnull
    {
        var reconciler = new Reconciler<TKey, TValue>(table, target, new ReconcilerOptions
        {
            OnReport = report => Note(table.Name, report),
            OnError = e => log.LogError("Reconciling {Table}: {Reason}", table.Name, e.Message),
        });
        catalog.Add(reconciler.Status);
        _views.Enqueue(new ReconcilerView(table.Name, () => reconciler.Repaired, () => Failing(reconciler)));
        modules.Start($"reconcile-{table.Name}", reconciler.RunAsync, cancellation);
        return reconciler;
    }

    private static List<(string Key, string Message)> Failing<TKey, TValue>(Reconciler<TKey, TValue> reconciler)
        where TKey : notnull
        where TValue : notnull
        => [.. reconciler.Status.Snapshot().Values.Where(s => s.Phase == ReconcilePhase.Error).Select(s => (s.Key.ToString() ?? "", s.Message))];

    private void Note(string table, ReconcileReport report)
    {
        if (report.Repaired == 0)
            return;
        log.LogInformation(
            "{Table}, {Reason}: {Adopted} as they should be, {Missing} missing, {Different} different, {Stale} stale: {Sample}",
            table, report.Reason, report.Adopted, report.Missing, report.Different, report.Stale, string.Join(", ", report.Sample));
    }
}
