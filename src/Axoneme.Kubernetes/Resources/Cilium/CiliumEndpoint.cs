// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

/// <summary>A pod as the network sees it; named after the pod and owned by it.</summary>
public sealed record CiliumEndpoint : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CiliumEndpoints;

    public EndpointStatus? Status { get; init; }
}

public sealed record EndpointStatus
{
    /// <summary>Number on its node.</summary>
    public long? Id { get; init; }

    /// <summary>creating, waiting-for-identity, not-ready, waiting-to-regenerate, regenerating, restoring, ready, disconnecting, disconnected, invalid.</summary>
    public string? State { get; init; }

    public EndpointIdentity? Identity { get; init; }

    public EndpointNetworking? Networking { get; init; }

    public EncryptionSpec? Encryption { get; init; }

    [JsonPropertyName("external-identifiers")]
    public EndpointIdentifiers? ExternalIdentifiers { get; init; }

    public EndpointHealth? Health { get; init; }

    public EndpointPolicy? Policy { get; init; }

    [JsonPropertyName("named-ports")]
    public IReadOnlyList<EndpointNamedPort>? NamedPorts { get; init; }

    [JsonPropertyName("service-account")]
    public string? ServiceAccount { get; init; }

    public JsonElement? Controllers { get; init; }

    public JsonElement? Log { get; init; }
}

public sealed record EndpointIdentity
{
    public long Id { get; init; }

    /// <summary>Sorted texts source:key=value.</summary>
    public IReadOnlyList<string>? Labels { get; init; }
}

public sealed record EndpointNetworking
{
    public IReadOnlyList<AddressPair>? Addressing { get; init; }

    /// <summary>Address of the node that hosts it.</summary>
    public string? Node { get; init; }
}

public sealed record AddressPair
{
    public string? Ipv4 { get; init; }

    public string? Ipv6 { get; init; }
}

public sealed record EncryptionSpec
{
    public int? Key { get; init; }
}

public sealed record EndpointIdentifiers
{
    [JsonPropertyName("cni-attachment-id")]
    public string? CniAttachmentId { get; init; }

    [JsonPropertyName("container-id")]
    public string? ContainerId { get; init; }

    [JsonPropertyName("container-name")]
    public string? ContainerName { get; init; }

    [JsonPropertyName("k8s-namespace")]
    public string? K8sNamespace { get; init; }

    [JsonPropertyName("k8s-pod-name")]
    public string? K8sPodName { get; init; }

    [JsonPropertyName("pod-name")]
    public string? PodName { get; init; }
}

public sealed record EndpointHealth
{
    public string? Bpf { get; init; }

    public string? Policy { get; init; }

    public string? OverallHealth { get; init; }

    public bool? Connected { get; init; }
}

public sealed record EndpointPolicy
{
    public EndpointPolicyDirection? Ingress { get; init; }

    public EndpointPolicyDirection? Egress { get; init; }
}

public sealed record EndpointPolicyDirection
{
    public bool Enforcing { get; init; }

    public string? State { get; init; }

    public IReadOnlyList<EndpointPolicyPeer>? Allowed { get; init; }

    public IReadOnlyList<EndpointPolicyPeer>? Denied { get; init; }
}

public sealed record EndpointPolicyPeer
{
    public ulong? Identity { get; init; }

    [JsonPropertyName("identity-labels")]
    public IReadOnlyDictionary<string, string>? IdentityLabels { get; init; }

    [JsonPropertyName("dest-port")]
    public int? DestPort { get; init; }

    public int? Protocol { get; init; }
}

public sealed record EndpointNamedPort
{
    public string? Name { get; init; }

    public int? Port { get; init; }

    public string? Protocol { get; init; }
}

/// <summary>A set of labels with the number that stands for it; the object's name is the number in decimal.</summary>
public sealed record CiliumIdentity : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CiliumIdentities;

    /// <summary>Key with source (k8s:app) to value; the authoritative set.</summary>
    [JsonPropertyName("security-labels")]
    public IReadOnlyDictionary<string, string>? SecurityLabels { get; init; }
}
