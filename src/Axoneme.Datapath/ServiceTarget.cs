// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Datapath;

/// <summary>
/// Keeps services, backends, reverse NAT, affinity matches, source ranges and Maglev tables. It knows what it wrote, so a change costs writes
/// of what differs and no lookup. Slot 0 puts a service into force when all the rest is there. Numbers are restored from the maps, so a restart
/// renumbers nothing. A service that a full map refuses is absent, or stays as it was; the others go on.
/// </summary>
public sealed class ServiceTarget : IReconcileTarget<ServiceMapKey, ServiceMapEntry>
{
    // A collector that is late forgets nothing but the earliest: stale entries do no harm, they are only in the way.
    private const int MostRemovedBackends = 65536;

    private readonly Lock _lock = new();
    private readonly DatapathMaps _maps;
    private readonly ServiceWriter _writer;
    private readonly MaglevTables? _maglev;
    private readonly BackendPool _backends = new();
    private readonly ServiceNumbers _numbers = new();
    private readonly Dictionary<ServiceMapKey, ServiceState> _states = [];
    private readonly Queue<uint> _removed = new();

    /// <param name="maglev">Null when no service may use Maglev tables; those that ask for it choose at random then.</param>
    public ServiceTarget(DatapathMaps maps, MaglevSettings? maglev = null)
    {
        ArgumentNullException.ThrowIfNull(maps);
        _maps = maps;
        _writer = new ServiceWriter(maps);
        _maglev = maglev is null ? null : new MaglevTables(maglev);
        var reader = new ServiceReader(maps, _maglev);
        foreach (ServiceState state in reader.Restore(_backends, _numbers))
            _states[state.Key] = state;
        lock (_lock)
            RemoveUnusedBackends();
        _writer.FlushRemovals();
    }

    /// <summary>Entries that full maps refused since the start, by map.</summary>
    public IReadOnlyDictionary<string, long> Refused
    {
        get
        {
            lock (_lock)
                return _writer.Refused.ToDictionary(r => r.Map, r => r.Count);
        }
    }

    /// <summary>Map entries written and removed since the start.</summary>
    public long Writes
    {
        get
        {
            lock (_lock)
                return _writer.Writes;
        }
    }

    /// <summary>The number of a service in maps, events and the service list; null when it has none.</summary>
    public ushort? FindId(ServiceMapKey key)
    {
        lock (_lock)
            return _states.TryGetValue(key, out ServiceState? state) && state.Number != 0 ? state.Number : null;
    }

    /// <summary>The number of a backend; null when no service uses it.</summary>
    public uint? FindBackendId(L4Address address)
    {
        lock (_lock)
            return _backends.Find(address)?.Id;
    }

    /// <summary>Numbers of backends that went since the last call: connections and clients may still be bound to them.</summary>
    public IReadOnlyList<uint> TakeRemovedBackends()
    {
        lock (_lock)
        {
            uint[] taken = [.. _removed];
            _removed.Clear();
            return taken;
        }
    }

    /// <summary>Backends that services say different things of, with the state that counts for all: the most willing one.</summary>
    public IReadOnlyList<(L4Address Address, LbBackendState State)> FindDisputed()
    {
        lock (_lock)
            return [.. _backends.All.Where(b => b.IsDisputed).Select(b => (b.Address, b.State)).OrderBy(b => b.Address)];
    }

    public ValueTask ApplyAsync(
        IReadOnlyList<ServiceMapEntry> values, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            long removals = _writer.Removals;
            var round = new ServiceRound(_writer, _backends, _numbers, _maglev, _states);
            try
            {
                foreach (ServiceMapEntry service in values)
                    round.Add(service);
                round.Write();
            }
            finally
            {
                round.Settle();
                RemoveUnusedBackends();
                _writer.FlushRemovals();
            }

            foreach (ServiceChange change in round.Failed)
                failures.Add(change.Desired.Key, change.Failure!);
            // What was taken back of those that failed is the room that they did not find.
            failures.MadeRoom = failures.Count == 0 && _writer.Removals > removals;
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask DeleteAsync(
        IReadOnlyList<ServiceMapKey> keys, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            var round = new ServiceRound(_writer, _backends, _numbers, _maglev, _states);
            foreach (ServiceMapKey key in keys)
                round.Remove(key);
            round.WriteBackends();
            RemoveUnusedBackends();
            _writer.FlushRemovals();
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>
    /// Compares the maps with what was written. What others changed behind our back comes back different, and everything of it is written
    /// again when it is applied.
    /// </summary>
    public ValueTask<IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry>> ReadActualAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            new ServiceReader(_maps, _maglev).Verify(_states, _backends, _numbers, _writer);
            _writer.FlushRemovals();
            var actual = new Dictionary<ServiceMapKey, ServiceMapEntry>(_states.Count);
            foreach (ServiceState state in _states.Values)
                actual[state.Key] = state.IsSuspect || state.Applied is null ? new ServiceMapEntry(state.Key) : state.Applied;
            return ValueTask.FromResult<IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry>>(actual);
        }
    }

    public bool IsSame(ServiceMapEntry desired, ServiceMapEntry actual)
    {
        ArgumentNullException.ThrowIfNull(desired);
        ArgumentNullException.ThrowIfNull(actual);
        if (ReferenceEquals(desired, actual))
            return true;
        lock (_lock)
        {
            return _states.TryGetValue(desired.Key, out ServiceState? state) && ReferenceEquals(state.Applied, actual) && !state.IsSuspect
                && ServiceRound.IsAsRead(desired, actual, state, _maglev);
        }
    }

    /// <summary>The services as the kernel has them. One whose parts do not fit together is shown without backends.</summary>
    public Dictionary<ServiceMapKey, ServiceMapEntry> Read() => Read(_maps);

    internal static Dictionary<ServiceMapKey, ServiceMapEntry> Read(DatapathMaps maps)
        => new ServiceReader(maps, maglev: null).Restore(new BackendPool(), new ServiceNumbers())
            .ToDictionary(s => s.Key, s => s.Applied ?? new ServiceMapEntry(s.Key));

    private void RemoveUnusedBackends()
    {
        foreach (PooledBackend backend in _backends.TakeUnused())
        {
            _writer.RemoveBackend(backend.Id, backend.Address.Address.IsV6);
            if (_removed.Count == MostRemovedBackends)
                _removed.Dequeue();
            _removed.Enqueue(backend.Id);
        }
    }
}
