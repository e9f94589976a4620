// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.Tables;

/// <summary>
/// A named set of immutable values with unique keys. Writes are transactions: all of one becomes visible at once, under one new
/// revision, or nothing does. Readers take snapshots, which never change and never block a writer, or follow the changes.
/// Safe for any number of threads; writers take turns.
/// </summary>
public sealed class Table<TKey, TValue> : ITable
    where TKey : notnull
    where TValue : notnull
{
    private readonly Lock _gate = new();
    private readonly long _lockOrder = TableLockOrder.Next();
    private readonly Func<TValue, TKey> _keyOf;
    private readonly IEqualityComparer<TValue> _comparer;
    private readonly HashSet<string> _pendingInitializers = new(StringComparer.Ordinal);
    private readonly TaskCompletionSource _initialized = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Column<TValue>[] _columns;
    private ImmutableArray<ChangeStream<TKey, TValue>> _streams = [];
    private volatile TableSnapshot<TKey, TValue> _snapshot;
    private bool _hadInitializer;
    private bool _writing;

    /// <param name="name">Unique among the tables of a process, as shown to people.</param>
    /// <param name="keyOf">The key of a value; must not depend on anything but the value.</param>
    /// <param name="indexes">Further ways to look values up, kept up to date by every write.</param>
    /// <param name="columns">What people see of a row; without any, the key and the value's own text.</param>
    /// <param name="comparer">Writing a value that equals the present one is no change. Default: the value's own equality.</param>
    public Table(
        string name,
        Func<TValue, TKey> keyOf,
        IEnumerable<TableIndex<TKey, TValue>>? indexes = null,
        IEnumerable<Column<TValue>>? columns = null,
        IEqualityComparer<TValue>? comparer = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        Name = name;
        _keyOf = keyOf;
        _comparer = comparer ?? EqualityComparer<TValue>.Default;
        _columns = columns?.ToArray() ?? [new("Key", v => keyOf(v).ToString() ?? ""), new("Value", v => v.ToString() ?? "")];
        _snapshot = TableSnapshot<TKey, TValue>.Empty([.. indexes ?? []]);
    }

    public string Name { get; }

    /// <summary>Number of the last transaction that changed something; 0 for a table never written.</summary>
    public long Revision => _snapshot.Revision;

    public int Count => _snapshot.Count;

    public IReadOnlyList<string> Columns => [.. _columns.Select(c => c.Name)];

    /// <summary>The table as it is now; stays as it is whatever is written later. Costs nothing.</summary>
    public TableSnapshot<TKey, TValue> Snapshot() => _snapshot;

    public IEnumerable<IReadOnlyList<string>> Rows()
        => _snapshot.Values.Select(value => (IReadOnlyList<string>)[.. _columns.Select(column => column.Text(value))]);

    /// <summary>
    /// Runs <paramref name="transaction"/> alone and commits what it wrote; if it throws, nothing was written. Keep it short, and do not
    /// write this table from within it.
    /// </summary>
    /// <returns>The revision after the transaction, unchanged if it changed nothing.</returns>
    public long Write(Action<TableWriter<TKey, TValue>> transaction)
    {
        ArgumentNullException.ThrowIfNull(transaction);
        lock (_gate)
        {
            Transact(transaction);
            return _snapshot.Revision;
        }
    }

    /// <summary>Writes one value in a transaction of its own.</summary>
    public long Upsert(TValue value) => Write(writer => writer.Upsert(value));

    /// <summary>Removes one value in a transaction of its own; nothing happens if it is not there.</summary>
    public long Remove(TKey key) => Write(writer => writer.Remove(key));

    /// <summary>
    /// Writes two tables: both transactions commit, or neither does. A reader of both may still see the first one's commit a moment
    /// before the second's.
    /// </summary>
    public void WriteWith<TKey2, TValue2>(
        Table<TKey2, TValue2> other, Action<TableWriter<TKey, TValue>, TableWriter<TKey2, TValue2>> transaction)
        where TKey2 : notnull
        where TValue2 : notnull
    {
        ArgumentNullException.ThrowIfNull(other);
        ArgumentNullException.ThrowIfNull(transaction);
        if (ReferenceEquals(this, other))
            throw new ArgumentException("The two tables are the same.", nameof(other));

        // Always in the same order, so that two such writers cannot wait for each other.
        bool first = _lockOrder < other._lockOrder;
        lock (first ? _gate : other._gate)
        {
            lock (first ? other._gate : _gate)
            {
                TableWriter<TKey, TValue> writer = OpenWriter();
                try
                {
                    other.Transact(otherWriter =>
                    {
                        transaction(writer, otherWriter);
                        writer.Prepare();
                    });
                }
                finally
                {
                    CloseWriter(writer);
                }

                Publish(writer);
            }
        }
    }

    // The caller holds the lock. Whatever can throw comes before anything is published.
    private void Transact(Action<TableWriter<TKey, TValue>> transaction)
    {
        TableWriter<TKey, TValue> writer = OpenWriter();
        try
        {
            transaction(writer);
            writer.Prepare();
        }
        finally
        {
            CloseWriter(writer);
        }

        Publish(writer);
    }

    /// <summary>
    /// Follows the table: first everything present, then what changes. A reader that lags gets the latest state of each object once.
    /// Dispose the stream to stop following.
    /// </summary>
    public ChangeStream<TKey, TValue> Watch() => Watch(new WakeSignal());

    internal ChangeStream<TKey, TValue> Watch(WakeSignal wake)
    {
        var stream = new ChangeStream<TKey, TValue>(this, _gate, wake);
        lock (_gate)
            _streams = _streams.Add(stream);
        wake.Set();
        return stream;
    }

    internal void Unwatch(ChangeStream<TKey, TValue> stream)
    {
        lock (_gate)
            _streams = _streams.Remove(stream);
    }

    /// <summary>True when every registered initialiser has delivered its first complete state; also when there is none.</summary>
    public bool IsInitialized
    {
        get
        {
            lock (_gate)
                return _pendingInitializers.Count == 0;
        }
    }

    /// <summary>Sources whose first complete state is still awaited.</summary>
    public IReadOnlyList<string> PendingInitializers
    {
        get
        {
            lock (_gate)
                return [.. _pendingInitializers.Order(StringComparer.Ordinal)];
        }
    }

    /// <summary>Announces a source that will call <see cref="MarkInitialized"/>; until then nobody removes what this table lacks.</summary>
    public void RegisterInitializer(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        lock (_gate)
        {
            if (_hadInitializer && _pendingInitializers.Count == 0)
                throw new InvalidOperationException($"Table {Name} is initialised already; source {name} comes too late.");
            if (!_pendingInitializers.Add(name))
                throw new InvalidOperationException($"Table {Name} has an initialiser {name} already.");
            _hadInitializer = true;
        }
    }

    /// <summary>The source has delivered its first complete state. Calling it again does nothing.</summary>
    public void MarkInitialized(string name)
    {
        ImmutableArray<ChangeStream<TKey, TValue>> streams;
        lock (_gate)
        {
            if (!_pendingInitializers.Remove(name) || _pendingInitializers.Count > 0)
                return;
            streams = _streams;
            _initialized.TrySetResult();
        }

        foreach (ChangeStream<TKey, TValue> stream in streams)
            stream.Announce();
    }

    public Task WhenInitializedAsync(CancellationToken cancellationToken = default)
        => IsInitialized ? Task.CompletedTask : _initialized.Task.WaitAsync(cancellationToken);

    internal bool IsInitializedInside => _pendingInitializers.Count == 0;

    internal TKey KeyOf(TValue value) => _keyOf(value);

    private TableWriter<TKey, TValue> OpenWriter()
    {
        if (_writing)
            throw new InvalidOperationException($"Table {Name} is written from within its own transaction.");
        _writing = true;
        return new TableWriter<TKey, TValue>(this, _snapshot, _comparer);
    }

    private void CloseWriter(TableWriter<TKey, TValue> writer)
    {
        writer.Close();
        _writing = false;
    }

    private void Publish(TableWriter<TKey, TValue> writer)
    {
        if (writer.After is not { } next)
            return;
        _snapshot = next;
        foreach (ChangeStream<TKey, TValue> stream in _streams)
            stream.Add(writer.Changes, next.Revision);
    }
}

/// <summary>Numbers the tables of a process, whatever their types, for the order in which two of them are locked.</summary>
internal static class TableLockOrder
{
    private static long _last;

    public static long Next() => Interlocked.Increment(ref _last);
}
