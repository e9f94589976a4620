// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>
/// Service addresses on which nothing is to be reached but services. Addresses of nodes are left out, this one's and the others': what else
/// listens there is not ours to refuse.
/// </summary>
internal sealed class AddressGuards(Func<IpAddress, bool> isOfNode)
{
    private readonly Dictionary<IpAddress, int> _users = [];
    private readonly HashSet<IpAddress> _guarded = [];
    private readonly HashSet<IpAddress> _touched = [];

    public bool HasChanges => _touched.Count > 0;

    public void Use(IpAddress address)
    {
        CollectionsMarshal.GetValueRefOrAddDefault(_users, address, out _)++;
        _touched.Add(address);
    }

    public void Release(IpAddress address)
    {
        if (--CollectionsMarshal.GetValueRefOrNullRef(_users, address) == 0)
            _users.Remove(address);
        _touched.Add(address);
    }

    /// <summary>Whether the address is of a node may have changed.</summary>
    public void Reconsider(IpAddress address) => _touched.Add(address);

    public (ImmutableArray<IpAddress> Guarded, ImmutableArray<IpAddress> Released) Commit()
    {
        var guarded = ImmutableArray.CreateBuilder<IpAddress>();
        var released = ImmutableArray.CreateBuilder<IpAddress>();
        foreach (IpAddress address in _touched)
        {
            bool wanted = _users.ContainsKey(address) && !isOfNode(address);
            if (wanted && _guarded.Add(address))
                guarded.Add(address);
            else if (!wanted && _guarded.Remove(address))
                released.Add(address);
        }

        _touched.Clear();
        return (guarded.DrainToImmutable(), released.DrainToImmutable());
    }
}
