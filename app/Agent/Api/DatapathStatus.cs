// SPDX-License-Identifier: Apache-2.0
using System.Net.NetworkInformation;
using Axoneme.Agent.Configuration;
using Axoneme.AgentApi;
using Axoneme.Datapath;
using Axoneme.LoadBalancing;
using Maps = Axoneme.Datapath.Abi.Maps;
using RoutingMode = Axoneme.Agent.Configuration.RoutingMode;

namespace Axoneme.Agent.Api;

/// <summary>The status lines about packets: routing, services, and the sizes of maps.</summary>
internal sealed class DatapathStatus(ApiSources sources)
{
    // The names under which people know the maps.
    private static readonly (string Title, string Map)[] NamedMaps =
    [
        ("IPv4 connection tracking", Maps.CiliumCt4Global.Spec.Name),
        ("IPv6 connection tracking", Maps.CiliumCt6Global.Spec.Name),
        ("IPv4 endpoints", Maps.CiliumLxc.Spec.Name),
        ("IPv6 endpoints", Maps.CiliumLxc6.Spec.Name),
        ("IPv4 IP cache", Maps.CiliumIpcacheExact.Spec.Name),
        ("IPv6 IP cache", Maps.CiliumIpcache6Exact.Spec.Name),
        ("IPv4 IP cache (prefixes)", Maps.CiliumIpcacheV2.Spec.Name),
        ("IPv6 IP cache (prefixes)", Maps.CiliumIpcache6V2.Spec.Name),
        ("IPv4 fragments", Maps.CiliumIpv4FragDatagrams.Spec.Name),
        ("IPv6 fragments", Maps.CiliumIpv6FragDatagrams.Spec.Name),
        ("IPv4 service", Maps.CiliumLb4ServicesV2.Spec.Name),
        ("IPv6 service", Maps.CiliumLb6ServicesV2.Spec.Name),
        ("IPv4 service backend", Maps.CiliumLb4BackendsV3.Spec.Name),
        ("IPv6 service backend", Maps.CiliumLb6BackendsV3.Spec.Name),
        ("IPv4 service reverse NAT", Maps.CiliumLb4ReverseNat.Spec.Name),
        ("IPv6 service reverse NAT", Maps.CiliumLb6ReverseNat.Spec.Name),
        ("IPv4 sock reverse NAT", Maps.CiliumLb4ReverseSk.Spec.Name),
        ("IPv6 sock reverse NAT", Maps.CiliumLb6ReverseSk.Spec.Name),
        ("IPv4 NAT", Maps.CiliumSnatV4External.Spec.Name),
        ("IPv6 NAT", Maps.CiliumSnatV6External.Spec.Name),
        ("IPv4 session affinity", Maps.CiliumLb4Affinity.Spec.Name),
        ("IPv6 session affinity", Maps.CiliumLb6Affinity.Spec.Name),
        ("IPv4 source ranges", Maps.CiliumLb4SourceRange.Spec.Name),
        ("IPv6 source ranges", Maps.CiliumLb6SourceRange.Spec.Name),
        ("IPv4 Maglev tables", Maps.CiliumLb4Maglev.Spec.Name),
        ("IPv6 Maglev tables", Maps.CiliumLb6Maglev.Spec.Name),
        ("IPv4 masquerading agent", Maps.CiliumIpmasqV4.Spec.Name),
        ("IPv6 masquerading agent", Maps.CiliumIpmasqV6.Spec.Name),
        ("Metrics", Maps.CiliumMetrics.Spec.Name),
    ];

    public RoutingStatus Routing() => sources.Options.RoutingMode == RoutingMode.Tunnel
        ? new RoutingStatus("Tunnel", "BPF", "vxlan")
        : new RoutingStatus("Native", "BPF");

    public KubeProxyReplacement KubeProxyReplacement()
    {
        IReadOnlyList<string> devices = sources.Running?.Datapath?.Options.Devices ?? sources.Options.Devices;
        ServiceOptions services = sources.Options.Services;
        bool isOn = services.ReplaceKubeProxy;
        return new KubeProxyReplacement
        {
            Mode = isOn ? "True" : "False",
            Devices = devices,
            DeviceList = isOn ? [.. devices.Select(name => new DeviceAddresses(name, AddressesOf(name)))] : null,
            DirectRoutingDevice = services.DirectRoutingDevice ?? (devices.Count > 0 ? devices[0] : null),
            Features = new KubeProxyFeatures
            {
                SocketLb = new FeatureSwitch(services.SocketTranslation),
                SocketLbTracing = new FeatureSwitch(Enabled: false),
                BpfSocketLbHostNamespaceOnly = services.SocketTranslationOfHostOnly,
                NodePort = NodePort(services) with
                {
                    AcceleratedDevices = services.Acceleration == XdpAcceleration.Disabled ? null : sources.Running?.Datapath?.AcceleratedDevices,
                },
                HostPort = new FeatureSwitch(isOn),
                ExternalIps = new FeatureSwitch(isOn),
                SessionAffinity = new FeatureSwitch(Enabled: true),
                GracefulTermination = new FeatureSwitch(Enabled: true),
                Nat46X64 = new FeatureSwitch(Enabled: false),
                Annotations = [.. Annotations(services)],
            },
        };
    }

