// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>What one pass over the conntrack maps found.</summary>
public sealed record ConntrackPass(int Alive, int Removed);

/// <summary>
/// Removes connections whose time is over. The maps evict by age when they are full, so this is about memory and counts and never urgent:
/// it works in small batches with pauses, and passes come more often the more there was to remove.
/// </summary>
public sealed class ConntrackCollector(DatapathMaps maps, TimeProvider time)
{
    // Between two batches others get the processor; a batch takes well below a millisecond.
    private const int BatchEntries = 1024;
    private static readonly TimeSpan Shortest = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(30);

    private long _removed;
    private long _passes;

    /// <summary>Until the next pass; adapts to the share of dead entries.</summary>
    public TimeSpan Interval { get; private set; } = TimeSpan.FromMinutes(5);

    /// <summary>Entries removed since the start.</summary>
    public long Removed => Interlocked.Read(ref _removed);

    public long Passes => Interlocked.Read(ref _passes);

    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await Task.Delay(Interval, time, cancellation);
            ConntrackPass pass = await CollectAsync(cancellation);
            Interval = NextInterval(Interval, pass);
        }
    }

    /// <summary>One pass over both families.</summary>
    public async Task<ConntrackPass> CollectAsync(CancellationToken cancellation)
    {
        uint now = KernelClock.NowSeconds();
        ConntrackPass v4 = await SweepAsync(maps.Ct4, (_, e) => e.LifetimeS < now, cancellation);
        ConntrackPass v6 = await SweepAsync(maps.Ct6, (_, e) => e.LifetimeS < now, cancellation);
        Interlocked.Increment(ref _passes);
        return new ConntrackPass(v4.Alive + v6.Alive, v4.Removed + v6.Removed);
    }

    /// <summary>Removes all connections of an address, whose next owner must not inherit them. Returns how many.</summary>
    public async Task<int> RemoveAddressAsync(IpAddress address, CancellationToken cancellation)
    {
        if (address.IsV6)
        {
            Ip6Addr wanted = address.ToV6();
            return (await SweepAsync(maps.Ct6, (k, _) => k.LowAddr == wanted || k.HighAddr == wanted, cancellation)).Removed;
        }

        NetU32 v4 = address.ToV4();
        return (await SweepAsync(maps.Ct4, (k, _) => k.LowAddr == v4 || k.HighAddr == v4, cancellation)).Removed;
    }

    /// <summary>Shorter when more than a quarter was dead, longer when less than a twentieth was.</summary>
    internal static TimeSpan NextInterval(TimeSpan current, ConntrackPass pass)
    {
        int total = pass.Alive + pass.Removed;
        double dead = total == 0 ? 0 : (double)pass.Removed / total;
        TimeSpan next = dead > 0.25 ? current / 2 : dead < 0.05 ? current * 1.5 : current;
        return next < Shortest ? Shortest : next > Longest ? Longest : next;
    }

    private async Task<ConntrackPass> SweepAsync<TKey>(
        BpfMap<TKey, CtEntry> map, Func<TKey, CtEntry, bool> isDead, CancellationToken cancellation)
        where TKey : unmanaged
    {
        var dead = new List<TKey>(BatchEntries);
        int seen = 0;
        int removed = 0;
        foreach ((TKey key, CtEntry entry) in map.Entries())
        {
            if (isDead(key, entry))
                dead.Add(key);
            if (++seen % BatchEntries != 0)
                continue;
            removed += Delete(map, dead);
            cancellation.ThrowIfCancellationRequested();
            await Task.Yield();
        }

        removed += Delete(map, dead);
        Interlocked.Add(ref _removed, removed);
        return new ConntrackPass(seen - removed, removed);
    }

    private static int Delete<TKey>(BpfMap<TKey, CtEntry> map, List<TKey> keys)
        where TKey : unmanaged
    {
        int count = keys.Count;
        map.DeleteBatch(CollectionsMarshal.AsSpan(keys));
        keys.Clear();
        return count;
    }
}
