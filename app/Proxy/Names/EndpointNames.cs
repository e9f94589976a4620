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

    public int Count => _names.Count;

    /// <summary>Memory of the names, as estimated.</summary>
    public long Bytes { get; private set; }

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
        Bytes += entry.Bytes;
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
        if (!IsKept(entry))
            return false;
        _names.Remove(entry.Name);
        Bytes -= entry.Bytes;
        Unlink(entry);
        return true;
    }

    /// <summary>An entry has grown or shrunk; it may have been removed before.</summary>
    public void NoteSize(NameEntry entry, long change)
    {
        if (IsKept(entry))
            Bytes += change;
    }

    private bool IsKept(NameEntry entry) => _names.TryGetValue(entry.Name, out NameEntry? kept) && kept == entry;

    public void RemoveWhere(Func<NameEntry, bool> condition)
    {
        foreach (NameEntry entry in _names.Values.Where(condition).ToList())
            Remove(entry);
    }

    /// <summary>
    /// Drops those that were not used for the longest time until <paramref name="names"/> are left, which take <paramref name="bytes"/>; the one used last
    /// stays. Returns how many were dropped.
    /// </summary>
    public int Trim(int names, long bytes)
    {
        int dropped = 0;
        for (; _names.Count > 1 && (_names.Count > names || Bytes > bytes); dropped++)
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
