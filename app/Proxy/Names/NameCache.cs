// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;

namespace Axoneme.Proxy.Names;

/// <summary>Who has to know of a new address before its answer goes out.</summary>
internal enum AgentPresence
{
    /// <summary>Nobody: the proxy gives the address its identity itself.</summary>
    Absent,

    /// <summary>An agent is connected and has not told all its rules yet: as absent, but it is told as well.</summary>
    Starting,

    /// <summary>The agent gives the address its identity and acknowledges.</summary>
    Present,
}

/// <summary>
/// Which endpoint learned which addresses for which name. Only names that some selector matches are kept. One lock: an operation takes well under a
/// microsecond, and there are some ten thousand a second.
/// </summary>
internal sealed class NameCache(TimeProvider time, IAddressTable table)
{
    // An agent that does not acknowledge is not told more than this: the proxy then helps itself.
    private const int MaximalUnacknowledged = 10_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<ushort, EndpointNames> _endpoints = [];
    private readonly Dictionary<IpAddress, SecurityIdentity> _written = [];
    private readonly Dictionary<long, List<(NameEntry Name, IpAddress Address)>> _unacknowledged = [];
    private readonly List<NameEntry> _refreshed = [];
    private SelectorDirectory _selectors = SelectorDirectory.Empty;
    private int _generation;
    private ProxyOptions _options = new();
    private AgentPresence _presence;
    private AddressPatterns? _patterns;
    private long _lastId;

    /// <summary>Called with what the agent has to know, in order, with the lock held; must not block. False: there was no room.</summary>
    public Func<Learned, bool>? Announce { get; set; }

    public long EvictedNames { get; private set; }

    public long EvictedAddresses { get; private set; }

    /// <summary>Names of all endpoints, and the memory that they take, as estimated.</summary>
    public (long Names, long Bytes) Size
    {
        get
        {
            lock (_lock)
                return (_endpoints.Values.Sum(e => (long)e.Count), _endpoints.Values.Sum(e => e.Bytes));
        }
    }

    public long WrittenAddresses { get; private set; }

    public long UnwrittenAddresses { get; private set; }

    /// <summary>Changes whenever something changes that a restart must not lose.</summary>
    public long Version { get; private set; }

    private long Now => time.GetUtcNow().ToUnixTimeSeconds();

    public void Configure(ProxyOptions options)
    {
        lock (_lock)
            _options = options;
    }

    public void Select(SelectorDirectory selectors)
    {
        lock (_lock)
        {
            _selectors = selectors;
            _generation++;
            _patterns = null;
        }
    }

    /// <summary>Takes in an answer.</summary>
    /// <param name="endpoint">That asked.</param>
    /// <param name="name">Of the question, in lower case without the final dot.</param>
    /// <param name="addresses">Of the answer.</param>
    /// <param name="ttlSeconds">Smallest of the chain.</param>
    /// <returns>The id whose acknowledgement the answer has to wait for, or 0.</returns>
    public long Learn(ushort endpoint, ReadOnlySpan<char> name, ReadOnlySpan<IpAddress> addresses, uint ttlSeconds)
    {
        lock (_lock)
        {
            NameEntry? entry = Find(endpoint, name);
            if (entry is null)
                return 0;
            long now = Now;
            int ttl = (int)Math.Clamp(ttlSeconds, (uint)Math.Max(0, _options.MinimalTtlSeconds), int.MaxValue);
            long waitFor = 0;
            List<IpAddress>? fresh = null;
            foreach (IpAddress address in addresses)
            {
                if (entry.Refresh(address, now, ttl, out long unacknowledged))
                    waitFor = Math.Max(waitFor, unacknowledged);
                else
                    (fresh ??= []).Add(address);
            }

            if (fresh is null)
                MarkRefreshed(entry, now, ttl);
            else
                waitFor = TakeNew(entry, fresh, now, ttl);
            return waitFor;
        }
    }

    /// <summary>Addresses that were waited for are in place. The caller then releases their answers.</summary>
    public void Acknowledge(IReadOnlyList<long> ids)
    {
        lock (_lock)
        {
            foreach (long id in ids)
            {
                if (_unacknowledged.Remove(id, out List<(NameEntry Name, IpAddress Address)>? waiting))
                    waiting.ForEach(w => w.Name.Acknowledge(w.Address, id));
            }
        }
    }

