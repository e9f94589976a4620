// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Objects;

internal enum LabelOperator
{
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Greater,
    Less,
}

internal sealed record LabelRequirement(string Key, LabelOperator Operator, IReadOnlyList<string> Values)
{
    public bool Matches(IReadOnlyDictionary<string, string> labels)
    {
        bool there = labels.TryGetValue(Key, out string? value);
        return Operator switch
        {
            LabelOperator.In => there && Values.Contains(value),
            LabelOperator.NotIn => !there || !Values.Contains(value),
            LabelOperator.Exists => there,
            LabelOperator.DoesNotExist => !there,
            LabelOperator.Greater => long.TryParse(value, out long a) && a > long.Parse(Values[0]),
            _ => long.TryParse(value, out long b) && b < long.Parse(Values[0]),
        };
    }
}

/// <summary>All requirements hold. From the text form of the list parameters or from an object's LabelSelector.</summary>
internal sealed record LabelSelector(IReadOnlyList<LabelRequirement> Requirements)
{
    private static readonly SearchValues<char> NotInValues = SearchValues.Create("=!<>() ");

    public static readonly LabelSelector Everything = new([]);

    public bool Matches(IReadOnlyDictionary<string, string> labels)
    {
        foreach (LabelRequirement requirement in Requirements)
            if (!requirement.Matches(labels))
                return false;
        return true;
    }

    /// <summary>A LabelSelector of a spec; null where there is none (which selects nothing).</summary>
    public static LabelSelector? FromJson(JsonNode? selector)
    {
        if (selector is not JsonObject)
            return null;
        var requirements = selector.TextMap("matchLabels")
            .Select(p => new LabelRequirement(p.Key, LabelOperator.In, [p.Value])).ToList();
        foreach (JsonObject expression in selector.Objects("matchExpressions"))
            if (Enum.TryParse(expression.Text("operator"), out LabelOperator op))
                requirements.Add(new(expression.Text("key") ?? "", op, [.. expression.Texts("values")]));
        return new(requirements);
    }

    /// <summary>A plain map of labels, as services have.</summary>
    public static LabelSelector FromMap(JsonNode? map)
        => new([.. map.TextMap().Select(p => new LabelRequirement(p.Key, LabelOperator.In, [p.Value]))]);

    /// <summary>The grammar of labelSelector: key, !key, k=v, k==v, k!=v, k in (a,b), k notin (a,b), k&gt;1, k&lt;1.</summary>
    /// <exception cref="ApiException">400.</exception>
    public static LabelSelector Parse(string text)
    {
        if (string.IsNullOrWhiteSpace(text))
            return Everything;
        var requirements = new List<LabelRequirement>();
        foreach (string part in SplitOutsideParentheses(text))
            requirements.Add(ParseRequirement(part.Trim(), text));
        return new(requirements);
    }

    private static IEnumerable<string> SplitOutsideParentheses(string text)
    {
        int depth = 0, start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
            if (text[i] != ',' || depth > 0)
                continue;
            yield return text[start..i];
            start = i + 1;
        }
        yield return text[start..];
    }

    private static LabelRequirement ParseRequirement(string part, string whole)
    {
        if (part.StartsWith('!'))
            return new(Key(part[1..].Trim(), whole), LabelOperator.DoesNotExist, []);
        int open = part.IndexOf('(');
        if (open >= 0 && part.EndsWith(')'))
        {
            string[] words = part[..open].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 2 && words[1] is "in" or "notin")
                return new(Key(words[0], whole), words[1] == "in" ? LabelOperator.In : LabelOperator.NotIn,
                    [.. part[(open + 1)..^1].Split(',').Select(v => v.Trim())]);
            throw Unparsable(whole);
        }
        (string sign, LabelOperator op)[] signs =
            [("!=", LabelOperator.NotIn), ("==", LabelOperator.In), ("=", LabelOperator.In), (">", LabelOperator.Greater), ("<", LabelOperator.Less)];
        foreach ((string sign, LabelOperator op) in signs)
        {
            int at = part.IndexOf(sign, StringComparison.Ordinal);
            if (at < 0)
                continue;
            string value = part[(at + sign.Length)..].Trim();
            bool numeric = op is LabelOperator.Greater or LabelOperator.Less;
            if (numeric && !long.TryParse(value, out _) || value.AsSpan().IndexOfAny(NotInValues) >= 0)
                throw Unparsable(whole);
            return new(Key(part[..at].Trim(), whole), op, [value]);
        }
        return new(Key(part, whole), LabelOperator.Exists, []);
    }

    private static string Key(string key, string whole)
        => Names.QualifiedNameProblem(key) is null ? key : throw Unparsable(whole);

    private static ApiException Unparsable(string text)
        => ApiErrors.BadRequest($"unable to parse requirement: couldn't parse the selector string \"{text}\"");
}

/// <summary>Equality of single fields, as the kinds support them.</summary>
internal sealed record FieldSelector(IReadOnlyList<(string Path, string Value, bool Equal)> Requirements)
{
    private static readonly string[] Always = ["metadata.name", "metadata.namespace"];

    public static readonly FieldSelector Everything = new([]);

    /// <summary>The object that a selector by name picks, which makes listing cheap; null otherwise.</summary>
    public string? SingleName => Requirements.FirstOrDefault(r => r is { Path: "metadata.name", Equal: true }).Value;

    public bool Matches(JsonObject value)
    {
        foreach ((string path, string expected, bool equal) in Requirements)
            if (Read(value, path) == expected != equal)
                return false;
        return true;
    }

    /// <exception cref="ApiException">400 for text that is no selector and for fields that the kind does not offer.</exception>
    public static FieldSelector Parse(string? text, ResourceType type)
    {
        if (string.IsNullOrWhiteSpace(text))
            return Everything;
        var requirements = new List<(string, string, bool)>();
        foreach (string part in text.Split(','))
        {
            int at = part.IndexOf('=');
            if (at <= 0)
                throw ApiErrors.BadRequest($"invalid selector: '{text}'; can't understand '{part}'");
            bool equal = part[at - 1] != '!';
            string path = part[..(equal ? at : at - 1)].Trim();
            string value = part[(at + 1)..].TrimStart('=').Trim();
            if (!Always.Contains(path) && !type.SelectableFields.Contains(path))
                throw ApiErrors.BadRequest($"field label not supported: {path}");
            requirements.Add((path, value, equal));
        }
        return new(requirements);
    }

    private static string Read(JsonObject value, string path)
    {
        JsonNode? node = value;
        foreach (string name in path.Split('.'))
            node = node.At(name);
        // What an event's source is called depends on the version that wrote it.
        if (node is null && path == "source")
            node = value.At("source", "component");
        return node switch
        {
            JsonValue scalar when scalar.TryGetValue(out bool flag) => flag ? "true" : "false",
            JsonValue scalar => scalar.Text() ?? scalar.Whole()?.ToString() ?? "",
            _ => path is "spec.hostNetwork" or "spec.unschedulable" ? "false" : "",
        };
    }
}
