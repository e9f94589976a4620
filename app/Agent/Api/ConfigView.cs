// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Nodes;
using Axoneme.AgentApi;
using Axoneme.Network;
using RoutingMode = Axoneme.Agent.Configuration.RoutingMode;

namespace Axoneme.Agent.Api;

/// <summary>The settings in force. Few can be changed while the agent runs (<see cref="ConfigChanges"/>).</summary>
internal static class ConfigView
{
    public static DaemonConfig Of(ApiSources sources)
    {
        AgentOptions options = sources.Options;
        LocalNode? local = sources.Running?.Local;
        IReadOnlyDictionary<string, string> settings = Settings(options);
        var spec = new DaemonConfigSpec(ConfigChanges.Now(sources.Control), ConfigChanges.EnforcementNow(sources.Control));
        return new DaemonConfig(spec, new DaemonConfigStatus
        {
            Addressing = new NodeAddressing(
                Addressing(options.EnableIPv4, local?.IPv4Router, local?.IPv4PodRange),
                Addressing(options.EnableIPv6, local?.IPv6Router, local?.IPv6PodRange)),
            IpamMode = "kubernetes",
            DatapathMode = "veth",
            ConfiguredDatapathMode = "veth",
            DeviceMtu = sources.Running?.Datapath?.DeviceMtu,
            RouteMtu = sources.Running?.Datapath?.RouteMtu,
            KubernetesEndpoint = sources.Control.Client.Servers.Select(server => server.IsCurrent ? server.Server.ToString() : null).FirstOrDefault(server => server is not null),
            KubernetesConfiguration = options.KubeConfigPath,
            Masquerade = options.Masquerade is { Bpf: true } and ({ IPv4: true } or { IPv6: true }),
            MasqueradeProtocols = new EnabledProtocols(options.Masquerade is { Bpf: true, IPv4: true }, options.Masquerade is { Bpf: true, IPv6: true }),
            Realized = spec,
            Immutable = settings,
            DaemonConfigurationMap = settings,
            NodeMonitor = StatusReport.NodeMonitor(sources.Running),
        });
    }

    private static NodeAddressingElement Addressing(bool isEnabled, IpAddress? router, IpPrefix? range)
        => new() { Enabled = isEnabled, Ip = router?.ToString(), AllocRange = range?.ToString() };

