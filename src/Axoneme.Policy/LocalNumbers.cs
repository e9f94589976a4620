// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Numbers of identities that only this node knows. They go round, so that one is not given to somebody else while flows with it are still in
/// flight.
/// </summary>
internal sealed class LocalNumbers
{
    private const uint First = SecurityIdentity.LocalCidrScope + 1;
    private const uint Last = SecurityIdentity.RemoteNodeScope - 1;

    private readonly HashSet<SecurityIdentity> _used = [];
    private uint _next = First;

    /// <summary>False: out of the scope, or taken.</summary>
    public bool TryTake(SecurityIdentity id)
    {
        if (id.Value is < First or > Last || !_used.Add(id))
            return false;
        _next = Math.Max(_next, id.Value == Last ? First : id.Value + 1);
        return true;
    }

    public SecurityIdentity Take()
    {
        // The scope has 16 million numbers and what needs one fits in the ipcache, which is far smaller: a free one is always near.
        while (!_used.Add(new SecurityIdentity(_next)))
            Advance();
        var id = new SecurityIdentity(_next);
        Advance();
        return id;
    }

    public void Free(SecurityIdentity id) => _used.Remove(id);

    private void Advance() => _next = _next == Last ? First : _next + 1;
}
