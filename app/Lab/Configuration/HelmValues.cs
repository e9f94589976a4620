// SPDX-License-Identifier: Apache-2.0
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Axoneme.Lab.Configuration;

/// <summary>Helm values as configuration keys of the agent. What the lab does not know is refused, never dropped.</summary>
internal static class HelmValues
{
    private static readonly Dictionary<string, (string Kind, string Key)> Known = LoadKnown();

    /// <param name="source">Name of the file, for messages.</param>
    /// <exception cref="UserErrorException">Not YAML, an unknown path, or a value of the wrong kind; all mistakes at once.</exception>
    public static Dictionary<string, string> Read(string yaml, string source)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(yaml));
        }
        catch (YamlException e)
        {
            throw new UserErrorException($"{source}:{e.Start.Line}: {e.Message}");
        }

        var keys = new Dictionary<string, string>();
        var problems = new List<string>();
        foreach (YamlDocument document in stream.Documents)
            if (document.RootNode is YamlMappingNode root)
                Walk(root, "", keys, problems);
            else if (document.RootNode is not YamlScalarNode { Value: null or "" })
                problems.Add("the values are not a map");
        if (problems.Count > 0)
            throw new UserErrorException(string.Join("\n", problems.Select(p => $"{source}: {p}")));
        return keys;
    }

    /// <summary>Adds <c>NAME=VALUE</c> settings, of which a later one wins. NAME is a Helm value's path or a configuration key as it is.</summary>
    /// <exception cref="UserErrorException">No such path, or a value of the wrong kind.</exception>
    public static void Set(Dictionary<string, string> keys, IEnumerable<string> settings)
    {
        foreach (string setting in settings)
        {
            if (setting.Split('=', 2) is not [{ Length: > 0 } name, var value])
                throw new UserErrorException($"--set: '{setting}' is not NAME=VALUE", status: 2);
            if (Known.TryGetValue(name, out (string Kind, string Key) known))
                keys[known.Key] = Convert(known.Kind, new YamlScalarNode(value))
                    ?? throw new UserErrorException($"--set {name}: '{value}' is not a {NameOf(known.Kind)}");
            else if (name.Length > 1 && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-'))
                keys[name] = value;
            else
                throw new UserErrorException($"--set {name}: the lab does not know this value");
        }
    }

    private static void Walk(YamlMappingNode map, string prefix, Dictionary<string, string> keys, List<string> problems)
    {
        foreach ((YamlNode name, YamlNode value) in map.Children)
        {
            string path = prefix + name;
            if (Known.TryGetValue(path, out (string Kind, string Key) known))
            {
                if (Convert(known.Kind, value) is { } text)
                    keys[known.Key] = text;
                else
                    problems.Add($"{path} (line {value.Start.Line}): '{value}' is not a {NameOf(known.Kind)}");
            }
            else if (value is YamlMappingNode inner && Known.Keys.Any(k => k.StartsWith(path + ".", StringComparison.Ordinal)))
            {
                Walk(inner, path + ".", keys, problems);
            }
            else
            {
                problems.Add($"{path} (line {name.Start.Line}): the lab does not know this value");
            }
        }
    }

    private static string? Convert(string kind, YamlNode value) => (kind, value) switch
    {
        ("list", YamlSequenceNode list) => string.Join(' ', list.Children.Select(c => c.ToString())),
        ("list" or "text", YamlScalarNode { Value: { } text }) => text,
        ("switch", YamlScalarNode { Value: "true" or "false" } scalar) => scalar.Value,
        (_, YamlScalarNode { Value: "true" }) when kind.StartsWith("on=", StringComparison.Ordinal) => kind["on=".Length..],
        (_, YamlScalarNode { Value: "false" }) when kind.StartsWith("on=", StringComparison.Ordinal) => "",
        ("number", YamlScalarNode { Value: { } digits }) when int.TryParse(digits, out _) => digits,
        _ => null,
    };

    private static string NameOf(string kind) => kind.StartsWith("on=", StringComparison.Ordinal) ? "switch" : kind;

    private static Dictionary<string, (string Kind, string Key)> LoadKnown()
    {
        using Stream stream = typeof(HelmValues).Assembly.GetManifestResourceStream("values.tsv")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(l => l[0] != '#')
            .Select(l => l.Split('\t')).ToDictionary(f => f[0], f => (f[1], f[2]));
    }
}
