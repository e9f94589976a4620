// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Axoneme.Bpf.Kernel;

namespace Axoneme.Bpf;

/// <summary>How many entries of a map this process wrote and removed by system calls, and how often the kernel refused. Thread-safe.</summary>
public sealed class BpfMapOperations
{
    private static readonly ConcurrentDictionary<string, BpfMapOperations> ByName = new();

    private long _updates;
    private long _updateFailures;
    private long _deletes;
    private long _deleteFailures;

    private BpfMapOperations(string map) => Map = map;

    /// <summary>Name of the map; maps of one name are counted together.</summary>
    public string Map { get; }

    public long Updates => Interlocked.Read(ref _updates);

    public long UpdateFailures => Interlocked.Read(ref _updateFailures);

    public long Deletes => Interlocked.Read(ref _deletes);

    public long DeleteFailures => Interlocked.Read(ref _deleteFailures);

    /// <summary>Of every map that was opened since the process started.</summary>
    public static IEnumerable<BpfMapOperations> All => ByName.Values;

    internal static BpfMapOperations Of(string map) => ByName.GetOrAdd(map, static name => new BpfMapOperations(name));

    /// <param name="done">Entries that were written or removed.</param>
    /// <param name="failed">Whether another one was refused.</param>
    internal void Note(BpfCommand command, int done, bool failed)
    {
        if (command is BpfCommand.MapUpdate or BpfCommand.MapUpdateBatch)
        {
            Interlocked.Add(ref _updates, done);
            if (failed)
                Interlocked.Increment(ref _updateFailures);
        }
        else if (command is BpfCommand.MapDelete or BpfCommand.MapDeleteBatch)
        {
            Interlocked.Add(ref _deletes, done);
            if (failed)
                Interlocked.Increment(ref _deleteFailures);
        }
    }
}
