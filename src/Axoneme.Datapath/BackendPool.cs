// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>A backend of at least one service, under the number that maps know it by.</summary>
internal sealed class PooledBackend(L4Address address, uint id) : WriteOwner
{
    public L4Address Address { get; } = address;

    public uint Id { get; } = id;

    /// <summary>What its map has, or null when that does not have it.</summary>
    public BackendMapEntry? Written { get; set; }

    /// <summary>What is on its way into the map in this round.</summary>
    public BackendMapEntry? Staged { get; set; }

    /// <summary>Services that name it in the kernel or are about to.</summary>
    public int Users { get; set; }

    private StateCounts _mentions;

    /// <summary>The state that counts: where services name different ones, the most willing.</summary>
    public LbBackendState State
    {
        get
        {
            for (int state = 0; state < StateCount; state++)
            {
                if (_mentions[state] > 0)
                    return (LbBackendState)state;
            }

            return LbBackendState.Active;
        }
    }

    /// <summary>Whether services name different states.</summary>
    public bool IsDisputed
    {
        get
        {
            int named = 0;
            for (int state = 0; state < StateCount; state++)
                named += _mentions[state] > 0 ? 1 : 0;
            return named > 1;
        }
    }

    /// <summary>As said last.</summary>
    public byte Zone { get; set; }

    /// <summary>So many services more, or less, say that it is in this state.</summary>
    public void Mention(LbBackendState state, int count) => _mentions[(int)state] += count;

    private const int StateCount = (int)LbBackendState.Maintenance + 1;

    [InlineArray(StateCount)]
    private struct StateCounts
    {
        private int _first;
    }
}

/// <summary>
/// The backends and their numbers, which are in conntrack entries and sockets: a restart must not change them, and a number that became free
/// is the last to be used again. Not thread-safe.
/// </summary>
internal sealed class BackendPool
{
    private readonly Dictionary<L4Address, PooledBackend> _byAddress = [];
    private readonly Dictionary<uint, PooledBackend> _byId = [];
    private readonly List<PooledBackend> _unused = [];
    private uint _last;

    public IReadOnlyCollection<PooledBackend> All => _byAddress.Values;

    public PooledBackend? Find(L4Address address) => _byAddress.GetValueOrDefault(address);

    public PooledBackend? Find(uint id) => _byId.GetValueOrDefault(id);

    /// <summary>The backend of that address, new or not, with one user more.</summary>
    public PooledBackend Acquire(L4Address address)
    {
        if (!_byAddress.TryGetValue(address, out PooledBackend? backend))
        {
            do
                _last = _last == uint.MaxValue ? 1 : _last + 1;
            while (_byId.ContainsKey(_last));
            backend = Add(address, _last);
        }

        backend.Users++;
        return backend;
    }

    public void Release(PooledBackend backend)
    {
        if (--backend.Users == 0)
            _unused.Add(backend);
    }

    /// <summary>Takes over what the map has. One that no service acquires afterwards is unused.</summary>
    public void Restore(uint id, BackendMapEntry entry)
    {
        if (_byId.ContainsKey(id) || _byAddress.ContainsKey(entry.Address))
            return;
        PooledBackend backend = Add(entry.Address, id);
        backend.Written = entry;
        _last = Math.Max(_last, id);
        _unused.Add(backend);
    }

    /// <summary>Forgets the backends without users and returns them, for their entries to be removed.</summary>
    public IReadOnlyList<PooledBackend> TakeUnused()
    {
        if (_unused.Count == 0)
            return [];
        // One may have been acquired again, or be here twice.
        PooledBackend[] gone = [.. _unused.Where(b => b.Users == 0).Distinct()];
        foreach (PooledBackend backend in gone)
        {
            _byAddress.Remove(backend.Address);
            _byId.Remove(backend.Id);
        }

        _unused.Clear();
        return gone;
    }

    private PooledBackend Add(L4Address address, uint id)
        => _byAddress[address] = _byId[id] = new PooledBackend(address, id);
}
