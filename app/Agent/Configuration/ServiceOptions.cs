// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath.Abi;
using Axoneme.Hosting;
using Axoneme.LoadBalancing;
using Axoneme.Network;

namespace Axoneme.Agent.Configuration;

/// <summary>Which packets the device's driver may hand to the load balancer before a packet buffer is made for them.</summary>
internal enum XdpAcceleration
{
    Disabled,

    /// <summary>On every device, or the agent does not start.</summary>
    Native,

    /// <summary>On the devices that can.</summary>
    BestEffort,

    /// <summary>Generic XDP, which any device has and which is slower than none: for tests.</summary>
    TestingOnly,
}

/// <summary>How packets from outside reach a backend on another node unless a service says otherwise.</summary>
internal enum LoadBalancerMode
{
    Snat,
    Dsr,

    /// <summary>TCP by direct server return, the rest by SNAT.</summary>
    Hybrid,
}

/// <summary>Validated settings of services; each names its key of the config map.</summary>
internal sealed record ServiceOptions
{
    /// <summary>kube-proxy-replacement: node ports, external addresses and host ports too, and no kube-proxy on the node.</summary>
    public bool ReplaceKubeProxy { get; init; }

    /// <summary>bpf-lb-sock, or implied by kube-proxy-replacement: services are translated at connect(2).</summary>
    public bool SocketTranslation { get; init; }

    /// <summary>bpf-lb-sock-hostns-only: sockets of pods are left alone; their packets are translated instead.</summary>
    public bool SocketTranslationOfHostOnly { get; init; }

    /// <summary>bpf-lb-sock-terminate-pod-connections: connected sockets of pods too end with their backend, not only the node's own.</summary>
    public bool TerminatePodConnections { get; init; } = true;

    /// <summary>bpf-lb-sock-terminate-all-protos: TCP connections to a removed backend are reset; otherwise they drain and only UDP ends.</summary>
    public bool TerminateAllProtocols { get; init; }

    /// <summary>bpf-lb-algorithm.</summary>
    public BackendSelection Algorithm { get; init; }

    /// <summary>bpf-lb-algorithm-annotation: services may choose by service.cilium.io/lb-algorithm.</summary>
    public bool AlgorithmAnnotation { get; init; }

    /// <summary>bpf-lb-maglev-table-size: a prime of the documented list, the same on all nodes.</summary>
    public int MaglevTableSize { get; init; } = 16381;

    /// <summary>bpf-lb-maglev-hash-seed: 12 bytes, the same on all nodes.</summary>
    public ImmutableArray<byte> MaglevSeed { get; init; } = DefaultMaglevSeed;

    /// <summary>bpf-lb-mode.</summary>
    public LoadBalancerMode Mode { get; init; }

    /// <summary>bpf-lb-mode-annotation: services may choose by service.cilium.io/forwarding-mode.</summary>
    public bool ModeAnnotation { get; init; }

    /// <summary>bpf-lb-acceleration.</summary>
    public XdpAcceleration Acceleration { get; init; }

    /// <summary>bpf-lb-external-clusterip: cluster addresses answer to traffic from outside.</summary>
    public bool ExternalClusterIP { get; init; }

    /// <summary>enable-svc-source-range-check.</summary>
    public bool CheckSourceRanges { get; init; } = true;

    /// <summary>bpf-lb-source-range-all-types: source ranges count for node ports and cluster addresses too.</summary>
    public bool SourceRangesOfAllTypes { get; init; }

    /// <summary>node-port-range.</summary>
    public ushort NodePortMin { get; init; } = 30000;

    public ushort NodePortMax { get; init; } = 32767;

    /// <summary>nodeport-addresses: which of the node's addresses answer on node ports; empty: the first of each device and family.</summary>
    public ImmutableArray<IpPrefix> NodePortAddresses { get; init; } = [];

    /// <summary>direct-routing-device: leads to the other nodes; null: the device with the node's address.</summary>
    public string? DirectRoutingDevice { get; init; }

    /// <summary>node-port-bind-protection: bind(2) to a node port fails.</summary>
    public bool NodePortBindProtection { get; init; } = true;

    /// <summary>disable-external-ip-mitigation=false: an external IP that is no address of the node is not translated for its sockets and pods.</summary>
    public bool ExternalIpMitigation { get; init; } = true;

    /// <summary>enable-auto-protect-node-port-range: the range is added to ip_local_reserved_ports where it overlaps the ephemeral ports.</summary>
    public bool ProtectNodePortRange { get; init; } = true;

    /// <summary>service-no-backend-response: an ICMP error, else silence.</summary>
    public bool RejectWithoutBackend { get; init; } = true;

    /// <summary>enable-internal-traffic-policy.</summary>
    public bool InternalTrafficPolicy { get; init; } = true;

    /// <summary>enable-service-topology: hints of endpoint slices and trafficDistribution are honoured.</summary>
    public bool Topology { get; init; }

    /// <summary>k8s-service-proxy-name: only services with this label value are handled; null: only those without the label.</summary>
    public string? ServiceProxyName { get; init; }

