// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary>JSON nodes as block-style YAML, with the comments of <see cref="PolicyManifest.Comment"/>.</summary>
internal static class YamlWriter
{
    public static string Write(IEnumerable<JsonObject> documents)
    {
        var text = new StringBuilder();
        foreach (JsonObject document in documents)
        {
            text.Append(text.Length > 0 ? "---\n" : "");
            WriteMapping(text, document, "", isContinued: false);
        }

        return text.ToString();
    }

    private static void WriteMapping(StringBuilder text, JsonObject mapping, string indent, bool isContinued)
    {
        // The first line of a mapping in a list goes after the dash; comments of it go before, which the list does.
        string lead = isContinued ? "" : indent;
        if (!isContinued)
            WriteComments(text, mapping, indent);
        foreach ((string key, JsonNode? value) in mapping)
        {
            if (key == PolicyManifest.Comment)
                continue;
            text.Append(lead).Append(Scalar(key)).Append(':');
            WriteValue(text, value, indent);
            lead = indent;
        }
    }

    private static void WriteValue(StringBuilder text, JsonNode? value, string indent)
    {
        switch (value)
        {
            case JsonObject { Count: > 0 } mapping:
                text.Append('\n');
                WriteMapping(text, mapping, indent + "  ", isContinued: false);
                break;
            case JsonArray { Count: > 0 } list:
                text.Append('\n');
                foreach (JsonNode? item in list)
                    WriteItem(text, item, indent);
                break;
            default:
                text.Append(' ').Append(Leaf(value)).Append('\n');
                break;
        }
    }

    private static void WriteItem(StringBuilder text, JsonNode? item, string indent)
    {
        if (item is not JsonObject { Count: > 0 } mapping)
        {
            text.Append(indent).Append("- ").Append(Leaf(item)).Append('\n');
            return;
        }

        WriteComments(text, mapping, indent);
        text.Append(indent).Append("- ");
        WriteMapping(text, mapping, indent + "  ", isContinued: true);
    }

    private static void WriteComments(StringBuilder text, JsonObject mapping, string indent)
    {
        if (mapping[PolicyManifest.Comment] is not { } comment)
            return;
        foreach (string line in comment.GetValue<string>().Split('\n'))
            text.Append(indent).Append("# ").Append(line).Append('\n');
    }

    private static string Leaf(JsonNode? value) => value switch
    {
        null => "null",
        JsonObject => "{}",
        JsonArray => "[]",
        JsonValue text when text.GetValueKind() == JsonValueKind.String => Scalar(text.GetValue<string>()),
        _ => value.ToJsonString(),
    };

    // Plain where no reader can take it for anything but this text.
    private static string Scalar(string text)
    {
        bool isPlain = text.Length > 0 && char.IsAsciiLetter(text[0])
            && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/' or ':')
            && !text.EndsWith(':')
            && text.ToLowerInvariant() is not ("true" or "false" or "null" or "yes" or "no" or "on" or "off" or "y" or "n");
        return isPlain ? text : JsonSerializer.Serialize(text, StringJson.Default.String);
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(string))]
internal sealed partial class StringJson : System.Text.Json.Serialization.JsonSerializerContext;
