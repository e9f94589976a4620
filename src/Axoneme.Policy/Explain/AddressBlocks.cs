// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>Addresses as the blocks that a rule should name.</summary>
internal static class AddressBlocks
{
    // Neighbours of this many are taken for one operator's network; the block is what such networks are announced in.
    private const int Crowd = 5;
    private const int BlockV4 = 24;
    private const int BlockV6 = 64;

    // More say that the application talks to anybody.
    private const int MaximalBlocks = 40;

    /// <summary>In order; null when there are so many that only the whole world describes them.</summary>
    public static IReadOnlyList<IpPrefix>? Summarize(IEnumerable<IpAddress> addresses)
    {
        List<IpPrefix> blocks =
        [
            .. addresses.GroupBy(a => new IpPrefix(a, a.IsV6 ? BlockV6 : BlockV4)).SelectMany(g => g.Count() >= Crowd ? [g.Key] : g.Select(IpPrefix.Single)),
        ];
        blocks.Sort();
        return blocks.Count > MaximalBlocks ? null : blocks;
    }
}
