// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

/// <summary>Several pods of one namespace as the network sees them, so that a watch of all costs fewer events than one of CiliumEndpoints.</summary>
public sealed record CiliumEndpointSlice : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CiliumEndpointSlices;

    /// <summary>Of all its endpoints; the slice itself has none.</summary>
    public string? Namespace { get; init; }

    public IReadOnlyList<CoreCiliumEndpoint>? Endpoints { get; init; }
}

/// <summary>What other nodes have to know of a CiliumEndpoint.</summary>
public sealed record CoreCiliumEndpoint
{
    public string? Name { get; init; }

    /// <summary>Number of its identity.</summary>
    public long Id { get; init; }

    [JsonPropertyName("pod-uid")]
    public string? PodUid { get; init; }

    public EndpointNetworking? Networking { get; init; }

    public EncryptionSpec? Encryption { get; init; }

    [JsonPropertyName("named-ports")]
    public IReadOnlyList<EndpointNamedPort>? NamedPorts { get; init; }

    [JsonPropertyName("service-account")]
    public string? ServiceAccount { get; init; }
}
