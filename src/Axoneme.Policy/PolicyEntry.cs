// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Policy;

/// <summary>What the map says for a key. <see cref="Origins"/> stays in user space, its cookie is in the map.</summary>
/// <param name="Deny">Drop rather than pass.</param>
/// <param name="Precedence">Larger wins between the entry of the identity and the one for anyone; see <see cref="PolicyPrecedence"/>.</param>
/// <param name="Redirect">Null: straight on. Which port the proxy listens on is the concern of whoever writes the map.</param>
/// <param name="Origins">The rules behind the entry.</param>
public sealed record PolicyEntry(bool Deny, uint Precedence, Redirect? Redirect, RuleOrigins Origins);

/// <summary>Order among rules: an earlier tier beats a later one; inside a tier the smaller order; at the same order deny beats allow.</summary>
public enum PolicyTier : byte
{
    Admin = 100,
    Normal = 200,
    Baseline = 250,

    /// <summary>Entries that no policy asked for: probes from the own node, directions without default deny.</summary>
    Default = 255,
}

/// <summary>Precedence as the map stores it: the inverted tier and order in the upper 24 bits, the verdict in the lowest byte.</summary>
public static class PolicyPrecedence
{
    private const uint DenyByte = 255;
    private const uint AllowByte = 1;
    private const uint PassByte = 0;

    public static uint Of(PolicyTier tier, ushort order, RuleAction action, Redirect? redirect = null)
    {
        uint absolute = ((uint)tier << 16) | order;
        uint verdict = action switch
        {
            RuleAction.Deny => DenyByte,
            RuleAction.Pass => PassByte,
            _ => redirect?.Rank ?? AllowByte,
        };
        return ((0xFF_FFFFu - absolute) << 8) | verdict;
    }

    internal static bool IsPass(uint precedence) => VerdictOf(precedence) == PassByte;

    internal static uint VerdictOf(uint precedence) => precedence & 0xFF;

    /// <summary>The smallest of the tier that the precedence belongs to: what is smaller belongs to later ones.</summary>
    internal static uint EndOfTier(uint precedence)
    {
        uint absolute = 0xFF_FFFFu - (precedence >> 8);
        return (0xFF_FFFFu - (absolute | 0xFFFF)) << 8;
    }

    /// <summary>Same tier and order, whatever the verdict.</summary>
    public static bool IsSameLevel(uint a, uint b) => a >> 8 == b >> 8;
}
