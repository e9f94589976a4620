// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath;

/// <summary>Counts how full the node's maps are, in batches that leave the processor to others in between.</summary>
public sealed class MapCensus(DatapathMaps maps)
{
    // Chunks of the walk between two pauses: some thousand entries.
    private const int ChunksAtOnce = 8;

    private volatile IReadOnlyList<MapFill> _fills = [];

    /// <summary>Entries that each endpoint's policy map may have.</summary>
    public uint PolicyCapacity => maps.PolicyEntries;

    /// <summary>As of the last count.</summary>
    public IReadOnlyList<MapFill> Fills => _fills;

    /// <summary>Counts every <paramref name="interval"/> until cancelled.</summary>
    public async Task RunAsync(TimeSpan interval, TimeProvider time, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(time);
        while (true)
        {
            await CountAsync(cancellation);
            await Task.Delay(interval, time, cancellation);
        }
    }

    /// <summary>Counts all maps whose entries come and go.</summary>
    public async Task<IReadOnlyList<MapFill>> CountAsync(CancellationToken cancellation)
    {
        List<MapFill> fills = [];
        foreach (BpfMapSpec spec in Maps.All.Where(IsCountable))
        {
            BpfMap map = maps[spec.Name];
            using var walk = new BpfMapWalk(map);
            long count = 0;
            for (int chunk = 1; walk.MoveNext(); chunk++)
            {
                count += walk.Count;
                if (chunk % ChunksAtOnce != 0)
                    continue;
                cancellation.ThrowIfCancellationRequested();
                await Task.Yield();
            }

            fills.Add(new MapFill(spec.Name, count, map.Spec.MaxEntries));
        }

        return _fills = fills;
    }

    /// <summary>Entries of a map; null of an array, whose slots are all there always.</summary>
    public static long? Count(BpfMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        if (!IsCountable(map.Spec))
            return null;
        using var walk = new BpfMapWalk(map);
        long count = 0;
        while (walk.MoveNext())
            count += walk.Count;
        return count;
    }

    private static bool IsCountable(BpfMapSpec spec) => spec.Type is BpfMapType.Hash or BpfMapType.PerCpuHash or BpfMapType.LruHash
        or BpfMapType.LruPerCpuHash or BpfMapType.LpmTrie or BpfMapType.HashOfMaps;
}
