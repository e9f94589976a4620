// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.AgentApi;

/// <summary>State of one part: <c>Ok</c>, <c>Warning</c>, <c>Failure</c> or <c>Disabled</c>, and what there is to say about it.</summary>
public sealed record ComponentStatus(string State, string? Msg = null)
{
    public const string Ok = "Ok";
    public const string Warning = "Warning";
    public const string Failure = "Failure";
    public const string Disabled = "Disabled";

    [JsonIgnore]
    public bool IsBad => State is Warning or Failure;
}

/// <summary>GET /healthz. Absent members are parts that the agent does not report.</summary>
public sealed record StatusResponse
{
    public string? AttachMode { get; init; }
    public BandwidthManagerStatus? BandwidthManager { get; init; }
    public BpfMapsStatus? BpfMaps { get; init; }
    public ComponentStatus? Cilium { get; init; }
    public ClockSource? ClockSource { get; init; }
    public ClusterStatus? Cluster { get; init; }
    public CniChaining? CniChaining { get; init; }
    public ComponentStatus? CniFile { get; init; }
    public string? ConfiguredDatapathMode { get; init; }
    public IReadOnlyList<ControllerStatus>? Controllers { get; init; }
    public string? DatapathMode { get; init; }
    public EncryptionStatus? Encryption { get; init; }
    public HostFirewallStatus? HostFirewall { get; init; }
    public HubbleStatus? Hubble { get; init; }
    public ComponentStatus? HubbleMetrics { get; init; }
    public IdentityRange? IdentityRange { get; init; }
    public IpamStatus? Ipam { get; init; }

    [JsonPropertyName("ipv4-big-tcp")]
    public BigTcpStatus? IPv4BigTcp { get; init; }

    [JsonPropertyName("ipv6-big-tcp")]
    public BigTcpStatus? IPv6BigTcp { get; init; }

    public KubeProxyReplacement? KubeProxyReplacement { get; init; }
    public KubernetesStatus? Kubernetes { get; init; }
    public ComponentStatus? Kvstore { get; init; }
    public MasqueradingStatus? Masquerading { get; init; }

    [JsonPropertyName("nodeMonitor")]
    public NodeMonitorStatus? NodeMonitor { get; init; }

    public ProxyStatus? Proxy { get; init; }
    public RoutingStatus? Routing { get; init; }

    /// <summary>Health of the agent's parts, our own addition: name, state (OK, Degraded, Stopped), message.</summary>
    public IReadOnlyList<ModuleHealth>? Modules { get; init; }

    /// <summary>Our own addition; null when there is none.</summary>
    public IReadOnlyList<ServiceProblem>? ServiceProblems { get; init; }

    /// <summary>Probes without a recent answer: name to the time of the last one.</summary>
    public IReadOnlyDictionary<string, string>? Stale { get; init; }
}

public sealed record BandwidthManagerStatus(
    bool Enabled,
    [property: JsonPropertyName("congestionControl")] string? CongestionControl = null,
    IReadOnlyList<string>? Devices = null);

public sealed record BpfMapsStatus(double? DynamicSizeRatio, IReadOnlyList<BpfMapSize> Maps);

/// <param name="Name">For people.</param>
/// <param name="Size">Entries that it has room for.</param>
/// <param name="Fill">Share in use from 0 to 1, our own addition; null when it was not counted.</param>
public sealed record BpfMapSize(string Name, long Size, double? Fill = null);

/// <summary>Our own addition: an object whose frontends are not all served, and why.</summary>
public sealed record ServiceProblem(string About, IReadOnlyList<string> Problems);

/// <summary>Mode is <c>ktime</c> or <c>jiffies</c>.</summary>
public sealed record ClockSource(string Mode, long? Hertz = null);

public sealed record ClusterStatus(
    [property: JsonPropertyName("ciliumHealth")] ComponentStatus? CiliumHealth = null,
    IReadOnlyList<NodeElement>? Nodes = null,
    string? Self = null);

public sealed record CniChaining(string Mode);

public sealed record ControllerStatus(string Name, ControllerRun Status, string? Uuid = null);

public sealed record ControllerRun
{
    public long SuccessCount { get; init; }
    public long FailureCount { get; init; }
    public long ConsecutiveFailureCount { get; init; }
    public string? LastFailureMsg { get; init; }
    public DateTimeOffset? LastFailureTimestamp { get; init; }
    public DateTimeOffset? LastSuccessTimestamp { get; init; }
}

public sealed record EncryptionStatus(string Mode, string? Msg = null);

/// <summary>Msg: what is on trial or was rolled back, in words.</summary>
public sealed record HostFirewallStatus(string Mode, IReadOnlyList<string>? Devices = null, string? Msg = null);

public sealed record HubbleStatus(string State, string? Msg = null, HubbleObserverStatus? Observer = null);

/// <summary>Uptime in nanoseconds, as the Go duration that clients expect.</summary>
public sealed record HubbleObserverStatus(long CurrentFlows, long MaxFlows, long SeenFlows, long Uptime);

