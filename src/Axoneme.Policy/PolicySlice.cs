// SPDX-License-Identifier: Apache-2.0
using System.Numerics;
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Whom a slice is about: an identity or a class of them (0: who has no class), in one direction.</summary>
internal readonly record struct PolicyPeer(TrafficDirection Direction, SecurityIdentity Identity);

/// <summary>The part of a policy key after identity and direction.</summary>
internal readonly record struct L4Block(L4Protocol Protocol, ushort Port, int PrefixLength) : IComparable<L4Block>
{
    /// <summary>Bits of protocol and port that count: 0, 8, or 9 to 24.</summary>
    public int Length => Protocol == L4Protocol.Any ? 0 : 8 + PrefixLength;

    /// <summary>The block cut to that many bits: 0, 8, or up to 24.</summary>
    public L4Block Cut(int length)
        => length == 0 ? default : new L4Block(Protocol, (ushort)(Port & (0xFFFF0000u >> (length - 8))), length - 8);

    public bool Contains(L4Protocol protocol, ushort port)
        => Protocol == L4Protocol.Any || (Protocol == protocol && (port & (0xFFFF0000u >> PrefixLength)) == Port);

    public PolicyKey Of(PolicyPeer peer) => new(peer.Direction, peer.Identity, Protocol, Port, PrefixLength);

    public int CompareTo(L4Block other)
    {
        int order = Protocol.CompareTo(other.Protocol);
        if (order == 0)
            order = Port.CompareTo(other.Port);
        return order != 0 ? order : PrefixLength.CompareTo(other.PrefixLength);
    }
}

/// <summary>What one rule says about a peer: the same entry on some blocks of ports. Parts of one rule and the same blocks are equal.</summary>
/// <param name="Number">Of the rule; 0 for what no rule says. Parts of a slice are in this order.</param>
internal sealed record RulePart(long Number, PolicyEntry Entry, L4Block[] Blocks)
{
    /// <summary>What every direction has that is not closed.</summary>
    public static readonly RulePart DefaultAllow = new(
        0, new PolicyEntry(false, PolicyPrecedence.Of(PolicyTier.Default, 0, RuleAction.Allow), null, RuleOrigins.None), [default]);

    public bool Equals(RulePart? other)
        => ReferenceEquals(this, other) || (other is not null && Number == other.Number && Blocks.AsSpan().SequenceEqual(other.Blocks));

    public override int GetHashCode() => Number.GetHashCode();
}

/// <summary>
/// All that a policy says about one peer, without saying which: peers about whom the same rules speak share one slice, whichever
/// endpoints the policies are of.
/// </summary>
internal sealed class PolicySlice
{
    private readonly KeyValuePair<L4Block, PolicyEntry>[] _entries;

    public PolicySlice(RulePart[] parts)
    {
        Parts = parts;
        Dictionary<L4Block, PolicyEntry> merged = PassResolution.Concerns(parts) ? PassResolution.Resolve(parts, Merge) : MergeAll(parts);
        _entries = [.. merged];
        Array.Sort(_entries, static (a, b) => a.Key.CompareTo(b.Key));
    }

    /// <summary>The rules' parts that it is made of, in the order of their numbers.</summary>
    public RulePart[] Parts { get; }

    /// <summary>How many peers have it; <see cref="SliceCache"/> counts.</summary>
    public int Uses { get; set; }

    /// <summary>In the order of their blocks.</summary>
    public ReadOnlySpan<KeyValuePair<L4Block, PolicyEntry>> Entries => _entries;

    public PolicyEntry? Find(L4Block block)
    {
        foreach ((L4Block key, PolicyEntry entry) in _entries)
        {
            if (key == block)
                return entry;
        }

        return null;
    }

    /// <summary>The longest block that has the port, as a trie finds it.</summary>
    public KeyValuePair<L4Block, PolicyEntry>? Match(L4Protocol protocol, ushort port)
    {
        KeyValuePair<L4Block, PolicyEntry>? best = null;
        foreach (KeyValuePair<L4Block, PolicyEntry> entry in _entries)
        {
            if (entry.Key.Contains(protocol, port) && (best is not { } found || entry.Key.Length > found.Key.Length))
                best = entry;
        }

        return best;
    }

    private static Dictionary<L4Block, PolicyEntry> MergeAll(RulePart[] parts)
    {
        var merged = new Dictionary<L4Block, PolicyEntry>();
        foreach (RulePart part in parts)
        {
            foreach (L4Block block in part.Blocks)
            {
                ref PolicyEntry? held = ref CollectionsMarshal.GetValueRefOrAddDefault(merged, block, out _);
                held = held is null ? part.Entry : Merge(held, part.Entry);
            }
        }

        RemoveCovered(merged);
        return merged;
    }

