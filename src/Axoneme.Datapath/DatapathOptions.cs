// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>How packets reach pods of other nodes.</summary>
public enum RoutingMode
{
    /// <summary>The underlay network routes pod addresses (routing-mode=native).</summary>
    Native,

    /// <summary>Packets travel in VXLAN between nodes (routing-mode=tunnel, tunnel-protocol=vxlan).</summary>
    Vxlan,
}

/// <summary>The validated settings of one node's datapath; the names of the upstream options stand with each.</summary>
public sealed record DatapathOptions
{
    /// <summary>bpf-root: a bpffs, or an empty directory to mount one on.</summary>
    public string BpfRoot { get; init; } = "/sys/fs/bpf";

    /// <summary>cgroup-root: the cgroup v2 whose sockets get service translation.</summary>
    public string CgroupRoot { get; init; } = "/run/cilium/cgroupv2";

    /// <summary>devices: the uplinks; the first one carries direct routes.</summary>
    public ImmutableArray<string> Devices { get; init; } = [];

    public RoutingMode RoutingMode { get; init; } = RoutingMode.Vxlan;

    /// <summary>tunnel-port: UDP.</summary>
    public ushort TunnelPort { get; init; } = 8472;

    /// <summary>enable-ipv4.</summary>
    public bool EnableIPv4 { get; init; } = true;

    /// <summary>enable-ipv6.</summary>
    public bool EnableIPv6 { get; init; }

    /// <summary>mtu: of the underlay in bytes; 0 takes that of the first uplink, or 1500.</summary>
    public int Mtu { get; init; }

    /// <summary>kube-proxy-replacement / bpf-lb-sock: translate service addresses when sockets connect.</summary>
    public bool SocketLoadBalancing { get; init; } = true;

    /// <summary>bpf-lb-sock-hostns-only: not those of pods.</summary>
    public bool SocketsOfHostOnly { get; init; }

    /// <summary>node-port-bind-protection: no socket of the node may bind to a node port of a service (EADDRINUSE).</summary>
    public bool NodePortBindProtection { get; init; } = true;

    /// <summary>disable-external-ip-mitigation=false: sockets reach a service by an external IP only where that is an address of this node.</summary>
    public bool ExternalIpsOfNodeOnly { get; init; } = true;

    /// <summary>
    /// Translate service addresses packet by packet for traffic of pods: where their sockets are not translated (no socket hooks, or
    /// bpf-lb-sock-hostns-only). Off by default, because the sockets' translation costs less.
    /// </summary>
    public bool PacketLoadBalancing { get; init; }

    /// <summary>auto-direct-node-routes.</summary>
    public bool AutoDirectNodeRoutes { get; init; }

    /// <summary>cluster-id: upper part of the numbers of this cluster's identities.</summary>
    public uint ClusterId { get; init; }

    /// <summary>Bits below the cluster's number in those of its identities.</summary>
    public int ClusterIdentityBits { get; init; } = 16;

    /// <summary>monitor-aggregation.</summary>
    public TraceAggregation MonitorAggregation { get; init; } = TraceAggregation.Connections;

    /// <summary>monitor-aggregation-interval.</summary>
    public TimeSpan TraceInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>bpf-events-trace-enabled.</summary>
    public bool TraceEvents { get; init; } = true;

    /// <summary>bpf-events-drop-enabled.</summary>
    public bool DropEvents { get; init; } = true;

    /// <summary>bpf-events-policy-verdict-enabled.</summary>
    public bool PolicyVerdictEvents { get; init; } = true;

    /// <summary>enable-source-ip-verification: drop what a pod sends under another address.</summary>
    public bool VerifySourceAddress { get; init; } = true;

    /// <summary>policy-deny-response=icmp: a pod is told by an ICMP error what its own egress policy drops.</summary>
    public bool PolicyDenyIcmp { get; init; }

    public ConntrackTimeouts ConntrackTimeouts { get; init; } = new();

    /// <summary>enable-host-firewall: number of the node itself as an endpoint, whose policy is asked about its traffic; 0 is off.</summary>
    public ushort HostEndpoint { get; init; }

    public ServiceForwarding Services { get; init; } = new();

    public Masquerading Masquerade { get; init; } = new();

    /// <summary>enable-bpf-clock-probe: programs count time in jiffies instead of reading a clock.</summary>
    public bool ClockJiffies { get; init; }

