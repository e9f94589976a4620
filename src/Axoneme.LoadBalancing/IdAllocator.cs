// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.LoadBalancing;

/// <summary>
/// Numbers for keys, which stay with their key until released. The search for a free number goes round, so that a number rests as long as
/// possible before it means something else: connections may still hold it.
/// </summary>
internal sealed class IdAllocator<TKey>(uint last)
    where TKey : notnull
{
    private readonly Dictionary<TKey, uint> _ids = [];
    private readonly HashSet<uint> _used = [];
    private uint _next = 1;

    /// <summary>Keeps a number that the kernel has; false when it is out of range or taken.</summary>
    public bool TryRestore(TKey key, uint id)
    {
        if (id == 0 || id > last || _ids.ContainsKey(key) || !_used.Add(id))
            return false;
        _ids[key] = id;
        _next = Math.Max(_next, id == last ? 1 : id + 1);
        return true;
    }

    /// <summary>False when all numbers are in use.</summary>
    public bool TryAllocate(TKey key, out uint id)
    {
        if (_ids.TryGetValue(key, out id))
            return true;
        if ((uint)_used.Count >= last)
            return false;
        while (!_used.Add(_next))
            Advance();
        id = _next;
        Advance();
        _ids[key] = id;
        return true;
    }

    public void Release(TKey key)
    {
        if (_ids.Remove(key, out uint id))
            _used.Remove(id);
    }

    public void ReleaseUnless(Func<TKey, bool> inUse)
    {
        foreach (TKey key in _ids.Keys.Where(k => !inUse(k)).ToArray())
            Release(key);
    }

    private void Advance() => _next = _next == last ? 1 : _next + 1;
}