    // Of two entries for one key the larger precedence counts; at the same one both are named as origins. Two allows of one level are one
    // allow of both: what a proxy has to let pass is the union.
    private static PolicyEntry Merge(PolicyEntry held, PolicyEntry entry)
    {
        if (!held.Deny && !entry.Deny && PolicyPrecedence.IsSameLevel(held.Precedence, entry.Precedence))
            return MergeAllows(held, entry);
        if (held.Precedence == entry.Precedence)
            return held with { Origins = held.Origins.Union(entry.Origins) };
        return held.Precedence < entry.Precedence ? entry : held;
    }

    private static PolicyEntry MergeAllows(PolicyEntry a, PolicyEntry b)
    {
        PolicyEntry first = a.Precedence >= b.Precedence ? a : b;
        Redirect? redirect = (a.Redirect, b.Redirect) switch
        {
            ({ } x, { } y) => x.Merge(y) ?? first.Redirect,
            ({ } x, null) => x.Widened,
            (null, { } y) => y.Widened,
            _ => null,
        };
        return first with { Redirect = redirect, Origins = a.Origins.Union(b.Origins) };
    }

    /// <summary>
    /// A trie answers with the longest prefix, so an entry must not hide a shorter one that beats it: those that lose against one that
    /// covers them are left out. What remains grows in precedence with its length, hence longest match is largest precedence. Narrower
    /// allows of equal precedence stay, since they name the rules that are closest to the packet.
    /// </summary>
    private static void RemoveCovered(Dictionary<L4Block, PolicyEntry> slice)
    {
        if (slice.Count < 2)
            return;
        uint lengths = 0;
        foreach (L4Block key in slice.Keys)
            lengths |= 1u << key.Length;
        List<L4Block>? covered = null;
        foreach ((L4Block key, PolicyEntry entry) in slice)
        {
            for (uint shorter = lengths & ((1u << key.Length) - 1); shorter != 0; shorter &= shorter - 1)
            {
                if (!slice.TryGetValue(key.Cut(BitOperations.TrailingZeroCount(shorter)), out PolicyEntry? wider)
                    || wider.Precedence < entry.Precedence || (wider.Precedence == entry.Precedence && !wider.Deny))
                    continue;
                (covered ??= []).Add(key);
                break;
            }
        }

        foreach (L4Block key in covered ?? [])
            slice.Remove(key);
    }
}

/// <summary>The slices in use, by the parts that they are made of.</summary>
internal sealed class SliceCache
{
    private readonly Dictionary<RulePart[], PolicySlice> _slices = new(PartsComparer.Instance);
    private readonly Dictionary<RulePart[], PolicySlice>.AlternateLookup<ReadOnlySpan<RulePart>> _byParts;

    public SliceCache() => _byParts = _slices.GetAlternateLookup<ReadOnlySpan<RulePart>>();

    /// <summary>Different ones.</summary>
    public int Count => _slices.Count;

    /// <summary>The slice of these parts, for one more peer. Null: nothing is said.</summary>
    public PolicySlice? Acquire(List<RulePart> parts)
    {
        if (parts.Count == 0)
            return null;
        parts.Sort(static (a, b) => a.Number.CompareTo(b.Number));
        if (!_byParts.TryGetValue(CollectionsMarshal.AsSpan(parts), out PolicySlice? slice))
        {
            slice = new PolicySlice([.. parts]);
            _slices.Add(slice.Parts, slice);
        }

        slice.Uses++;
        return slice;
    }

    public void Release(PolicySlice slice)
    {
        if (--slice.Uses == 0)
            _slices.Remove(slice.Parts);
    }

    private sealed class PartsComparer : IEqualityComparer<RulePart[]>, IAlternateEqualityComparer<ReadOnlySpan<RulePart>, RulePart[]>
    {
        public static readonly PartsComparer Instance = new();

        public bool Equals(RulePart[]? x, RulePart[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(RulePart[] parts) => GetHashCode((ReadOnlySpan<RulePart>)parts);

        public bool Equals(ReadOnlySpan<RulePart> alternate, RulePart[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(ReadOnlySpan<RulePart> alternate)
        {
            var hash = new HashCode();
            foreach (RulePart part in alternate)
                hash.Add(part.Number);
            return hash.ToHashCode();
        }

        public RulePart[] Create(ReadOnlySpan<RulePart> alternate) => alternate.ToArray();
    }
}
