// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using Axoneme.Hosting;
using Axoneme.LoadBalancing;

namespace Axoneme.Agent.Configuration;

/// <summary>Reads the settings of services, masquerading and maps.</summary>
internal static class ServiceOptionsBinder
{
    private const int LargestMap = 1 << 24;
    private const int FewestNatPorts = 1024;

    public static ServiceOptions ReadServices(OptionReader reader)
    {
        bool replaceKubeProxy = reader.Switch("kube-proxy-replacement", false);
        (ushort nodePortMin, ushort nodePortMax) = PortRange(reader, "node-port-range", 30000, 32767);
        return new ServiceOptions
        {
            ReplaceKubeProxy = replaceKubeProxy,
            SocketTranslation = replaceKubeProxy || reader.Switch("bpf-lb-sock", false),
            SocketTranslationOfHostOnly = reader.Switch("bpf-lb-sock-hostns-only", false),
            TerminatePodConnections = reader.Switch("bpf-lb-sock-terminate-pod-connections", true),
            TerminateAllProtocols = reader.Switch("bpf-lb-sock-terminate-all-protos", false),
            Algorithm = reader.Choice("bpf-lb-algorithm", "random", "random", "maglev") == "maglev" ? BackendSelection.Maglev : BackendSelection.Random,
            AlgorithmAnnotation = reader.Switch("bpf-lb-algorithm-annotation", false),
            MaglevTableSize = MaglevTableSize(reader),
            MaglevSeed = MaglevSeed(reader),
            Mode = Enum.Parse<LoadBalancerMode>(reader.Choice("bpf-lb-mode", "snat", "snat", "dsr", "hybrid"), ignoreCase: true),
            ModeAnnotation = reader.Switch("bpf-lb-mode-annotation", false),
            Acceleration = reader.Choice("bpf-lb-acceleration", "disabled", "disabled", "native", "best-effort", "testing-only") switch
            {
                "native" => XdpAcceleration.Native,
                "best-effort" => XdpAcceleration.BestEffort,
                "testing-only" => XdpAcceleration.TestingOnly,
                _ => XdpAcceleration.Disabled,
            },
            ExternalClusterIP = reader.Switch("bpf-lb-external-clusterip", false),
            CheckSourceRanges = reader.Switch("enable-svc-source-range-check", true),
            SourceRangesOfAllTypes = reader.Switch("bpf-lb-source-range-all-types", false),
            NodePortMin = nodePortMin,
            NodePortMax = nodePortMax,
            NodePortAddresses = reader.Prefixes("nodeport-addresses"),
            DirectRoutingDevice = reader.Text("direct-routing-device"),
            NodePortBindProtection = reader.Switch("node-port-bind-protection", true),
            ExternalIpMitigation = !reader.Switch("disable-external-ip-mitigation", false),
            ProtectNodePortRange = reader.Switch("enable-auto-protect-node-port-range", true),
            RejectWithoutBackend = reader.Choice("service-no-backend-response", "reject", "reject", "drop") == "reject",
            InternalTrafficPolicy = reader.Switch("enable-internal-traffic-policy", true),
            Topology = reader.Switch("enable-service-topology", false),
            ServiceProxyName = reader.Text("k8s-service-proxy-name"),
            LocalRedirectPolicies = reader.Switch("enable-local-redirect-policy", false),
            LocalRedirectAddresses = reader.Prefixes("lrp-address-matcher-cidrs"),
            HealthCheckNodePort = reader.Switch("enable-health-check-nodeport", true),
            HealthCheckLoadBalancerIP = reader.Switch("enable-health-check-loadbalancer-ip", false),
            ClaimWithoutBackend = reader.Switch("enable-no-service-endpoints-routable", true),
            KubeProxyHealthz = replaceKubeProxy ? reader.Listen("kube-proxy-replacement-healthz-bind-address") : null,
        };
    }

    public static MasqueradeOptions ReadMasquerade(OptionReader reader) => new()
    {
        Bpf = reader.Switch("enable-bpf-masquerade", false),
        IPv4 = reader.Switch("enable-ipv4-masquerade", true),
        IPv6 = reader.Switch("enable-ipv6-masquerade", true),
        IpMasqAgent = reader.Switch("enable-ip-masq-agent", false),
        IpMasqAgentConfig = reader.Text("ip-masq-agent-config-path") ?? "/etc/config/ip-masq-agent",
    };

    public static MapOptions ReadMaps(OptionReader reader) => new()
    {
        DynamicSizeRatio = reader.Fraction("bpf-map-dynamic-size-ratio", 0.0025),
        DistributedLru = reader.Switch("bpf-distributed-lru", false),
        ConntrackTcp = reader.Number("bpf-ct-global-tcp-max", 1024, LargestMap),
        ConntrackAny = reader.Number("bpf-ct-global-any-max", 1024, LargestMap),
        Nat = reader.Number("bpf-nat-global-max", 1024, LargestMap),
        SocketReverse = reader.Number("bpf-sock-rev-map-max", 1024, LargestMap),
        LoadBalancer = reader.Number("bpf-lb-map-max", 65536, 256, LargestMap),
        Services = reader.Number("bpf-lb-service-map-max", 256, LargestMap),
        Backends = reader.Number("bpf-lb-service-backend-map-max", 256, LargestMap),
        ReverseNat = reader.Number("bpf-lb-rev-nat-map-max", 256, LargestMap),
        Affinity = reader.Number("bpf-lb-affinity-map-max", 256, LargestMap),
        SourceRanges = reader.Number("bpf-lb-source-range-map-max", 256, LargestMap),
        Maglev = reader.Number("bpf-lb-maglev-map-max", 256, LargestMap),
        Policy = reader.Number("bpf-policy-map-max", 16384, 256, 65536),
        ClockProbe = reader.Switch("enable-bpf-clock-probe", false),
        ConntrackGcInterval = Positive(reader.Duration("conntrack-gc-interval", TimeSpan.Zero)),
        ConntrackGcMaxInterval = Positive(reader.Duration("conntrack-gc-max-interval", TimeSpan.Zero)),
        NatStatsEntries = reader.Number("nat-map-stats-entries", 32, 1, 4096),
        NatStatsInterval = reader.Duration("nat-map-stats-interval", TimeSpan.FromSeconds(30)),
    };

