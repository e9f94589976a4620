// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Hubble.Filters;

/// <summary>
/// A Kubernetes label selector over labels with sources: <c>k8s:app=web, !debug, tier in (a, b)</c>. A key without a source matches
/// labels of every source.
/// </summary>
public sealed class LabelSelector
{
    private readonly List<Requirement> _requirements = [];

    private enum Operator
    {
        Exists,
        Absent,
        In,
        NotIn,
    }

    private readonly record struct Requirement(string? Source, string Key, Operator Operator, string[] Values);

    /// <exception cref="FormatException">The text is not a selector.</exception>
    public static LabelSelector Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var selector = new LabelSelector();
        foreach (string part in SplitOutsideParentheses(text))
            selector._requirements.Add(ParseRequirement(part.Trim(), text));
        return selector;
    }

    /// <param name="labels">Labels as text: <c>source:key=value</c>, or <c>key=value</c>.</param>
    public bool Matches(IReadOnlyList<string> labels)
    {
        foreach (Requirement requirement in _requirements)
        {
            if (!Matches(requirement, labels))
                return false;
        }

        return true;
    }

    private static bool Matches(in Requirement requirement, IReadOnlyList<string> labels)
    {
        bool isPresent = false;
        bool hasValue = false;
        for (int i = 0; i < labels.Count; i++)
        {
            Label label = Label.Parse(labels[i]);
            if (label.Key != requirement.Key || (requirement.Source is { } source && source != label.Source))
                continue;
            isPresent = true;
            hasValue |= Array.IndexOf(requirement.Values, label.Value) >= 0;
        }

        return requirement.Operator switch
        {
            Operator.Exists => isPresent,
            Operator.Absent => !isPresent,
            Operator.In => hasValue,
            _ => !hasValue,
        };
    }

    private static Requirement ParseRequirement(string part, string whole)
    {
        if (part.StartsWith('!'))
            return Of(part[1..].Trim(), Operator.Absent, [], whole);
        int parenthesis = part.IndexOf('(', StringComparison.Ordinal);
        if (parenthesis >= 0)
        {
            string[] words = part[..parenthesis].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 2 || words[1] is not ("in" or "notin") || !part.EndsWith(')'))
                throw Invalid(whole);
            string[] values = part[(parenthesis + 1)..^1].Split(',', StringSplitOptions.TrimEntries);
            return Of(words[0], words[1] == "in" ? Operator.In : Operator.NotIn, values, whole);
        }

        int different = part.IndexOf("!=", StringComparison.Ordinal);
        if (different >= 0)
            return Of(part[..different].Trim(), Operator.NotIn, [part[(different + 2)..].Trim()], whole);
        int equal = part.IndexOf('=', StringComparison.Ordinal);
        if (equal < 0)
            return Of(part, Operator.Exists, [], whole);
        string value = part[(equal + 1)..];
        return Of(part[..equal].Trim(), Operator.In, [(value.StartsWith('=') ? value[1..] : value).Trim()], whole);
    }

    private static Requirement Of(string name, Operator op, string[] values, string whole)
    {
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        string key = colon < 0 ? name : name[(colon + 1)..];
        if (key.Length == 0 || !key.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/' or ':')
            || values.Any(v => !v.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/' or ':')))
            throw Invalid(whole);
        string? source = colon < 0 || name[..colon] == Label.Any ? null : name[..colon];
        return new Requirement(source, key, op, values);
    }

    private static List<string> SplitOutsideParentheses(string text)
    {
        var parts = new List<string>();
        int depth = 0;
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
            if (depth is < 0 or > 1)
                throw Invalid(text);
            if (text[i] != ',' || depth > 0)
                continue;
            parts.Add(text[start..i]);
            start = i + 1;
        }

        if (depth != 0)
            throw Invalid(text);
        parts.Add(text[start..]);
        return parts;
    }

    private static FormatException Invalid(string text) => new($"invalid label selector '{text}'");
}
