// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Globalization;
using System.Text.Json.Nodes;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Axoneme.Kubernetes.Resources;

/// <summary>One document of a YAML text.</summary>
/// <param name="Content">As JSON.</param>
/// <param name="Line">Where it begins, from 1.</param>
public readonly record struct ManifestDocument(JsonObject Content, long Line);

/// <summary>YAML (and so JSON) text as JSON nodes, with the scalar rules of YAML 1.2 that Kubernetes tools share.</summary>
public static class ManifestYaml
{
    private static readonly SearchValues<char> NumberCharacters = SearchValues.Create("0123456789+-.eE");

    /// <exception cref="FormatException">Not YAML, or a document is no mapping; the text says in which line.</exception>
    public static IEnumerable<ManifestDocument> Read(string yaml)
    {
        ArgumentNullException.ThrowIfNull(yaml);
        var stream = new YamlStream();
        try
        {
            stream.Load(new MergingParser(new Parser(new StringReader(yaml))));
        }
        catch (YamlException e)
        {
            throw new FormatException($"yaml: line {e.Start.Line}: {e.Message}", e);
        }
        catch (InvalidOperationException e)
        {
            // The parser's way of saying that the text ends too early.
            throw new FormatException("yaml: the text ends within a list or mapping", e);
        }

        foreach (YamlDocument document in stream.Documents)
        {
            JsonNode? node = Convert(document.RootNode, 0);
            if (node is null)
                continue;
            long line = document.RootNode.Start.Line;
            yield return new ManifestDocument(node as JsonObject ?? throw new FormatException($"yaml: line {line}: the document is not a mapping"), line);
        }
    }

    private static JsonNode? Convert(YamlNode node, int depth)
    {
        // Aliases can make a small text endless; no manifest is this deep.
        if (depth > 200)
            throw new FormatException("yaml: nested too deeply");
        switch (node)
        {
            case YamlMappingNode mapping:
                var map = new JsonObject();
                foreach ((YamlNode key, YamlNode value) in mapping.Children)
                    map[((YamlScalarNode)key).Value ?? ""] = Convert(value, depth + 1);
                return map;
            case YamlSequenceNode sequence:
                var list = new JsonArray();
                foreach (YamlNode item in sequence.Children)
                    list.Add(Convert(item, depth + 1));
                return list;
            default:
                return Scalar((YamlScalarNode)node);
        }
    }

    private static JsonValue? Scalar(YamlScalarNode scalar)
    {
        string text = scalar.Value ?? "";
        if (scalar.Style is ScalarStyle.SingleQuoted or ScalarStyle.DoubleQuoted or ScalarStyle.Literal or ScalarStyle.Folded
            || scalar.Tag is { IsEmpty: false, IsLocal: false } tag && tag.Value == "tag:yaml.org,2002:str")
            return JsonValue.Create(text);
        switch (text)
        {
            case "" or "~" or "null" or "Null" or "NULL":
                return null;
            // The YAML 1.1 words too: that is what Go's parsers of manifests take.
            case "true" or "True" or "TRUE" or "yes" or "Yes" or "YES" or "on" or "On" or "ON":
                return JsonValue.Create(true);
            case "false" or "False" or "FALSE" or "no" or "No" or "NO" or "off" or "Off" or "OFF":
                return JsonValue.Create(false);
        }
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long whole))
            return JsonValue.Create(whole);
        if (text.StartsWith("0x", StringComparison.Ordinal)
            && long.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out whole))
            return JsonValue.Create(whole);
        bool numeric = !text.AsSpan().ContainsAnyExcept(NumberCharacters) && text.AsSpan().ContainsAnyInRange('0', '9');
        return numeric && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double real)
            ? JsonValue.Create(real)
            : JsonValue.Create(text);
    }
}
