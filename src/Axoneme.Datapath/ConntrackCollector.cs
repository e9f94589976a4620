// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>What one pass over the maps of connections and translations found.</summary>
public sealed record ConntrackPass(int Alive, int Removed);

/// <summary>When the collector works.</summary>
public sealed record CollectorOptions
{
    /// <summary>conntrack-gc-interval: always the same; null adapts.</summary>
    public TimeSpan? Interval { get; init; }

    /// <summary>conntrack-gc-max-interval: the longest one that adapting comes to.</summary>
    public TimeSpan LongestInterval { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>Told of each pass over the connections of a family (IPv6?): its time, and whether it saw all; must not block.</summary>
    public Action<bool, TimeSpan, bool>? OnPass { get; init; }
}

/// <summary>
/// Removes connections and translations whose time is over, and what is left of removed backends. The maps evict by age when they are full, so
/// this is about memory, ports and counts and never urgent: it works in small batches with rests, and passes come more often the more there was
/// to remove, and at once when source ports run out.
/// </summary>
public sealed class ConntrackCollector
{
    private static readonly TimeSpan Shortest = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan FirstInterval = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);

    // Backends may leave all the time; cleaning up after them takes a twentieth of one processor at most.
    private const int CleanupPause = 20;

    // Beyond it a map is as good as full: what is evicted next may well be alive.
    private const double CrowdedRatio = 0.75;

    private readonly DatapathMaps _maps;
    private readonly TimeProvider _time;
    private readonly CollectorOptions _options;
    private readonly ServiceTarget? _services;
    private readonly NatCollector _nat;
    private long _passes;
    private long _failedAllocations;

    /// <param name="services">Whose removed backends are cleaned up after; null for a collector that is used for single removals.</param>
    public ConntrackCollector(DatapathMaps maps, TimeProvider time, CollectorOptions? options = null, ServiceTarget? services = null)
    {
        ArgumentNullException.ThrowIfNull(maps);
        _maps = maps;
        _time = time;
        _options = options ?? new CollectorOptions();
        _services = services;
        _nat = new NatCollector(maps, time);
        Interval = _options.Interval ?? FirstInterval;
    }

    /// <summary>Until the next pass.</summary>
    public TimeSpan Interval { get; private set; }

    /// <summary>Connections by family, TCP and others.</summary>
    public CollectionStatistics Connections { get; } = new("TCP", "non-TCP");

    /// <summary>Translations by family and direction.</summary>
    public CollectionStatistics Translations => _nat.Statistics;

    /// <summary>Connections removed by passes since the start.</summary>
    public long Removed => Connections.Counts.Sum(c => c.Removed);

    public long Passes => Interlocked.Read(ref _passes);

    /// <summary>Passes that came early because connections found no source port.</summary>
    public long Alarms { get; private set; }

    public async Task RunAsync(CancellationToken cancellation)
    {
        long last = _time.GetTimestamp();
        long cleaned = last;
        TimeSpan pause = TimeSpan.Zero;
        _failedAllocations = ReadFailedAllocations();
        while (true)
        {
            await Task.Delay(Tick, _time, cancellation);
            if (_services is not null && _time.GetElapsedTime(cleaned) >= pause)
            {
                long start = _time.GetTimestamp();
                await RemoveBackendsAsync(_services.TakeRemovedBackends(), cancellation);
                cleaned = _time.GetTimestamp();
                pause = _time.GetElapsedTime(start, cleaned) * CleanupPause;
            }

            bool isDue = _time.GetElapsedTime(last) >= Interval;
            if (!isDue && !(_time.GetElapsedTime(last) >= Shortest && ArePortsShort()))
                continue;
            ConntrackPass pass = await CollectAsync(cancellation);
            last = _time.GetTimestamp();
            Interval = _options.Interval ?? NextInterval(Interval, pass, IsCrowded(), _options.LongestInterval);
        }
    }

    /// <summary>One pass over connections and translations of both families.</summary>
    public async Task<ConntrackPass> CollectAsync(CancellationToken cancellation)
    {
        CollectionTally v4 = await CollectAsync(_maps.Ct4, isV6: false, cancellation);
        CollectionTally v6 = await CollectAsync(_maps.Ct6, isV6: true, cancellation);
        await _nat.CollectAsync(cancellation);
        Interlocked.Increment(ref _passes);
        return new ConntrackPass((int)(v4.Alive + v6.Alive), (int)(v4.Removed + v6.Removed));
    }

