// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Datapath;

/// <summary>What collection found of one kind of entry.</summary>
/// <param name="Family">ipv4 or ipv6.</param>
/// <param name="Kind">Of connections TCP or non-TCP; of translations ingress or egress.</param>
public sealed record CollectionCount(string Family, string Kind)
{
    /// <summary>Alive at the end of the last pass.</summary>
    public long Alive { get; init; }

    /// <summary>Removed by the last pass.</summary>
    public long LastRemoved { get; init; }

    /// <summary>Removed since the start.</summary>
    public long Removed { get; init; }
}

/// <summary>The passes over one map.</summary>
/// <param name="Completed">That saw the whole map.</param>
/// <param name="Failed">That an error or the end of the process cut short.</param>
/// <param name="Duration">Of all passes together, rests included.</param>
/// <param name="LastDuration">Of the last one.</param>
public sealed record CollectionRuns(string Family, long Completed, long Failed, TimeSpan Duration, TimeSpan LastDuration);

/// <summary>Counts of both families of one table, safe to read at any time.</summary>
public sealed class CollectionStatistics(string firstKind, string secondKind)
{
    private readonly Lock _lock = new();
    private readonly CollectionCount[] _counts =
        [new("ipv4", firstKind), new("ipv4", secondKind), new("ipv6", firstKind), new("ipv6", secondKind)];

    private readonly CollectionRuns[] _runs = [new("ipv4", 0, 0, default, default), new("ipv6", 0, 0, default, default)];

    public IReadOnlyList<CollectionCount> Counts
    {
        get
        {
            lock (_lock)
                return [.. _counts];
        }
    }

    public IReadOnlyList<CollectionRuns> Runs
    {
        get
        {
            lock (_lock)
                return [.. _runs];
        }
    }

    internal void Add(bool isV6, in CollectionTally tally, TimeSpan duration, bool isCompleted)
    {
        int family = isV6 ? 1 : 0;
        lock (_lock)
        {
            Count(family * 2, tally.FirstAlive, tally.FirstRemoved);
            Count((family * 2) + 1, tally.SecondAlive, tally.SecondRemoved);
            CollectionRuns runs = _runs[family];
            _runs[family] = runs with
            {
                Completed = runs.Completed + (isCompleted ? 1 : 0),
                Failed = runs.Failed + (isCompleted ? 0 : 1),
                Duration = runs.Duration + duration,
                LastDuration = duration,
            };
        }

        void Count(int index, long alive, long removed)
            => _counts[index] = _counts[index] with { Alive = alive, LastRemoved = removed, Removed = _counts[index].Removed + removed };
    }
}

/// <summary>One pass over one map, by the two kinds of entries.</summary>
internal struct CollectionTally
{
    public long FirstAlive;
    public long FirstRemoved;
    public long SecondAlive;
    public long SecondRemoved;

    public readonly long Alive => FirstAlive + SecondAlive;

    public readonly long Removed => FirstRemoved + SecondRemoved;

    public void Count(bool isFirst, bool isRemoved)
    {
        if (isFirst)
            _ = isRemoved ? FirstRemoved++ : FirstAlive++;
        else
            _ = isRemoved ? SecondRemoved++ : SecondAlive++;
    }
}
