// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;

namespace Axoneme.Datapath;

/// <summary>Reads the events that the programs write to one ring buffer a processor.</summary>
public sealed class EventSource : IDisposable
{
    private readonly DatapathMaps _maps;
    private readonly RingBufferReader _reader;
    private readonly ulong _lostBefore;

    public EventSource(DatapathMaps maps)
    {
        ArgumentNullException.ThrowIfNull(maps);
        _maps = maps;
        List<BpfMap> rings = [];
        try
        {
            for (uint cpu = 0; cpu < Math.Min((uint)ProcessorSet.PossibleCount, maps.Events.Spec.MaxEntries); cpu++)
            {
                if (maps.Events.TryOpenInner(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in cpu))) is { } ring)
                    rings.Add(ring);
            }

            _reader = new RingBufferReader([.. rings]);
        }
        finally
        {
            rings.ForEach(ring => ring.Dispose());
        }

        _lostBefore = ReadLost();
    }

    /// <summary>Events that found no room since this reader was made.</summary>
    public ulong Lost => ReadLost() - _lostBefore;

    /// <summary>Hands over every event until cancelled, on the calling thread. The bytes (struct event) are valid during the call only.</summary>
    public void Run(RingBufferHandler handler, CancellationToken cancellation) => _reader.Run(handler, cancellation);

    /// <summary>Reads what is there, waiting for something at most so long; returns the number of events.</summary>
    public int Poll(RingBufferHandler handler, TimeSpan timeout) => _reader.Poll(handler, timeout);

    public void Dispose() => _reader.Dispose();

    private ulong ReadLost()
    {
        Span<ulong> values = stackalloc ulong[ProcessorSet.PossibleCount];
        ulong sum = 0;
        _maps.LostEvents.TryLookup(0, values);
        foreach (ulong value in values)
            sum += value;
        return sum;
    }
}
