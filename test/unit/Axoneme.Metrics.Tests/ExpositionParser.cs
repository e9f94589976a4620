// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;

namespace Axoneme.Metrics.Tests;

internal sealed record ParsedSample(string Name, IReadOnlyList<KeyValuePair<string, string>> Labels, double Value)
{
    public string? Label(string name) => Labels.Where(l => l.Key == name).Select(l => l.Value).SingleOrDefault();
}

internal sealed record ParsedFamily(string Name, string Help, string Type, List<ParsedSample> Samples);

/// <summary>
/// Reads text format 0.0.4 and takes nothing that the format's description does not allow: families in one piece with HELP and TYPE in front,
/// no series twice, histograms that add up.
/// </summary>
internal sealed class ExpositionParser
{
    private readonly List<ParsedFamily> _families = [];
    private readonly HashSet<string> _series = [];

    public static IReadOnlyList<ParsedFamily> Parse(string text)
    {
        if (text.Length > 0 && !text.EndsWith('\n'))
            throw new FormatException("the last line has no end");
        var parser = new ExpositionParser();
        string[] lines = text.Split('\n')[..^1];
        for (int i = 0; i < lines.Length; i++)
        {
            try
            {
                parser.Line(lines[i]);
            }
            catch (FormatException e)
            {
                throw new FormatException($"line {i + 1} '{lines[i]}': {e.Message}");
            }
        }

        foreach (ParsedFamily histogram in parser._families.Where(f => f.Type == "histogram"))
            CheckHistogram(histogram);
        return parser._families;
    }

    private void Line(string line)
    {
        if (line.StartsWith("# HELP ", StringComparison.Ordinal))
        {
            string[] words = line.Split(' ', 4);
            if (_families.Exists(f => f.Name == words[2]))
                throw new FormatException("a second HELP, or a family in two pieces");
            _families.Add(new ParsedFamily(words[2], Unescape(words[3], quotes: false), "", []));
        }
        else if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
        {
            string[] words = line.Split(' ');
            ParsedFamily last = _families[^1];
            if (words.Length != 4 || words[2] != last.Name || last.Type.Length > 0 || words[3] is not ("counter" or "gauge" or "histogram"))
                throw new FormatException("TYPE does not follow its HELP");
            _families[^1] = last with { Type = words[3] };
        }
        else
        {
            Series(line);
        }
    }

    private void Series(string line)
    {
        ParsedFamily family = _families[^1];
        int position = 0;
        string name = Name(line, ref position, ":");
        bool belongs = family.Type == "histogram"
            ? name == family.Name + "_bucket" || name == family.Name + "_sum" || name == family.Name + "_count"
            : name == family.Name;
        if (!belongs || family.Type.Length == 0)
            throw new FormatException($"not a series of {family.Name}");
        var labels = new List<KeyValuePair<string, string>>();
        if (line[position] == '{')
        {
            do
            {
                position++;
                string label = Name(line, ref position, "");
                Expect(line, ref position, "=\"");
                int end = position;
                while (line[end] != '"')
                    end += line[end] == '\\' ? 2 : 1;
                labels.Add(new(label, Unescape(line[position..end], quotes: true)));
                position = end + 1;
            }
            while (line[position] == ',');
            Expect(line, ref position, "}");
        }

        Expect(line, ref position, " ");
        if (!_series.Add(line[..position]))
            throw new FormatException("the same series twice");
        if (labels.Select(l => l.Key).Distinct().Count() != labels.Count)
            throw new FormatException("the same label twice");
        family.Samples.Add(new ParsedSample(name, labels, Number(line[position..])));
    }

    private static double Number(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        "NaN" => double.NaN,
        _ => double.Parse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture),
    };

    private static string Name(string line, ref int position, string extra)
    {
        int start = position;
        while (position < line.Length && (char.IsAsciiLetterOrDigit(line[position]) || line[position] == '_' || extra.Contains(line[position])))
            position++;
        if (position == start || char.IsAsciiDigit(line[start]))
            throw new FormatException($"no name at {start}");
        return line[start..position];
    }

    private static void Expect(string line, ref int position, string text)
    {
        if (string.CompareOrdinal(line, position, text, 0, text.Length) != 0)
            throw new FormatException($"'{text}' is missing at {position}");
        position += text.Length;
    }

    private static string Unescape(string text, bool quotes)
    {
        var plain = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                plain.Append(text[i]);
                continue;
            }

            plain.Append(++i < text.Length ? text[i] switch
            {
                '\\' => '\\',
                'n' => '\n',
                '"' when quotes => '"',
                _ => throw new FormatException($"unknown escape \\{text[i]}"),
            } : throw new FormatException("a backslash at the end"));
        }

        return plain.ToString();
    }

    private static void CheckHistogram(ParsedFamily family)
    {
        foreach (var series in family.Samples.GroupBy(s => string.Join('\0', s.Labels.Where(l => l.Key != "le"))))
        {
            ParsedSample[] buckets = [.. series.Where(s => s.Name.EndsWith("_bucket", StringComparison.Ordinal))];
            double[] bounds = [.. buckets.Select(b => Number(b.Label("le")!))];
            double count = series.Single(s => s.Name.EndsWith("_count", StringComparison.Ordinal)).Value;
            _ = series.Single(s => s.Name.EndsWith("_sum", StringComparison.Ordinal));
            if (!bounds.SequenceEqual(bounds.Order()) || !double.IsPositiveInfinity(bounds[^1]) || buckets[^1].Value != count
                || !buckets.Select(b => b.Value).SequenceEqual(buckets.Select(b => b.Value).Order()))
                throw new FormatException($"the buckets of {family.Name} do not add up");
        }
    }
}
