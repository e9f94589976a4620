// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Axoneme.Tables;

/// <summary>A table at one revision. Immutable, shares its structure with its neighbours in time.</summary>
public sealed class TableSnapshot<TKey, TValue>
    where TKey : notnull
    where TValue : notnull
{
    internal TableSnapshot(
        long revision,
        ImmutableDictionary<TKey, Row<TValue>> rows,
        ImmutableArray<TableIndex<TKey, TValue>> indexes,
        ImmutableArray<object> indexStates)
    {
        Revision = revision;
        RowsByKey = rows;
        Indexes = indexes;
        IndexStates = indexStates;
    }

    internal static TableSnapshot<TKey, TValue> Empty(ImmutableArray<TableIndex<TKey, TValue>> indexes)
        => new(0, ImmutableDictionary<TKey, Row<TValue>>.Empty, indexes, [.. indexes.Select(i => i.EmptyState)]);

    internal ImmutableDictionary<TKey, Row<TValue>> RowsByKey { get; }

    internal ImmutableArray<TableIndex<TKey, TValue>> Indexes { get; }

    internal ImmutableArray<object> IndexStates { get; }

    public long Revision { get; }

    public int Count => RowsByKey.Count;

    public IEnumerable<TKey> Keys => RowsByKey.Keys;

    /// <summary>All values, in no particular order.</summary>
    public IEnumerable<TValue> Values
    {
        get
        {
            foreach ((_, Row<TValue> row) in RowsByKey)
                yield return row.Value;
        }
    }

    public bool Contains(TKey key) => RowsByKey.ContainsKey(key);

    public bool TryGet(TKey key, [MaybeNullWhen(false)] out TValue value)
    {
        bool found = RowsByKey.TryGetValue(key, out Row<TValue> row);
        value = row.Value;
        return found;
    }

    /// <summary>The value, or null (for a value type: its default) when there is none.</summary>
    public TValue? Find(TKey key) => RowsByKey.TryGetValue(key, out Row<TValue> row) ? row.Value : default;

    /// <summary>Revision of the transaction that last changed the value; 0 when there is none.</summary>
    public long RevisionOf(TKey key) => RowsByKey.TryGetValue(key, out Row<TValue> row) ? row.Revision : 0;

    /// <summary>The values filed under <paramref name="indexKey"/>, in no particular order.</summary>
    public IEnumerable<TValue> Lookup<TIndexKey>(TableIndex<TKey, TValue, TIndexKey> index, TIndexKey indexKey)
        where TIndexKey : notnull
    {
        ArgumentNullException.ThrowIfNull(index);
        foreach (TKey key in TableIndex<TKey, TValue, TIndexKey>.Keys(StateOf(index), indexKey))
            yield return RowsByKey[key].Value;
    }

    /// <summary>The distinct keys of an index.</summary>
    public IEnumerable<TIndexKey> IndexKeys<TIndexKey>(TableIndex<TKey, TValue, TIndexKey> index)
        where TIndexKey : notnull
    {
        ArgumentNullException.ThrowIfNull(index);
        return TableIndex<TKey, TValue, TIndexKey>.IndexKeys(StateOf(index));
    }

    private object StateOf(TableIndex<TKey, TValue> index)
    {
        int position = Indexes.IndexOf(index);
        return position >= 0 ? IndexStates[position] : throw new ArgumentException($"The table was made without index {index.Name}.", nameof(index));
    }
}

internal readonly record struct Row<TValue>(TValue Value, long Revision);
