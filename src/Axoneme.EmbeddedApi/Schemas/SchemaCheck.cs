// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Schemas;

/// <summary>Prunes, defaults and checks a value against its schema.</summary>
internal static class SchemaCheck
{
    /// <summary>Removes members that the schema does not know and reports their paths.</summary>
    public static void Prune(JsonNode? value, Schema schema, string path, List<string> unknown)
    {
        schema = Resolve(schema);
        if (value is JsonArray list && schema.Items is { } items)
        {
            for (int i = 0; i < list.Count; i++)
                Prune(list[i], items, $"{path}[{i}]", unknown);
        }
        else if (value is JsonObject map && !schema.IsOpen && (schema.Type == "object" || schema.Properties.Count > 0))
        {
            foreach (string name in map.Select(p => p.Key).ToArray())
            {
                string childPath = path.Length == 0 ? name : $"{path}.{name}";
                if (schema.Child(name) is { } child)
                    Prune(map[name], child, childPath, unknown);
                else if (!schema.PreserveUnknown && !(schema.Embedded && name is "apiVersion" or "kind" or "metadata"))
                {
                    unknown.Add(childPath);
                    map.Remove(name);
                }
            }
        }
    }

    /// <summary>Fills in defaults where the parent is there, and drops nulls that the schema does not permit.</summary>
    public static void Default(JsonNode? value, Schema schema)
    {
        schema = Resolve(schema);
        if (value is JsonArray list && schema.Items is { } items)
        {
            foreach (JsonNode? item in list)
                Default(item, items);
        }
        else if (value is JsonObject map)
        {
            foreach ((string name, Schema child) in schema.Properties)
            {
                bool there = map.TryGetPropertyValue(name, out JsonNode? current);
                if (there && current is null && !child.Nullable && !Resolve(child).PreserveUnknown)
                    there = !map.Remove(name);
                if (!there && child.Default is { } preset)
                    map[name] = current = JsonAccess.CopyNode(preset);
                if (current is not null)
                    Default(current, child);
            }
            if (schema.Additional is { } additional && !additional.IsOpen)
                foreach ((string name, JsonNode? item) in map)
                    if (!schema.Properties.ContainsKey(name))
                        Default(item, additional);
        }
    }

    /// <summary>Collects everything that the schema forbids.</summary>
    public static void Check(JsonNode? value, Schema schema, string path, FieldErrors errors)
    {
        if (value is null)
        {
            if (!schema.Nullable && schema.Type.Length > 0)
                errors.TypeInvalid(path, "null", $"{path} in body must be of type {schema.Type}: \"null\"");
            return;
        }
        if (!TypeMatches(value, schema))
        {
            string wanted = schema.IntOrString ? "integer,string" : schema.Type;
            errors.TypeInvalid(path, TypeName(value), $"{path} in body must be of type {wanted}: \"{TypeName(value)}\"");
            return;
        }
        if (schema.Enum is { } permitted && !permitted.Any(p => JsonAccess.Same(p, value)))
            errors.NotSupported(path, value, permitted.Select(p => p.Text() ?? JsonText.ToText(p)));
        switch (value)
        {
            case JsonObject map:
                CheckObject(map, schema, path, errors);
                break;
            case JsonArray list:
                CheckList(list, schema, path, errors);
                break;
            default:
                CheckScalar((JsonValue)value, schema, path, errors);
                break;
        }
        CheckCombinations(value, schema, path, errors);
    }

    public static Schema Resolve(Schema schema)
        => schema is { AllOf: [{ Name: not null } named], Source: null } ? named : schema;

    private static void CheckObject(JsonObject map, Schema schema, string path, FieldErrors errors)
    {
        foreach (string name in schema.Required)
            if (!map.ContainsKey(name))
                errors.Required(Join(path, name));
        foreach ((string name, JsonNode? child) in map)
            if (schema.Properties.TryGetValue(name, out Schema? property))
                Check(child, property, Join(path, name), errors);
            else if (schema.Additional is { } additional)
                Check(child, additional, Join(path, name), errors);
        if (map.Count < schema.MinProperties)
            errors.Invalid(path, map.Copy(), $"{path} in body should have at least {schema.MinProperties} properties");
        if (map.Count > schema.MaxProperties)
            errors.TooMany(path, map.Count, schema.MaxProperties.Value);
    }

