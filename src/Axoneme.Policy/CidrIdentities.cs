// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Identities of this node for address blocks that policies mention, reference counted. Numbers go round, so that one is not given to
/// another block while flows with it are still in flight; blocks restored from the kernel keep theirs.
/// </summary>
internal sealed class CidrIdentities
{
    private const uint First = SecurityIdentity.LocalCidrScope + 1;
    private const uint Last = SecurityIdentity.RemoteNodeScope - 1;

    private readonly Dictionary<IpPrefix, (SecurityIdentity Id, int References)> _byPrefix = [];
    private readonly HashSet<SecurityIdentity> _used = [];
    private readonly HashSet<IpPrefix> _restored = [];
    private uint _next = First;

    public IEnumerable<KeyValuePair<IpPrefix, SecurityIdentity>> All
        => _byPrefix.Select(p => KeyValuePair.Create(p.Key, p.Value.Id));

    /// <summary>Holds the number for the block until <see cref="TakeRestored"/>; refused when number or block is taken.</summary>
    public bool Restore(IpPrefix prefix, SecurityIdentity id)
    {
        if (id.Value is < First or > Last || _byPrefix.ContainsKey(prefix) || !_used.Add(id))
            return false;
        _byPrefix[prefix] = (id, 1);
        _restored.Add(prefix);
        _next = Math.Max(_next, id.Value == Last ? First : id.Value + 1);
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

        // The scope has 16 million numbers and prefixes fit in the ipcache, which is far smaller: a free one is always near.
        while (!_used.Add(new SecurityIdentity(_next)))
            Advance();
        id = new SecurityIdentity(_next);
        Advance();
        _byPrefix[prefix] = (id, 1);
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
        _used.Remove(id);
        return true;
    }

    private void Advance() => _next = _next == Last ? First : _next + 1;
}
