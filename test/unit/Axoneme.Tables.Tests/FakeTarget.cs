// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Tables.Tests;

/// <summary>A target in memory that fails on demand and that others may tamper with.</summary>
public sealed class FakeTarget : IReconcileTarget<int, Item>
{
    private readonly Lock _gate = new();
    private readonly Dictionary<int, Item> _actual = [];

    /// <summary>Asked for each object of a call; a text fails that object.</summary>
    public Func<int, string?> Fail { get; set; } = _ => null;

    /// <summary>Asked for each call; true makes the whole call throw.</summary>
    public Func<bool> Throw { get; set; } = () => false;

    public List<string> Calls { get; } = [];

    public void Tamper(Action<Dictionary<int, Item>> change)
    {
        lock (_gate)
            change(_actual);
    }

    public Dictionary<int, Item> Actual
    {
        get
        {
            lock (_gate)
                return new(_actual);
        }
    }

    public ValueTask ApplyAsync(IReadOnlyList<Item> values, ReconcileFailures<int> failures, CancellationToken cancellationToken)
    {
        Begin("apply " + string.Join(',', values.Select(v => v.Id)));
        foreach (Item value in values)
            Do(value.Id, failures, () => _actual[value.Id] = value);
        return default;
    }

    public ValueTask DeleteAsync(IReadOnlyList<int> keys, ReconcileFailures<int> failures, CancellationToken cancellationToken)
    {
        Begin("delete " + string.Join(',', keys));
        foreach (int key in keys)
            Do(key, failures, () => _actual.Remove(key));
        return default;
    }

    public ValueTask<IReadOnlyDictionary<int, Item>> ReadActualAsync(CancellationToken cancellationToken)
    {
        Begin("read");
        return new(Actual);
    }

    private void Begin(string call)
    {
        lock (_gate)
            Calls.Add(call);
        if (Throw())
            throw new IOException("the target is away");
    }

    private void Do(int key, ReconcileFailures<int> failures, Action action)
    {
        if (Fail(key) is { } message)
        {
            failures.Add(key, message);
            return;
        }

        lock (_gate)
            action();
    }
}
