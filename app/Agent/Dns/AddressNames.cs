// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Collections.Immutable;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Dns;

/// <summary>Names of addresses, for flows: read for each event without waiting for who changes policies.</summary>
internal sealed class AddressNames
{
    // An address of a large provider may have thousands, of which a reader wants to see few.
    private const int NamesOfOne = 8;

    private readonly ConcurrentDictionary<IpAddress, ImmutableArray<string>> _names = new();

    public ImmutableArray<string> Find(IpAddress address) => _names.TryGetValue(address, out ImmutableArray<string> names) ? names : [];

    /// <summary>Notes a name that was just learned.</summary>
    public void Add(string name, IEnumerable<IpAddress> addresses)
    {
        string text = name.TrimEnd('.');
        foreach (IpAddress address in addresses)
        {
            _names.AddOrUpdate(
                address,
                static (_, added) => [added],
                static (_, known, added) => known.Contains(added) || known.Length >= NamesOfOne ? known : known.Add(added),
                text);
        }
    }

    /// <summary>Takes over what the engine knows, and forgets the rest.</summary>
    public void Refresh(IEnumerable<NameEntry> entries)
    {
        Dictionary<IpAddress, ImmutableArray<string>> current = entries.GroupBy(e => e.Address, e => e.Name)
            .ToDictionary(g => g.Key, g => g.Order(StringComparer.Ordinal).Take(NamesOfOne).ToImmutableArray());
        foreach ((IpAddress address, ImmutableArray<string> names) in current)
            _names[address] = names;
        foreach (IpAddress address in _names.Keys)
        {
            if (!current.ContainsKey(address))
                _names.TryRemove(address, out _);
        }
    }
}
