// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Network;

namespace Axoneme.Agent.Configuration;

internal enum RoutingMode
{
    Native,
    Tunnel,
}

internal enum PolicyEnforcement
{
    Default,
    Always,
    Never,
}

/// <summary>
/// The agent's validated settings. Property names follow the config-map keys; defaults are upstream's unless a comment
/// says otherwise.
/// </summary>
internal sealed record AgentOptions
{
    // Node and cluster.
    public required string NodeName { get; init; }

    public string Namespace { get; init; } = "kube-system";

    public string ClusterName { get; init; } = "default";

    public IdentityNumbering Numbering { get; init; } = IdentityNumbering.Default;

    /// <summary>max-connected-clusters: 255 or 511, the same in all clusters that are connected.</summary>
    public int MaxConnectedClusters { get; init; } = 255;

    /// <summary>enable-well-known-identities: pods that many clusters have get numbers that are the same everywhere.</summary>
    public bool EnableWellKnownIdentities { get; init; }

    public string? KubeConfigPath { get; init; }

    public ImmutableArray<string> ApiServerUrls { get; init; } = [];

    // Places on the node.
    public string StateDirectory { get; init; } = "/var/run/cilium";

    public string BpfRoot { get; init; } = "/sys/fs/bpf";

    public string CgroupRoot { get; init; } = "/run/cilium/cgroupv2";

    /// <summary>procfs of the machine, where a namespace is looked for that cannot be opened by its own name.</summary>
    public string ProcDirectory { get; init; } = "/proc";

    public string? CniConfigFile { get; init; }

    public int HealthPort { get; init; } = 9879;

    // Datapath.
    public ImmutableArray<string> Devices { get; init; } = [];

    public bool EnableIPv4 { get; init; } = true;

    public bool EnableIPv6 { get; init; }

    public RoutingMode RoutingMode { get; init; } = RoutingMode.Tunnel;

    public ushort TunnelPort { get; init; } = 8472;

    public bool AutoDirectNodeRoutes { get; init; }

    public IpPrefix? IPv4NativeRoutingCidr { get; init; }

    public IpPrefix? IPv6NativeRoutingCidr { get; init; }

    /// <summary>Bytes; 0 means that of the uplink.</summary>
    public int Mtu { get; init; }

    // Services, masquerading and the sizes of maps.
    public ServiceOptions Services { get; init; } = new();

    public MasqueradeOptions Masquerade { get; init; } = new();

    public MapOptions Maps { get; init; } = new();

    public bool VerifySourceAddress { get; init; } = true;

    public ConntrackTimeouts ConntrackTimeouts { get; init; } = new();

    // Policy and identities.
    public PolicyEnforcement EnablePolicy { get; init; }

    public bool AlwaysAllowLocalhost { get; init; } = true;

    public bool EnableNetworkPolicy { get; init; } = true;

    public bool EnableNonDefaultDenyPolicies { get; init; } = true;

    public bool PolicyDefaultLocalCluster { get; init; } = true;

    public HostFirewallOptions HostFirewall { get; init; } = new();

    public ImmutableArray<string> IdentityLabels { get; init; } = [];

    public PolicySettings Policies { get; init; } = new();

    public DnsOptions Dns { get; init; } = new();

    // Observability.

    /// <summary>prometheus-serve-addr: where /metrics is served; null: nowhere.</summary>
    public ListenAddress? PrometheusAddress { get; init; }

    /// <summary>metrics: <c>+NAME</c> and <c>-NAME</c>, which turn single metrics on and off.</summary>
    public ImmutableArray<string> MetricSelection { get; init; } = [];

    public bool EnableHubble { get; init; } = true;

    /// <summary>enable-cilium-endpoint-slice: pods of other nodes are read from the slices that the operator makes.</summary>
    public bool EnableCiliumEndpointSlice { get; init; }

    public string? HubbleListenAddress { get; init; }

    public string HubbleSocketPath { get; init; } = "/var/run/cilium/hubble.sock";

    /// <summary>Without it the listener on TCP needs the certificate files below, and clients need one of theirs.</summary>
    public bool HubbleDisableTls { get; init; }

    public string? HubbleTlsCertFile { get; init; }

    public string? HubbleTlsKeyFile { get; init; }

    public ImmutableArray<string> HubbleTlsClientCaFiles { get; init; } = [];

    public int HubbleEventBufferCapacity { get; init; } = 4095;

    public int MonitorAggregationLevel { get; init; } = 3;

    public TimeSpan MonitorAggregationInterval { get; init; } = TimeSpan.FromSeconds(5);

    public bool TraceEvents { get; init; } = true;

    public bool DropEvents { get; init; } = true;

    public bool PolicyVerdictEvents { get; init; } = true;

    public bool Debug { get; init; }
}
