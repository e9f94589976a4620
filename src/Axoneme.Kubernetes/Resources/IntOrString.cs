// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

/// <summary>A number or a name, such as a port by number or by name.</summary>
[JsonConverter(typeof(Converter))]
public readonly record struct IntOrString
{
    private readonly int _number;

    public IntOrString(int number) => _number = number;

    public IntOrString(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        Text = text;
    }

    /// <summary>Null when it is a number.</summary>
    public string? Text { get; }

    /// <summary>The number, also where it was written as a string of digits.</summary>
    public bool TryGetNumber(out int number)
    {
        number = _number;
        return Text is null || int.TryParse(Text, System.Globalization.NumberStyles.None, null, out number);
    }

    public override string ToString() => Text ?? _number.ToString();

    public static implicit operator IntOrString(int number) => new(number);

    public static implicit operator IntOrString(string text) => new(text);

    public static IntOrString FromInt32(int number) => new(number);

    public static IntOrString FromString(string text) => new(text);

    internal sealed class Converter : JsonConverter<IntOrString>
    {
        public override IntOrString Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
            => reader.TokenType switch
            {
                JsonTokenType.Number => new IntOrString(reader.GetInt32()),
                JsonTokenType.String => new IntOrString(reader.GetString()!),
                _ => throw new JsonException($"Expected a number or a string, found {reader.TokenType}."),
            };

        public override void Write(Utf8JsonWriter writer, IntOrString value, JsonSerializerOptions options)
        {
            if (value.Text is null)
                writer.WriteNumberValue(value._number);
            else
                writer.WriteStringValue(value.Text);
        }
    }
}