    /// <summary>
    /// Makes clients choose anew that were bound to one of these backends, by a connection or by affinity: programs would find the backend gone,
    /// but only when the client comes back. One walk serves all of them. Returns how many entries went.
    /// </summary>
    public async Task<int> RemoveBackendsAsync(IReadOnlyCollection<uint> backends, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(backends);
        if (backends.Count == 0)
            return 0;
        FrozenSet<uint> gone = backends.ToFrozenSet();
        int removed = await MapSweep.RunAsync(
            _maps.Ct4, (in Ct4Key k, in CtEntry e) => k.Scope == (byte)CtScope.Service && gone.Contains(e.Backend), isHurried: false, cancellation);
        removed += await MapSweep.RunAsync(
            _maps.Ct6, (in Ct6Key k, in CtEntry e) => k.Scope == (byte)CtScope.Service && gone.Contains(e.Backend), isHurried: false, cancellation);
        foreach (BpfMap<LbAffinityKey, LbAffinity> map in new[] { _maps.Affinity4, _maps.Affinity6 })
            removed += await MapSweep.RunAsync(map, (in LbAffinityKey _, in LbAffinity a) => gone.Contains(a.Backend), isHurried: false, cancellation);
        return removed;
    }

    /// <summary>Shorter when more than a quarter was dead or a map is nearly full, longer when less than a twentieth was dead.</summary>
    internal static TimeSpan NextInterval(TimeSpan current, ConntrackPass pass, bool isCrowded, TimeSpan longest)
    {
        int total = pass.Alive + pass.Removed;
        double dead = total == 0 ? 0 : (double)pass.Removed / total;
        TimeSpan next = dead > 0.25 || isCrowded ? current / 2 : dead < 0.05 ? current * 1.5 : current;
        return next < Shortest ? Shortest : next > longest ? longest : next;
    }

    private async Task<CollectionTally> CollectAsync<TKey>(BpfMap<TKey, CtEntry> map, bool isV6, CancellationToken cancellation)
        where TKey : unmanaged
    {
        uint now = KernelClock.NowSeconds();
        long start = _time.GetTimestamp();
        var tally = default(CollectionTally);
        bool isCompleted = false;
        try
        {
            await MapSweep.RunAsync(map, Pick, isHurried: false, cancellation);
            isCompleted = true;
            return tally;
        }
        finally
        {
            TimeSpan duration = _time.GetElapsedTime(start);
            Connections.Add(isV6, tally, duration, isCompleted);
            _options.OnPass?.Invoke(isV6, duration, isCompleted);
        }

        bool Pick(in TKey key, in CtEntry entry)
        {
            bool isDead = entry.LifetimeS < now;
            tally.Count(ProtocolOf(in key) == (byte)L4Protocol.Tcp, isDead);
            return isDead;
        }
    }

    private static byte ProtocolOf<TKey>(in TKey key)
        where TKey : unmanaged
        => key switch
        {
            Ct4Key v4 => v4.Protocol,
            Ct6Key v6 => v6.Protocol,
            _ => throw new InvalidOperationException($"{typeof(TKey).Name} is no key of a connection"),
        };

    private bool IsCrowded()
    {
        (long Alive, BpfMap Map)[] maps =
        [
            (Sum(Connections, "ipv4"), _maps.Ct4.Map), (Sum(Connections, "ipv6"), _maps.Ct6.Map),
            (Sum(Translations, "ipv4"), _maps.Nat4.Map), (Sum(Translations, "ipv6"), _maps.Nat6.Map),
        ];
        return maps.Any(m => m.Alive > m.Map.Spec.MaxEntries * CrowdedRatio);

        static long Sum(CollectionStatistics statistics, string family) => statistics.Counts.Where(c => c.Family == family).Sum(c => c.Alive);
    }

    /// <summary>The programs' signal: a connection that no source port could be found for since the last look.</summary>
    private bool ArePortsShort()
    {
        long failed = ReadFailedAllocations();
        bool more = failed > _failedAllocations;
        _failedAllocations = failed;
        Alarms += more ? 1 : 0;
        return more;
    }

    private long ReadFailedAllocations()
    {
        Span<uint> values = new uint[ProcessorSet.PossibleCount];
        long sum = 0;
        foreach (BpfPerCpuMap<uint, uint> map in new[] { _maps.NatRetries4, _maps.NatRetries6 })
        {
            if (!map.TryLookup((uint)AbiLimits.NatTries, values))
                continue;
            foreach (uint value in values)
                sum += value;
        }

        return sum;
    }
}
