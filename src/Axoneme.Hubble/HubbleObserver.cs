// SPDX-License-Identifier: Apache-2.0
using Axoneme.Grpc;
using Axoneme.Hubble.Api;

namespace Axoneme.Hubble;

/// <summary>What the observer has done so far.</summary>
/// <param name="CurrentFlows">Records in the ring.</param>
/// <param name="MaxFlows">Records that fit.</param>
/// <param name="SeenFlows">Flows decoded since start.</param>
/// <param name="Uptime">Since start.</param>
/// <param name="FlowsPerSecond">Over the last minute, or less if the ring does not reach as far back.</param>
public sealed record ObserverCounters(long CurrentFlows, long MaxFlows, long SeenFlows, TimeSpan Uptime, double FlowsPerSecond);

/// <summary>
/// Takes kernel events, keeps the most recent flows, and serves them as <c>observer.Observer</c>. Thread-safe; reading is concurrent
/// with writing and does not slow it down.
/// </summary>
public sealed class HubbleObserver
{
    /// <summary>Name under which clients ask for the health of the observer.</summary>
    public const string HealthName = "hubble.server.Observer";

    private static readonly TimeSpan RateWindow = TimeSpan.FromSeconds(60);

    private readonly FlowDecoder _decoder;
    private readonly NamespaceLog _namespaces;
    private readonly TimeProvider _time;
    private readonly long _start;
    private long _seenFlows;
    private long _lostEvents;
    private long _clockOffsetNs;
    private long _clockCheckedAt;

    public HubbleObserver(HubbleOptions options, IFlowEnrichment enrichment, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(time);
        Options = options;
        Ring = new FlowRing(options.Capacity);
        Renderer = new FlowRenderer(options, Guid.NewGuid());
        _decoder = new FlowDecoder(enrichment);
        _namespaces = new NamespaceLog(time);
        _time = time;
        _start = time.GetTimestamp();
        ReadClocks(_start);
    }

    public HubbleOptions Options { get; }

    /// <summary>Events that the kernel could not hand over since start.</summary>
    public long LostEvents => Interlocked.Read(ref _lostEvents);

    public ObserverCounters Counters => new(
        Ring.End - Ring.Start, Ring.Capacity, Interlocked.Read(ref _seenFlows), _time.GetElapsedTime(_start), FlowRate());

    internal FlowRing Ring { get; }

    internal FlowRenderer Renderer { get; }

    internal TimeProvider Time => _time;

    internal IEnumerable<string> Namespaces => _namespaces.Recent();

    /// <summary>Decodes what a kernel ring buffer delivered. Bytes that are no event count as lost.</summary>
    public void Ingest(ReadOnlySpan<byte> sample)
    {
        if (KernelEvent.TryRead(sample, out KernelEvent kernel))
            Ingest(kernel);
        else
            Interlocked.Increment(ref _lostEvents);
    }

    /// <summary>Decodes one event and appends it. Allocates nothing.</summary>
    public void Ingest(in KernelEvent kernel)
    {
        _decoder.Decode(kernel, out FlowRecord record);
        record.TimeNs = ToUnixNs(kernel.TimestampNs);
        _namespaces.Note(record.Source?.Namespace);
        _namespaces.Note(record.Destination?.Namespace);
        Interlocked.Increment(ref _seenFlows);
        Ring.Write(ref record);
    }

    /// <summary>Appends what the DNS proxy saw.</summary>
    public void Ingest(DnsExchange exchange)
    {
        ArgumentNullException.ThrowIfNull(exchange);
        _decoder.Decode(exchange, out FlowRecord record);
        _namespaces.Note(record.Source?.Namespace);
        _namespaces.Note(record.Destination?.Namespace);
        Interlocked.Increment(ref _seenFlows);
        Ring.Write(ref record);
    }

    /// <summary>Notes that a kernel ring buffer was full.</summary>
    public void ReportLost(ulong count, int cpu)
    {
        if (count == 0)
            return;
        Interlocked.Add(ref _lostEvents, (long)count);
        Publish(new LostEvent { Source = LostEventSource.PerfEventRingBuffer, NumEventsLost = count, Cpu = cpu });
    }

    /// <summary>Appends what happened in the agent itself, for <c>hubble observe agent-events</c>.</summary>
    public void Publish(AgentEvent agentEvent) => Publish((Google.Protobuf.IMessage)agentEvent);

    /// <summary>Adds the observer's methods to a server.</summary>
    public void AddTo(GrpcServerBuilder server) => new ObserverService(this).AddTo(server);

    internal long NowUnixNs() => (_time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick;

    private void Publish(Google.Protobuf.IMessage message)
    {
        var record = new FlowRecord { TimeNs = NowUnixNs(), Message = message };
        Ring.Write(ref record);
    }

    // Events carry the monotonic clock. The distance to the wall clock moves when the latter is set, so it is read again now and then.
    private long ToUnixNs(long monotonicNs)
    {
        long now = _time.GetTimestamp();
        if (now - Volatile.Read(ref _clockCheckedAt) > _time.TimestampFrequency)
            ReadClocks(now);
        return monotonicNs == 0 ? NowUnixNs() : monotonicNs + Volatile.Read(ref _clockOffsetNs);
    }

    private void ReadClocks(long now)
    {
        long monotonicNs = (long)(now * (1e9 / _time.TimestampFrequency));
        Volatile.Write(ref _clockOffsetNs, NowUnixNs() - monotonicNs);
        Volatile.Write(ref _clockCheckedAt, now);
    }

    private double FlowRate()
    {
        long now = NowUnixNs();
        long oldest = now - ((long)RateWindow.TotalNanoseconds);
        long start = Ring.Start;
        long count = 0;
        long reached = now;
        bool hasReachedEnd = true;
        for (long number = Ring.End - 1; number >= start && Ring.TryRead(number, out FlowRecord record); number--)
        {
            if (record.TimeNs < oldest)
            {
                hasReachedEnd = false;
                break;
            }

            reached = Math.Min(reached, record.TimeNs);
            count += record.IsFlow ? 1 : 0;
        }

        // A ring that covers less than the window says what happened in the time it covers, and no more.
        double covered = !hasReachedEnd ? RateWindow.TotalSeconds
            : start == 0 ? _time.GetElapsedTime(_start).TotalSeconds : (now - reached) / 1e9;
        return count / Math.Clamp(covered, 1e-3, RateWindow.TotalSeconds);
    }
}

/// <summary>Namespaces whose pods were seen within the last hour.</summary>
internal sealed class NamespaceLog(TimeProvider time)
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    // Bounds what a cluster that creates and deletes namespaces all the time can make us keep.
    private const int Capacity = 10_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, long> _lastSeen = [];

    public void Note(string? name)
    {
        if (string.IsNullOrEmpty(name))
            return;
        long now = time.GetTimestamp();
        lock (_lock)
        {
            if (_lastSeen.Count >= Capacity && !_lastSeen.ContainsKey(name))
                Expire(now);
            if (_lastSeen.Count < Capacity || _lastSeen.ContainsKey(name))
                _lastSeen[name] = now;
        }
    }

    public IEnumerable<string> Recent()
    {
        lock (_lock)
        {
            Expire(time.GetTimestamp());
            return [.. _lastSeen.Keys.Order(StringComparer.Ordinal)];
        }
    }

    private void Expire(long now)
    {
        foreach ((string name, long seen) in _lastSeen.ToList())
        {
            if (time.GetElapsedTime(seen, now) > Lifetime)
                _lastSeen.Remove(name);
        }
    }
}
