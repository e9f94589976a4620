// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Printing;

/// <summary>
/// The part of JSONPath that printer columns use: members (with escaped dots or in quotes), indexes, [*], and filters that compare
/// a member with a text.
/// </summary>
internal sealed class JsonPath
{
    private abstract record Step;

    private sealed record Member(string Name) : Step;

    private sealed record Index(int Position) : Step;

    private sealed record Every : Step;

    private sealed record Filter(string[] Path, string Value) : Step;

    private readonly List<Step> _steps = [];

    /// <exception cref="FormatException">The text is outside the supported part.</exception>
    public JsonPath(string text)
    {
        int at = 0;
        while (at < text.Length)
            at = text[at] == '[' ? ReadBracket(text, at) : ReadMember(text, text[at] == '.' ? at + 1 : at);
    }

    /// <summary>The first value found, as printer columns show it, or null.</summary>
    public JsonNode? First(JsonNode root) => Select(root, 0).FirstOrDefault();

    private IEnumerable<JsonNode?> Select(JsonNode? node, int step)
    {
        if (step == _steps.Count)
            return [node];
        switch (_steps[step])
        {
            case Member member:
                return node is JsonObject map && map.TryGetPropertyValue(member.Name, out JsonNode? child) ? Select(child, step + 1) : [];
            case Index index:
                if (node is not JsonArray items)
                    return [];
                int position = index.Position < 0 ? items.Count + index.Position : index.Position;
                return position >= 0 && position < items.Count ? Select(items[position], step + 1) : [];
            case Filter filter:
                return node is JsonArray list
                    ? list.Where(i => Show(i.At(filter.Path)) == filter.Value).SelectMany(i => Select(i, step + 1))
                    : [];
            default:
                return node is JsonArray every ? every.SelectMany(i => Select(i, step + 1)) : [];
        }
    }

    private static string? Show(JsonNode? node) => node.Text() ?? (node is JsonValue ? JsonText.ToText(node) : null);

    private int ReadMember(string text, int start)
    {
        var name = new System.Text.StringBuilder();
        int at = start;
        for (; at < text.Length && text[at] is not ('.' or '['); at++)
        {
            if (text[at] == '\\' && at + 1 < text.Length)
                at++;
            name.Append(text[at]);
        }
        if (name.Length > 0)
            _steps.Add(name.ToString() == "*" ? new Every() : new Member(name.ToString()));
        else if (at < text.Length && text[at] != '[')
            throw new FormatException($"'{text}': a member's name is missing at {at}.");
        return at;
    }

    private int ReadBracket(string text, int start)
    {
        int end = text.IndexOf(text.AsSpan(start).StartsWith("[?(") ? ")]" : "]", start, StringComparison.Ordinal);
        if (end < 0)
            throw new FormatException($"'{text}': '[' at {start} is not closed.");
        string inner = text[(start + 1)..end];
        if (inner.StartsWith("?(", StringComparison.Ordinal))
        {
            string[] sides = inner[2..].Split("==", 2, StringSplitOptions.TrimEntries);
            if (sides.Length != 2 || !sides[0].StartsWith("@.", StringComparison.Ordinal))
                throw new FormatException($"'{text}': only comparisons of a member are supported in a filter.");
            _steps.Add(new Filter(sides[0][2..].Split('.'), sides[1].Trim('"', '\'')));
            return end + 2;
        }
        if (inner is "*" or "")
            _steps.Add(new Every());
        else if (int.TryParse(inner, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int position))
            _steps.Add(new Index(position));
        else
            _steps.Add(new Member(inner.Trim('"', '\'')));
        return end + 1;
    }
}
