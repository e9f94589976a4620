// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>What is wrong with an object, field by field, in the words of the Kubernetes API.</summary>
internal sealed class FieldErrors
{
    /// <summary>An object that is wrong throughout must not make an endless answer.</summary>
    private const int MaxErrors = 100;

    private readonly List<(string Reason, string Message, string Field)> _errors = [];

    public bool Any => _errors.Count > 0;

    public void Required(string field, string detail = "") => Add("FieldValueRequired", "Required value" + Suffix(detail), field);

    public void Invalid(string field, JsonNode? value, string detail)
        => Add("FieldValueInvalid", $"Invalid value: {Show(value)}" + Suffix(detail), field);

    public void Duplicate(string field, JsonNode? value) => Add("FieldValueDuplicate", $"Duplicate value: {Show(value)}", field);

    public void NotSupported(string field, JsonNode? value, IEnumerable<string> supported)
        => Add("FieldValueNotSupported",
            $"Unsupported value: {Show(value)}: supported values: {string.Join(", ", supported.Select(s => $"\"{s}\""))}", field);

    public void Forbidden(string field, string detail) => Add("FieldValueForbidden", "Forbidden" + Suffix(detail), field);

    public void TypeInvalid(string field, JsonNode? value, string detail)
        => Add("FieldValueTypeInvalid", $"Invalid value: {Show(value)}" + Suffix(detail), field);

    public void TooLong(string field, int limit, string unit = "bytes")
        => Add("FieldValueTooLong", unit == "bytes" ? $"Too long: may not be more than {limit} bytes" : $"Too long: may not be longer than {limit}", field);

    public void TooMany(string field, int actual, long limit)
        => Add("FieldValueTooMany", $"Too many: {actual}: must have at most {limit} items", field);

    public JsonArray ToCauses()
    {
        var causes = new JsonArray();
        foreach ((string reason, string message, string field) in _errors)
            causes.Add((JsonNode)new JsonObject { ["reason"] = reason, ["message"] = message, ["field"] = field });
        return causes;
    }

    public override string ToString()
    {
        string[] lines = [.. _errors.Select(e => $"{e.Field}: {e.Message}").Distinct()];
        return lines.Length == 1 ? lines[0] : $"[{string.Join(", ", lines)}]";
    }

    private static string Suffix(string detail) => detail.Length == 0 ? "" : ": " + detail;

    private static string Show(JsonNode? value) => value switch
    {
        null => "null",
        JsonObject or JsonArray => JsonText.ToText(value),
        _ => JsonText.ToText(value),
    };

    private void Add(string reason, string message, string field)
    {
        if (_errors.Count < MaxErrors)
            _errors.Add((reason, message, field));
    }
}
