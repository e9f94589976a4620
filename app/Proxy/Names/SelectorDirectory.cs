// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;

namespace Axoneme.Proxy.Names;

/// <summary>
/// The FQDN selectors of all policies as patterns, and which identity addresses with a set of them have. Immutable; numbers of patterns mean something
/// in one instance only.
/// </summary>
internal sealed class SelectorDirectory
{
    private readonly DnsPatternIndex<int> _index = new();
    private readonly Dictionary<string, SecurityIdentity> _identitiesV4 = [];
    private readonly Dictionary<string, SecurityIdentity> _identitiesV6 = [];
    private readonly IpPrefix[] _prefixes;

    public static readonly SelectorDirectory Empty = new([], []);

    public SelectorDirectory(IReadOnlyList<SelectorSet> sets, IReadOnlyCollection<IpPrefix> prefixes)
    {
        Sets = sets;
        Prefixes = prefixes;
        DnsPattern[] patterns = [.. sets.SelectMany(s => s.Patterns).Distinct().Order()];
        for (int i = 0; i < patterns.Length; i++)
            _index.Add(patterns[i], i);
        _prefixes = [.. prefixes];
        foreach (SelectorSet set in sets.Where(s => s.Prefix is null && s.Identity.Value != 0))
        {
            string key = KeyOf(set.Patterns.Distinct().Select(p => Array.BinarySearch(patterns, p)).Order());
            if (set.IsV6 != true)
                _identitiesV4[key] = set.Identity;
            if (set.IsV6 != false)
                _identitiesV6[key] = set.Identity;
        }
    }

    public IReadOnlyList<SelectorSet> Sets { get; }

    public IReadOnlyCollection<IpPrefix> Prefixes { get; }

    /// <summary>Numbers of the patterns that match, ascending; empty when nobody wants the name.</summary>
    public int[] Match(ReadOnlySpan<char> name)
    {
        if (_index.Find(name) is not { } matches)
            return [];
        matches.Sort();
        return [.. matches];
    }

    /// <summary>The identity of addresses that have exactly these patterns and no prefix.</summary>
    /// <param name="patterns">Ascending.</param>
    /// <param name="isV6">Family of the addresses, which may have identities of their own.</param>
    /// <param name="identity">Set when true is returned.</param>
    public bool TryFindIdentity(IEnumerable<int> patterns, bool isV6, out SecurityIdentity identity)
        => (isV6 ? _identitiesV6 : _identitiesV4).TryGetValue(KeyOf(patterns), out identity);

    /// <summary>Whether a CIDR policy covers the address.</summary>
    public bool IsCovered(IpAddress address) => Array.Exists(_prefixes, p => p.Contains(address));

    private static string KeyOf(IEnumerable<int> patterns) => string.Join(' ', patterns);
}
