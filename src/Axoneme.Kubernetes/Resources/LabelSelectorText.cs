// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;

namespace Axoneme.Kubernetes.Resources;

/// <summary>The text form of selectors, as list parameters and annotations have it: <c>a=b,c!=d,e in (x,y),f notin (z),g,!h</c>.</summary>
public static class LabelSelectorText
{
    /// <summary>An empty text selects everything.</summary>
    /// <returns>False when the text is no selector.</returns>
    public static bool TryParse(string text, [NotNullWhen(true)] out LabelSelector? selector)
    {
        ArgumentNullException.ThrowIfNull(text);
        selector = null;
        var requirements = new List<LabelSelectorRequirement>();
        if (!string.IsNullOrWhiteSpace(text))
        {
            foreach (string part in SplitOutsideParentheses(text))
            {
                if (Requirement(part.Trim()) is not { } requirement)
                    return false;
                requirements.Add(requirement);
            }
        }

        selector = new LabelSelector { MatchExpressions = requirements };
        return true;
    }

    private static List<string> SplitOutsideParentheses(string text)
    {
        var parts = new List<string>();
        int depth = 0;
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            depth += text[i] switch { '(' => 1, ')' => -1, _ => 0 };
            if (text[i] != ',' || depth > 0)
                continue;
            parts.Add(text[start..i]);
            start = i + 1;
        }

        parts.Add(text[start..]);
        return parts;
    }

    private static LabelSelectorRequirement? Requirement(string part)
    {
        if (part.EndsWith(')'))
            return OfSet(part);
        if (part.StartsWith('!'))
            return Checked(part[1..], LabelSelectorRequirement.DoesNotExist, null);
        foreach ((string sign, string name) in (ReadOnlySpan<(string, string)>)[("!=", LabelSelectorRequirement.NotIn), ("==", LabelSelectorRequirement.In), ("=", LabelSelectorRequirement.In)])
        {
            int at = part.IndexOf(sign, StringComparison.Ordinal);
            if (at >= 0)
                return Checked(part[..at], name, [part[(at + sign.Length)..].Trim()]);
        }

        return Checked(part, LabelSelectorRequirement.Exists, null);
    }

    private static LabelSelectorRequirement? OfSet(string part)
    {
        int open = part.IndexOf('(', StringComparison.Ordinal);
        string[] words = open < 0 ? [] : part[..open].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words is not [string key, "in" or "notin"])
            return null;
        string name = words[1] == "in" ? LabelSelectorRequirement.In : LabelSelectorRequirement.NotIn;
        return Checked(key, name, part[(open + 1)..^1].Split(',', StringSplitOptions.TrimEntries));
    }

    private static LabelSelectorRequirement? Checked(string key, string name, IReadOnlyList<string>? values)
    {
        key = key.Trim();
        if (key.Length == 0 || !key.All(IsKeyCharacter) || values?.All(v => v.All(IsValueCharacter)) == false)
            return null;
        return new LabelSelectorRequirement { Key = key, Operator = name, Values = values };
    }

    private static bool IsValueCharacter(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.';

    private static bool IsKeyCharacter(char c) => IsValueCharacter(c) || c == '/';
}
