// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>
/// Removes the connections and translations of addresses, whose next owners must not inherit them. Nothing finds entries by address, so each
/// removal is a walk over whole maps; those that are asked for while one goes on share the next, however many they are.
/// </summary>
internal sealed class AddressRemovals(DatapathMaps maps)
{
    private readonly Lock _lock = new();
    private Batch? _waiting;
    private bool _isRunning;

    /// <summary>Ends when nothing of the addresses is left; returns how many entries went with all that shared the walk.</summary>
    public Task<int> RemoveAsync(IEnumerable<IpAddress> addresses)
    {
        lock (_lock)
        {
            Batch batch = _waiting ??= new Batch();
            batch.Addresses.UnionWith(addresses);
            if (!_isRunning)
            {
                _isRunning = true;
                _ = Task.Run(RunAsync);
            }

            return batch.Done.Task;
        }
    }

    private async Task RunAsync()
    {
        while (Take() is { } batch)
        {
            try
            {
                batch.Done.SetResult(await WalkAsync(batch.Addresses));
            }
            catch (Exception e)
            {
                batch.Done.SetException(e);
            }
        }
    }

    private Batch? Take()
    {
        lock (_lock)
        {
            Batch? batch = _waiting;
            _waiting = null;
            _isRunning = batch is not null;
            return batch;
        }
    }

    private async Task<int> WalkAsync(HashSet<IpAddress> addresses)
    {
        int removed = 0;
        FrozenSet<NetU32> v4 = addresses.Where(a => !a.IsV6).Select(a => a.ToV4()).ToFrozenSet();
        if (v4.Count > 0)
        {
            removed += await Sweep(maps.Ct4, (in Ct4Key k, in CtEntry _) => v4.Contains(k.LowAddr) || v4.Contains(k.HighAddr));
            removed += await Sweep(
                maps.Nat4, (in Nat4Key k, in Nat4Entry e) => v4.Contains(k.Source) || v4.Contains(k.Destination) || v4.Contains(e.Addr));
        }

        FrozenSet<Ip6Addr> v6 = addresses.Where(a => a.IsV6).Select(a => a.ToV6()).ToFrozenSet();
        if (v6.Count > 0)
        {
            removed += await Sweep(maps.Ct6, (in Ct6Key k, in CtEntry _) => v6.Contains(k.LowAddr) || v6.Contains(k.HighAddr));
            removed += await Sweep(
                maps.Nat6, (in Nat6Key k, in Nat6Entry e) => v6.Contains(k.Source) || v6.Contains(k.Destination) || v6.Contains(e.Addr));
        }

        return removed;
    }

    private static Task<int> Sweep<TKey, TValue>(BpfMap<TKey, TValue> map, SweepPredicate<TKey, TValue> pick)
        where TKey : unmanaged
        where TValue : unmanaged
        => MapSweep.RunAsync(map, pick, isHurried: true, CancellationToken.None);

    private sealed class Batch
    {
        public HashSet<IpAddress> Addresses { get; } = [];

        public TaskCompletionSource<int> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
