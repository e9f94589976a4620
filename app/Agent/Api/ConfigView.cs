// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Nodes;
using Axoneme.AgentApi;
using Axoneme.Network;
using RoutingMode = Axoneme.Agent.Configuration.RoutingMode;

namespace Axoneme.Agent.Api;

/// <summary>The settings in force. None can be changed while the agent runs.</summary>
internal static class ConfigView
{
    public static DaemonConfig Of(ApiSources sources)
    {
        AgentOptions options = sources.Options;
        LocalNode? local = sources.Running?.Local;
        IReadOnlyDictionary<string, string> settings = Settings(options);
        var spec = new DaemonConfigSpec(new Dictionary<string, string>(), options.EnablePolicy.ToString().ToLowerInvariant());
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
            Masquerade = false,
            MasqueradeProtocols = new EnabledProtocols(Ipv4: false, Ipv6: false),
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
        ["cluster-id"] = Text(options.ClusterId),
        ["cluster-name"] = options.ClusterName,
        ["debug"] = Text(options.Debug),
        ["devices"] = string.Join(' ', options.Devices),
        ["enable-hubble"] = Text(options.EnableHubble),
        ["enable-ipv4"] = Text(options.EnableIPv4),
        ["enable-ipv6"] = Text(options.EnableIPv6),
        ["enable-k8s-networkpolicy"] = Text(options.EnableNetworkPolicy),
        ["enable-non-default-deny-policies"] = Text(options.EnableNonDefaultDenyPolicies),
        ["enable-policy"] = options.EnablePolicy.ToString().ToLowerInvariant(),
        ["enable-source-ip-verification"] = Text(options.VerifySourceAddress),
        ["hubble-disable-tls"] = Text(options.HubbleDisableTls),
        ["hubble-event-buffer-capacity"] = Text(options.HubbleEventBufferCapacity),
        ["hubble-listen-address"] = options.HubbleListenAddress ?? "",
        ["hubble-socket-path"] = options.HubbleSocketPath,
        ["ipv4-native-routing-cidr"] = options.IPv4NativeRoutingCidr?.ToString() ?? "",
        ["ipv6-native-routing-cidr"] = options.IPv6NativeRoutingCidr?.ToString() ?? "",
        ["k8s-api-server-urls"] = string.Join(' ', options.ApiServerUrls),
        ["k8s-kubeconfig-path"] = options.KubeConfigPath ?? "",
        ["k8s-namespace"] = options.Namespace,
        ["kube-proxy-replacement"] = Text(options.Services.ReplaceKubeProxy),
        ["labels"] = string.Join(' ', options.IdentityLabels),
        ["monitor-aggregation"] = AggregationName(options.MonitorAggregationLevel),
        ["monitor-aggregation-interval"] = $"{options.MonitorAggregationInterval.TotalSeconds.ToString(CultureInfo.InvariantCulture)}s",
        ["mtu"] = Text(options.Mtu),
        ["policy-default-local-cluster"] = Text(options.PolicyDefaultLocalCluster),
        ["routing-mode"] = options.RoutingMode == RoutingMode.Native ? "native" : "tunnel",
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
