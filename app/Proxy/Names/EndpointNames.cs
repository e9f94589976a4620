// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Proxy.Names;

/// <summary>The names of one endpoint, in the order of their last use. Guarded by the cache's lock.</summary>
internal sealed class EndpointNames
{
    private readonly Dictionary<string, NameEntry> _names = new(StringComparer.Ordinal);
    private readonly Dictionary<string, NameEntry>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private NameEntry? _newest;
    private NameEntry? _oldest;

    public EndpointNames(ushort id)
    {
        Id = id;
        _lookup = _names.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public ushort Id { get; }

    public IEnumerable<NameEntry> All => _names.Values;

    /// <summary>So that whoever reads them in this order knows it as well.</summary>
    public IEnumerable<NameEntry> OldestFirst
    {
        get
        {
            for (NameEntry? entry = _oldest; entry is not null; entry = entry.Newer)
                yield return entry;
        }
    }

    public NameEntry? Find(ReadOnlySpan<char> name) => _lookup.TryGetValue(name, out NameEntry? entry) ? entry : null;

    public NameEntry GetOrAdd(string name)
    {
        if (_names.TryGetValue(name, out NameEntry? entry))
            return entry;
        entry = new NameEntry(this, name);
        _names.Add(name, entry);
        Append(entry);
        return entry;
    }

    public void Touch(NameEntry entry)
    {
        if (entry == _newest)
            return;
        Unlink(entry);
        Append(entry);
    }

    public bool Remove(NameEntry entry)
    {
        if (!_names.Remove(entry.Name))
            return false;
        Unlink(entry);
        return true;
    }

    public void RemoveWhere(Func<NameEntry, bool> condition)
    {
        foreach (NameEntry entry in _names.Values.Where(condition).ToList())
            Remove(entry);
    }

    /// <summary>Drops those that were not used for the longest time until <paramref name="limit"/> are left; returns how many.</summary>
    public int Trim(int limit)
    {
        int dropped = 0;
        for (; _names.Count > Math.Max(1, limit); dropped++)
            Remove(_oldest!);
        return dropped;
    }

    private void Append(NameEntry entry)
    {
        entry.Older = _newest;
        entry.Newer = null;
        if (_newest is not null)
            _newest.Newer = entry;
        else
            _oldest = entry;
        _newest = entry;
    }

    private void Unlink(NameEntry entry)
    {
        if (entry.Older is not null)
            entry.Older.Newer = entry.Newer;
        else
            _oldest = entry.Newer;
        if (entry.Newer is not null)
            entry.Newer.Older = entry.Older;
        else
            _newest = entry.Older;
    }
}
