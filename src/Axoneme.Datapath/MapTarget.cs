// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Linux;
using Axoneme.Tables;

namespace Axoneme.Datapath;

/// <summary>One kernel map as part of a <see cref="MapTarget{TKey,TValue}"/>: which keys it holds and how entries translate.</summary>
internal abstract class MapView<TKey, TValue>
    where TKey : notnull
    where TValue : notnull
{
    public abstract bool Owns(TKey key);

    public abstract void Apply(IReadOnlyList<TValue> values, Func<TValue, TKey> keyOf, ReconcileFailures<TKey> failures);

    public abstract void Delete(IReadOnlyList<TKey> keys);

    public abstract IEnumerable<KeyValuePair<TKey, TValue>> Read();
}

/// <inheritdoc cref="MapView{TKey,TValue}"/>
internal sealed class MapView<TKey, TValue, TMapKey, TMapValue>(BpfMap<TMapKey, TMapValue> map) : MapView<TKey, TValue>
    where TKey : notnull
    where TValue : notnull
    where TMapKey : unmanaged
    where TMapValue : unmanaged
{
    public required Func<TKey, bool> OwnsKey { get; init; }

    public required Func<TKey, TMapKey> EncodeKey { get; init; }

    public required Func<TValue, TMapValue> EncodeValue { get; init; }

    public required Func<TMapKey, TMapValue, KeyValuePair<TKey, TValue>> Decode { get; init; }

    public override bool Owns(TKey key) => OwnsKey(key);

    public override void Apply(IReadOnlyList<TValue> values, Func<TValue, TKey> keyOf, ReconcileFailures<TKey> failures)
    {
        TMapKey[] keys = [.. values.Select(v => EncodeKey(keyOf(v)))];
        TMapValue[] encoded = [.. values.Select(EncodeValue)];
        try
        {
            map.UpdateBatch(keys, encoded);
        }
        catch (SystemCallException)
        {
            // One entry at a time, to tell those that fail from the others.
            for (int i = 0; i < keys.Length; i++)
                ApplyOne(keys[i], encoded[i], keyOf(values[i]), failures);
        }
    }

    public override void Delete(IReadOnlyList<TKey> keys)
        => map.DeleteBatch((TMapKey[])[.. keys.Select(EncodeKey)]);

    public override IEnumerable<KeyValuePair<TKey, TValue>> Read() => map.Entries().Select(e => Decode(e.Key, e.Value));

    private void ApplyOne(TMapKey key, TMapValue value, TKey name, ReconcileFailures<TKey> failures)
    {
        try
        {
            map.Update(in key, in value);
        }
        catch (SystemCallException e)
        {
            string hint = e.Errno == Errno.E2BIG ? $" (it holds {map.Map.Spec.MaxEntries} entries)" : "";
            failures.Add(name, e.Message + hint);
        }
    }
}

/// <summary>A reconcile target whose objects are single entries of one of several kernel maps.</summary>
public abstract class MapTarget<TKey, TValue> : IReconcileTarget<TKey, TValue>
    where TKey : notnull
    where TValue : notnull
{
    private readonly MapView<TKey, TValue>[] _views;
    private readonly Func<TValue, TKey> _keyOf;

    private protected MapTarget(Func<TValue, TKey> keyOf, params MapView<TKey, TValue>[] views)
    {
        _keyOf = keyOf;
        _views = views;
    }

    public ValueTask ApplyAsync(IReadOnlyList<TValue> values, ReconcileFailures<TKey> failures, CancellationToken cancellationToken)
    {
        foreach (MapView<TKey, TValue> view in _views)
        {
            TValue[] own = [.. values.Where(v => view.Owns(_keyOf(v)))];
            if (own.Length > 0)
                view.Apply(own, _keyOf, failures);
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask DeleteAsync(IReadOnlyList<TKey> keys, ReconcileFailures<TKey> failures, CancellationToken cancellationToken)
    {
        foreach (MapView<TKey, TValue> view in _views)
        {
            TKey[] own = [.. keys.Where(view.Owns)];
            if (own.Length > 0)
                view.Delete(own);
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask<IReadOnlyDictionary<TKey, TValue>> ReadActualAsync(CancellationToken cancellationToken)
        => ValueTask.FromResult<IReadOnlyDictionary<TKey, TValue>>(new Dictionary<TKey, TValue>(Read()));

    /// <summary>The entries as they are in the kernel now.</summary>
    public IEnumerable<KeyValuePair<TKey, TValue>> Read() => _views.SelectMany(v => v.Read());
}
