// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.DnsProxy;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(AddressConverter), typeof(PrefixConverter), typeof(IdentityConverter), typeof(PatternConverter)])]
[JsonSerializable(typeof(ProxyMessage))]
[JsonSerializable(typeof(QueryRecord))]
public sealed partial class MessageJson : JsonSerializerContext;

internal sealed class AddressConverter : JsonConverter<IpAddress>
{
    public override IpAddress Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        => reader.TokenType == JsonTokenType.String && IpAddress.TryParse(reader.GetString(), out IpAddress address)
            ? address
            : throw new JsonException("An IP address was expected.");

    public override void Write(Utf8JsonWriter writer, IpAddress value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

internal sealed class PrefixConverter : JsonConverter<IpPrefix>
{
    public override IpPrefix Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        => reader.TokenType == JsonTokenType.String && IpPrefix.TryParse(reader.GetString(), out IpPrefix prefix)
            ? prefix
            : throw new JsonException("A CIDR prefix was expected.");

    public override void Write(Utf8JsonWriter writer, IpPrefix value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

internal sealed class IdentityConverter : JsonConverter<SecurityIdentity>
{
    public override SecurityIdentity Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        => reader.TokenType == JsonTokenType.Number && reader.TryGetUInt32(out uint value)
            ? new SecurityIdentity(value)
            : throw new JsonException("The number of an identity was expected.");

    public override void Write(Utf8JsonWriter writer, SecurityIdentity value, JsonSerializerOptions options) => writer.WriteNumberValue(value.Value);
}

// One text stands for both forms: a pattern without stars is the same as the name.
internal sealed class PatternConverter : JsonConverter<DnsPattern>
{
    public override DnsPattern Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        => reader.TokenType == JsonTokenType.String && DnsPattern.TryParsePattern(reader.GetString(), out DnsPattern pattern, out _)
            ? pattern
            : throw new JsonException("A pattern of DNS names was expected.");

    public override void Write(Utf8JsonWriter writer, DnsPattern value, JsonSerializerOptions options) => writer.WriteStringValue(value.Text);
}
