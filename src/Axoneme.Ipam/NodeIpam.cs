// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Ipam;

/// <summary>Addresses of one pod; at least one is not null.</summary>
public readonly record struct PodAddresses(IpAddress? V4, IpAddress? V6)
{
    public IEnumerable<IpAddress> All => new[] { V4, V6 }.OfType<IpAddress>();
}

/// <summary>
/// Mode <c>kubernetes</c>: hands out the pod blocks of the own Node object, at most one a family. Thread-safe, since CNI calls run in
/// parallel; each call is short.
/// </summary>
public sealed class NodeIpam
{
    private readonly Lock _lock = new();
    private readonly AddressPool? _v4;
    private readonly AddressPool? _v6;

    /// <param name="podCidrs">As the Node has them.</param>
    /// <param name="enableV4">Whether pods have IPv4 addresses.</param>
    /// <param name="enableV6">Whether pods have IPv6 addresses.</param>
    /// <exception cref="ArgumentException">A family that is on has no block, several, or one that is too small.</exception>
    public NodeIpam(IEnumerable<IpPrefix> podCidrs, bool enableV4, bool enableV6)
    {
        IpPrefix[] blocks = [.. podCidrs];
        if (!enableV4 && !enableV6)
            throw new ArgumentException("Neither IPv4 nor IPv6 is enabled.", nameof(enableV4));
        _v4 = enableV4 ? PoolOf(blocks, v6: false) : null;
        _v6 = enableV6 ? PoolOf(blocks, v6: true) : null;
    }

    public IpPrefix? V4Cidr => _v4?.Prefix;

    public IpPrefix? V6Cidr => _v6?.Prefix;

    /// <summary>One address of each family that is on, or none.</summary>
    /// <exception cref="AddressUnavailableException">A block is used up.</exception>
    public PodAddresses Allocate(string owner)
    {
        lock (_lock)
        {
            IpAddress? v4 = _v4?.AllocateNext(owner);
            try
            {
                return new PodAddresses(v4, _v6?.AllocateNext(owner));
            }
            catch (AddressUnavailableException)
            {
                if (v4 is { } taken)
                    _v4!.Release(taken, out _);
                throw;
            }
        }
    }

    /// <summary>Takes a given address: of the router, of the health endpoint, or of an endpoint that survived a restart.</summary>
    /// <exception cref="AddressUnavailableException">It is not of a block of this node, or in use by another owner.</exception>
    public void Reserve(IpAddress address, string owner)
    {
        lock (_lock)
        {
            AddressPool pool = (address.IsV6 ? _v6 : _v4)
                ?? throw new AddressUnavailableException($"{address} cannot be taken: {(address.IsV6 ? "IPv6" : "IPv4")} is not enabled.");
            pool.Allocate(address, owner);
        }
    }

    /// <summary>False when it was not in use.</summary>
    public bool Release(IpAddress address)
    {
        lock (_lock)
        {
            return (address.IsV6 ? _v6 : _v4)?.Release(address, out _) ?? false;
        }
    }

    /// <summary>A copy of who has what, in the order of the addresses.</summary>
    public IReadOnlyList<KeyValuePair<IpAddress, string>> Owners()
    {
        lock (_lock)
        {
            return [.. new[] { _v4, _v6 }.SelectMany(p => p?.Owners ?? new Dictionary<IpAddress, string>()).OrderBy(o => o.Key)];
        }
    }

    private static AddressPool PoolOf(IEnumerable<IpPrefix> blocks, bool v6)
    {
        string family = v6 ? "IPv6" : "IPv4";
        IpPrefix[] own = [.. blocks.Where(b => b.IsV6 == v6)];
        return own.Length switch
        {
            1 => new AddressPool(own[0]),
            0 => throw new ArgumentException($"The node has no {family} pod CIDR.", nameof(blocks)),
            _ => throw new ArgumentException($"The node has several {family} pod CIDRs: {string.Join(", ", own)}.", nameof(blocks)),
        };
    }
}
