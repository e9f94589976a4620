// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>One owner's wish for one address, in the list of those who want it.</summary>
internal sealed class Claim(FrontendOwner owner, WantedFrontend wanted)
{
    public FrontendOwner Owner { get; } = owner;

    public WantedFrontend Wanted { get; } = wanted;

    /// <summary>Who gets the address after this one.</summary>
    public Claim? Next { get; set; }
}

/// <summary>Who wants an address, and the frontend that is there.</summary>
internal sealed class ClaimedAddress
{
    public Claim? First { get; set; }

    /// <summary>As of the last commit.</summary>
    public Frontend? Frontend { get; set; }

    /// <summary>Who has it; null when nobody could be served.</summary>
    public Claim? Holder { get; set; }

    /// <summary>A listener of the node itself has the address.</summary>
    public bool IsWithheld { get; set; }
}

/// <summary>All addresses that owners want.</summary>
internal sealed class FrontendClaims
{
    private readonly Dictionary<L4Address, ClaimedAddress> _addresses = [];

    public IEnumerable<Frontend> Frontends => _addresses.Values.Select(a => a.Frontend).OfType<Frontend>();

    public IEnumerable<L4Address> Addresses => _addresses.Keys;

    public ClaimedAddress? Find(L4Address address) => _addresses.GetValueOrDefault(address);

    public void Add(FrontendOwner owner, WantedFrontend wanted)
    {
        ClaimedAddress address = CollectionsMarshal.GetValueRefOrAddDefault(_addresses, wanted.Address, out _) ??= new ClaimedAddress();
        var claim = new Claim(owner, wanted);
        Claim? before = null;
        for (Claim? other = address.First; other is not null && other.Owner.CompareTo(owner) <= 0; other = other.Next)
            before = other;
        if (before is null)
        {
            claim.Next = address.First;
            address.First = claim;
        }
        else
        {
            claim.Next = before.Next;
            before.Next = claim;
        }
    }

    public void Remove(FrontendOwner owner, L4Address of)
    {
        ClaimedAddress address = _addresses[of];
        Claim? before = null;
        for (Claim? claim = address.First; claim is not null; before = claim, claim = claim.Next)
        {
            if (claim.Owner != owner)
                continue;
            if (before is null)
                address.First = claim.Next;
            else
                before.Next = claim.Next;
            return;
        }
    }

    /// <summary>Forgets an address that nobody wants and that has no frontend any more.</summary>
    public void Trim(L4Address address)
    {
        if (_addresses.TryGetValue(address, out ClaimedAddress? state) && state.First is null && state.Frontend is null)
            _addresses.Remove(address);
    }
}
