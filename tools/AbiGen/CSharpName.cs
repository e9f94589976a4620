// SPDX-License-Identifier: Apache-2.0
using System.Text;

namespace Axoneme.AbiGen;

/// <summary>C names as C# writes them.</summary>
public static class CSharpName
{
    /// <summary><c>lb4_reverse_sk</c> to <c>Lb4ReverseSk</c>, <c>CT_SEEN_SYN</c> to <c>CtSeenSyn</c>.</summary>
    public static string Pascal(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var result = new StringBuilder(name.Length);
        foreach (string word in Words(name))
        {
            bool shouting = !word.Any(char.IsAsciiLetterLower);
            result.Append(char.ToUpperInvariant(word[0])).Append(shouting ? word[1..].ToLowerInvariant() : word[1..]);
        }

        return result.Length == 0 || char.IsAsciiDigit(result[0]) ? "_" + result : result.ToString();
    }

    /// <summary>
    /// Names of an enum's constants without the leading words that repeat the enum's own name (<c>CT_SCOPE_FLOW</c> of
    /// <c>ct_scope</c> is <c>Flow</c>). Each name depends on its own text only, so that a new constant never renames
    /// others; where two would meet, both stay whole.
    /// </summary>
    public static IReadOnlyList<string> EnumConstants(string enumName, IReadOnlyList<string> names)
    {
        HashSet<string> own = Words(enumName).Select(Singular).ToHashSet();
        string[] shortened = names.Select(name => Shorten(name, own)).ToArray();
        HashSet<string> ambiguous =
            shortened.GroupBy(name => name).Where(group => group.Count() > 1).Select(group => group.Key).ToHashSet();
        return names.Select((name, i) => ambiguous.Contains(shortened[i]) ? Pascal(name) : shortened[i]).ToArray();
    }

    private static string Shorten(string name, HashSet<string> own)
    {
        string[] words = Words(name);
        int skipped = words.TakeWhile(word => own.Contains(Singular(word))).Count();
        string rest = string.Join('_', words.Skip(skipped));
        return rest.Length == 0 || char.IsAsciiDigit(rest[0]) ? Pascal(name) : Pascal(rest);
    }

    private static string[] Words(string name) => name.Split(['_', '.', '-'], StringSplitOptions.RemoveEmptyEntries);

    private static string Singular(string word)
    {
        string lower = word.ToLowerInvariant();
        return lower.Length > 3 && lower.EndsWith('s') ? lower[..^1] : lower;
    }
}
