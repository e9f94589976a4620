// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

public sealed record Service : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.Services;

    public ServiceSpec Spec { get => field ?? new(); init; }

    public ServiceStatus Status { get => field ?? new(); init; }
}

public sealed record ServiceSpec
{
    /// <summary>ClusterIP (when omitted), NodePort, LoadBalancer or ExternalName.</summary>
    public string? Type { get; init; }

    /// <summary>Null or empty: the endpoints are managed by somebody else.</summary>
    public IReadOnlyDictionary<string, string>? Selector { get; init; }

    public IReadOnlyList<ServicePort>? Ports { get; init; }

    /// <summary>"None" for a headless service, empty until one is allocated.</summary>
    public string? ClusterIP { get; init; }

    public IReadOnlyList<string>? ClusterIPs { get; init; }

    /// <summary>IPv4, IPv6.</summary>
    public IReadOnlyList<string>? IpFamilies { get; init; }

    /// <summary>SingleStack, PreferDualStack or RequireDualStack.</summary>
    public string? IpFamilyPolicy { get; init; }

    public IReadOnlyList<string>? ExternalIPs { get; init; }

    public string? ExternalName { get; init; }

    public string? LoadBalancerIP { get; init; }

    public IReadOnlyList<string>? LoadBalancerSourceRanges { get; init; }

    public string? LoadBalancerClass { get; init; }

    public bool? AllocateLoadBalancerNodePorts { get; init; }

    /// <summary>None or ClientIP.</summary>
    public string? SessionAffinity { get; init; }

    public SessionAffinityConfig? SessionAffinityConfig { get; init; }

    /// <summary>Cluster or Local.</summary>
    public string? ExternalTrafficPolicy { get; init; }

    /// <summary>Cluster or Local.</summary>
    public string? InternalTrafficPolicy { get; init; }

    public int? HealthCheckNodePort { get; init; }

    public bool? PublishNotReadyAddresses { get; init; }

    /// <summary>PreferClose, PreferSameZone or PreferSameNode.</summary>
    public string? TrafficDistribution { get; init; }
}

public sealed record ServicePort
{
    public string? Name { get; init; }

    /// <summary>TCP when omitted.</summary>
    public string? Protocol { get; init; }

    public string? AppProtocol { get; init; }

    public int Port { get; init; }

    /// <summary>The same as Port when omitted.</summary>
    public IntOrString? TargetPort { get; init; }

    public int? NodePort { get; init; }
}

public sealed record SessionAffinityConfig
{
    public ClientIPConfig? ClientIP { get; init; }
}

public sealed record ClientIPConfig
{
    /// <summary>10800 when omitted.</summary>
    public int? TimeoutSeconds { get; init; }
}

public sealed record ServiceStatus
{
    public LoadBalancerStatus? LoadBalancer { get; init; }

    public IReadOnlyList<Condition>? Conditions { get; init; }
}

public sealed record LoadBalancerStatus
{
    public IReadOnlyList<LoadBalancerIngress>? Ingress { get; init; }
}

public sealed record LoadBalancerIngress
{
    public string? Ip { get; init; }

    public string? Hostname { get; init; }

    /// <summary>VIP (when omitted) or Proxy.</summary>
    public string? IpMode { get; init; }

    public IReadOnlyList<PortStatus>? Ports { get; init; }
}

public sealed record PortStatus
{
    public int Port { get; init; }

    public string? Protocol { get; init; }

    public string? Error { get; init; }
}

public sealed record EndpointSlice : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.EndpointSlices;

    /// <summary>IPv4, IPv6 or FQDN.</summary>
    public string AddressType { get => field ?? ""; init; }

    public IReadOnlyList<SliceEndpoint>? Endpoints { get; init; }

    /// <summary>Null: all ports; empty: none.</summary>
    public IReadOnlyList<SlicePort>? Ports { get; init; }
}

public sealed record SliceEndpoint
{
    /// <summary>All of one backend; consumers take the first.</summary>
    public IReadOnlyList<string>? Addresses { get; init; }

    public SliceEndpointConditions? Conditions { get; init; }

    public string? Hostname { get; init; }

    public string? NodeName { get; init; }

    public string? Zone { get; init; }

    public ObjectReference? TargetRef { get; init; }

    public SliceEndpointHints? Hints { get; init; }

    public IReadOnlyDictionary<string, string>? DeprecatedTopology { get; init; }
}

/// <summary>Null means unknown: ready and serving count as true, terminating as false.</summary>
public sealed record SliceEndpointConditions
{
    public bool? Ready { get; init; }

    public bool? Serving { get; init; }

    public bool? Terminating { get; init; }
}

public sealed record SliceEndpointHints
{
    public IReadOnlyList<SliceZoneHint>? ForZones { get; init; }

    public IReadOnlyList<SliceNodeHint>? ForNodes { get; init; }
}

public sealed record SliceZoneHint
{
    public string Name { get => field ?? ""; init; }
}

public sealed record SliceNodeHint
{
    public string Name { get => field ?? ""; init; }
}

public sealed record SlicePort
{
    /// <summary>Matches the name of the service's port; empty or null for a single unnamed one.</summary>
    public string? Name { get; init; }

    /// <summary>TCP when omitted.</summary>
    public string? Protocol { get; init; }

    /// <summary>Null: all ports.</summary>
    public int? Port { get; init; }

    public string? AppProtocol { get; init; }
}
