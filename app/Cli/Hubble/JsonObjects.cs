// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Google.Protobuf;

namespace Axoneme.Cli.Hubble;

/// <summary>Messages as one line of JSON with the field names of the .proto files.</summary>
internal static class JsonObjects
{
    private static readonly JsonFormatter Formatter = new(JsonFormatter.Settings.Default.WithPreserveProtoFieldNames(true));

    public static string Of(IMessage message) => Compact(Formatter.Format(message));

    /// <summary>Objects that follow one another in a text.</summary>
    public static IEnumerable<string> Split(string text)
    {
        int depth = 0;
        int start = 0;
        bool isString = false;
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (isString)
            {
                if (c == '\\')
                    i++;
                else if (c == '"')
                    isString = false;
                continue;
            }

            isString = c == '"';
            depth += c == '{' ? 1 : c == '}' ? -1 : 0;
            if (c != '}' || depth != 0)
                continue;
            yield return text[start..(i + 1)];
            start = i + 1;
        }

        if (text.AsSpan(Math.Min(start, text.Length)).Trim().Length > 0)
            throw new FormatException("the text is not a sequence of JSON objects");
    }

    // The formatter puts blanks around what it writes; readers of lines do not need them.
    private static string Compact(string json)
    {
        var compact = new StringBuilder(json.Length);
        bool isString = false;
        for (int i = 0; i < json.Length; i++)
        {
            char c = json[i];
            if (isString && c == '\\')
            {
                compact.Append(c).Append(json[++i]);
                continue;
            }

            if (c == '"')
                isString = !isString;
            if (isString || c != ' ')
                compact.Append(c);
        }

        return compact.ToString();
    }
}
