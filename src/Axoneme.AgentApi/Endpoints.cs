// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.AgentApi;

/// <summary>GET /endpoint.</summary>
public sealed record EndpointModel(long Id, EndpointStatus? Status, EndpointSpec? Spec = null);

public sealed record EndpointSpec(IReadOnlyDictionary<string, string>? Options = null);

/// <summary>Settings of an endpoint: those that can be changed, as they are, and the others.</summary>
public sealed record EndpointConfigStatus(EndpointSpec Realized, IReadOnlyDictionary<string, string>? Immutable = null);

public sealed record EndpointStatus
{
    public IReadOnlyList<ControllerStatus>? Controllers { get; init; }
    public EndpointIdentifiers? ExternalIdentifiers { get; init; }
    public EndpointHealth? Health { get; init; }
    public IdentityModel? Identity { get; init; }
    public EndpointLabels? Labels { get; init; }
    public IReadOnlyList<EndpointLogEntry>? Log { get; init; }
    public EndpointNetworking? Networking { get; init; }
    public EndpointPolicy? Policy { get; init; }

    /// <summary>ready, waiting-for-identity, not-ready, waiting-to-regenerate, regenerating, restoring, disconnecting, disconnected, invalid.</summary>
    public required string State { get; init; }
}

public sealed record EndpointIdentifiers
{
    public string? CniAttachmentId { get; init; }
    public string? ContainerId { get; init; }

    [JsonPropertyName("k8s-namespace")]
    public string? Namespace { get; init; }

    [JsonPropertyName("k8s-pod-name")]
    public string? PodName { get; init; }
}

/// <summary>Values: OK, Bootstrap, Pending, Warning, Failure, Disabled.</summary>
public sealed record EndpointHealth
{
    [JsonPropertyName("overallHealth")]
    public string? OverallHealth { get; init; }

    public string? Bpf { get; init; }
    public string? Policy { get; init; }
    public bool Connected { get; init; }
}

public sealed record EndpointLabels
{
    public IReadOnlyList<string>? SecurityRelevant { get; init; }
    public IReadOnlyList<string>? Derived { get; init; }
    public IReadOnlyList<string>? Disabled { get; init; }
}

/// <summary>GET /endpoint/{id}/labels.</summary>
public sealed record LabelConfiguration(EndpointLabels Status);

public sealed record EndpointLogEntry(DateTimeOffset Timestamp, string State, string Code, string Message);

public sealed record EndpointNetworking
{
    public IReadOnlyList<EndpointAddressPair>? Addressing { get; init; }
    public string? HostMac { get; init; }
    public long InterfaceIndex { get; init; }
    public string? InterfaceName { get; init; }
    public string? Mac { get; init; }
}

public sealed record EndpointAddressPair(string? Ipv4 = null, string? Ipv6 = null);

public sealed record EndpointPolicy(EndpointPolicyStatus? Realized = null, EndpointPolicyStatus? Spec = null, long? ProxyPolicyRevision = null);

public sealed record EndpointPolicyStatus
{
    public long Id { get; init; }
    public long Build { get; init; }
    public long PolicyRevision { get; init; }

    /// <summary>none, ingress, egress, both; audit-ingress, audit-egress, audit-both.</summary>
    public string? PolicyEnabled { get; init; }

    public IReadOnlyList<long>? AllowedIngressIdentities { get; init; }
    public IReadOnlyList<long>? AllowedEgressIdentities { get; init; }
}

/// <summary>GET /identity.</summary>
public sealed record IdentityModel(
    long Id,
    IReadOnlyList<string> Labels,
    [property: JsonPropertyName("labelsSHA256")] string? LabelsSha256 = null);

/// <summary>GET /identity/endpoints.</summary>
public sealed record IdentityInUse(IdentityModel Identity, [property: JsonPropertyName("refCount")] long RefCount);

/// <summary>GET /ip.</summary>
public sealed record IpEntry
{
    public required string Cidr { get; init; }
    public long Identity { get; init; }

    [JsonPropertyName("hostIP")]
    public string? HostIp { get; init; }

    [JsonPropertyName("encryptKey")]
    public long EncryptKey { get; init; }

    public IpMetadata? Metadata { get; init; }
}

public sealed record IpMetadata(string Source, string? Namespace = null, string? Name = null);
