// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;

namespace Axoneme.Datapath;

/// <summary>
/// Walks a map and removes what a predicate picks. One system call reads or removes some hundred entries; between them others get the
/// processor.
/// </summary>
internal static class MapSweep
{
    // Reads between two rests: some ten thousand entries, a few milliseconds of work.
    private const int ReadsBetweenRests = 32;
    private static readonly TimeSpan RestTime = TimeSpan.FromMilliseconds(1);

    /// <param name="isHurried">Leaves out the rests: somebody waits.</param>
    /// <returns>How many were removed.</returns>
    public static async Task<int> RunAsync<TKey, TValue>(
        BpfMap<TKey, TValue> map, SweepPredicate<TKey, TValue> pick, bool isHurried, CancellationToken cancellation)
        where TKey : unmanaged
        where TValue : unmanaged
    {
        using var walk = new BpfMapWalk(map.Map);
        List<TKey> picked = [];
        int removed = 0;
        for (int read = 1; walk.MoveNext(); read++)
        {
            Pick(walk, pick, picked);
            removed += picked.Count;
            map.DeleteBatch(CollectionsMarshal.AsSpan(picked));
            picked.Clear();
            cancellation.ThrowIfCancellationRequested();
            if (!isHurried && read % ReadsBetweenRests == 0)
                await Task.Delay(RestTime, cancellation);
        }

        return removed;
    }

    private static void Pick<TKey, TValue>(BpfMapWalk walk, SweepPredicate<TKey, TValue> pick, List<TKey> picked)
        where TKey : unmanaged
        where TValue : unmanaged
    {
        for (int i = 0; i < walk.Count; i++)
        {
            ref readonly TKey key = ref MemoryMarshal.AsRef<TKey>(walk.Key(i));
            if (pick(in key, in MemoryMarshal.AsRef<TValue>(walk.Value(i))))
                picked.Add(key);
        }
    }
}

/// <summary>Whether an entry is to go. It may look at the map, and count.</summary>
internal delegate bool SweepPredicate<TKey, TValue>(in TKey key, in TValue value);
