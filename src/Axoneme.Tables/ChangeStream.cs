// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Axoneme.Tables;

/// <summary>The latest state of one object of a table: a value, or gone.</summary>
/// <param name="Value">The value; default when <paramref name="IsDelete"/>.</param>
/// <param name="Revision">Of the transaction that made it so.</param>
public readonly record struct Change<TKey, TValue>(TKey Key, bool IsDelete, TValue? Value, long Revision);

/// <summary>What a reader has not seen yet, in the order of revisions, one entry an object.</summary>
/// <param name="Changes">May be empty once, when the table has just become initialised.</param>
/// <param name="Snapshot">The table with all these changes; other rows of it can be trusted to be as old or newer, never older.</param>
/// <param name="IsInitialized">Whether the table is complete.</param>
public sealed record ChangeBatch<TKey, TValue>(
    IReadOnlyList<Change<TKey, TValue>> Changes, TableSnapshot<TKey, TValue> Snapshot, bool IsInitialized)
    where TKey : notnull
    where TValue : notnull;

/// <summary>
/// One reader's view of a table's changes. Memory is bounded by the objects of the table: for each at most one undelivered state is kept,
/// and an object that came and went between two reads is never seen. For one reader at a time.
/// </summary>
public sealed class ChangeStream<TKey, TValue> : IDisposable
    where TKey : notnull
    where TValue : notnull
{
    private readonly Table<TKey, TValue> _table;
    private readonly Lock _tableGate;
    private readonly WakeSignal _wake;
    private Dictionary<TKey, Undelivered> _pending = [];
    private bool _started;
    private bool _announced;

    internal ChangeStream(Table<TKey, TValue> table, Lock tableGate, WakeSignal wake)
    {
        _table = table;
        _tableGate = tableGate;
        _wake = wake;
    }

    /// <summary>Waits until there is something new. The first call returns at once with everything present (perhaps nothing).</summary>
    public async ValueTask<ChangeBatch<TKey, TValue>> NextAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (TryNext(out ChangeBatch<TKey, TValue>? batch))
                return batch;
            await _wake.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Takes what is new, if anything is.</summary>
    public bool TryNext([NotNullWhen(true)] out ChangeBatch<TKey, TValue>? batch)
    {
        Dictionary<TKey, Undelivered> taken;
        TableSnapshot<TKey, TValue> snapshot;
        bool initialized;
        bool first;
        lock (_tableGate)
        {
            first = !_started;
            if (!first && !_announced && _pending.Count == 0)
            {
                batch = null;
                return false;
            }

            _started = true;
            _announced = false;
            snapshot = _table.Snapshot();
            initialized = _table.IsInitializedInside;
            taken = _pending;
            if (taken.Count > 0)
                _pending = [];
        }

        batch = new ChangeBatch<TKey, TValue>(first ? Everything(snapshot) : InOrder(taken), snapshot, initialized);
        return true;
    }

    /// <summary>Batches for ever, until cancelled.</summary>
    public async IAsyncEnumerable<ChangeBatch<TKey, TValue>> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (true)
            yield return await NextAsync(cancellationToken);
    }

    public void Dispose() => _table.Unwatch(this);

    /// <summary>Called by a committing writer, inside the table's lock.</summary>
    internal void Add(IReadOnlyList<RowChange<TKey, TValue>> changes, long revision)
    {
        // Until the first read nothing is kept: that read takes the whole table.
        if (!_started)
            return;
        foreach (RowChange<TKey, TValue> change in changes)
        {
            ref Undelivered pending = ref CollectionsMarshal.GetValueRefOrAddDefault(_pending, change.Key, out bool exists);
            bool seen = exists ? pending.Seen : change.Was;
            if (!change.IsNow && !seen)
                _pending.Remove(change.Key);
            else
                pending = new Undelivered(change.IsNow, change.After, revision, seen);
        }

        if (_pending.Count > 0)
            _wake.Set();
    }

    /// <summary>The table became initialised: the reader gets a batch even if it is empty.</summary>
    internal void Announce()
    {
        lock (_tableGate)
            _announced = true;
        _wake.Set();
    }

    private static Change<TKey, TValue>[] Everything(TableSnapshot<TKey, TValue> snapshot)
    {
        var changes = new Change<TKey, TValue>[snapshot.Count];
        int i = 0;
        foreach ((TKey key, Row<TValue> row) in snapshot.RowsByKey)
            changes[i++] = new Change<TKey, TValue>(key, false, row.Value, row.Revision);
        Array.Sort(changes, static (a, b) => a.Revision.CompareTo(b.Revision));
        return changes;
    }

    private static Change<TKey, TValue>[] InOrder(Dictionary<TKey, Undelivered> taken)
    {
        var changes = new Change<TKey, TValue>[taken.Count];
        int i = 0;
        foreach ((TKey key, Undelivered state) in taken)
            changes[i++] = new Change<TKey, TValue>(key, !state.IsPresent, state.Value, state.Revision);
        Array.Sort(changes, static (a, b) => a.Revision.CompareTo(b.Revision));
        return changes;
    }

    /// <param name="Seen">The reader was given an earlier state of the object, so it must learn of a deletion.</param>
    private readonly record struct Undelivered(bool IsPresent, TValue? Value, long Revision, bool Seen);
}
