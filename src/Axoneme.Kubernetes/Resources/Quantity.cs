// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

/// <summary>A resource quantity such as 500m, 2, 64Mi or 1e3; kept as written.</summary>
[JsonConverter(typeof(Converter))]
public readonly record struct Quantity(string Text)
{
    private static readonly (string Suffix, decimal Factor)[] Suffixes =
    [
        ("Ki", 1024m), ("Mi", 1048576m), ("Gi", 1073741824m), ("Ti", 1099511627776m), ("Pi", 1125899906842624m),
        ("Ei", 1152921504606846976m), ("n", 1e-9m), ("u", 1e-6m), ("m", 1e-3m), ("k", 1e3m), ("M", 1e6m), ("G", 1e9m),
        ("T", 1e12m), ("P", 1e15m), ("E", 1e18m),
    ];

    /// <summary>The number it stands for; false where the text is no quantity or too large.</summary>
    public bool TryGetValue(out decimal value)
    {
        ReadOnlySpan<char> digits = Text;
        decimal factor = 1;
        foreach ((string suffix, decimal suffixFactor) in Suffixes)
        {
            if (!digits.EndsWith(suffix, StringComparison.Ordinal))
                continue;
            digits = digits[..^suffix.Length];
            factor = suffixFactor;
            break;
        }

        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        if (!decimal.TryParse(digits, Style, CultureInfo.InvariantCulture, out value) || Math.Abs(value) > decimal.MaxValue / Math.Max(factor, 1))
            return false;
        value *= factor;
        return true;
    }

    public override string ToString() => Text ?? "";

    internal sealed class Converter : JsonConverter<Quantity>
    {
        public override Quantity Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
            => new(reader.TokenType == JsonTokenType.Number ? reader.GetDecimal().ToString() : reader.GetString() ?? "");

        public override void Write(Utf8JsonWriter writer, Quantity value, JsonSerializerOptions options)
            => writer.WriteStringValue(value.ToString());
    }
}
