// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Dns;

namespace Axoneme.Policy;

/// <summary>
/// Finds the patterns that a name matches without trying all of them: names by themselves, patterns by the whole labels after their last star.
/// </summary>
internal sealed class PatternIndex
{
    private readonly Dictionary<string, NamePattern> _names = [];
    private readonly Dictionary<string, List<NamePattern>> _byTail = [];

    public void Add(NamePattern pattern)
    {
        if (pattern.Pattern.IsName)
            _names.Add(pattern.Pattern.Text, pattern);
        else
            (CollectionsMarshal.GetValueRefOrAddDefault(_byTail, TailOf(pattern.Pattern), out _) ??= []).Add(pattern);
    }

    public void Remove(NamePattern pattern)
    {
        if (pattern.Pattern.IsName)
        {
            _names.Remove(pattern.Pattern.Text);
            return;
        }

        List<NamePattern> siblings = _byTail[TailOf(pattern.Pattern)];
        siblings.Remove(pattern);
        if (siblings.Count == 0)
            _byTail.Remove(TailOf(pattern.Pattern));
    }

    /// <param name="name">In lower case without the final dot.</param>
    public List<NamePattern> Find(string name)
    {
        List<NamePattern> found = [];
        if (_names.TryGetValue(name, out NamePattern? exact))
            found.Add(exact);
        if (_byTail.Count == 0)
            return found;
        Dictionary<string, List<NamePattern>>.AlternateLookup<ReadOnlySpan<char>> byTail = _byTail.GetAlternateLookup<ReadOnlySpan<char>>();
        for (ReadOnlySpan<char> tail = name; ;)
        {
            int dot = tail.IndexOf('.');
            tail = dot < 0 ? [] : tail[(dot + 1)..];
            if (byTail.TryGetValue(tail, out List<NamePattern>? candidates))
                found.AddRange(candidates.Where(c => c.Pattern.Matches(name)));
            if (tail.IsEmpty)
                return found;
        }
    }

    // A label with a star before the tail stands for one label at least, so a tail is always shorter than the name.
    private static string TailOf(DnsPattern pattern)
    {
        int dot = pattern.Text.IndexOf('.', pattern.Text.LastIndexOf('*'));
        return dot < 0 ? "" : pattern.Text[(dot + 1)..];
    }
}

/// <summary>A pattern in use by rules.</summary>
internal sealed class NamePattern(DnsPattern pattern)
{
    public DnsPattern Pattern { get; } = pattern;

    /// <summary>Rules that have it as a peer.</summary>
    public int References { get; set; }

    /// <summary>Known names that match.</summary>
    public HashSet<KnownName> Names { get; } = [];

    /// <summary>Labels of identities held ready for the first answer.</summary>
    public List<Axoneme.Network.LabelSet> Prepared { get; } = [];
}
