// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;

namespace Axoneme.Proxy.Rules;

/// <summary>Any of some names and patterns: names are looked up, patterns tried one after the other.</summary>
internal sealed class NameSet
{
    private readonly HashSet<string>.AlternateLookup<ReadOnlySpan<char>> _names;
    private readonly DnsPattern[] _patterns;

    public NameSet(IEnumerable<DnsPattern> any)
    {
        ILookup<bool, DnsPattern> byKind = any.Distinct().ToLookup(p => p.IsName);
        _names = new HashSet<string>(byKind[true].Select(p => p.Text), StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();
        _patterns = byKind[false].Contains(DnsPattern.Everything) ? [DnsPattern.Everything] : [.. byKind[false]];
    }

    /// <param name="name">In lower case without the final dot.</param>
    public bool Contains(ReadOnlySpan<char> name)
    {
        if (_names.Contains(name))
            return true;
        foreach (DnsPattern pattern in _patterns)
        {
            if (pattern.Matches(name))
                return true;
        }

        return false;
    }
}
