// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Identities of this node for address blocks that policies mention, reference counted. Blocks restored from the kernel keep theirs.
/// </summary>
internal sealed class CidrIdentities(LocalNumbers numbers)
{
    private readonly Dictionary<IpPrefix, (SecurityIdentity Id, int References)> _byPrefix = [];
    private readonly HashSet<IpPrefix> _restored = [];

    // Blocks by family and length, so that only lengths in use are tried for an address.
    private readonly SortedDictionary<int, int> _lengthsV4 = [];
    private readonly SortedDictionary<int, int> _lengthsV6 = [];

    public IEnumerable<KeyValuePair<IpPrefix, SecurityIdentity>> All
        => _byPrefix.Select(p => KeyValuePair.Create(p.Key, p.Value.Id));

    /// <summary>Changes with every block that comes or goes.</summary>
    public long Version { get; private set; }

    public SecurityIdentity? Find(IpPrefix prefix) => _byPrefix.TryGetValue(prefix, out var held) ? held.Id : null;

    /// <summary>The narrowest block around the address, itself included; null when there is none.</summary>
    public IpPrefix? Around(IpAddress address)
    {
        IpPrefix? found = null;
        foreach (int length in (address.IsV6 ? _lengthsV6 : _lengthsV4).Keys)
        {
            var prefix = new IpPrefix(address, length);
            if (_byPrefix.ContainsKey(prefix))
                found = prefix;
        }

        return found;
    }

    /// <summary>Holds the number for the block until <see cref="TakeRestored"/>; refused when number or block is taken.</summary>
    public bool Restore(IpPrefix prefix, SecurityIdentity id)
    {
        if (_byPrefix.ContainsKey(prefix) || !numbers.TryTake(id))
            return false;
        Add(prefix, id);
        _restored.Add(prefix);
        return true;
    }

    /// <summary>The restored blocks whose extra reference the caller now has to release.</summary>
    public IReadOnlyList<IpPrefix> TakeRestored()
    {
        IpPrefix[] taken = [.. _restored];
        _restored.Clear();
        return taken;
    }

    /// <summary>True: the block is new and has got that identity.</summary>
    public bool Acquire(IpPrefix prefix, out SecurityIdentity id)
    {
        if (_byPrefix.TryGetValue(prefix, out (SecurityIdentity Id, int References) held))
        {
            _byPrefix[prefix] = (held.Id, held.References + 1);
            id = held.Id;
            return false;
        }

        id = numbers.Take();
        Add(prefix, id);
        return true;
    }

    /// <summary>True: that was the last reference, the identity is free.</summary>
    public bool Release(IpPrefix prefix, out SecurityIdentity id)
    {
        (id, int references) = _byPrefix[prefix];
        if (references > 1)
        {
            _byPrefix[prefix] = (id, references - 1);
            return false;
        }

        _byPrefix.Remove(prefix);
        Version++;
        SortedDictionary<int, int> lengths = prefix.IsV6 ? _lengthsV6 : _lengthsV4;
        if (--lengths[prefix.Length] == 0)
            lengths.Remove(prefix.Length);
        numbers.Free(id);
        return true;
    }

    private void Add(IpPrefix prefix, SecurityIdentity id)
    {
        _byPrefix[prefix] = (id, 1);
        Version++;
        SortedDictionary<int, int> lengths = prefix.IsV6 ? _lengthsV6 : _lengthsV4;
        lengths[prefix.Length] = lengths.GetValueOrDefault(prefix.Length) + 1;
    }
}
