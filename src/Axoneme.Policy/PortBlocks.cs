// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Policy;

/// <summary>Splits a port range into the fewest blocks that a prefix can name.</summary>
public static class PortBlocks
{
    /// <summary>At most 30 blocks; the whole range is one of length 0.</summary>
    public static IEnumerable<(ushort Port, int PrefixLength)> Split(ushort first, ushort last)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, last);
        return Blocks(first, last);
    }

    private static IEnumerable<(ushort Port, int PrefixLength)> Blocks(int next, int last)
    {
        while (next <= last)
        {
            // The largest block that starts here (by alignment) and ends in time.
            int bits = next == 0 ? 16 : int.TrailingZeroCount(next);
            while (next + (1 << bits) - 1 > last)
                bits--;
            yield return ((ushort)next, 16 - bits);
            next += 1 << bits;
        }
    }
}
