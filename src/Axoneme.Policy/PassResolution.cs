// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace Axoneme.Policy;

/// <summary>
/// Slices of peers about whom a rule says "pass": what the kernel finds by one longest match must already be what is left after the passes.
/// </summary>
/// <remarks>
/// Packets whose longest block in the slice is B match the rules of B and of the blocks around it, and no others. So the verdict of each block
/// follows from these: the best rule decides; where it passes, all rules of its tier are struck out and the best of the rest decides.
/// <para>
/// The kernel compares the entry of an identity with that of its class by precedence, and a pass about one of them would have to strike out
/// rules about the other. Therefore an identity that has rules of its own, besides a pass about it or its class, gets a slice that says
/// everything (its class's rules, and what holds without a rule) and that beats the class's.
/// </para>
/// </remarks>
internal static class PassResolution
{
    // The level before all tiers.
    private const uint BeatsAll = 0xFF_FFFFu << 8;

    /// <summary>Stand for "no rule decides" in slices that say everything. Their entries are not merged with others.</summary>
    public static readonly RulePart CompleteClosed = new(
        -2, new PolicyEntry(true, PolicyPrecedence.Of(PolicyTier.Default, 0, RuleAction.Deny), null, RuleOrigins.None), [default]);

    public static readonly RulePart CompleteOpen = new(-1, RulePart.DefaultAllow.Entry, [default]);

    public static bool IsPass(PolicyEntry entry) => PolicyPrecedence.IsPass(entry.Precedence);

    public static bool IsComplete(RulePart part) => part.Number < 0;

    /// <summary>True when the slice of these parts cannot be made by merging alone.</summary>
    public static bool Concerns(ReadOnlySpan<RulePart> parts)
    {
        foreach (RulePart part in parts)
        {
            if (IsComplete(part) || IsPass(part.Entry))
                return true;
        }

        return false;
    }

    /// <summary>The entries that the slice has; none where no rule decides and the slice need not say so.</summary>
    /// <param name="parts">Of the slice.</param>
    /// <param name="merge">Merges an entry into those of its block that have the same level.</param>
    public static Dictionary<L4Block, PolicyEntry> Resolve(RulePart[] parts, Func<PolicyEntry, PolicyEntry, PolicyEntry> merge)
    {
        RulePart? complete = Array.Find(parts, IsComplete);
        var levels = new Dictionary<L4Block, List<PolicyEntry>>();
        foreach (RulePart part in parts)
        {
            foreach (L4Block block in IsComplete(part) ? [] : part.Blocks)
                Add(CollectionsMarshal.GetValueRefOrAddDefault(levels, block, out _) ??= [], part.Entry, merge);
        }

        levels.TryAdd(default, []);
        var resolved = new Dictionary<L4Block, PolicyEntry>(levels.Count);
        var candidates = new List<(PolicyEntry Entry, int Length)>();
        // Wider blocks first: what one says need not be said again by a narrower one that says the same.
        foreach (L4Block block in levels.Keys.OrderBy(b => b.Length))
        {
            candidates.Clear();
            for (int length = 0; length <= block.Length; length++)
            {
                if (length is > 0 and < 8 || !levels.TryGetValue(block.Cut(length), out List<PolicyEntry>? entries))
                    continue;
                foreach (PolicyEntry entry in entries)
                    candidates.Add((entry, length));
            }

            PolicyEntry? decided = Decide(candidates);
            PolicyEntry? entryOfBlock = complete is null ? decided : Raise(decided ?? complete.Entry);
            if (entryOfBlock is not null)
                resolved.Add(block, entryOfBlock);
            else if (Around(resolved, block) is { Deny: false })
                resolved.Add(block, CompleteClosed.Entry);
        }

        return resolved;
    }

    private static PolicyEntry? Around(Dictionary<L4Block, PolicyEntry> resolved, L4Block block)
    {
        for (int length = block.Length - 1; length >= 0; length--)
        {
            if (length is 0 or >= 8 && resolved.TryGetValue(block.Cut(length), out PolicyEntry? entry))
                return entry;
        }

        return null;
    }

    private static void Add(List<PolicyEntry> entries, PolicyEntry entry, Func<PolicyEntry, PolicyEntry, PolicyEntry> merge)
    {
        int same = entries.FindIndex(e => PolicyPrecedence.IsSameLevel(e.Precedence, entry.Precedence) && IsPass(e) == IsPass(entry));
        if (same < 0)
            entries.Add(entry);
        else
            entries[same] = merge(entries[same], entry);
    }

    // Null: every rule that could decide passes, or there is none.
    private static PolicyEntry? Decide(List<(PolicyEntry Entry, int Length)> candidates)
    {
        uint below = uint.MaxValue;
        while (true)
        {
            (PolicyEntry? Entry, int Length) best = default;
            foreach ((PolicyEntry entry, int length) in candidates)
            {
                if (entry.Precedence >= below)
                    continue;
                bool wins = best.Entry is null || entry.Precedence > best.Entry.Precedence
                    || (entry.Precedence == best.Entry.Precedence && length > best.Length);
                if (wins)
                    best = (entry, length);
            }

            if (best.Entry is null || !IsPass(best.Entry))
                return best.Entry;
            below = PolicyPrecedence.EndOfTier(best.Entry.Precedence);
        }
    }

    private static PolicyEntry Raise(PolicyEntry entry) => entry with { Precedence = BeatsAll | PolicyPrecedence.VerdictOf(entry.Precedence) };
}
