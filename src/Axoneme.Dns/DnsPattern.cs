// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Dns;

/// <summary>
/// One name, or a pattern of names, as policies write them (<c>matchName</c>, <c>matchPattern</c>). A star inside a pattern stands for any
/// number of letters, digits, dashes and underscores of one label; leading <c>**.</c> stands for one or more whole labels; stars alone stand for
/// every name. Matching costs at most the product of two labels' lengths, whatever the pattern.
/// </summary>
public sealed class DnsPattern : IEquatable<DnsPattern>, IComparable<DnsPattern>
{
    public const int MaximalLength = 255;

    private enum Form : byte
    {
        Name,
        Labels,
        LabelsBelow,
        Everything,
    }

    private readonly Form _form;

    // What is compared label by label: of LabelsBelow the part after "**.".
    private readonly string _body;

    private DnsPattern(Form form, string text, string body)
    {
        _form = form;
        Text = text;
        _body = body;
    }

    /// <summary>In lower case without the final dot, as it stands in identity labels. A pattern without stars is the same as the name.</summary>
    public string Text { get; }

    public bool IsName => _form == Form.Name;

    public static readonly DnsPattern Everything = new(Form.Everything, "*", "");

    /// <summary>Reads <c>matchName</c>.</summary>
    /// <param name="text">As written.</param>
    /// <param name="pattern">Set when true is returned.</param>
    /// <param name="problem">What is wrong, otherwise.</param>
    public static bool TryParseName(string? text, out DnsPattern pattern, out string problem)
    {
        pattern = Everything;
        if (!TryNormalize(text, stars: false, out string normal, out problem))
            return false;
        pattern = new DnsPattern(Form.Name, normal, normal);
        return true;
    }

    /// <summary>Reads <c>matchPattern</c>.</summary>
    /// <param name="text">As written.</param>
    /// <param name="pattern">Set when true is returned.</param>
    /// <param name="problem">What is wrong, otherwise.</param>
    public static bool TryParsePattern(string? text, out DnsPattern pattern, out string problem)
    {
        pattern = Everything;
        if (!TryNormalize(text, stars: true, out string normal, out problem))
            return false;
        int leading = normal.AsSpan().IndexOfAnyExcept('*');
        if (leading < 0)
            return true;
        pattern = leading >= 2 && normal[leading] == '.'
            ? new DnsPattern(Form.LabelsBelow, normal, normal[(leading + 1)..])
            : new DnsPattern(normal.Contains('*', StringComparison.Ordinal) ? Form.Labels : Form.Name, normal, normal);
        return true;
    }

    /// <param name="name">In lower case, with or without the final dot.</param>
    public bool Matches(ReadOnlySpan<char> name)
    {
        if (name is [.., '.'])
            name = name[..^1];
        switch (_form)
        {
            case Form.Everything:
                return true;
            case Form.Name:
                return name.SequenceEqual(_body);
            case Form.Labels:
                return MatchesLabels(_body, name);
            default:
                int surplus = name.Count('.') - _body.AsSpan().Count('.');
                for (; surplus > 0; surplus--)
                {
                    int dot = name.IndexOf('.');
                    if (dot == 0)
                        return false;
                    name = name[(dot + 1)..];
                    if (surplus == 1)
                        return MatchesLabels(_body, name);
                }

                return false;
        }
    }

    public bool Equals(DnsPattern? other) => other is not null && Text == other.Text;

    public override bool Equals(object? obj) => Equals(obj as DnsPattern);

    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    public int CompareTo(DnsPattern? other) => string.CompareOrdinal(Text, other?.Text);

    public override string ToString() => Text;

    public static bool operator ==(DnsPattern? left, DnsPattern? right) => left is null ? right is null : left.Equals(right);

    public static bool operator !=(DnsPattern? left, DnsPattern? right) => !(left == right);

    public static bool operator <(DnsPattern left, DnsPattern right) => left.CompareTo(right) < 0;

    public static bool operator >(DnsPattern left, DnsPattern right) => left.CompareTo(right) > 0;

    public static bool operator <=(DnsPattern left, DnsPattern right) => left.CompareTo(right) <= 0;

    public static bool operator >=(DnsPattern left, DnsPattern right) => left.CompareTo(right) >= 0;

    private static bool TryNormalize(string? text, bool stars, out string normal, out string problem)
    {
        normal = "";
        if (string.IsNullOrEmpty(text))
        {
            problem = "is empty";
            return false;
        }

        if (text.Length > MaximalLength)
        {
            problem = $"is longer than {MaximalLength} characters";
            return false;
        }

        foreach (char c in text)
        {
            if (char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' || (stars && c == '*'))
                continue;
            problem = $"has '{c}', which is no character of {(stars ? "a name pattern" : "a name")}";
            return false;
        }

        normal = (text.EndsWith('.') ? text[..^1] : text).ToLowerInvariant();
        problem = "";
        return true;
    }

    private static bool MatchesLabels(ReadOnlySpan<char> pattern, ReadOnlySpan<char> name)
    {
        while (true)
        {
            int patternEnd = pattern.IndexOf('.');
            int nameEnd = name.IndexOf('.');
            if (patternEnd < 0 != nameEnd < 0)
                return false;
            if (!MatchesLabel(patternEnd < 0 ? pattern : pattern[..patternEnd], nameEnd < 0 ? name : name[..nameEnd]))
                return false;
            if (patternEnd < 0)
                return true;
            pattern = pattern[(patternEnd + 1)..];
            name = name[(nameEnd + 1)..];
        }
    }

    // The last star alone is ever tried again: whatever an earlier one could take, a later one can take as well.
    private static bool MatchesLabel(ReadOnlySpan<char> pattern, ReadOnlySpan<char> label)
    {
        int p = 0, n = 0, star = -1, taken = 0;
        while (n < label.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                star = p++;
                taken = n;
            }
            else if (p < pattern.Length && pattern[p] == label[n])
            {
                p++;
                n++;
            }
            else if (star >= 0 && IsStarCharacter(label[taken]))
            {
                p = star + 1;
                n = ++taken;
            }
            else
            {
                return false;
            }
        }

        return pattern[p..].IndexOfAnyExcept('*') < 0;
    }

    private static bool IsStarCharacter(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_';
}
