// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.LoadBalancing;

/// <summary>
/// Keeps one copy of names that objects repeat: 120,000 endpoints name the same few nodes and zones. Not thread-safe.
/// </summary>
internal sealed class StringPool
{
    // More than any cluster has nodes; reached only by names that come and go for years. Starting anew costs memory, nothing else.
    private const int Capacity = 1 << 16;

    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    /// <summary>Empty for null.</summary>
    public string Share(string? text)
    {
        if (string.IsNullOrEmpty(text))
            return "";
        if (_known.TryGetValue(text, out string? known))
            return known;
        if (_known.Count == Capacity)
            _known.Clear();
        _known.Add(text);
        return text;
    }
}
