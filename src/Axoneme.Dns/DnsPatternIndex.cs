// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace Axoneme.Dns;

/// <summary>
/// Finds the patterns that a name matches without trying all of them: names by themselves, patterns by the whole labels after their last star. What is found
/// is the value that each was added with. Not thread-safe while it changes.
/// </summary>
public sealed class DnsPatternIndex<T>
{
    private readonly Dictionary<string, T> _names = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<(DnsPattern Pattern, T Value)>> _byTail = new(StringComparer.Ordinal);

    /// <summary>Each pattern can be there once.</summary>
    public void Add(DnsPattern pattern, T value)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        if (pattern.IsName)
            _names.Add(pattern.Text, value);
        else
            (CollectionsMarshal.GetValueRefOrAddDefault(_byTail, TailOf(pattern), out _) ??= []).Add((pattern, value));
    }

    public void Remove(DnsPattern pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        if (pattern.IsName)
        {
            _names.Remove(pattern.Text);
            return;
        }

        string tail = TailOf(pattern);
        List<(DnsPattern Pattern, T Value)> siblings = _byTail[tail];
        siblings.RemoveAll(s => s.Pattern == pattern);
        if (siblings.Count == 0)
            _byTail.Remove(tail);
    }

    /// <summary>Values of the patterns that match, in no order; null, and nothing allocated, if none does.</summary>
    /// <param name="name">In lower case without the final dot.</param>
    public List<T>? Find(ReadOnlySpan<char> name)
    {
        List<T>? found = null;
        Search(name, isFirstEnough: false, ref found);
        return found;
    }

    /// <summary>Whether any pattern matches. Nothing is allocated.</summary>
    /// <param name="name">In lower case without the final dot.</param>
    public bool Matches(ReadOnlySpan<char> name)
    {
        List<T>? none = null;
        return Search(name, isFirstEnough: true, ref none);
    }

    private bool Search(ReadOnlySpan<char> name, bool isFirstEnough, ref List<T>? found)
    {
        if (_names.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name, out T? exact))
        {
            if (isFirstEnough)
                return true;
            (found = []).Add(exact);
        }

        if (_byTail.Count == 0)
            return false;
        Dictionary<string, List<(DnsPattern, T)>>.AlternateLookup<ReadOnlySpan<char>> byTail = _byTail.GetAlternateLookup<ReadOnlySpan<char>>();
        for (ReadOnlySpan<char> tail = name; ;)
        {
            int dot = tail.IndexOf('.');
            tail = dot < 0 ? [] : tail[(dot + 1)..];
            if (byTail.TryGetValue(tail, out List<(DnsPattern Pattern, T Value)>? candidates))
            {
                foreach ((DnsPattern pattern, T value) in candidates)
                {
                    if (!pattern.Matches(name))
                        continue;
                    if (isFirstEnough)
                        return true;
                    (found ??= []).Add(value);
                }
            }

            if (tail.IsEmpty)
                return false;
        }
    }

    // A label with a star before the tail stands for one label at least, so a tail is always shorter than the name.
    private static string TailOf(DnsPattern pattern)
    {
        int dot = pattern.Text.IndexOf('.', pattern.Text.LastIndexOf('*'));
        return dot < 0 ? "" : pattern.Text[(dot + 1)..];
    }
}
