// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Names, their addresses, and the patterns of rules that they match. All names are kept, as far as the bounds allow, so that a new rule
/// knows the addresses of names that were asked for before. Not thread-safe.
/// </summary>
public sealed class FqdnNames
{
    private readonly FqdnOptions _options;
    private readonly Action<IpAddress> _changed;
    private readonly DnsPatternIndex<NamePattern> _index = new();
    private readonly Dictionary<DnsPattern, NamePattern> _patterns = [];
    private readonly Dictionary<string, KnownName> _names = [];
    private readonly Dictionary<IpAddress, KnownAddress> _addresses = [];

    // Each lease is in one of the two.
    private readonly SortedSet<(DateTimeOffset End, KnownName Name, IpAddress Address)> _ends = new(EndOrder.Instance);
    private readonly HashSet<(KnownName Name, IpAddress Address)> _zombies = [];

    /// <param name="options">Bounds.</param>
    /// <param name="changed">Called with each address whose set of patterns changes.</param>
    internal FqdnNames(FqdnOptions options, Action<IpAddress> changed)
    {
        _options = options;
        _changed = changed;
    }

    /// <summary>Pairs of name and address.</summary>
    public int LeaseCount { get; private set; }

    public int ZombieCount => _zombies.Count;

    /// <summary>Leases that a bound removed before their end, since the start.</summary>
    public long Evicted { get; private set; }

    /// <summary>Leases that ended, since the start.</summary>
    public long Expired { get; private set; }

    /// <summary>Changes with every pattern that comes or goes.</summary>
    public long PatternsVersion { get; private set; }

    /// <summary>Changes with every lease that comes, goes or is prolonged.</summary>
    public long Version { get; private set; }

    /// <summary>Patterns that rules mention.</summary>
    public IReadOnlyCollection<DnsPattern> Patterns => _patterns.Keys;

    /// <summary>All leases, in no order.</summary>
    public IEnumerable<NameEntry> Entries
        => _names.Values.SelectMany(n => n.Leases.Select(l => new NameEntry(n.Name, l.Key, l.Value)));

    /// <summary>Names that answers gave for the address, in order.</summary>
    public IReadOnlyList<string> NamesOf(IpAddress address)
        => _addresses.TryGetValue(address, out KnownAddress? known) ? [.. known.Names.Select(n => n.Name).Order(StringComparer.Ordinal)] : [];

    /// <summary>Addresses of names that match the pattern, in order.</summary>
    public IReadOnlyList<IpAddress> AddressesOf(DnsPattern pattern)
        => _patterns.TryGetValue(pattern, out NamePattern? known) ? [.. known.Names.SelectMany(n => n.Leases.Keys).Distinct().Order()] : [];

    /// <summary>Takes an answer.</summary>
    /// <param name="name">The question, in any case, with or without the final dot.</param>
    /// <param name="addresses">Of the answer.</param>
    /// <param name="endpoint">Who asked.</param>
    /// <param name="at">When the answer came.</param>
    /// <param name="ttl">Smallest of the answer's records.</param>
    public void Learn(string name, IReadOnlyCollection<IpAddress> addresses, ushort endpoint, DateTimeOffset at, TimeSpan ttl)
    {
        ArgumentNullException.ThrowIfNull(addresses);
        var lease = new NameLease(at, ttl, at + (ttl > _options.MinimalTtl ? ttl : _options.MinimalTtl), [endpoint]);
        foreach (IpAddress address in addresses)
            Add(new NameEntry(name, address, lease));
    }

    /// <summary>Takes a lease that somebody else kept, such as an earlier run.</summary>
    public void Add(NameEntry entry)
    {
        string text = Normalize(entry.Name);
        if (text.Length is 0 or > DnsPattern.MaximalLength)
            return;
        ref KnownName? name = ref CollectionsMarshal.GetValueRefOrAddDefault(_names, text, out bool known);
        name ??= new KnownName(text);
        if (!known)
        {
            foreach (NamePattern pattern in _index.Find(text) ?? [])
            {
                name.Patterns.Add(pattern);
                pattern.Names.Add(name);
            }
        }

        Version++;
        Add(name, entry.Address, entry.Lease);
    }

    /// <summary>Addresses in rules' patterns whose leases have ended: before <see cref="Expire"/>, to be asked for connections.</summary>
    public IReadOnlySet<IpAddress> Due(DateTimeOffset now)
    {
        CollectEnded(now);
        return _zombies.Where(z => z.Name.Patterns.Count > 0).Select(z => z.Address).ToHashSet();
    }

