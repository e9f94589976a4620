// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Datapath.Tests;

/// <summary>Comparison of ICMP errors about translated UDP packets.</summary>
public static class Errors
{
    /// <summary>
    /// The quoted UDP checksum stays that of the packet as it was when the error was sent, because nobody looks at it, so the message's
    /// checksum differs from the expected one's as well; it has to be right all the same.
    /// </summary>
    public static void AssertSame(Packet expected, byte[] actual)
    {
        bool v6 = expected.From.IsV6;
        byte[] bytes = expected.ToBytes();
        Assert.Equal(bytes.Length, actual.Length);
        int quotedChecksum = bytes.Length - 2;
        int messageChecksum = v6 ? 56 : 36;
        foreach (int at in (int[])[quotedChecksum, quotedChecksum + 1, messageChecksum, messageChecksum + 1])
            bytes[at] = actual[at];
        Assert.Equal(bytes, actual);
        Assert.True(Packet.HasRightIcmpChecksum(actual, v6));
    }
}