    private static SortedDictionary<string, string> Settings(AgentOptions options) => new(StringComparer.Ordinal)
    {
        ["agent-health-port"] = Text(options.HealthPort),
        ["allow-localhost"] = options.AlwaysAllowLocalhost ? "always" : "policy",
        ["auto-direct-node-routes"] = Text(options.AutoDirectNodeRoutes),
        ["bpf-ct-global-any-max"] = Text(options.Maps.ConntrackAny),
        ["bpf-ct-global-tcp-max"] = Text(options.Maps.ConntrackTcp),
        ["bpf-lb-map-max"] = Text(options.Maps.LoadBalancer),
        ["bpf-root"] = options.BpfRoot,
        ["cgroup-root"] = options.CgroupRoot,
        ["cluster-id"] = Text((int)options.Numbering.ClusterId),
        ["max-connected-clusters"] = Text(options.MaxConnectedClusters),
        ["enable-well-known-identities"] = Text(options.EnableWellKnownIdentities),
        ["cluster-name"] = options.ClusterName,
        ["debug"] = Text(options.Debug),
        ["devices"] = string.Join(' ', options.Devices),
        ["enable-host-firewall"] = Text(options.HostFirewall.Enabled),
        ["enable-hubble"] = Text(options.EnableHubble),
        ["enable-ipv4"] = Text(options.EnableIPv4),
        ["enable-ipv6"] = Text(options.EnableIPv6),
        ["enable-extended-ip-protocols"] = Text(options.Policies.EnableExtendedProtocols),
        ["enable-icmp-rules"] = Text(options.Policies.EnableIcmpRules),
        ["enable-k8s-admin-network-policy"] = Text(options.Policies.EnableAdminNetworkPolicies),
        ["enable-k8s-cluster-network-policy"] = Text(options.Policies.EnableClusterNetworkPolicies),
        ["enable-l7-proxy"] = Text(options.Policies.EnableL7Proxy),
        ["enable-node-selector-labels"] = Text(options.Policies.EnableNodeSelectorLabels),
        ["enable-sctp"] = Text(options.Policies.EnableSctp),
        ["node-labels"] = string.Join(' ', options.Policies.NodeLabels),
        ["policy-audit-mode"] = Text(options.Policies.AuditMode),
        ["policy-cidr-match-mode"] = options.Policies.CidrMatchesNodes ? "nodes" : "",
        ["policy-deny-response"] = options.Policies.DenyByIcmp ? "icmp" : "none",
        ["enable-k8s-networkpolicy"] = Text(options.EnableNetworkPolicy),
        ["enable-non-default-deny-policies"] = Text(options.EnableNonDefaultDenyPolicies),
        ["enable-policy"] = options.EnablePolicy.ToString().ToLowerInvariant(),
        ["enable-source-ip-verification"] = Text(options.VerifySourceAddress),
        ["host-firewall-management-cidrs"] = string.Join(' ', options.HostFirewall.ManagementCidrs),
        ["host-firewall-management-ports"] = string.Join(' ', options.HostFirewall.ManagementPorts),
        ["host-policy-confirm-timeout"] = $"{options.HostFirewall.ConfirmTimeout.TotalSeconds.ToString(CultureInfo.InvariantCulture)}s",
        ["hubble-disable-tls"] = Text(options.HubbleDisableTls),
        ["hubble-event-buffer-capacity"] = Text(options.HubbleEventBufferCapacity),
        ["hubble-listen-address"] = options.HubbleListenAddress ?? "",
        ["hubble-socket-path"] = options.HubbleSocketPath,
        ["ipv4-native-routing-cidr"] = options.IPv4NativeRoutingCidr?.ToString() ?? "",
        ["ipv6-native-routing-cidr"] = options.IPv6NativeRoutingCidr?.ToString() ?? "",
        ["k8s-api-server-urls"] = string.Join(' ', options.ApiServerUrls),
        ["k8s-kubeconfig-path"] = options.KubeConfigPath ?? "",
        ["k8s-namespace"] = options.Namespace,
        ["bpf-distributed-lru"] = Text(options.Maps.DistributedLru),
        ["bpf-lb-acceleration"] = options.Services.Acceleration switch
        {
            XdpAcceleration.BestEffort => "best-effort",
            XdpAcceleration.TestingOnly => "testing-only",
            XdpAcceleration other => other.ToString().ToLowerInvariant(),
        },
        ["bpf-lb-algorithm"] = options.Services.Algorithm.ToString().ToLowerInvariant(),
        ["bpf-lb-algorithm-annotation"] = Text(options.Services.AlgorithmAnnotation),
        ["bpf-lb-external-clusterip"] = Text(options.Services.ExternalClusterIP),
        ["bpf-lb-maglev-hash-seed"] = Convert.ToBase64String([.. options.Services.MaglevSeed]),
        ["bpf-lb-maglev-table-size"] = Text(options.Services.MaglevTableSize),
        ["bpf-lb-mode"] = options.Services.Mode.ToString().ToLowerInvariant(),
        ["bpf-lb-mode-annotation"] = Text(options.Services.ModeAnnotation),
        ["bpf-lb-sock"] = Text(options.Services.SocketTranslation),
        ["bpf-lb-sock-hostns-only"] = Text(options.Services.SocketTranslationOfHostOnly),
        ["bpf-lb-sock-terminate-all-protos"] = Text(options.Services.TerminateAllProtocols),
        ["bpf-lb-sock-terminate-pod-connections"] = Text(options.Services.TerminatePodConnections),
        ["bpf-map-dynamic-size-ratio"] = options.Maps.DynamicSizeRatio.ToString(CultureInfo.InvariantCulture),
        ["bpf-nat-global-max"] = Text(options.Maps.Nat),
        ["enable-bpf-clock-probe"] = Text(options.Maps.ClockProbe),
        ["enable-bpf-masquerade"] = Text(options.Masquerade.Bpf),
        ["enable-health-check-nodeport"] = Text(options.Services.HealthCheckNodePort),
        ["enable-ip-masq-agent"] = Text(options.Masquerade.IpMasqAgent),
        ["enable-ipv4-masquerade"] = Text(options.Masquerade.IPv4),
        ["enable-ipv6-masquerade"] = Text(options.Masquerade.IPv6),
        ["enable-local-redirect-policy"] = Text(options.Services.LocalRedirectPolicies),
        ["enable-service-topology"] = Text(options.Services.Topology),
        ["kube-proxy-replacement"] = Text(options.Services.ReplaceKubeProxy),
        ["kube-proxy-replacement-healthz-bind-address"] = options.Services.KubeProxyHealthz?.ToString() ?? "",
        ["labels"] = string.Join(' ', options.IdentityLabels),
        ["monitor-aggregation"] = AggregationName(options.MonitorAggregationLevel),
        ["monitor-aggregation-interval"] = $"{options.MonitorAggregationInterval.TotalSeconds.ToString(CultureInfo.InvariantCulture)}s",
        ["mtu"] = Text(options.Mtu),
        ["policy-default-local-cluster"] = Text(options.PolicyDefaultLocalCluster),
        ["node-port-range"] = $"{options.Services.NodePortMin},{options.Services.NodePortMax}",
        ["nodeport-addresses"] = string.Join(',', options.Services.NodePortAddresses),
        ["prometheus-serve-addr"] = options.PrometheusAddress?.ToString() ?? "",
        ["routing-mode"] = options.RoutingMode == RoutingMode.Native ? "native" : "tunnel",
        ["service-no-backend-response"] = options.Services.RejectWithoutBackend ? "reject" : "drop",
        ["state-dir"] = options.StateDirectory,
        ["tunnel-port"] = Text(options.TunnelPort),
        ["write-cni-conf-when-ready"] = options.CniConfigFile ?? "",
    };

    private static string AggregationName(int level) => level switch
    {
        0 => "none",
        1 => "lowest",
        2 => "low",
        3 => "medium",
        _ => "maximum",
    };

    private static string Text(bool value) => value ? "true" : "false";

    private static string Text(int? value) => value is { } number ? Text(number) : "";

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);
}
