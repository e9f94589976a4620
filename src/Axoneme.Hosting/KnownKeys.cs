// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;

namespace Axoneme.Hosting;

/// <summary>A key of the cilium-config map: whether this version acts on it, and the chart's default.</summary>
public sealed record KnownKey(string Name, bool IsUsed, string Default);

/// <summary>Every key that a chart of the supported versions writes. Others are mistakes and are reported as such.</summary>
public static class KnownKeys
{
    private static readonly FrozenDictionary<string, KnownKey> ByName = Load();

    public static KnownKey? Find(string name) => ByName.GetValueOrDefault(name);

    /// <summary>The known key that a misspelt one most likely meant, or null when none is near.</summary>
    public static string? Nearest(string name)
    {
        const int FurthestEdit = 3;
        (string Key, int Distance) best = ByName.Keys
            .Select(key => (key, EditDistance(name, key)))
            .MinBy(candidate => candidate.Item2);
        return best.Distance <= FurthestEdit ? best.Key : null;
    }

    private static FrozenDictionary<string, KnownKey> Load()
    {
        using Stream stream = typeof(KnownKeys).Assembly.GetManifestResourceStream("known-keys.tsv")!;
        using var reader = new StreamReader(stream);
        var keys = new Dictionary<string, KnownKey>();
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#'))
                continue;
            string[] cells = line.Split('\t');
            keys[cells[0]] = new KnownKey(cells[0], cells[1] == "used", cells[2]);
        }

        return keys.ToFrozenDictionary();
    }

    /// <summary>Levenshtein distance, one row at a time.</summary>
    private static int EditDistance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int substitution = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substitution, 1 + Math.Min(row[j], row[j - 1]));
            }
        }

        return row[b.Length];
    }
}
