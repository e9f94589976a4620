// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;

namespace Axoneme.Proxy.Rules;

/// <summary>Any of some names and patterns.</summary>
internal sealed class NameSet
{
    private readonly DnsPatternIndex<bool> _patterns = new();
    private readonly bool _isEverything;

    public NameSet(IEnumerable<DnsPattern> any)
    {
        foreach (DnsPattern pattern in any.Distinct())
        {
            _patterns.Add(pattern, true);
            _isEverything |= pattern == DnsPattern.Everything;
        }
    }

    /// <param name="name">In lower case without the final dot.</param>
    public bool Contains(ReadOnlySpan<char> name) => _isEverything || _patterns.Matches(name);
}
