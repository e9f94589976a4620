// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Proxy.Names;

/// <summary>
/// All patterns that match any name of an address. Kept only while no agent is there: otherwise that is the agent's task. Patterns are added and not
/// taken away, as names expire only once an agent is back.
/// </summary>
internal sealed class AddressPatterns
{
    private readonly Dictionary<IpAddress, int[]> _byAddress = [];

    public static AddressPatterns Build(IEnumerable<NameEntry> names, Func<NameEntry, int[]> patternsOf)
    {
        var built = new AddressPatterns();
        foreach (NameEntry name in names)
        {
            int[] patterns = patternsOf(name);
            if (patterns.Length == 0)
                continue;
            foreach (IpAddress address in name.Addresses)
                built.Add(address, patterns);
        }

        return built;
    }

    /// <summary>Adds patterns and returns all of the address. Both are ascending.</summary>
    public int[] Add(IpAddress address, int[] patterns)
    {
        if (!_byAddress.TryGetValue(address, out int[]? known))
            return _byAddress[address] = patterns;
        return patterns.All(p => Array.BinarySearch(known, p) >= 0) ? known : _byAddress[address] = [.. known.Union(patterns).Order()];
    }
}
