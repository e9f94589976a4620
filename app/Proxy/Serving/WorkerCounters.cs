// SPDX-License-Identifier: Apache-2.0
using Axoneme.DnsProxy;

namespace Axoneme.Proxy.Serving;

/// <summary>What one worker counted. It alone writes; others may read a value that is a moment old.</summary>
internal sealed class WorkerCounters
{
    private static readonly long[] BoundsMicroseconds = [.. Counters.LatencyBounds.Select(b => (long)(b * 1_000_000))];

    private readonly long[] _latency = new long[BoundsMicroseconds.Length + 1];
    private long _latencySum;

    public long Received;
    public long Forwarded;
    public long Denied;
    public long ParseErrors;
    public long UnknownSource;
    public long Overloaded;
    public long UpdateTimeouts;
    public long UpstreamTimeouts;
    public long UnexpectedAnswers;

    /// <summary>What the worker's thread has taken from the heap, so that it can be seen that questions take nothing.</summary>
    public long AllocatedBytes;

    public void AddLatency(long microseconds)
    {
        int bucket = 0;
        while (bucket < BoundsMicroseconds.Length && microseconds > BoundsMicroseconds[bucket])
            bucket++;
        _latency[bucket]++;
        _latencySum += microseconds;
    }

    /// <summary>Adds what several workers counted to what the cache did.</summary>
    public static Counters Sum(IReadOnlyCollection<WorkerCounters> workers, Names.NameCache cache) => new()
    {
        Received = workers.Sum(w => Volatile.Read(ref w.Received)),
        Forwarded = workers.Sum(w => Volatile.Read(ref w.Forwarded)),
        Denied = workers.Sum(w => Volatile.Read(ref w.Denied)),
        ParseErrors = workers.Sum(w => Volatile.Read(ref w.ParseErrors)),
        UnknownSource = workers.Sum(w => Volatile.Read(ref w.UnknownSource)),
        Overloaded = workers.Sum(w => Volatile.Read(ref w.Overloaded)),
        UpdateTimeouts = workers.Sum(w => Volatile.Read(ref w.UpdateTimeouts)),
        UpstreamTimeouts = workers.Sum(w => Volatile.Read(ref w.UpstreamTimeouts)),
        UnexpectedAnswers = workers.Sum(w => Volatile.Read(ref w.UnexpectedAnswers)),
        Names = cache.Size.Names,
        NameBytes = cache.Size.Bytes,
        EvictedNames = cache.EvictedNames,
        EvictedAddresses = cache.EvictedAddresses,
        WrittenAddresses = cache.WrittenAddresses,
        UnwrittenAddresses = cache.UnwrittenAddresses,
        UpstreamLatency = [.. Enumerable.Range(0, BoundsMicroseconds.Length + 1).Select(i => workers.Sum(w => Volatile.Read(ref w._latency[i])))],
        UpstreamLatencySum = workers.Sum(w => Volatile.Read(ref w._latencySum)),
    };
}
