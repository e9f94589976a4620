// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using Axoneme.Datapath;
using Axoneme.Network;

namespace Axoneme.Agent.Configuration;

/// <summary>Turns texts into <see cref="AgentOptions"/> and collects every mistake before it gives up.</summary>
internal sealed class AgentOptionsBinder(RawConfig raw)
{
    private readonly List<string> _problems = [];

    /// <exception cref="ConfigException">At least one value cannot be used.</exception>
    public static AgentOptions Bind(RawConfig raw, string? nodeName, string? podNamespace)
    {
        var binder = new AgentOptionsBinder(raw);
        AgentOptions options = binder.Read(nodeName, podNamespace);
        binder.CheckCombinations(options);
        return binder._problems.Count == 0 ? options : throw new ConfigException(binder._problems);
    }

    private AgentOptions Read(string? nodeName, string? podNamespace)
    {
        if (string.IsNullOrEmpty(nodeName))
            _problems.Add("K8S_NODE_NAME: the environment variable must name this node");
        string stateDirectory = raw.Find("state-dir") ?? "/var/run/cilium";
        return new AgentOptions
        {
            NodeName = nodeName ?? "",
            Namespace = string.IsNullOrEmpty(podNamespace) ? "kube-system" : podNamespace,
            ClusterName = raw.Find("cluster-name") ?? "default",
            ClusterId = Number("cluster-id", 0, 0, 511),
            KubeConfigPath = raw.Find("k8s-kubeconfig-path"),
            ApiServerUrls = List("k8s-api-server-urls"),
            StateDirectory = stateDirectory,
            BpfRoot = raw.Find("bpf-root") ?? "/sys/fs/bpf",
            CgroupRoot = raw.Find("cgroup-root") ?? "/run/cilium/cgroupv2",
            CniConfigFile = raw.Find("write-cni-conf-when-ready"),
            HealthPort = Number("agent-health-port", 9879, 1, 65535),
            Devices = List("devices"),
            EnableIPv4 = Switch("enable-ipv4", true),
            EnableIPv6 = Switch("enable-ipv6", false),
            RoutingMode = Choice("routing-mode", "tunnel", "native", "tunnel") == "native" ? RoutingMode.Native : RoutingMode.Tunnel,
            TunnelPort = (ushort)Number("tunnel-port", 8472, 1, 65535),
            AutoDirectNodeRoutes = Switch("auto-direct-node-routes", false),
            IPv4NativeRoutingCidr = Prefix("ipv4-native-routing-cidr", isV6: false),
            IPv6NativeRoutingCidr = Prefix("ipv6-native-routing-cidr", isV6: true),
            Mtu = Number("mtu", 0, 0, 65535),
            SocketLoadBalancing = Switch("kube-proxy-replacement", false) || Switch("bpf-lb-sock", false),
            VerifySourceAddress = Switch("enable-source-ip-verification", true),
            ConntrackTcpEntries = Number("bpf-ct-global-tcp-max", 524288, 1024, 1 << 24),
            ConntrackAnyEntries = Number("bpf-ct-global-any-max", 262144, 1024, 1 << 24),
            LoadBalancerEntries = Number("bpf-lb-map-max", 65536, 256, 1 << 24),
            ConntrackTimeouts = new ConntrackTimeouts
            {
                Tcp = Duration("bpf-ct-timeout-regular-tcp", TimeSpan.FromSeconds(8000)),
                TcpSyn = Duration("bpf-ct-timeout-regular-tcp-syn", TimeSpan.FromSeconds(60)),
                TcpFin = Duration("bpf-ct-timeout-regular-tcp-fin", TimeSpan.FromSeconds(10)),
                Any = Duration("bpf-ct-timeout-regular-any", TimeSpan.FromSeconds(60)),
            },
            EnablePolicy = Enum.Parse<PolicyEnforcement>(Choice("enable-policy", "default", "default", "always", "never"), ignoreCase: true),
            AlwaysAllowLocalhost = Choice("allow-localhost", "auto", "auto", "always", "policy") != "policy",
            EnableNetworkPolicy = Switch("enable-k8s-networkpolicy", true),
            EnableNonDefaultDenyPolicies = Switch("enable-non-default-deny-policies", true),
            PolicyDefaultLocalCluster = Switch("policy-default-local-cluster", true),
            IdentityLabels = List("labels"),
            EnableHubble = Switch("enable-hubble", true),
            HubbleListenAddress = raw.Find("hubble-listen-address"),
            HubbleSocketPath = raw.Find("hubble-socket-path") ?? Path.Combine(stateDirectory, "hubble.sock"),
            HubbleDisableTls = Switch("hubble-disable-tls", false),
            HubbleTlsCertFile = raw.Find("hubble-tls-cert-file"),
            HubbleTlsKeyFile = raw.Find("hubble-tls-key-file"),
            HubbleTlsClientCaFiles = List("hubble-tls-client-ca-files"),
            HubbleEventBufferCapacity = Number("hubble-event-buffer-capacity", 4095, 1, 65535),
            MonitorAggregationLevel = AggregationLevel(),
            MonitorAggregationInterval = Duration("monitor-aggregation-interval", TimeSpan.FromSeconds(5)),
            TraceEvents = Switch("bpf-events-trace-enabled", true),
            DropEvents = Switch("bpf-events-drop-enabled", true),
            PolicyVerdictEvents = Switch("bpf-events-policy-verdict-enabled", true),
            Debug = Switch("debug", false),
        };
    }