    /// <summary>
    /// Removes what has ended. Addresses that rules' patterns need stay as long as they have connections, within the bound of such ones: the
    /// oldest give way.
    /// </summary>
    /// <param name="now">As it was passed to <see cref="Due"/>.</param>
    /// <param name="connected">Those of its addresses with connections.</param>
    public void Expire(DateTimeOffset now, IReadOnlySet<IpAddress> connected)
    {
        ArgumentNullException.ThrowIfNull(connected);
        CollectEnded(now);
        foreach ((KnownName name, IpAddress address) in _zombies.ToArray())
        {
            bool idle = name.Patterns.Count == 0 || !connected.Contains(address);
            if (idle && name.Leases[address].Expires + _options.IdleGrace <= now)
                End(name, address);
        }

        int surplus = _zombies.Count - _options.MaximalZombies;
        if (surplus <= 0)
            return;
        foreach ((KnownName name, IpAddress address) in _zombies.OrderBy(z => z.Name.Leases[z.Address].Expires).Take(surplus).ToArray())
            Evict(name, address);
    }

    /// <summary>Forgets names: all, or those that match.</summary>
    /// <returns>Leases removed.</returns>
    public int Forget(DnsPattern? pattern = null)
    {
        int before = LeaseCount;
        foreach (KnownName name in _names.Values.Where(n => pattern?.Matches(n.Name) ?? true).ToArray())
        {
            foreach (IpAddress address in name.Leases.Keys.ToArray())
                Remove(name, address);
        }

        return before - LeaseCount;
    }

    /// <summary>Forgets who asked; leases stay until they end.</summary>
    public void ForgetEndpoint(ushort endpoint)
    {
        foreach (KnownName name in _names.Values)
        {
            foreach ((IpAddress address, NameLease lease) in name.Leases.ToArray())
            {
                if (lease.Endpoints.Contains(endpoint))
                    name.Leases[address] = lease with { Endpoints = lease.Endpoints.Remove(endpoint) };
            }
        }
    }

    /// <summary>True: the pattern is new.</summary>
    internal bool AcquirePattern(DnsPattern pattern, out NamePattern known)
    {
        if (_patterns.TryGetValue(pattern, out NamePattern? held))
        {
            held.References++;
            known = held;
            return false;
        }

        known = new NamePattern(pattern) { References = 1 };
        _patterns.Add(pattern, known);
        PatternsVersion++;
        _index.Add(pattern, known);
        if (!pattern.IsName)
        {
            foreach (KnownName name in _names.Values.Where(n => pattern.Matches(n.Name)))
                Match(name, known);
        }
        else if (_names.TryGetValue(pattern.Text, out KnownName? exact))
        {
            Match(exact, known);
        }

        return true;
    }

    /// <summary>Null: other rules still use it.</summary>
    internal NamePattern? ReleasePattern(DnsPattern pattern)
    {
        NamePattern known = _patterns[pattern];
        if (--known.References > 0)
            return null;
        _patterns.Remove(pattern);
        PatternsVersion++;
        _index.Remove(pattern);
        foreach (KnownName name in known.Names)
        {
            name.Patterns.Remove(known);
            foreach (IpAddress address in name.Leases.Keys)
                Count(address, known, -1);
        }

        return known;
    }

    /// <summary>The patterns in use that the name matches.</summary>
    internal IReadOnlyList<NamePattern> PatternsOf(string name) => _index.Find(name) ?? [];

    internal IEnumerable<NamePattern> KnownPatterns => _patterns.Values;

    /// <summary>Texts of the patterns that the address has now; empty: none.</summary>
    internal IEnumerable<string> PatternsOf(IpAddress address)
        => _addresses.TryGetValue(address, out KnownAddress? known) ? known.Patterns.Keys.Select(p => p.Pattern.Text) : [];

    /// <summary>Addresses with patterns.</summary>
    internal IEnumerable<IpAddress> Selected => _addresses.Where(a => a.Value.Patterns.Count > 0).Select(a => a.Key);

    private static string Normalize(string name)
    {
        ReadOnlySpan<char> text = name.EndsWith('.') ? name.AsSpan(0, name.Length - 1) : name;
        return text.ContainsAnyInRange('A', 'Z') ? text.ToString().ToLowerInvariant() : text.ToString();
    }