    /// <summary>enable-local-redirect-policy.</summary>
    public bool LocalRedirectPolicies { get; init; }

    /// <summary>lrp-address-matcher-cidrs: addresses that policies may take; empty: any.</summary>
    public ImmutableArray<IpPrefix> LocalRedirectAddresses { get; init; } = [];

    /// <summary>enable-health-check-nodeport: servers on the health-check ports of services with externalTrafficPolicy Local.</summary>
    public bool HealthCheckNodePort { get; init; } = true;

    /// <summary>enable-health-check-loadbalancer-ip: they answer on the services' load-balancer addresses too.</summary>
    public bool HealthCheckLoadBalancerIP { get; init; }

    /// <summary>enable-no-service-endpoints-routable: services without backends keep their packets; otherwise others may have the address.</summary>
    public bool ClaimWithoutBackend { get; init; } = true;

    /// <summary>kube-proxy-replacement-healthz-bind-address: where kube-proxy's health page is served; null: nowhere.</summary>
    public ListenAddress? KubeProxyHealthz { get; init; }

    /// <summary>Upstream's, so that nodes that are changed over agree with those that are not yet.</summary>
    public static ImmutableArray<byte> DefaultMaglevSeed { get; } = [.. Convert.FromBase64String("JLfvgnHc2kaSUFaI")];

    /// <summary>The table sizes that may be configured: primes, each just below a power of two.</summary>
    public static ImmutableArray<int> MaglevTableSizes { get; } = [251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071];
}

/// <summary>Validated settings of masquerading.</summary>
internal sealed record MasqueradeOptions
{
    /// <summary>enable-bpf-masquerade: by the datapath. Otherwise this agent does not masquerade.</summary>
    public bool Bpf { get; init; }

    /// <summary>enable-ipv4-masquerade.</summary>
    public bool IPv4 { get; init; } = true;

    /// <summary>enable-ipv6-masquerade.</summary>
    public bool IPv6 { get; init; } = true;

    /// <summary>enable-ip-masq-agent: destinations of <see cref="IpMasqAgentConfig"/> keep the pod's address.</summary>
    public bool IpMasqAgent { get; init; }

    /// <summary>ip-masq-agent-config-path.</summary>
    public string IpMasqAgentConfig { get; init; } = "/etc/config/ip-masq-agent";
}

/// <summary>Validated sizes and upkeep of maps. Null sizes come from <see cref="DynamicSizeRatio"/>, or are the documented defaults.</summary>
internal sealed record MapOptions
{
    /// <summary>bpf-map-dynamic-size-ratio: share of the machine's memory for the large maps together; 0: fixed sizes.</summary>
    public double DynamicSizeRatio { get; init; } = 0.0025;

    /// <summary>bpf-distributed-lru.</summary>
    public bool DistributedLru { get; init; }

    /// <summary>bpf-ct-global-tcp-max.</summary>
    public int? ConntrackTcp { get; init; }

    /// <summary>bpf-ct-global-any-max.</summary>
    public int? ConntrackAny { get; init; }

    /// <summary>bpf-nat-global-max.</summary>
    public int? Nat { get; init; }

    /// <summary>bpf-sock-rev-map-max.</summary>
    public int? SocketReverse { get; init; }

    /// <summary>bpf-lb-map-max: services, backends, affinity, source ranges and Maglev tables, unless one has a key of its own.</summary>
    public int LoadBalancer { get; init; } = 65536;

    /// <summary>bpf-lb-service-map-max.</summary>
    public int? Services { get; init; }

    /// <summary>bpf-lb-service-backend-map-max.</summary>
    public int? Backends { get; init; }

    /// <summary>bpf-lb-rev-nat-map-max.</summary>
    public int? ReverseNat { get; init; }

    /// <summary>bpf-lb-affinity-map-max.</summary>
    public int? Affinity { get; init; }

    /// <summary>bpf-lb-source-range-map-max.</summary>
    public int? SourceRanges { get; init; }

    /// <summary>bpf-lb-maglev-map-max.</summary>
    public int? Maglev { get; init; }

    /// <summary>bpf-policy-map-max: of each endpoint.</summary>
    public int Policy { get; init; } = 16384;

    /// <summary>enable-bpf-clock-probe: count time in jiffies.</summary>
    public bool ClockProbe { get; init; }

    /// <summary>conntrack-gc-interval; null: adaptive.</summary>
    public TimeSpan? ConntrackGcInterval { get; init; }

    /// <summary>conntrack-gc-max-interval; null: the built-in one.</summary>
    public TimeSpan? ConntrackGcMaxInterval { get; init; }

    /// <summary>nat-map-stats-entries: how many of the busiest endpoints of the NAT maps are kept.</summary>
    public int NatStatsEntries { get; init; } = 32;

    /// <summary>nat-map-stats-interval: between two walks over the NAT maps for them; zero: never.</summary>
    public TimeSpan NatStatsInterval { get; init; } = TimeSpan.FromSeconds(30);
}