    private void CheckCombinations(AgentOptions options)
    {
        if (!options.EnableIPv4 && !options.EnableIPv6)
            _problems.Add("enable-ipv4, enable-ipv6: at least one address family must be on");
        Choice("ipam", "kubernetes", "kubernetes");
        Choice("identity-allocation-mode", "crd", "crd");
        Choice("tunnel-protocol", "vxlan", "vxlan");
        // The ring is addressed by mask, and one slot is the writer's.
        if ((options.HubbleEventBufferCapacity & (options.HubbleEventBufferCapacity + 1)) != 0)
            _problems.Add($"{raw.OriginOf("hubble-event-buffer-capacity")}: must be a power of two minus one, not {options.HubbleEventBufferCapacity}");
    }

    private bool Switch(string name, bool fallback) => raw.Find(name)?.ToLowerInvariant() switch
    {
        null => fallback,
        "true" or "1" or "t" => true,
        "false" or "0" or "f" => false,
        string other => Problem(name, $"'{other}' is neither true nor false", fallback),
    };

    private int Number(string name, int fallback, int minimum, int maximum)
    {
        string? text = raw.Find(name);
        if (text is null)
            return fallback;
        if (!int.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out int value) || value < minimum || value > maximum)
            return Problem(name, $"'{text}' is not a number from {minimum} to {maximum}", fallback);
        return value;
    }

    private string Choice(string name, string fallback, params ReadOnlySpan<string> allowed)
    {
        string text = raw.Find(name) ?? fallback;
        if (allowed.Contains(text))
            return text;
        return Problem(name, $"'{text}' is not one of {string.Join(", ", allowed.ToArray())}", fallback);
    }

    // Lists are separated by blanks or commas, as the chart writes them.
    private ImmutableArray<string> List(string name)
        => [.. (raw.Find(name) ?? "").Split([' ', ','], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)];

    private IpPrefix? Prefix(string name, bool isV6)
    {
        string? text = raw.Find(name);
        if (text is null)
            return null;
        if (IpPrefix.TryParse(text, out IpPrefix prefix) && prefix.IsV6 == isV6)
            return prefix;
        return Problem<IpPrefix?>(name, $"'{text}' is not an {(isV6 ? "IPv6" : "IPv4")} prefix", null);
    }

    private TimeSpan Duration(string name, TimeSpan fallback)
    {
        string? text = raw.Find(name);
        if (text is null)
            return fallback;
        return GoDuration.TryParse(text, out TimeSpan value)
            ? value
            : Problem(name, $"'{text}' is not a duration such as 5s or 1m30s", fallback);
    }

    private int AggregationLevel() => Choice("monitor-aggregation", "medium", "none", "lowest", "low", "medium", "maximum", "max") switch
    {
        "none" => 0,
        "lowest" => 1,
        "low" => 2,
        "medium" => 3,
        _ => 4,
    };

    private T Problem<T>(string name, string what, T fallback)
    {
        _problems.Add($"{raw.OriginOf(name)}: {what}");
        return fallback;
    }
}