    /// <summary>Settings that are fine by themselves and do not go together.</summary>
    public static void CheckCombinations(OptionReader reader, AgentOptions options)
    {
        ServiceOptions services = options.Services;
        if (services.Mode != LoadBalancerMode.Snat || services.ModeAnnotation)
            CheckDsr(reader, options);
        if (services.Acceleration != XdpAcceleration.Disabled && !services.ReplaceKubeProxy)
            reader.Problem("bpf-lb-acceleration", "needs kube-proxy-replacement=true: there is nothing to accelerate");
        // Translated connections get their source ports above the node ports.
        if (services.NodePortMax > ushort.MaxValue - FewestNatPorts)
            reader.Problem("node-port-range", $"must leave {FewestNatPorts} ports above it for translated connections");
        if (options.Masquerade.Bpf && !services.ReplaceKubeProxy)
            reader.Problem("enable-bpf-masquerade", "needs kube-proxy-replacement=true");
        if (options.Masquerade.IpMasqAgent && !options.Masquerade.Bpf)
            reader.Problem("enable-ip-masq-agent", "needs enable-bpf-masquerade=true");
        if (services is { HealthCheckLoadBalancerIP: true, HealthCheckNodePort: false })
            reader.Problem("enable-health-check-loadbalancer-ip", "needs enable-health-check-nodeport=true");
        if (services.LocalRedirectPolicies && !services.SocketTranslation)
            reader.Problem("enable-local-redirect-policy", "needs kube-proxy-replacement=true or bpf-lb-sock=true");
        if (options.Maps.DistributedLru && options.Maps.DynamicSizeRatio == 0)
            reader.Problem("bpf-distributed-lru", "needs bpf-map-dynamic-size-ratio above 0");
        // More translations than connections can never be in use; the larger table only costs memory.
        if (options.Maps is { Nat: { } nat, ConntrackTcp: { } tcp, ConntrackAny: { } any } && nat > tcp + any)
            reader.Problem("bpf-nat-global-max", $"{nat} is more than both conntrack sizes together ({tcp} + {any})");
    }

    private static void CheckDsr(OptionReader reader, AgentOptions options)
    {
        string key = options.Services.Mode == LoadBalancerMode.Snat ? "bpf-lb-mode-annotation" : "bpf-lb-mode";
        if (options.Services is { Mode: LoadBalancerMode.Hybrid, ModeAnnotation: true })
            reader.Problem("bpf-lb-mode-annotation", "does not go together with bpf-lb-mode=hybrid");
        // The first packet carries the service's address in an IP option, which a tunnel would have to carry in its own header.
        if (options.RoutingMode != RoutingMode.Native)
            reader.Problem(key, "direct server return needs routing-mode=native");
        reader.Choice("bpf-lb-dsr-dispatch", "opt", "opt");
    }

    private static int MaglevTableSize(OptionReader reader)
    {
        int size = reader.Number("bpf-lb-maglev-table-size", 16381, 1, int.MaxValue);
        if (ServiceOptions.MaglevTableSizes.Contains(size))
            return size;
        reader.Problem("bpf-lb-maglev-table-size", $"{size} is not one of {string.Join(", ", ServiceOptions.MaglevTableSizes)}");
        return 16381;
    }

    private static ImmutableArray<byte> MaglevSeed(OptionReader reader)
    {
        const int SeedBytes = 12;
        if (reader.Text("bpf-lb-maglev-hash-seed") is not { } text)
            return ServiceOptions.DefaultMaglevSeed;
        Span<byte> seed = stackalloc byte[SeedBytes];
        if (Convert.TryFromBase64String(text, seed, out int length) && length == SeedBytes)
            return [.. seed];
        reader.Problem("bpf-lb-maglev-hash-seed", $"must be the base64 form of {SeedBytes} bytes");
        return ServiceOptions.DefaultMaglevSeed;
    }

    private static (ushort Min, ushort Max) PortRange(OptionReader reader, string name, ushort minimum, ushort maximum)
    {
        if (reader.Text(name) is not { } text)
            return (minimum, maximum);
        string[] ends = text.Split([',', '-'], StringSplitOptions.TrimEntries);
        if (ends is [string first, string last]
            && ushort.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out ushort low)
            && ushort.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out ushort high)
            && low > 0 && low < high)
            return (low, high);
        reader.Problem(name, $"'{text}' is not a range of ports such as {minimum},{maximum}");
        return (minimum, maximum);
    }

    private static TimeSpan? Positive(TimeSpan value) => value > TimeSpan.Zero ? value : null;
}
