// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Schemas;

/// <summary>
/// Reads the built-in types. "type NAME" starts one; each further, indented line is a field: name, type, marks. Types: string, int32, int64,
/// number, bool, time, bytes, quantity, intstr, any, a type's name, []T for lists, {}T for maps. Marks: ! required; =JSON default;
/// A|B|C the permitted values; @key,... a list merged by these keys, of which the first is also the key of strategic merges;
/// ~key a list that only strategic merges merge; set; atomic (a map that is owned as a whole).
/// </summary>
internal sealed class SchemaText
{
    private readonly Dictionary<string, Schema> _types = new(StringComparer.Ordinal);

    private SchemaText()
    {
    }

    public static IReadOnlyDictionary<string, Schema> Builtin { get; } = Load();

    private static Dictionary<string, Schema> Load()
    {
        var lines = new List<string>();
        foreach (string resource in typeof(SchemaText).Assembly.GetManifestResourceNames().Where(n => n.EndsWith(".schema")).Order())
        {
            using Stream stream = typeof(SchemaText).Assembly.GetManifestResourceStream(resource)!;
            using var reader = new StreamReader(stream);
            lines.AddRange(reader.ReadToEnd().Split('\n'));
        }
        var text = new SchemaText();
        text.Read(lines);
        return text._types;
    }

    private void Read(List<string> lines)
    {
        string? prefix = null;
        foreach (string line in lines)
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is ["package", string package])
                prefix = package;
            else if (line.StartsWith("type ", StringComparison.Ordinal) && words is ["type", string name])
                _types.Add(name, new Schema { Type = "object", Name = $"{prefix}.{name}" });
        }
        Schema? current = null;
        foreach (string line in lines)
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0 || words[0].StartsWith('#') || words[0] == "package")
                continue;
            if (line.StartsWith("type ", StringComparison.Ordinal))
                current = _types[words[1]];
            else
                AddField(current!, words);
        }
    }

    private void AddField(Schema owner, string[] words)
    {
        string name = words[0];
        if (words.Contains("!"))
            owner.Required.Add(name);
        owner.Properties.Add(name, Field(words[1], words[2..]));
    }

    private Schema Field(string type, string[] marks)
    {
        string? keys = marks.FirstOrDefault(m => m.StartsWith('@'))?[1..];
        string? strategic = marks.FirstOrDefault(m => m.StartsWith('~'))?[1..];
        string? preset = marks.FirstOrDefault(m => m.StartsWith('='))?[1..];
        string? values = marks.FirstOrDefault(m => m.Contains('|'));
        bool set = marks.Contains("set");
        if (type.StartsWith("[]"))
            return new Schema
            {
                Type = "array",
                Items = Field(type[2..], []),
                MapKeys = keys?.Split(',') ?? [],
                ListType = keys is not null ? ListMerge.Map : set ? ListMerge.Set : ListMerge.Atomic,
                PatchMergeKey = keys?.Split(',')[0] ?? strategic ?? (set ? "" : null),
            };
        if (type.StartsWith("{}"))
            return new Schema { Type = "object", Additional = Field(type[2..], []), AtomicMap = marks.Contains("atomic") };
        if (_types.TryGetValue(type, out Schema? named))
            return preset is null && !marks.Contains("atomic") ? named : Decorated(named, preset, marks.Contains("atomic"));
        JsonNode? value = preset is null ? null : JsonText.Parse(preset);
        JsonArray? permitted = values is null ? null : JsonAccess.ToArray(values.Split('|'));
        return type switch
        {
            "string" => new Schema { Type = "string", Default = value, Enum = permitted },
            "time" => new Schema { Type = "string", Format = "date-time", Default = value },
            "bytes" => new Schema { Type = "string", Format = "byte" },
            "int32" or "int64" => new Schema { Type = "integer", Format = type, Default = value },
            "number" => new Schema { Type = "number", Default = value },
            "bool" => new Schema { Type = "boolean", Default = value },
            "quantity" or "intstr" => new Schema { IntOrString = true, Format = type == "quantity" ? "quantity" : "int-or-string", Default = value },
            "any" => new Schema { PreserveUnknown = true, Default = value },
            _ => throw new FormatException($"Unknown type '{type}' in the schema text."),
        };
    }

    // The members are shared once all types are read, so the copy holds the same dictionaries' entries through a late lookup.
    private static Schema Decorated(Schema named, string? preset, bool atomic)
        => new()
        {
            Type = "object",
            Name = named.Name,
            Default = preset is null ? null : JsonText.Parse(preset),
            AtomicMap = atomic,
            AllOf = [named],
        };
}
