// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using Axoneme.DnsProxy;
using Axoneme.Network;

namespace Axoneme.Proxy.Names;

/// <summary>One name of one endpoint, with its addresses. Guarded by the cache's lock.</summary>
internal sealed class NameEntry(EndpointNames owner, string name)
{
    private record struct Mapping(IpAddress Address, long Expires, long LookupTime, int Ttl, long Unacknowledged);

    // Objects of the entry, its place in the dictionary and its text, as 64-bit .NET lays them out.
    private const int EntryBytes = 240;

    // Few names have more than a handful of addresses, and those that have many answer with a few of them at a time.
    private Mapping[] _mappings = [];

    public EndpointNames Owner { get; } = owner;

    /// <summary>Empty for the root.</summary>
    public string Name { get; } = name;

    public string Text => Name.Length == 0 ? "." : Name;

    /// <summary>Of the selectors of <see cref="Generation"/>.</summary>
    public int[] Patterns { get; set; } = [];

    public int Generation { get; set; } = -1;

    /// <summary>It waits to be told to the agent.</summary>
    public bool IsRefreshNoted { get; set; }

    public long NotedExpiry { get; set; }

    /// <summary>More recently and less recently used neighbours.</summary>
    public NameEntry? Newer { get; set; }

    public NameEntry? Older { get; set; }

    public int Count { get; private set; }

    /// <summary>Memory that it takes, as estimated.</summary>
    public long Bytes => EntryBytes + (2 * Name.Length) + ((long)_mappings.Length * Unsafe.SizeOf<Mapping>());

    public IEnumerable<IpAddress> Addresses => _mappings.Take(Count).Select(m => m.Address);

    /// <summary>False: the address is new, or its time was over.</summary>
    public bool Refresh(IpAddress address, long now, int ttl, out long unacknowledged)
    {
        unacknowledged = 0;
        int at = IndexOf(address);
        if (at < 0 || _mappings[at].Expires < now)
            return false;
        ref Mapping mapping = ref _mappings[at];
        unacknowledged = mapping.Unacknowledged;
        mapping.Expires = Math.Max(mapping.Expires, now + ttl);
        mapping.LookupTime = now;
        mapping.Ttl = ttl;
        return true;
    }

    public void Add(IpAddress address, long now, int ttl, long unacknowledged)
        => Put(new Mapping(address, now + ttl, now, ttl, unacknowledged));

    public void Restore(CachedMapping mapping) => Put(new Mapping(mapping.Address, mapping.Expires, mapping.LookupTime, mapping.Ttl, 0));

    public void Acknowledge(IpAddress address, long id)
    {
        int at = IndexOf(address);
        if (at >= 0 && _mappings[at].Unacknowledged == id)
            _mappings[at].Unacknowledged = 0;
    }

    /// <summary>Drops the addresses that expire first until <paramref name="limit"/> are left; returns how many.</summary>
    public int Trim(int limit)
    {
        int surplus = Count - Math.Max(1, limit);
        for (int i = 0; i < surplus; i++)
        {
            int first = 0;
            for (int m = 1; m < Count; m++)
            {
                if (_mappings[m].Expires < _mappings[first].Expires)
                    first = m;
            }

            RemoveAt(first);
        }

        Shrink();
        return Math.Max(0, surplus);
    }

    public void RemoveExpired(long now)
    {
        for (int i = Count - 1; i >= 0; i--)
        {
            if (_mappings[i].Expires < now)
                RemoveAt(i);
        }

        Shrink();
    }

    public LearnedName ToLearned()
    {
        Mapping latest = _mappings[0];
        for (int i = 1; i < Count; i++)
        {
            if (_mappings[i].LookupTime > latest.LookupTime)
                latest = _mappings[i];
        }

        return new LearnedName(
            Owner.Id, Text, [.. _mappings.Take(Count).Where(m => m.LookupTime == latest.LookupTime).Select(m => m.Address)], latest.Ttl, latest.LookupTime);
    }

    public IEnumerable<CachedMapping> Mappings()
        => _mappings.Take(Count).Select(m => new CachedMapping(Owner.Id, Text, m.Address, m.Expires, m.LookupTime, m.Ttl));

    private void Put(Mapping mapping)
    {
        int at = IndexOf(mapping.Address);
        if (at < 0)
        {
            at = Count++;
            if (at == _mappings.Length)
                Resize(Math.Max(2, 2 * at));
        }

        _mappings[at] = mapping;
    }

    private int IndexOf(IpAddress address)
    {
        for (int i = 0; i < Count; i++)
        {
            if (_mappings[i].Address == address)
                return i;
        }

        return -1;
    }

    private void RemoveAt(int at) => _mappings[at] = _mappings[--Count];

    private void Shrink()
    {
        if (_mappings.Length > 2 && Count < _mappings.Length / 4)
            Resize(Math.Max(2, 2 * Count));
    }

    private void Resize(int capacity)
    {
        long before = Bytes;
        Array.Resize(ref _mappings, capacity);
        Owner.NoteSize(this, Bytes - before);
    }
}
