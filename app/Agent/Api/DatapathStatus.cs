// SPDX-License-Identifier: Apache-2.0
using System.Net.NetworkInformation;
using Axoneme.Agent.Configuration;
using Axoneme.AgentApi;
using Axoneme.Datapath;
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
        ("Metrics", Maps.CiliumMetrics.Spec.Name),
    ];

    public RoutingStatus Routing() => sources.Options.RoutingMode == RoutingMode.Tunnel
        ? new RoutingStatus("Tunnel", "BPF", "vxlan")
        : new RoutingStatus("Native", "BPF");

    public KubeProxyReplacement KubeProxyReplacement()
    {
        IReadOnlyList<string> devices = sources.Running?.Datapath?.Options.Devices ?? sources.Options.Devices;
        bool isOn = sources.Options.Services.SocketTranslation;
        return new KubeProxyReplacement
        {
            Mode = isOn ? "True" : "False",
            Devices = devices,
            DeviceList = isOn ? [.. devices.Select(name => new DeviceAddresses(name, AddressesOf(name)))] : null,
            DirectRoutingDevice = devices.Count > 0 ? devices[0] : null,
            Features = new KubeProxyFeatures
            {
                SocketLb = new FeatureSwitch(isOn),
                SocketLbTracing = new FeatureSwitch(Enabled: false),
                NodePort = new NodePortStatus { Enabled = false, Algorithm = "Random", Acceleration = "None" },
                HostPort = new FeatureSwitch(Enabled: false),
                ExternalIps = new FeatureSwitch(Enabled: false),
                SessionAffinity = new FeatureSwitch(Enabled: false),
                GracefulTermination = new FeatureSwitch(Enabled: true),
                Nat46X64 = new FeatureSwitch(Enabled: false),
            },
        };
    }

    public BpfMapsStatus? MapSizes()
    {
        if (sources.Running?.Datapath is not { } datapath)
            return null;
        uint policy = Maps.CiliumPolicyMaps.Spec.Inner!.MaxEntries;
        return new BpfMapsStatus(
            DynamicSizeRatio: null,
            [
                .. NamedMaps.Select(named => new BpfMapSize(named.Title, datapath.Maps[named.Map].Spec.MaxEntries)),
                new BpfMapSize("Endpoint policy", policy),
            ]);
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
