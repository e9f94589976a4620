// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;
using Axoneme.Network;

namespace Axoneme.Ipam;

/// <summary>Why an address could not be had. The message names the block.</summary>
public sealed class AddressUnavailableException(string message) : Exception(message);

/// <summary>
/// Addresses of one block and who has them. The first and the last address of the block are never handed out. Fresh addresses go first, in
/// order; then the one that has been free the longest, because peers may still hold connections to an address that was in use a moment ago.
/// Not thread-safe.
/// </summary>
public sealed class AddressPool
{
    private readonly Dictionary<IpAddress, string> _owners = [];
    private readonly LinkedList<IpAddress> _released = new();
    private readonly Dictionary<IpAddress, LinkedListNode<IpAddress>> _releasedNodes = [];
    private readonly UInt128 _last;
    private UInt128 _next;

    /// <exception cref="ArgumentException">The block has no address between its first and its last.</exception>
    public AddressPool(IpPrefix prefix)
    {
        int hostBits = prefix.Address.BitCount - prefix.Length;
        if (hostBits < 2)
            throw new ArgumentException($"{prefix} is too small for a pool: its first and last address are not handed out.", nameof(prefix));
        Prefix = prefix;
        UInt128 size = hostBits == 128 ? UInt128.MaxValue : UInt128.One << hostBits;
        _next = 1;
        _last = size - 2;
    }

    public IpPrefix Prefix { get; }

    /// <summary>Owner by address, for inspection.</summary>
    public IReadOnlyDictionary<IpAddress, string> Owners => _owners;

    /// <summary>Addresses that can be handed out altogether.</summary>
    public UInt128 Capacity => _last;

    /// <exception cref="AddressUnavailableException">All addresses are in use.</exception>
    public IpAddress AllocateNext(string owner)
    {
        while (_next <= _last)
        {
            IpAddress fresh = Prefix.Address.Add(_next++);
            if (!_releasedNodes.ContainsKey(fresh) && _owners.TryAdd(fresh, owner))
                return fresh;
        }

        if (_released.First is not { } longestFree)
            throw new AddressUnavailableException($"No address is left in {Prefix}: all {Capacity} are in use.");
        Take(longestFree.Value, owner);
        return longestFree.Value;
    }

    /// <summary>Takes a given address: a reserved one, one asked for, or one that was in use before a restart.</summary>
    /// <exception cref="AddressUnavailableException">It is not of the block, not for handing out, or in use by another owner.</exception>
    public void Allocate(IpAddress address, string owner)
    {
        if (!IsAssignable(address))
            throw new AddressUnavailableException($"{address} is not an address that {Prefix} hands out.");
        if (_owners.TryGetValue(address, out string? holder) && holder != owner)
            throw new AddressUnavailableException($"{address} of {Prefix} is in use by {holder}.");
        Take(address, owner);
    }

    /// <summary>False when the address is not in use.</summary>
    public bool Release(IpAddress address, [NotNullWhen(true)] out string? owner)
    {
        if (!_owners.Remove(address, out owner))
            return false;
        _releasedNodes[address] = _released.AddLast(address);
        return true;
    }

    public bool IsAssignable(IpAddress address)
        => Prefix.Contains(address) && address.Number - Prefix.Address.Number is var offset && offset >= 1 && offset <= _last;

    private void Take(IpAddress address, string owner)
    {
        if (_releasedNodes.Remove(address, out LinkedListNode<IpAddress>? node))
            _released.Remove(node);
        _owners[address] = owner;
    }
}