    private static void CheckList(JsonArray list, Schema schema, string path, FieldErrors errors)
    {
        if (list.Count < schema.MinItems)
            errors.Invalid(path, list.Count, $"{path} in body should have at least {schema.MinItems} items");
        if (list.Count > schema.MaxItems)
            errors.TooMany(path, list.Count, schema.MaxItems.Value);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < list.Count; i++)
        {
            if (schema.Items is { } items)
                Check(list[i], items, $"{path}[{i}]", errors);
            // Built-in kinds have rules of their own, which name the member at fault.
            string? key = schema.Source is null ? null
                : schema.ListType == ListMerge.Map ? JsonText.ToText(JsonAccess.ToArray(schema.MapKeys.Select(k => JsonText.ToText(list[i].At(k)))))
                : schema.ListType == ListMerge.Set || schema.UniqueItems ? JsonText.ToText(list[i]) : null;
            if (key is not null && !seen.Add(key))
                errors.Duplicate($"{path}[{i}]", JsonAccess.CopyNode(list[i]));
        }
    }

    private static void CheckScalar(JsonValue value, Schema schema, string path, FieldErrors errors)
    {
        if (value.Text() is { } text)
        {
            int length = new StringInfo(text).LengthInTextElements;
            if (length > schema.MaxLength)
                errors.TooLong(path, (int)schema.MaxLength.Value);
            if (length < schema.MinLength)
                errors.Invalid(path, value.Copy(), $"{path} in body should be at least {schema.MinLength} chars long");
            if (schema.Pattern is { } pattern && !Matches(pattern, text))
                errors.Invalid(path, value.Copy(), $"{path} in body should match '{schema.Source.Text("pattern") ?? pattern.ToString()}'");
            if (schema.Format is { } format && !FormatMatches(format, text))
                errors.Invalid(path, value.Copy(), $"{path} in body must be of type {format}: \"{text}\"");
        }
        else if (value.Real() is { } number)
        {
            if (number < schema.Minimum || schema.ExclusiveMinimum && number == schema.Minimum)
                errors.Invalid(path, value.Copy(), $"{path} in body should be greater than{(schema.ExclusiveMinimum ? "" : " or equal to")} {schema.Minimum}");
            if (number > schema.Maximum || schema.ExclusiveMaximum && number == schema.Maximum)
                errors.Invalid(path, value.Copy(), $"{path} in body should be less than{(schema.ExclusiveMaximum ? "" : " or equal to")} {schema.Maximum}");
            if (schema.MultipleOf is { } step && step > 0 && Math.Abs(Math.IEEERemainder(number, step)) > 1e-9)
                errors.Invalid(path, value.Copy(), $"{path} in body should be a multiple of {step}");
            if (schema.Format == "int32" && number is < int.MinValue or > int.MaxValue)
                errors.Invalid(path, value.Copy(), $"{path} in body must be of type int32: \"{number}\"");
        }
    }

    private static void CheckCombinations(JsonNode value, Schema schema, string path, FieldErrors errors)
    {
        foreach (Schema each in schema.AllOf)
            Check(value, each, path, errors);
        if (schema.AnyOf.Count > 0 && !schema.AnyOf.Any(s => Passes(value, s)))
        {
            errors.Invalid(path, JsonAccess.CopyNode(value), $"{Quoted(path)} must validate at least one schema (anyOf)");
            Check(value, schema.AnyOf[0], path, errors);
        }
        if (schema.OneOf.Count > 0 && schema.OneOf.Count(s => Passes(value, s)) is var count && count != 1)
        {
            errors.Invalid(path, JsonAccess.CopyNode(value),
                $"{Quoted(path)} must validate one and only one schema (oneOf). Found {(count == 0 ? "none valid" : $"{count} valid alternatives")}");
            if (count == 0)
                Check(value, schema.OneOf[0], path, errors);
        }
        if (schema.Not is { } not && Passes(value, not))
            errors.Invalid(path, JsonAccess.CopyNode(value), $"{Quoted(path)} must not validate the schema (not)");
    }

    private static string Quoted(string path) => $"\"{(path.Length == 0 ? "<nil>" : path)}\"";

    private static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";

    private static bool Passes(JsonNode value, Schema schema)
    {
        var errors = new FieldErrors();
        Check(value, schema, "", errors);
        return !errors.Any;
    }

    private static bool Matches(Regex pattern, string text)
    {
        try
        {
            return pattern.IsMatch(text);
        }
        catch (RegexMatchTimeoutException)
        {
            return false;
        }
    }

    private static bool TypeMatches(JsonNode value, Schema schema)
    {
        if (schema.IntOrString)
            return value.Text() is not null || value.Whole() is not null || schema.Format == "quantity" && value.Real() is not null;
        return schema.Type switch
        {
            "object" => value is JsonObject,
            "array" => value is JsonArray,
            "string" => value.Text() is not null,
            "integer" => value.Whole() is not null,
            "number" => value.Real() is not null,
            "boolean" => value is JsonValue v && v.GetValueKind() is JsonValueKind.True or JsonValueKind.False,
            _ => true,
        };
    }

    private static string TypeName(JsonNode value) => value switch
    {
        JsonObject => "object",
        JsonArray => "array",
        _ when value.Text() is not null => "string",
        _ when value.Whole() is not null => "integer",
        _ when value.Real() is not null => "number",
        _ => "boolean",
    };

    private static bool FormatMatches(string format, string text) => format switch
    {
        "cidr" => IpPrefix.TryParse(text, out _),
        "ipv4" => IpAddress.TryParse(text, out IpAddress v4) && v4.IsV4,
        "ipv6" => IpAddress.TryParse(text, out IpAddress v6) && v6.IsV6,
        "date-time" => DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind, out _),
        "byte" => Convert.TryFromBase64String(text, new byte[Encoding.UTF8.GetMaxByteCount(text.Length)], out _),
        "uuid" => Guid.TryParse(text, out _),
        "hostname" => Uri.CheckHostName(text) == UriHostNameType.Dns || IPAddress.TryParse(text, out _),
        "quantity" => Names.IsQuantity(text),
        _ => true,
    };
}
