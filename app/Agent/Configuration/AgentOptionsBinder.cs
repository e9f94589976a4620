// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Network;

namespace Axoneme.Agent.Configuration;

/// <summary>Turns texts into <see cref="AgentOptions"/> and collects every mistake before it gives up.</summary>
internal sealed class AgentOptionsBinder(RawConfig raw)
{
    private readonly OptionReader _reader = new(raw);

    /// <exception cref="ConfigException">At least one value cannot be used.</exception>
    public static AgentOptions Bind(RawConfig raw, string? nodeName, string? podNamespace)
    {
        var binder = new AgentOptionsBinder(raw);
        AgentOptions options = binder.Read(nodeName, podNamespace);
        binder.CheckCombinations(options);
        return binder._reader.Problems.Count == 0 ? options : throw new ConfigException(binder._reader.Problems);
    }

    private AgentOptions Read(string? nodeName, string? podNamespace)
    {
        if (string.IsNullOrEmpty(nodeName))
            _reader.Problem("K8S_NODE_NAME", "the environment variable must name this node");
        string stateDirectory = _reader.Text("state-dir") ?? "/var/run/cilium";
        int clusters = int.Parse(_reader.Choice("max-connected-clusters", "255", "255", "511"), CultureInfo.InvariantCulture);
        return new AgentOptions
        {
            NodeName = nodeName ?? "",
            Namespace = string.IsNullOrEmpty(podNamespace) ? "kube-system" : podNamespace,
            ClusterName = _reader.Text("cluster-name") ?? "default",
            MaxConnectedClusters = clusters,
            Numbering = new IdentityNumbering { ClusterId = (uint)_reader.Number("cluster-id", 0, 0, clusters), Bits = clusters == 511 ? 15 : 16 },
            EnableWellKnownIdentities = _reader.Switch("enable-well-known-identities", false),
            KubeConfigPath = _reader.Text("k8s-kubeconfig-path"),
            ApiServerUrls = _reader.List("k8s-api-server-urls"),
            StateDirectory = stateDirectory,
            BpfRoot = _reader.Text("bpf-root") ?? "/sys/fs/bpf",
            CgroupRoot = _reader.Text("cgroup-root") ?? "/run/cilium/cgroupv2",
            ProcDirectory = _reader.Text("procfs") ?? "/proc",
            CniConfigFile = _reader.Text("write-cni-conf-when-ready"),
            HealthPort = _reader.Number("agent-health-port", 9879, 1, 65535),
            Devices = _reader.List("devices"),
            EnableIPv4 = _reader.Switch("enable-ipv4", true),
            EnableIPv6 = _reader.Switch("enable-ipv6", false),
            RoutingMode = _reader.Choice("routing-mode", "tunnel", "native", "tunnel") == "native" ? RoutingMode.Native : RoutingMode.Tunnel,
            TunnelPort = (ushort)_reader.Number("tunnel-port", 8472, 1, 65535),
            AutoDirectNodeRoutes = _reader.Switch("auto-direct-node-routes", false),
            IPv4NativeRoutingCidr = _reader.Prefix("ipv4-native-routing-cidr", isV6: false),
            IPv6NativeRoutingCidr = _reader.Prefix("ipv6-native-routing-cidr", isV6: true),
            Mtu = _reader.Number("mtu", 0, 0, 65535),
            Services = ServiceOptionsBinder.ReadServices(_reader),
            Masquerade = ServiceOptionsBinder.ReadMasquerade(_reader),
            Maps = ServiceOptionsBinder.ReadMaps(_reader),
            VerifySourceAddress = _reader.Switch("enable-source-ip-verification", true),
            ConntrackTimeouts = new ConntrackTimeouts
            {
                Tcp = _reader.Duration("bpf-ct-timeout-regular-tcp", TimeSpan.FromSeconds(8000)),
                TcpSyn = _reader.Duration("bpf-ct-timeout-regular-tcp-syn", TimeSpan.FromSeconds(60)),
                TcpFin = _reader.Duration("bpf-ct-timeout-regular-tcp-fin", TimeSpan.FromSeconds(10)),
                Any = _reader.Duration("bpf-ct-timeout-regular-any", TimeSpan.FromSeconds(60)),
                ServiceTcp = _reader.Duration("bpf-ct-timeout-service-tcp", TimeSpan.FromSeconds(8000)),
                ServiceAny = _reader.Duration("bpf-ct-timeout-service-any", TimeSpan.FromSeconds(60)),
            },
            EnablePolicy = Enum.Parse<PolicyEnforcement>(_reader.Choice("enable-policy", "default", "default", "always", "never"), ignoreCase: true),
            AlwaysAllowLocalhost = _reader.Choice("allow-localhost", "auto", "auto", "always", "policy") != "policy",
            EnableNetworkPolicy = _reader.Switch("enable-k8s-networkpolicy", true),
            EnableNonDefaultDenyPolicies = _reader.Switch("enable-non-default-deny-policies", true),
            PolicyDefaultLocalCluster = _reader.Switch("policy-default-local-cluster", true),
            Dns = DnsOptions.Read(_reader),
            HostFirewall = new HostFirewallOptions
            {
                Enabled = _reader.Switch("enable-host-firewall", false),
                ConfirmTimeout = _reader.Duration("host-policy-confirm-timeout", TimeSpan.FromSeconds(30)),
                ManagementPorts = _reader.Ports("host-firewall-management-ports", 22),
                ManagementCidrs = _reader.Prefixes("host-firewall-management-cidrs"),
            },
            IdentityLabels = _reader.List("labels"),
            Policies = PolicySettings.Read(_reader),
            PrometheusAddress = _reader.Listen("prometheus-serve-addr"),
            MetricSelection = _reader.List("metrics"),
            EnableHubble = _reader.Switch("enable-hubble", true),
            EnableCiliumEndpointSlice = _reader.Switch("enable-cilium-endpoint-slice", false),
            HubbleListenAddress = _reader.Text("hubble-listen-address"),
            HubbleSocketPath = _reader.Text("hubble-socket-path") ?? Path.Combine(stateDirectory, "hubble.sock"),
            HubbleDisableTls = _reader.Switch("hubble-disable-tls", false),
            HubbleTlsCertFile = _reader.Text("hubble-tls-cert-file"),
            HubbleTlsKeyFile = _reader.Text("hubble-tls-key-file"),
            HubbleTlsClientCaFiles = _reader.List("hubble-tls-client-ca-files"),
            HubbleEventBufferCapacity = _reader.Number("hubble-event-buffer-capacity", 4095, 1, 65535),
            MonitorAggregationLevel = AggregationLevel(),
            MonitorAggregationInterval = _reader.Duration("monitor-aggregation-interval", TimeSpan.FromSeconds(5)),
            TraceEvents = _reader.Switch("bpf-events-trace-enabled", true),
            DropEvents = _reader.Switch("bpf-events-drop-enabled", true),
            PolicyVerdictEvents = _reader.Switch("bpf-events-policy-verdict-enabled", true),
            Debug = _reader.Switch("debug", false),
        };
    }

    private void CheckCombinations(AgentOptions options)
    {
        if (!options.EnableIPv4 && !options.EnableIPv6)
            _reader.Problem("enable-ipv4, enable-ipv6", "at least one address family must be on");
        _reader.Choice("ipam", "kubernetes", "kubernetes");
        _reader.Choice("identity-allocation-mode", "crd", "crd");
        _reader.Choice("tunnel-protocol", "vxlan", "vxlan");
        ServiceOptionsBinder.CheckCombinations(_reader, options);
        // The ring is addressed by mask, and one slot is the writer's.
        if ((options.HubbleEventBufferCapacity & (options.HubbleEventBufferCapacity + 1)) != 0)
            _reader.Problem("hubble-event-buffer-capacity", $"must be a power of two minus one, not {options.HubbleEventBufferCapacity}");
    }

    private int AggregationLevel() => _reader.Choice("monitor-aggregation", "medium", "none", "lowest", "low", "medium", "maximum", "max") switch
    {
        "none" => 0,
        "lowest" => 1,
        "low" => 2,
        "medium" => 3,
        _ => 4,
    };
}
