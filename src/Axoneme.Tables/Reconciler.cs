// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Tables;

/// <summary>
/// Keeps a target like a table: takes over what the target holds already, writes what differs, removes what the table (once complete)
/// lacks, applies changes as they come, retries failures with exponential back-off, and compares everything again now and then, because others
/// may touch the target. Run it once with <see cref="RunAsync"/>; everything else is safe from any thread.
/// </summary>
public sealed class Reconciler<TKey, TValue>
    where TKey : notnull
    where TValue : notnull
{
    private readonly Table<TKey, TValue> _table;
    private readonly IReconcileTarget<TKey, TValue> _target;
    private readonly ReconcilerOptions _options;
    private readonly TimeProvider _time;
    private readonly WakeSignal _wake = new();
    private readonly RetryQueue<TKey> _work;
    private readonly ReconcileWaiters<TKey> _waiters;

    // Queued, and not yet in the status table.
    private readonly HashSet<TKey> _fresh = [];
    private DateTimeOffset _nextCheck;
    private int _checkFailures;
    private bool _checkedComplete;
    private long _seenRevision;
    private int _checkRequested;
    private long _repaired;

    public Reconciler(
        Table<TKey, TValue> table, IReconcileTarget<TKey, TValue> target, ReconcilerOptions? options = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(target);
        _table = table;
        _target = target;
        _options = options ?? new ReconcilerOptions();
        _time = time ?? TimeProvider.System;
        _work = new RetryQueue<TKey>(_time, _options.RetryMinimum, _options.RetryMaximum);
        Status = new Table<TKey, ReconcileStatus<TKey>>(table.Name + "-status", s => s.Key, columns: StatusColumns);
        _waiters = new ReconcileWaiters<TKey>(_wake);
    }

    /// <summary>How far each object has got. An object that was removed from the target has no row.</summary>
    public Table<TKey, ReconcileStatus<TKey>> Status { get; }

    /// <summary>Objects found missing, different or stale by drift checks since the start.</summary>
    public long Repaired => Interlocked.Read(ref _repaired);

    /// <summary>
    /// Waits until the target has the object in <paramref name="revision"/> or later (or no longer has it, where it was removed), or until
    /// an attempt at that fails; the status tells which. Null stands for an object that is gone. Cancelled when the reconciler ends.
    /// </summary>
    public Task<ReconcileStatus<TKey>?> WaitAsync(TKey key, long revision, CancellationToken cancellationToken = default)
        => _waiters.WaitAsync(key, revision, cancellationToken);

    /// <summary>Asks for a comparison with the target's actual state now.</summary>
    public void RequestCheck()
    {
        Interlocked.Exchange(ref _checkRequested, 1);
        _wake.Set();
    }

    /// <summary>Works until cancelled, which is the only way it ends.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using ChangeStream<TKey, TValue> stream = _table.Watch(_wake);
        await using ITimer timer = _time.CreateTimer(_ => _wake.Set(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        try
        {
            // The first batch is everything present; the comparison with the target looks at that anyway, and queues only what differs.
            stream.TryNext(out ChangeBatch<TKey, TValue>? first);
            await CheckAsync(ReconcileCheckReason.Start, cancellationToken);
            _seenRevision = first!.Snapshot.Revision;
            while (true)
            {
                await StepAsync(stream, cancellationToken);
                if (UntilNext() is { } delay)
                {
                    if (delay == TimeSpan.Zero)
                        continue;
                    timer.Change(TimeSpan.FromMilliseconds(Math.Ceiling(delay.TotalMilliseconds)), Timeout.InfiniteTimeSpan);
                }

                await _wake.WaitAsync(cancellationToken);
            }
        }
        finally
        {
            _waiters.Cancel();
        }
    }

    private async ValueTask StepAsync(ChangeStream<TKey, TValue> stream, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        long present = _table.Revision;
        if (stream.TryNext(out ChangeBatch<TKey, TValue>? batch))
        {
            foreach (Change<TKey, TValue> change in batch.Changes)
                Queue(change.Key);
        }

        _seenRevision = Math.Max(present, _seenRevision);
        await RoundAsync(cancellationToken);
        if (!_checkedComplete && _table.IsInitialized)
            await CheckAsync(ReconcileCheckReason.Initialized, cancellationToken);
        else if (IsCheckDue())
            await CheckAsync(ReconcileCheckReason.Drift, cancellationToken);
        _waiters.Resolve(_seenRevision, _work.IsUntried, key => Status.Snapshot().Find(key));
    }

    private static readonly Column<ReconcileStatus<TKey>>[] StatusColumns =
    [
        new("Key", s => s.Key.ToString() ?? ""),
        new("Phase", s => s.Phase.ToString()),
        new("Operation", s => s.IsDelete ? "delete" : "apply"),
        new("Revision", s => s.Revision.ToString()),
        new("Attempts", s => s.Attempts.ToString()),
        new("Since", s => s.Time.ToString("O")),
        new("Message", s => s.Message),
    ];

    private void Queue(TKey key)
    {
        _work.AddNow(key);
        _fresh.Add(key);
    }

    private TimeSpan? UntilNext()
    {
        TimeSpan? untilWork = _work.UntilNext();
        if (_options.DriftInterval == TimeSpan.Zero && _checkFailures == 0)
            return untilWork;
        TimeSpan untilCheck = _nextCheck - _time.GetUtcNow();
        untilCheck = untilCheck > TimeSpan.Zero ? untilCheck : TimeSpan.Zero;
        return untilWork < untilCheck ? untilWork : untilCheck;
    }

    private bool IsCheckDue()
    {
        if (Interlocked.Exchange(ref _checkRequested, 0) == 1)
            return true;
        return (_options.DriftInterval > TimeSpan.Zero || _checkFailures > 0) && _time.GetUtcNow() >= _nextCheck;
    }

    /// <summary>One batch of deletions and one of writes. What to do with a key is looked up here, not when it was queued.</summary>
    private async ValueTask RoundAsync(CancellationToken cancellationToken)
    {
        List<TKey> keys = _work.Take(_options.RoundSize);
        if (keys.Count == 0)
            return;
        TableSnapshot<TKey, TValue> snapshot = _table.Snapshot();
        List<TKey> deletes = [];
        List<TKey> applies = [];
        List<TValue> values = [];
        foreach (TKey key in keys)
        {
            if (snapshot.TryGet(key, out TValue? value))
            {
                applies.Add(key);
                values.Add(value);
            }
            else
            {
                deletes.Add(key);
            }
        }

        ReconcileFailures<TKey> failures = new();
        if (deletes.Count > 0)
            await CallAsync(deletes, failures, () => _target.DeleteAsync(deletes, failures, cancellationToken), cancellationToken);
        if (values.Count > 0)
            await CallAsync(applies, failures, () => _target.ApplyAsync(values, failures, cancellationToken), cancellationToken);
        Record(keys, snapshot, failures);
        if (failures.MadeRoom || deletes.Exists(key => failures.Find(key) is null))
            _work.Hasten(_options.RoomDelay, _options.RoundSize);
    }

    private async ValueTask CallAsync(
        List<TKey> keys, ReconcileFailures<TKey> failures, Func<ValueTask> call, CancellationToken cancellationToken)
    {
        try
        {
            await call();
        }
        catch (Exception e) when (!(e is OperationCanceledException && cancellationToken.IsCancellationRequested))
        {
            _options.OnError?.Invoke(e);
            foreach (TKey key in keys)
            {
                if (failures.Find(key) is null)
                    failures.Add(key, e.Message);
            }
        }
    }

    private void Record(List<TKey> keys, TableSnapshot<TKey, TValue> snapshot, ReconcileFailures<TKey> failures)
    {
        DateTimeOffset now = _time.GetUtcNow();
        Status.Write(writer =>
        {
            foreach (TKey key in keys)
            {
                _fresh.Remove(key);
                bool isDelete = !snapshot.Contains(key);
                long revision = isDelete ? snapshot.Revision : snapshot.RevisionOf(key);
                if (failures.Find(key) is { } message)
                {
                    writer.Upsert(new ReconcileStatus<TKey>(
                        key, ReconcilePhase.Error, isDelete, revision, _work.Failed(key), message, now));
                    continue;
                }

                _work.Succeeded(key);
                if (isDelete)
                    writer.Remove(key);
                else
                    writer.Upsert(new ReconcileStatus<TKey>(key, ReconcilePhase.Done, false, revision, 0, "", now));
            }

            // Only what this round did not get to is shown as waiting; the rest goes straight to its outcome.
            foreach (TKey key in _fresh)
            {
                bool isDelete = !snapshot.TryGet(key, out _);
                long revision = isDelete ? snapshot.Revision : snapshot.RevisionOf(key);
                writer.Upsert(new ReconcileStatus<TKey>(key, ReconcilePhase.Pending, isDelete, revision, 0, "", now));
            }

            _fresh.Clear();
        });
    }

    /// <summary>Compares the whole table with the target and queues what differs.</summary>
    private async ValueTask CheckAsync(ReconcileCheckReason reason, CancellationToken cancellationToken)
    {
        // In this order: a table that is complete now is complete in a snapshot taken later, and what this snapshot lacks is not yet in the
        // target either, because only this task writes there.
        bool prune = _table.IsInitialized;
        TableSnapshot<TKey, TValue> snapshot = _table.Snapshot();
        _checkedComplete |= prune;
        IReadOnlyDictionary<TKey, TValue> actual;
        try
        {
            actual = await _target.ReadActualAsync(cancellationToken);
        }
        catch (Exception e) when (!(e is OperationCanceledException && cancellationToken.IsCancellationRequested))
        {
            _options.OnError?.Invoke(e);
            if (reason == ReconcileCheckReason.Start)
            {
                // Nothing can be adopted, but what is wanted can be written.
                foreach (TKey key in snapshot.Keys)
                    Queue(key);
            }

            _nextCheck = _time.GetUtcNow() + _work.Delay(++_checkFailures);
            return;
        }

        _checkFailures = 0;
        _nextCheck = _time.GetUtcNow() + _options.DriftInterval;
        ReconcileReport report = Compare(reason, snapshot, actual, prune);
        if (reason == ReconcileCheckReason.Drift)
            Interlocked.Add(ref _repaired, report.Repaired);
        _options.OnReport?.Invoke(report);
    }

    private ReconcileReport Compare(
        ReconcileCheckReason reason, TableSnapshot<TKey, TValue> snapshot, IReadOnlyDictionary<TKey, TValue> actual, bool prune)
    {
        const int SampleSize = 10;
        TableSnapshot<TKey, ReconcileStatus<TKey>> settled = Status.Snapshot();
        List<TKey> adopted = [];
        List<string> sample = [];
        int missing = 0, different = 0, stale = 0;
        foreach ((TKey key, Row<TValue> row) in snapshot.RowsByKey)
        {
            // What waits for its turn, here or in the change stream, is no repair.
            if (_work.Contains(key) || (reason != ReconcileCheckReason.Start && settled.Find(key)?.Revision != row.Revision))
                continue;
            bool exists = actual.TryGetValue(key, out TValue? found);
            if (exists && _target.IsSame(row.Value, found!))
                adopted.Add(key);
            else
                Repair(key, ref exists ? ref different : ref missing);
        }

        foreach (TKey key in prune ? actual.Keys : [])
        {
            if (!snapshot.Contains(key) && !_work.Contains(key) && !settled.Contains(key))
                Repair(key, ref stale);
        }

        RecordAdopted(adopted, snapshot);
        return new ReconcileReport(reason, adopted.Count, missing, different, stale, sample);

        void Repair(TKey key, ref int count)
        {
            count++;
            Queue(key);
            if (sample.Count < SampleSize)
                sample.Add(key.ToString() ?? "");
        }
    }

    private void RecordAdopted(List<TKey> adopted, TableSnapshot<TKey, TValue> snapshot)
    {
        DateTimeOffset now = _time.GetUtcNow();
        Status.Write(writer =>
        {
            foreach (TKey key in adopted)
            {
                long revision = snapshot.RevisionOf(key);
                if (!writer.TryGet(key, out ReconcileStatus<TKey>? status) || status.Phase != ReconcilePhase.Done || status.Revision != revision)
                    writer.Upsert(new ReconcileStatus<TKey>(key, ReconcilePhase.Done, false, revision, 0, "", now));
            }
        });
    }
}
