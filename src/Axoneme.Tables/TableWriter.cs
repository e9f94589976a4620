// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Axoneme.Tables;

/// <summary>One transaction on one table: sees its own writes, and others see them when it has committed. Not to be kept.</summary>
public sealed class TableWriter<TKey, TValue>
    where TKey : notnull
    where TValue : notnull
{
    private readonly Table<TKey, TValue> _table;
    private readonly TableSnapshot<TKey, TValue> _before;
    private readonly IEqualityComparer<TValue> _comparer;
    private readonly HashSet<TKey> _touched = [];
    private ImmutableDictionary<TKey, Row<TValue>>.Builder? _rows;
    private bool _closed;

    internal TableWriter(Table<TKey, TValue> table, TableSnapshot<TKey, TValue> before, IEqualityComparer<TValue> comparer)
    {
        _table = table;
        _before = before;
        _comparer = comparer;
    }

    /// <summary>The table before the transaction.</summary>
    public TableSnapshot<TKey, TValue> Before => _before;

    public int Count => _rows?.Count ?? _before.Count;

    public bool TryGet(TKey key, [MaybeNullWhen(false)] out TValue value)
    {
        if (_rows is null)
            return _before.TryGet(key, out value);
        bool found = _rows.TryGetValue(key, out Row<TValue> row);
        value = row.Value;
        return found;
    }

    /// <summary>Inserts or replaces. Returns false when the table holds an equal value already.</summary>
    public bool Upsert(TValue value)
    {
        TKey key = _table.KeyOf(value);
        if (TryGet(key, out TValue? present) && _comparer.Equals(present, value))
            return false;
        Open()[key] = new Row<TValue>(value, _before.Revision + 1);
        _touched.Add(key);
        return true;
    }

    /// <summary>Returns false when there is no such value.</summary>
    public bool Remove(TKey key)
    {
        if (!TryGet(key, out _))
            return false;
        Open().Remove(key);
        _touched.Add(key);
        return true;
    }

    /// <summary>Makes the table hold exactly these values. Equal ones keep their revision; of two with one key the last wins.</summary>
    public void ReplaceAll(IEnumerable<TValue> values) => ReplaceWhere(static _ => true, values);

    /// <summary>
    /// Makes the rows that <paramref name="owned"/> selects exactly these values; for a table that several sources share.
    /// </summary>
    public void ReplaceWhere(Predicate<TValue> owned, IEnumerable<TValue> values)
    {
        ArgumentNullException.ThrowIfNull(owned);
        ArgumentNullException.ThrowIfNull(values);
        var kept = new HashSet<TKey>();
        foreach (TValue value in values)
        {
            kept.Add(_table.KeyOf(value));
            Upsert(value);
        }

        List<TKey> gone = [];
        foreach ((TKey key, Row<TValue> row) in _rows?.ToImmutable() ?? _before.RowsByKey)
        {
            if (!kept.Contains(key) && owned(row.Value))
                gone.Add(key);
        }

        foreach (TKey key in gone)
            Remove(key);
    }

    /// <summary>What the transaction changed; complete after <see cref="Prepare"/>.</summary>
    internal IReadOnlyList<RowChange<TKey, TValue>> Changes { get; private set; } = [];

    /// <summary>The table after the transaction; null when it changed nothing.</summary>
    internal TableSnapshot<TKey, TValue>? After { get; private set; }

    /// <summary>Works out the next snapshot without showing it to anybody.</summary>
    internal void Prepare()
    {
        if (_rows is null)
            return;
        List<RowChange<TKey, TValue>> changes = CollectChanges(_rows);
        if (changes.Count == 0)
            return;
        ImmutableArray<object> states = UpdateIndexes(changes);
        Changes = changes;
        After = new TableSnapshot<TKey, TValue>(_before.Revision + 1, _rows.ToImmutable(), _before.Indexes, states);
    }

    internal void Close() => _closed = true;

    private ImmutableDictionary<TKey, Row<TValue>>.Builder Open()
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        return _rows ??= _before.RowsByKey.ToBuilder();
    }

    // What a transaction changed and changed back is no change, and the row keeps its old revision.
    private List<RowChange<TKey, TValue>> CollectChanges(ImmutableDictionary<TKey, Row<TValue>>.Builder rows)
    {
        var changes = new List<RowChange<TKey, TValue>>(_touched.Count);
        foreach (TKey key in _touched)
        {
            bool was = _before.RowsByKey.TryGetValue(key, out Row<TValue> before);
            bool isNow = rows.TryGetValue(key, out Row<TValue> after);
            if (was && isNow && _comparer.Equals(before.Value, after.Value))
                rows[key] = before;
            else if (was || isNow)
                changes.Add(new RowChange<TKey, TValue>(key, was, before.Value, isNow, after.Value));
        }

        return changes;
    }

    private ImmutableArray<object> UpdateIndexes(List<RowChange<TKey, TValue>> changes)
    {
        if (_before.Indexes.IsEmpty)
            return [];
        ImmutableArray<object>.Builder states = ImmutableArray.CreateBuilder<object>(_before.Indexes.Length);
        for (int i = 0; i < _before.Indexes.Length; i++)
        {
            IIndexEditor<TKey, TValue> editor = _before.Indexes[i].Edit(_before.IndexStates[i]);
            foreach (RowChange<TKey, TValue> change in changes)
            {
                if (change.Was)
                    editor.Remove(change.Key, change.Before!);
                if (change.IsNow)
                    editor.Add(change.Key, change.After!);
            }

            states.Add(editor.Close());
        }

        return states.MoveToImmutable();
    }
}

internal readonly record struct RowChange<TKey, TValue>(TKey Key, bool Was, TValue? Before, bool IsNow, TValue? After);