public sealed record IdentityRange(long MinIdentity, long MaxIdentity);

/// <summary><see cref="Status"/> is the line that people read; allocations map an address to its owner.</summary>
public sealed record IpamStatus
{
    public IReadOnlyList<string>? Ipv4 { get; init; }
    public IReadOnlyList<string>? Ipv6 { get; init; }
    public string? Status { get; init; }
    public IReadOnlyDictionary<string, string>? Allocations { get; init; }
}

public sealed record BigTcpStatus(
    bool Enabled,
    [property: JsonPropertyName("maxGSO")] long? MaxGso = null,
    [property: JsonPropertyName("maxGRO")] long? MaxGro = null);

public sealed record KubeProxyReplacement
{
    public required string Mode { get; init; }
    public IReadOnlyList<string>? Devices { get; init; }

    [JsonPropertyName("deviceList")]
    public IReadOnlyList<DeviceAddresses>? DeviceList { get; init; }

    [JsonPropertyName("directRoutingDevice")]
    public string? DirectRoutingDevice { get; init; }

    public KubeProxyFeatures? Features { get; init; }
}

public sealed record DeviceAddresses(string Name, IReadOnlyList<string> Ip);

public sealed record FeatureSwitch(bool Enabled);

public sealed record KubeProxyFeatures
{
    [JsonPropertyName("socketLB")]
    public FeatureSwitch? SocketLb { get; init; }

    [JsonPropertyName("socketLBTracing")]
    public FeatureSwitch? SocketLbTracing { get; init; }

    [JsonPropertyName("bpfSocketLBHostnsOnly")]
    public bool BpfSocketLbHostNamespaceOnly { get; init; }

    [JsonPropertyName("nodePort")]
    public NodePortStatus? NodePort { get; init; }

    [JsonPropertyName("hostPort")]
    public FeatureSwitch? HostPort { get; init; }

    [JsonPropertyName("externalIPs")]
    public FeatureSwitch? ExternalIps { get; init; }

    [JsonPropertyName("sessionAffinity")]
    public FeatureSwitch? SessionAffinity { get; init; }

    [JsonPropertyName("gracefulTermination")]
    public FeatureSwitch? GracefulTermination { get; init; }

    [JsonPropertyName("nat46X64")]
    public FeatureSwitch? Nat46X64 { get; init; }

    public IReadOnlyList<string>? Annotations { get; init; }
}

public sealed record NodePortStatus
{
    public bool Enabled { get; init; }
    public string? Mode { get; init; }
    public string? Algorithm { get; init; }

    [JsonPropertyName("lutSize")]
    public long? LutSize { get; init; }

    public string? Acceleration { get; init; }

    /// <summary>Devices whose driver balances services; null until the datapath is up, or without acceleration.</summary>
    [JsonPropertyName("acceleratedDevices")]
    public IReadOnlyList<string>? AcceleratedDevices { get; init; }

    [JsonPropertyName("dsrMode")]
    public string? DsrMode { get; init; }

    [JsonPropertyName("portMin")]
    public int PortMin { get; init; }

    [JsonPropertyName("portMax")]
    public int PortMax { get; init; }
}

public sealed record KubernetesStatus(
    string State, string? Msg = null, [property: JsonPropertyName("k8s-api-versions")] IReadOnlyList<string>? ApiVersions = null);

public sealed record MasqueradingStatus
{
    public bool Enabled { get; init; }
    public string? Mode { get; init; }

    [JsonPropertyName("enabledProtocols")]
    public EnabledProtocols? EnabledProtocols { get; init; }

    public bool IpMasqAgent { get; init; }

    [JsonPropertyName("snat-exclusion-cidr-v4")]
    public string? ExclusionV4 { get; init; }

    [JsonPropertyName("snat-exclusion-cidr-v6")]
    public string? ExclusionV6 { get; init; }

    public IReadOnlyList<string>? Devices { get; init; }
}

public sealed record EnabledProtocols(bool Ipv4, bool Ipv6);

public sealed record NodeMonitorStatus(long Cpus, long Npages, long Pagesize, long Lost = 0, long Unknown = 0);

public sealed record ProxyStatus
{
    public string? Ip { get; init; }
    public string? PortRange { get; init; }
    public long TotalPorts { get; init; }
    public long TotalRedirects { get; init; }
    public string? EnvoyDeploymentMode { get; init; }

    /// <summary>How the node's DNS proxy is, in words; null where policies may not need it.</summary>
    public string? Dns { get; init; }
}

/// <summary>Inter-host <c>Native</c> or <c>Tunnel</c>, intra-host <c>BPF</c> or <c>Legacy</c>.</summary>
public sealed record RoutingStatus(string InterHostRoutingMode, string IntraHostRoutingMode, string? TunnelProtocol = null);

public sealed record ModuleHealth(string Name, string Level, string? Message = null, DateTimeOffset? Since = null);
