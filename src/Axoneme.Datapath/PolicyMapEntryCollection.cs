// SPDX-License-Identifier: Apache-2.0
using System.Collections;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Axoneme.Datapath;

/// <summary>
/// What a policy map has to hold. Immutable; endpoints with one policy share an instance, and by that the kernel's map. A version knows what
/// its last predecessors lacked, so that the way from one to the next costs as much as the change.
/// </summary>
public sealed class PolicyMapEntryCollection : IReadOnlyDictionary<PolicyMapKey, PolicyMapEntry>
{
    public static readonly PolicyMapEntryCollection Empty = new(ImmutableDictionary<PolicyMapKey, PolicyMapEntry>.Empty, new Step(null, []));

    // A map that is further behind than so many versions is compared as a whole.
    private const int RememberedSteps = 16;

    private readonly ImmutableDictionary<PolicyMapKey, PolicyMapEntry> _entries;
    private readonly Step _step;

    private PolicyMapEntryCollection(ImmutableDictionary<PolicyMapKey, PolicyMapEntry> entries, Step step)
    {
        _entries = entries;
        _step = step;
    }

    public int Count => _entries.Count;

    public IEnumerable<PolicyMapKey> Keys => _entries.Keys;

    public IEnumerable<PolicyMapEntry> Values => _entries.Values;

    /// <exception cref="KeyNotFoundException">There is no such entry.</exception>
    public PolicyMapEntry this[PolicyMapKey key] => _entries[key];

    /// <exception cref="ArgumentException">Two entries have one key.</exception>
    public static PolicyMapEntryCollection Of(IEnumerable<PolicyMapEntry> entries) => new(entries.ToImmutableDictionary(e => e.Key), new Step(null, []));

    public bool ContainsKey(PolicyMapKey key) => _entries.ContainsKey(key);

    public bool TryGetValue(PolicyMapKey key, [MaybeNullWhen(false)] out PolicyMapEntry value) => _entries.TryGetValue(key, out value);

    /// <summary>The next version; the same instance if nothing is different.</summary>
    /// <param name="upserts">Entries to have; the later one wins.</param>
    /// <param name="deletes">Keys to lose, before any of the entries is added.</param>
    public PolicyMapEntryCollection With(IEnumerable<PolicyMapEntry> upserts, IEnumerable<PolicyMapKey> deletes)
    {
        ArgumentNullException.ThrowIfNull(upserts);
        ArgumentNullException.ThrowIfNull(deletes);
        ImmutableDictionary<PolicyMapKey, PolicyMapEntry>.Builder next = _entries.ToBuilder();
        var touched = ImmutableArray.CreateBuilder<PolicyMapKey>();
        foreach (PolicyMapKey key in deletes)
        {
            if (next.Remove(key))
                touched.Add(key);
        }

        foreach (PolicyMapEntry entry in upserts)
        {
            if (next.TryGetValue(entry.Key, out PolicyMapEntry? old) && old == entry)
                continue;
            next[entry.Key] = entry;
            touched.Add(entry.Key);
        }

        if (touched.Count == 0)
            return this;
        // Of a version that is mostly new nothing is gained by the way to it.
        Step? previous = touched.Count > next.Count / 2 ? null : _step;
        return new PolicyMapEntryCollection(next.ToImmutable(), new Step(previous, previous is null ? [] : touched.DrainToImmutable()));
    }

    /// <summary>What has to be written and deleted where <paramref name="before"/> is.</summary>
    public (List<PolicyMapEntry> Upserts, List<PolicyMapKey> Deletes) Since(PolicyMapEntryCollection before)
    {
        ArgumentNullException.ThrowIfNull(before);
        IEnumerable<PolicyMapKey> candidates = TouchedSince(before) ?? _entries.Keys.Concat(before._entries.Keys.Where(key => !_entries.ContainsKey(key)));
        var upserts = new List<PolicyMapEntry>();
        var deletes = new List<PolicyMapKey>();
        foreach (PolicyMapKey key in candidates)
        {
            before._entries.TryGetValue(key, out PolicyMapEntry? old);
            if (!_entries.TryGetValue(key, out PolicyMapEntry? entry))
            {
                if (old is not null)
                    deletes.Add(key);
            }
            else if (old != entry)
            {
                upserts.Add(entry);
            }
        }

        return (upserts, deletes);
    }

    public bool HasSameEntries(PolicyMapEntryCollection other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return ReferenceEquals(this, other)
            || (Count == other.Count && _entries.All(e => other._entries.TryGetValue(e.Key, out PolicyMapEntry? entry) && entry == e.Value));
    }

    public IEnumerator<KeyValuePair<PolicyMapKey, PolicyMapEntry>> GetEnumerator() => _entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    // Null: the way is longer than what is remembered, or there is none.
    private HashSet<PolicyMapKey>? TouchedSince(PolicyMapEntryCollection before)
    {
        var touched = new HashSet<PolicyMapKey>();
        for (Step? step = _step; step is not null; step = step.Previous)
        {
            if (step == before._step)
                return touched;
            touched.UnionWith(step.Touched);
        }

        return null;
    }

    /// <summary>The way from a version to the next.</summary>
    private sealed class Step
    {
        private volatile Step? _previous;

        public Step(Step? previous, ImmutableArray<PolicyMapKey> touched)
        {
            (_previous, Touched) = (previous, touched);
            Step? oldest = this;
            for (int i = 0; i < RememberedSteps && oldest is not null; i++)
                oldest = oldest.Previous;
            // Whoever walks there at this moment finds the end earlier, and compares as a whole.
            if (oldest is not null)
                oldest._previous = null;
        }

        public Step? Previous => _previous;

        public ImmutableArray<PolicyMapKey> Touched { get; }
    }
}