    /// <summary>
    /// From here on new addresses are dealt with as <paramref name="presence"/> says. When the agent goes, the proxy does for the unacknowledged ones what the
    /// agent did not come to.
    /// </summary>
    public void SetPresence(AgentPresence presence)
    {
        lock (_lock)
        {
            _presence = presence;
            if (presence == AgentPresence.Present)
            {
                _patterns = null;
                Version += _written.Count > 0 ? 1 : 0;
                // The agent knows the names of these addresses, and gives them their identities from now on.
                _written.Clear();
                return;
            }

            foreach ((long id, List<(NameEntry Name, IpAddress Address)> waiting) in _unacknowledged)
            {
                foreach ((NameEntry name, IpAddress address) in waiting)
                {
                    WriteIdentity(name, address);
                    name.Acknowledge(address, id);
                }
            }

            _unacknowledged.Clear();
        }
    }

    public void Forget(DnsPattern names, ushort? endpoint)
    {
        lock (_lock)
        {
            foreach ((ushort id, EndpointNames known) in _endpoints)
            {
                if (endpoint is null || endpoint == id)
                    known.RemoveWhere(n => names.Matches(n.Name));
            }

            _patterns = null;
            Version++;
        }
    }

    public void RemoveEndpoint(ushort id)
    {
        lock (_lock)
        {
            if (_endpoints.Remove(id))
                Version++;
        }
    }

    /// <summary>
    /// Drops what has expired and what no selector wants any more. Expired addresses stay while no agent is there to judge by open connections whether they
    /// are still needed. Works in short steps, between which others get the lock.
    /// </summary>
    public void Sweep()
    {
        const int Step = 256;
        List<NameEntry> all;
        lock (_lock)
            all = [.. _endpoints.Values.SelectMany(e => e.All)];
        for (int start = 0; start < all.Count; start += Step)
        {
            lock (_lock)
            {
                if (_presence != AgentPresence.Present)
                    return;
                long now = Now;
                for (int i = start; i < Math.Min(all.Count, start + Step); i++)
                {
                    NameEntry entry = all[i];
                    entry.RemoveExpired(now);
                    if ((entry.Count == 0 || PatternsOf(entry).Length == 0) && entry.Owner.Remove(entry))
                        Version++;
                }
            }
        }
    }

    /// <summary>What was seen again since the last call, in messages of bounded size.</summary>
    public IReadOnlyList<Learned> TakeRefreshed()
    {
        const int Most = 1000;
        lock (_lock)
        {
            if (_refreshed.Count == 0)
                return [];
            LearnedName[] names = [.. _refreshed.Where(n => n.Count > 0).Select(n => n.ToLearned())];
            _refreshed.ForEach(n => n.IsRefreshNoted = false);
            _refreshed.Clear();
            return [.. names.Chunk(Most).Select(c => new Learned(0, c))];
        }
    }

    /// <summary>The whole cache, in messages of bounded size.</summary>
    public IReadOnlyList<CacheContents> Snapshot()
    {
        const int Most = 5000;
        lock (_lock)
            return [.. _endpoints.Values.SelectMany(e => e.OldestFirst).SelectMany(n => n.Mappings()).Chunk(Most).Select(c => new CacheContents(c))];
    }

    /// <summary>What the proxy gave an identity itself since the last agent took over.</summary>
    public WrittenAddresses SnapshotWritten()
    {
        lock (_lock)
            return new WrittenAddresses([.. _written.Select(w => new WrittenAddress(w.Key, w.Value))]);
    }

    /// <summary>Takes in what <see cref="Snapshot"/> gave in an earlier life.</summary>
    public void Restore(CacheContents contents)
    {
        lock (_lock)
        {
            foreach (CachedMapping mapping in contents.Mappings)
            {
                string name = mapping.Name == "." ? "" : mapping.Name;
                EndpointNames names = EndpointOf(mapping.Endpoint);
                names.GetOrAdd(name).Restore(mapping);
                KeepWithinBounds(names);
            }
        }
    }

    /// <summary>The same for <see cref="SnapshotWritten"/>.</summary>
    public void Restore(WrittenAddresses contents)
    {
        lock (_lock)
        {
            foreach (WrittenAddress address in contents.Written)
                _written[address.Address] = address.Identity;
        }
    }

