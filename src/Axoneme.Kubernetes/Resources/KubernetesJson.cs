// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

/// <summary>
/// Generated (reflection-free) JSON for the resource types: camel case, unknown fields ignored on read, null members omitted on write,
/// times as RFC 3339 with whole seconds.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    AllowDuplicateProperties = true,
    Converters = [typeof(TimeConverter)])]
[JsonSerializable(typeof(Pod))]
[JsonSerializable(typeof(Node))]
[JsonSerializable(typeof(Namespace))]
[JsonSerializable(typeof(Service))]
[JsonSerializable(typeof(ConfigMap))]
[JsonSerializable(typeof(Secret))]
[JsonSerializable(typeof(ServiceAccount))]
[JsonSerializable(typeof(Event))]
[JsonSerializable(typeof(EndpointSlice))]
[JsonSerializable(typeof(NetworkPolicy))]
[JsonSerializable(typeof(ClusterNetworkPolicy))]
[JsonSerializable(typeof(AdminNetworkPolicy))]
[JsonSerializable(typeof(BaselineAdminNetworkPolicy))]
[JsonSerializable(typeof(Lease))]
[JsonSerializable(typeof(Deployment))]
[JsonSerializable(typeof(DaemonSet))]
[JsonSerializable(typeof(ReplicaSet))]
[JsonSerializable(typeof(CustomResourceDefinition))]
[JsonSerializable(typeof(CiliumNetworkPolicy))]
[JsonSerializable(typeof(CiliumClusterwideNetworkPolicy))]
[JsonSerializable(typeof(CiliumCIDRGroup))]
[JsonSerializable(typeof(CiliumNode))]
[JsonSerializable(typeof(CiliumEndpoint))]
[JsonSerializable(typeof(CiliumEndpointSlice))]
[JsonSerializable(typeof(CiliumIdentity))]
[JsonSerializable(typeof(CiliumNodeConfig))]
[JsonSerializable(typeof(CiliumLocalRedirectPolicy))]
[JsonSerializable(typeof(Status))]
public sealed partial class KubernetesJson : JsonSerializerContext
{
    /// <summary>
    /// Like <see cref="Default"/> but skips metadata.managedFields on read: they are often larger than the rest of an object, and an
    /// update without them leaves the server's copy as it is.
    /// </summary>
    public static KubernetesJson Lean => LeanContext.Instance;

    // A class of its own: the order of static initialisers across the parts of this class is not defined.
    private static class LeanContext
    {
        public static readonly KubernetesJson Instance = new(new JsonSerializerOptions(((JsonSerializerContext)Default).Options));
    }
}

/// <summary>Times of the API: RFC 3339, written in UTC with whole seconds.</summary>
public sealed class TimeConverter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        => reader.GetDateTimeOffset();

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options)
        => writer.WriteStringValue(value.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'"));
}

/// <summary>MicroTime of the API (leases, events): exactly six fractional digits, which servers insist on.</summary>
public sealed class MicroTimeConverter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        => reader.GetDateTimeOffset();

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options)
        => writer.WriteStringValue(value.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'"));
}

internal sealed class ManagedFieldsConverter : JsonConverter<JsonElement?>
{
    public override JsonElement? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (!ReferenceEquals(options, KubernetesJson.Lean.Options))
            return JsonElement.ParseValue(ref reader);
        reader.Skip();
        return null;
    }

    public override void Write(Utf8JsonWriter writer, JsonElement? value, JsonSerializerOptions options)
    {
        if (value is { } fields)
            fields.WriteTo(writer);
        else
            writer.WriteNullValue();
    }
}
