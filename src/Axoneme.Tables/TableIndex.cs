// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.Tables;

/// <summary>A way to look up the values of a table; see <see cref="TableIndex{TKey, TValue, TIndexKey}"/>.</summary>
public abstract class TableIndex<TKey, TValue>
    where TKey : notnull
    where TValue : notnull
{
    private protected TableIndex(string name) => Name = name;

    public string Name { get; }

    internal abstract object EmptyState { get; }

    /// <summary>Opens a state for a transaction's changes; <see cref="IIndexEditor{TKey, TValue}.Close"/> gives the new state.</summary>
    internal abstract IIndexEditor<TKey, TValue> Edit(object state);
}

internal interface IIndexEditor<TKey, TValue>
{
    void Add(TKey key, TValue value);

    void Remove(TKey key, TValue value);

    object Close();
}

/// <summary>
/// Files every value of a table under any number of keys. Declare it once (a static field beside the table's value type), give it to the
/// table's constructor, and pass it to <see cref="TableSnapshot{TKey, TValue}.Lookup"/>.
/// </summary>
public sealed class TableIndex<TKey, TValue, TIndexKey> : TableIndex<TKey, TValue>
    where TKey : notnull
    where TValue : notnull
    where TIndexKey : notnull
{
    private static readonly ImmutableDictionary<TIndexKey, ImmutableHashSet<TKey>> Nothing =
        ImmutableDictionary<TIndexKey, ImmutableHashSet<TKey>>.Empty;

    private readonly Func<TValue, IEnumerable<TIndexKey>> _keysOf;

    /// <param name="name">For messages.</param>
    /// <param name="keysOf">Where a value is filed; must not depend on anything but the value.</param>
    public TableIndex(string name, Func<TValue, IEnumerable<TIndexKey>> keysOf)
        : base(name)
    {
        _keysOf = keysOf;
    }

    /// <summary>An index under exactly one key a value.</summary>
    public TableIndex(string name, Func<TValue, TIndexKey> keyOf)
        : this(name, value => [keyOf(value)])
    {
    }

    internal override object EmptyState => Nothing;

    internal override IIndexEditor<TKey, TValue> Edit(object state)
        => new Editor(((ImmutableDictionary<TIndexKey, ImmutableHashSet<TKey>>)state).ToBuilder(), _keysOf);

    internal static ImmutableHashSet<TKey> Keys(object state, TIndexKey indexKey)
        => ((ImmutableDictionary<TIndexKey, ImmutableHashSet<TKey>>)state).GetValueOrDefault(indexKey, ImmutableHashSet<TKey>.Empty);

    internal static IEnumerable<TIndexKey> IndexKeys(object state) => ((ImmutableDictionary<TIndexKey, ImmutableHashSet<TKey>>)state).Keys;

    private sealed class Editor(
        ImmutableDictionary<TIndexKey, ImmutableHashSet<TKey>>.Builder postings, Func<TValue, IEnumerable<TIndexKey>> keysOf)
        : IIndexEditor<TKey, TValue>
    {
        public void Add(TKey key, TValue value)
        {
            foreach (TIndexKey indexKey in keysOf(value))
                postings[indexKey] = postings.GetValueOrDefault(indexKey, ImmutableHashSet<TKey>.Empty)!.Add(key);
        }

        public void Remove(TKey key, TValue value)
        {
            foreach (TIndexKey indexKey in keysOf(value))
            {
                // A value may name an index key twice; the second removal finds nothing.
                if (!postings.TryGetValue(indexKey, out ImmutableHashSet<TKey>? keys))
                    continue;
                keys = keys.Remove(key);
                if (keys.IsEmpty)
                    postings.Remove(indexKey);
                else
                    postings[indexKey] = keys;
            }
        }

        public object Close() => postings.ToImmutable();
    }
}