    private long TakeNew(NameEntry entry, List<IpAddress> fresh, long now, int ttl)
    {
        long id = _presence == AgentPresence.Present && _unacknowledged.Count < MaximalUnacknowledged ? ++_lastId : 0;
        foreach (IpAddress address in fresh)
            entry.Add(address, now, ttl, id);
        EvictedAddresses += entry.Trim(_options.MaximalAddressesPerName);
        KeepWithinBounds(entry.Owner);
        Version++;
        bool announced = _presence != AgentPresence.Absent && Announce is { } announce
            && announce(new Learned(id, [new LearnedName(entry.Owner.Id, entry.Text, fresh, ttl, now)]));
        if (id != 0 && announced)
        {
            _unacknowledged[id] = [.. fresh.Select(a => (entry, a))];
            return id;
        }

        foreach (IpAddress address in fresh)
        {
            if (id != 0)
                entry.Acknowledge(address, id);
            WriteIdentity(entry, address);
        }

        return 0;
    }

    // What is in use is dropped last: the oldest names of whoever has the most.
    private void KeepWithinBounds(EndpointNames changed)
    {
        EvictedNames += changed.Trim(_options.MaximalNamesPerEndpoint, _options.MaximalBytesPerEndpoint);
        while (_endpoints.Values.Sum(e => e.Bytes) - _options.MaximalBytes is > 0 and var surplus)
        {
            EndpointNames largest = _endpoints.Values.MaxBy(e => e.Bytes)!;
            int dropped = largest.Trim(int.MaxValue, largest.Bytes - surplus);
            if (dropped == 0)
                return;
            EvictedNames += dropped;
        }
    }

    // The agent is told once a second and name at most: that is as fine as times of expiry are.
    private void MarkRefreshed(NameEntry entry, long now, int ttl)
    {
        if (entry.NotedExpiry == now + ttl)
            return;
        entry.NotedExpiry = now + ttl;
        Version++;
        if (_presence == AgentPresence.Absent || entry.IsRefreshNoted)
            return;
        entry.IsRefreshNoted = true;
        _refreshed.Add(entry);
    }

    private void WriteIdentity(NameEntry entry, IpAddress address)
    {
        _patterns ??= AddressPatterns.Build(_endpoints.Values.SelectMany(e => e.All), PatternsOf);
        int[] patterns = _patterns.Add(address, PatternsOf(entry));
        SecurityIdentity? earlier = _written.TryGetValue(address, out SecurityIdentity own) ? own : null;
        if (_selectors.IsCovered(address))
            return;
        if (!_selectors.TryFindIdentity(patterns, address.IsV6, out SecurityIdentity identity))
        {
            UnwrittenAddresses++;
            return;
        }

        if (earlier == identity)
            return;
        switch (table.Write(address, identity, earlier))
        {
            case WriteOutcome.Written:
                _written[address] = identity;
                WrittenAddresses++;
                break;
            case WriteOutcome.Failed:
                UnwrittenAddresses++;
                break;
        }
    }

    // Null: nobody wants the name.
    private NameEntry? Find(ushort endpoint, ReadOnlySpan<char> name)
    {
        if (_endpoints.TryGetValue(endpoint, out EndpointNames? names) && names.Find(name) is { } known)
        {
            if (PatternsOf(known).Length > 0)
            {
                names.Touch(known);
                return known;
            }

            names.Remove(known);
            return null;
        }

        int[] patterns = _selectors.Match(name);
        if (patterns.Length == 0)
            return null;
        NameEntry entry = (names ?? EndpointOf(endpoint)).GetOrAdd(name.ToString());
        entry.Patterns = patterns;
        entry.Generation = _generation;
        return entry;
    }

    private int[] PatternsOf(NameEntry entry)
    {
        if (entry.Generation != _generation)
        {
            entry.Patterns = _selectors.Match(entry.Name);
            entry.Generation = _generation;
        }

        return entry.Patterns;
    }

    private EndpointNames EndpointOf(ushort id)
    {
        if (!_endpoints.TryGetValue(id, out EndpointNames? names))
            _endpoints[id] = names = new EndpointNames(id);
        return names;
    }
}