    /// <summary>Services, host ports and redirect policies that this node cannot serve as they ask for.</summary>
    public IReadOnlyList<ServiceProblem> ServiceProblems()
        => [.. sources.Control.Services.Problems.Snapshot().Values.OrderBy(p => p.About.ToString(), StringComparer.Ordinal)
            .Select(p => new ServiceProblem(p.About.ToString(), p.Texts))
            .Concat((sources.Running?.Services?.FindDisputed() ?? []).Select(backend => new ServiceProblem(
                $"backend {backend.Address}",
                [$"services say different things about its state; {backend.State.ToString().ToLowerInvariant()} counts for all"])))];

    public MasqueradingStatus Masquerading()
    {
        AgentOptions options = sources.Options;
        MasqueradeOptions masquerade = options.Masquerade;
        bool v4 = masquerade is { Bpf: true, IPv4: true } && options.EnableIPv4;
        bool v6 = masquerade is { Bpf: true, IPv6: true } && options.EnableIPv6;
        if (!v4 && !v6)
            return new MasqueradingStatus { Enabled = false };
        return new MasqueradingStatus
        {
            Enabled = true,
            Mode = "BPF",
            EnabledProtocols = new EnabledProtocols(v4, v6),
            IpMasqAgent = masquerade.IpMasqAgent,
            ExclusionV4 = v4 ? options.IPv4NativeRoutingCidr?.ToString() : null,
            ExclusionV6 = v6 ? options.IPv6NativeRoutingCidr?.ToString() : null,
            Devices = sources.Running?.Datapath?.Options.Devices ?? options.Devices,
        };
    }

    public ClockSource Clock()
    {
        bool isJiffies = sources.Running?.Datapath?.Options.ClockJiffies ?? sources.Options.Maps.ClockProbe;
        return isJiffies ? new ClockSource("jiffies", KernelClock.TicksPerSecond()) : new ClockSource("ktime");
    }

    public BpfMapsStatus? MapSizes()
    {
        if (sources.Running?.Datapath is not { } datapath)
            return null;
        double ratio = sources.Options.Maps.DynamicSizeRatio;
        return new BpfMapsStatus(
            DynamicSizeRatio: ratio > 0 ? ratio : null,
            [
                .. NamedMaps.Select(named => new BpfMapSize(named.Title, datapath.Maps[named.Map].Spec.MaxEntries, FillOf(named.Map))),
                new BpfMapSize("Endpoint policy", datapath.Maps.PolicyEntries),
            ]);
    }

    private double? FillOf(string map)
        => sources.Running?.MapPressure?.Current.Where(fill => fill.Map == map).Select(fill => (double?)Math.Round(fill.Ratio, 4)).FirstOrDefault();

    private static NodePortStatus NodePort(ServiceOptions services) => new()
    {
        Enabled = services.ReplaceKubeProxy,
        Mode = services.Mode switch
        {
            LoadBalancerMode.Dsr => "DSR",
            LoadBalancerMode.Hybrid => "Hybrid",
            _ => "SNAT",
        },
        DsrMode = services.Mode == LoadBalancerMode.Snat && !services.ModeAnnotation ? null : "IP Option/Extension",
        Algorithm = services.Algorithm.ToString(),
        LutSize = services.Algorithm == BackendSelection.Maglev || services.AlgorithmAnnotation ? services.MaglevTableSize : null,
        Acceleration = services.Acceleration switch
        {
            XdpAcceleration.Native => "Native",
            XdpAcceleration.BestEffort => "Best-Effort",
            XdpAcceleration.TestingOnly => "Generic",
            _ => "None",
        },
        PortMin = services.NodePortMin,
        PortMax = services.NodePortMax,
    };

    // Of those that have to be allowed, and those that always work.
    private static IEnumerable<string> Annotations(ServiceOptions services)
    {
        if (services.AlgorithmAnnotation)
            yield return "service.cilium.io/lb-algorithm";
        if (services.ModeAnnotation)
            yield return "service.cilium.io/forwarding-mode";
        yield return "service.cilium.io/node";
        yield return "service.cilium.io/node-selector";
        yield return "service.cilium.io/proxy-delegation";
        yield return "service.cilium.io/src-ranges-policy";
        yield return "service.cilium.io/type";
    }

    private static IReadOnlyList<string> AddressesOf(string device)
    {
        try
        {
            NetworkInterface? found = NetworkInterface.GetAllNetworkInterfaces().FirstOrDefault(i => i.Name == device);
            return [.. found?.GetIPProperties().UnicastAddresses.Select(a => WithoutScope(a.Address.ToString())) ?? []];
        }
        catch (NetworkInformationException)
        {
            return [];
        }
    }

    // Link-local addresses come with their device, which the line names anyway.
    private static string WithoutScope(string address) => address.Split('%')[0];
}