    /// <summary>The node's own addresses in the cluster: of a device's addresses, translated packets leave with these first.</summary>
    public ImmutableArray<IpAddress> NodeAddresses { get; init; } = [];

    /// <summary>The router's addresses, on cilium_host: the pods' gateway (CiliumInternalIP).</summary>
    public IpAddress? RouterIPv4 { get; init; }

    public IpAddress? RouterIPv6 { get; init; }

    /// <summary>Sizes of maps by map name: bpf-ct-global-tcp-max, bpf-policy-map-max, bpf-lb-map-max, bpf-ipcache-max ...</summary>
    public ImmutableDictionary<string, uint> MapSizes { get; init; } = ImmutableDictionary<string, uint>.Empty;

    /// <summary>bpf-distributed-lru: large maps have a list of least recently used entries for each processor, which they fill unevenly.</summary>
    public bool DistributedLru { get; init; }

    /// <summary>The node's own network namespace; null for the one that this process lives in.</summary>
    public NetworkNamespace? HostNamespace { get; init; }

    /// <summary>VXLAN over IPv4: outer Ethernet, IP, UDP and VXLAN headers.</summary>
    public const int TunnelOverhead = 50;

    public bool IsTunnel => RoutingMode == RoutingMode.Vxlan;
}

/// <summary>How long connections are remembered without packets; defaults are upstream's.</summary>
public sealed record ConntrackTimeouts
{
    /// <summary>bpf-ct-timeout-regular-tcp.</summary>
    public TimeSpan Tcp { get; init; } = TimeSpan.FromSeconds(8000);

    /// <summary>bpf-ct-timeout-regular-tcp-syn.</summary>
    public TimeSpan TcpSyn { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>bpf-ct-timeout-regular-tcp-fin.</summary>
    public TimeSpan TcpFin { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>bpf-ct-timeout-regular-any.</summary>
    public TimeSpan Any { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>bpf-ct-timeout-service-tcp: how long the backend of a connection is remembered.</summary>
    public TimeSpan ServiceTcp { get; init; } = TimeSpan.FromSeconds(8000);

    /// <summary>bpf-ct-timeout-service-any.</summary>
    public TimeSpan ServiceAny { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>Where things are pinned under the bpffs root.</summary>
public sealed record DatapathPaths(string BpfRoot)
{
    public const string HostDevice = "cilium_host";
    public const string NetDevice = "cilium_net";
    public const string TunnelDevice = "cilium_vxlan";

    public string Maps => Path.Combine(BpfRoot, "tc", "globals");

    public string Objects => Path.Combine(BpfRoot, "cilium");

    public string SocketLinks => Path.Combine(Objects, "socketlb", "links", "cgroup");

    public string Devices => Path.Combine(Objects, "devices");

    public string Endpoints => Path.Combine(Objects, "endpoints");

    public string Map(string name) => Path.Combine(Maps, name);

    public string PolicyMap(ushort endpointId) => Map($"cilium_policy_v2_{endpointId:D5}");

    // bpffs takes no dots in names, which VLAN devices have.
    public string DeviceLinks(string device) => Path.Combine(Devices, device.Replace('.', '_'), "links");

    public string EndpointFolder(ushort endpointId) => Path.Combine(Endpoints, endpointId.ToString());

    public string EndpointLinks(ushort endpointId) => Path.Combine(EndpointFolder(endpointId), "links");
}

/// <summary>What bringing something up found and did, in words, for the log and the status page.</summary>
public sealed class DatapathReport
{
    private readonly List<string> _created = [];
    private readonly List<string> _adopted = [];
    private readonly List<string> _repaired = [];
    private readonly List<string> _refused = [];

    /// <summary>What was not there before.</summary>
    public IReadOnlyList<string> Created => _created;

    /// <summary>What an earlier run had left and is in use again.</summary>
    public IReadOnlyList<string> Adopted => _adopted;

    /// <summary>What was there but wrong, and how it was put right.</summary>
    public IReadOnlyList<string> Repaired => _repaired;

    /// <summary>What the kernel did not allow, and the node can do without.</summary>
    public IReadOnlyList<string> Refused => _refused;

    internal void AddCreated(string what) => _created.Add(what);

    internal void AddAdopted(string what) => _adopted.Add(what);

    internal void AddRepaired(string what) => _repaired.Add(what);

    internal void AddRefused(string what) => _refused.Add(what);

    public override string ToString() => $"created {Created.Count}, adopted {Adopted.Count}, repaired {Repaired.Count}";
}
