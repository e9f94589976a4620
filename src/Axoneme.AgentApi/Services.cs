// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.AgentApi;

/// <summary>GET /service.</summary>
public sealed record ServiceModel(ServiceSpec Spec, ServiceStatus? Status = null);

public sealed record ServiceStatus(ServiceSpec? Realized = null);

public sealed record ServiceSpec
{
    public long Id { get; init; }
    public required FrontendAddress FrontendAddress { get; init; }
    public IReadOnlyList<BackendAddress>? BackendAddresses { get; init; }
    public ServiceFlags? Flags { get; init; }
}

/// <summary>Scope is <c>external</c> or <c>internal</c>.</summary>
public sealed record FrontendAddress(string Ip, int Port, string Protocol, string? Scope = null);

public sealed record BackendAddress
{
    public required string Ip { get; init; }
    public int Port { get; init; }
    public string? Protocol { get; init; }

    [JsonPropertyName("nodeName")]
    public string? NodeName { get; init; }

    public string? Zone { get; init; }

    /// <summary>active, terminating, quarantined, maintenance.</summary>
    public string? State { get; init; }

    public bool Preferred { get; init; }
    public int? Weight { get; init; }
}

public sealed record ServiceFlags
{
    /// <summary>ClusterIP, NodePort, LoadBalancer, ExternalIPs, HostPort, LocalRedirect.</summary>
    public required string Type { get; init; }

    public string? Name { get; init; }
    public string? Namespace { get; init; }
    public string? Cluster { get; init; }

    [JsonPropertyName("trafficPolicy")]
    public string? TrafficPolicy { get; init; }

    [JsonPropertyName("extTrafficPolicy")]
    public string? ExtTrafficPolicy { get; init; }

    [JsonPropertyName("intTrafficPolicy")]
    public string? IntTrafficPolicy { get; init; }

    [JsonPropertyName("natPolicy")]
    public string? NatPolicy { get; init; }

    [JsonPropertyName("healthCheckNodePort")]
    public int? HealthCheckNodePort { get; init; }
}

/// <summary>GET /lrp: a local redirect policy and what this node makes of it.</summary>
public sealed record RedirectPolicyModel
{
    public required string Name { get; init; }
    public required string Namespace { get; init; }
    public string? Uid { get; init; }

    /// <summary>NAMESPACE/NAME of the service that the policy matches; null when it matches an address.</summary>
    public string? ServiceId { get; init; }

    /// <summary><c>svc</c> or <c>addr</c>.</summary>
    public required string LrpType { get; init; }

    /// <summary>What is matched, in words, such as <c>clusterIP + all svc ports</c>.</summary>
    public required string FrontendType { get; init; }

    /// <summary>Empty where no pod of this node can take the traffic: then the policy does nothing here.</summary>
    public IReadOnlyList<RedirectMapping>? FrontendMappings { get; init; }
}

public sealed record RedirectMapping(FrontendAddress FrontendAddress, IReadOnlyList<RedirectTarget>? Backends = null);

/// <param name="PodId">NAMESPACE/NAME of the pod; empty when it is not known.</param>
/// <param name="BackendAddress">Where connections go instead.</param>
public sealed record RedirectTarget(string PodId, FrontendAddress BackendAddress);