    private void Add(KnownName name, IpAddress address, NameLease lease)
    {
        ref NameLease? held = ref CollectionsMarshal.GetValueRefOrAddDefault(name.Leases, address, out bool known);
        if (known)
        {
            _ends.Remove((held!.Expires, name, address));
            _zombies.Remove((name, address));
            held = Join(held, lease);
            _ends.Add((held.Expires, name, address));
            return;
        }

        held = lease with { IsZombie = false };
        _ends.Add((lease.Expires, name, address));
        LeaseCount++;
        (CollectionsMarshal.GetValueRefOrAddDefault(_addresses, address, out _) ??= new KnownAddress()).Names.Add(name);
        foreach (NamePattern pattern in name.Patterns)
            Count(address, pattern, 1);
        if (name.Leases.Count > _options.MaximalAddressesPerName)
            Evict(name, name.Leases.MinBy(l => (l.Value.Expires, l.Key)).Key);
        if (LeaseCount > _options.MaximalLeases)
            EvictTenth();
    }

    private static NameLease Join(NameLease held, NameLease next)
    {
        NameLease latest = next.LookedUp >= held.LookedUp ? next : held;
        return latest with
        {
            Expires = held.Expires > next.Expires ? held.Expires : next.Expires,
            Endpoints = held.Endpoints.Union(next.Endpoints),
            IsZombie = false,
        };
    }

    private void Match(KnownName name, NamePattern pattern)
    {
        name.Patterns.Add(pattern);
        pattern.Names.Add(name);
        foreach (IpAddress address in name.Leases.Keys)
            Count(address, pattern, 1);
    }

    private void Count(IpAddress address, NamePattern pattern, int change)
    {
        Dictionary<NamePattern, int> patterns = _addresses[address].Patterns;
        int before = patterns.GetValueOrDefault(pattern);
        if (before + change == 0)
            patterns.Remove(pattern);
        else
            patterns[pattern] = before + change;
        if (before == 0 || before + change == 0)
            _changed(address);
    }

    private void CollectEnded(DateTimeOffset now)
    {
        while (_ends.Count > 0 && _ends.Min is var (end, name, address) && end <= now)
        {
            _ends.Remove(_ends.Min);
            name.Leases[address] = name.Leases[address] with { IsZombie = true };
            _zombies.Add((name, address));
        }
    }

    private void EvictTenth()
    {
        IEnumerable<(KnownName Name, IpAddress Address)> victims = _names.Values
            .SelectMany(n => n.Leases.Select(l => (Name: n, Address: l.Key, l.Value.Expires)))
            .OrderBy(l => l.Name.Patterns.Count > 0).ThenBy(l => l.Expires)
            .Take(_options.MaximalLeases / 10 + 1)
            .Select(l => (l.Name, l.Address));
        foreach ((KnownName name, IpAddress address) in victims.ToArray())
            Evict(name, address);
    }

    private void Evict(KnownName name, IpAddress address)
    {
        Evicted++;
        Remove(name, address);
    }

    private void End(KnownName name, IpAddress address)
    {
        Expired++;
        Remove(name, address);
    }

    private void Remove(KnownName name, IpAddress address)
    {
        Version++;
        name.Leases.Remove(address, out NameLease? lease);
        _ends.Remove((lease!.Expires, name, address));
        _zombies.Remove((name, address));
        LeaseCount--;
        foreach (NamePattern pattern in name.Patterns)
            Count(address, pattern, -1);
        KnownAddress known = _addresses[address];
        known.Names.Remove(name);
        if (known.Names.Count == 0)
            _addresses.Remove(address);
        if (name.Leases.Count > 0)
            return;
        _names.Remove(name.Name);
        foreach (NamePattern pattern in name.Patterns)
            pattern.Names.Remove(name);
    }

    private sealed class EndOrder : IComparer<(DateTimeOffset End, KnownName Name, IpAddress Address)>
    {
        public static readonly EndOrder Instance = new();

        public int Compare((DateTimeOffset End, KnownName Name, IpAddress Address) x, (DateTimeOffset End, KnownName Name, IpAddress Address) y)
        {
            int order = x.End.CompareTo(y.End);
            if (order == 0)
                order = string.CompareOrdinal(x.Name.Name, y.Name.Name);
            return order != 0 ? order : x.Address.CompareTo(y.Address);
        }
    }
}
