// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Agent.Cluster;

/// <summary>
/// One copy of each of the words that API objects repeat, such as names of nodes and keys of labels. For one reflector, which calls from one task
/// at a time.
/// </summary>
internal sealed class NamePool
{
    // More than any cluster has nodes, zones and keys. When they come and go for years, starting anew costs memory and nothing else.
    private const int Capacity = 1 << 16;

    private readonly HashSet<string> _names = new(StringComparer.Ordinal);

    public string? Share(string? name)
    {
        if (name is null)
            return null;
        if (_names.TryGetValue(name, out string? known))
            return known;
        if (_names.Count == Capacity)
            _names.Clear();
        _names.Add(name);
        return name;
    }

    /// <summary>The pairs whose key is wanted; null when there is none.</summary>
    public IReadOnlyDictionary<string, string>? Share(IReadOnlyDictionary<string, string>? pairs, Func<string, bool> isNeeded)
    {
        if (pairs is null || pairs.Count == 0)
            return null;
        Dictionary<string, string>? kept = null;
        foreach ((string key, string value) in pairs)
        {
            if (isNeeded(key))
                (kept ??= new Dictionary<string, string>(pairs.Count, StringComparer.Ordinal))[Share(key)!] = value;
        }

        kept?.TrimExcess();
        return kept;
    }
}
