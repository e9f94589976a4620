// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.HostPolicy;
using Axoneme.Agent.Nodes;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.LoadBalancing;

namespace Axoneme.Agent;

/// <summary>From the agent's settings and the node's addresses to those of the datapath.</summary>
internal static class DatapathSettings
{
    public static DatapathOptions For(AgentOptions options, LocalNode node, HostEndpoint host) => new()
    {
        HostEndpoint = options.HostFirewall.Enabled ? host.Id : (ushort)0,
        BpfRoot = options.BpfRoot,
        CgroupRoot = options.CgroupRoot,
        // The first one carries direct routes.
        Devices = options.Services.DirectRoutingDevice is { } direct ? [direct, .. options.Devices.Where(name => name != direct)] : options.Devices,
        RoutingMode = options.RoutingMode == Configuration.RoutingMode.Native ? Datapath.RoutingMode.Native : Datapath.RoutingMode.Vxlan,
        TunnelPort = options.TunnelPort,
        EnableIPv4 = options.EnableIPv4,
        EnableIPv6 = options.EnableIPv6,
        Mtu = options.Mtu,
        SocketLoadBalancing = options.Services.SocketTranslation,
        PacketLoadBalancing = !options.Services.SocketTranslation || options.Services.SocketTranslationOfHostOnly,
        AutoDirectNodeRoutes = options.AutoDirectNodeRoutes,
        ClusterId = options.Numbering.ClusterId,
        ClusterIdentityBits = options.Numbering.Bits,
        MonitorAggregation = options.MonitorAggregationLevel switch
        {
            0 => TraceAggregation.EveryPacket,
            1 or 2 => TraceAggregation.EveryDelivery,
            _ => TraceAggregation.Connections,
        },
        TraceInterval = options.MonitorAggregationInterval,
        TraceEvents = options.TraceEvents,
        DropEvents = options.DropEvents,
        PolicyVerdictEvents = options.PolicyVerdictEvents,
        VerifySourceAddress = options.VerifySourceAddress,
        PolicyDenyIcmp = options.Policies.DenyByIcmp,
        ConntrackTimeouts = options.ConntrackTimeouts,
        RouterIPv4 = node.IPv4Router,
        RouterIPv6 = node.IPv6Router,
        NodeAddresses = [.. node.NodeAddresses],
        Services = Forwarding(options.Services),
        Masquerade = new Masquerading
        {
            IPv4 = options.Masquerade is { Bpf: true, IPv4: true },
            IPv6 = options.Masquerade is { Bpf: true, IPv6: true },
            NativeCidr4 = options.IPv4NativeRoutingCidr,
            NativeCidr6 = options.IPv6NativeRoutingCidr,
            Exceptions = options.Masquerade.IpMasqAgent,
        },
        SocketsOfHostOnly = options.Services.SocketTranslationOfHostOnly,
        NodePortBindProtection = options.Services.ReplaceKubeProxy && options.Services.NodePortBindProtection,
        ExternalIpsOfNodeOnly = options.Services.ExternalIpMitigation,
        ClockJiffies = options.Maps.ClockProbe,
        DistributedLru = options.Maps.DistributedLru,
        MapSizes = Sizes(options.Maps).Sizes(MapSizing.ReadTotalMemory()),
    };

    private static ServiceForwarding Forwarding(ServiceOptions services) => new()
    {
        NodePorts = services.ReplaceKubeProxy,
        DirectServerReturn = services.ReplaceKubeProxy && (services.Mode != LoadBalancerMode.Snat || services.ModeAnnotation),
        Acceleration = services.Acceleration switch
        {
            XdpAcceleration.Native => AccelerationMode.Native,
            XdpAcceleration.BestEffort => AccelerationMode.BestEffort,
            XdpAcceleration.TestingOnly => AccelerationMode.Generic,
            _ => AccelerationMode.None,
        },
        Maglev = services.Algorithm == BackendSelection.Maglev || services.AlgorithmAnnotation,
        MaglevSlots = (uint)services.MaglevTableSize,
        // The other bytes go into the tables.
        MaglevSeed = BinaryPrimitives.ReadUInt32BigEndian(services.MaglevSeed.AsSpan()),
        NodePortMin = services.NodePortMin,
        NodePortMax = services.NodePortMax,
        RejectWithoutBackend = services.RejectWithoutBackend,
        ClaimWithoutBackend = services.ClaimWithoutBackend,
        ProtectNodePorts = services.ReplaceKubeProxy && services.ProtectNodePortRange,
    };

    private static MapSizing Sizes(MapOptions maps) => new()
    {
        DynamicSizeRatio = maps.DynamicSizeRatio,
        ConntrackTcp = maps.ConntrackTcp,
        ConntrackAny = maps.ConntrackAny,
        Nat = maps.Nat,
        SocketReverse = maps.SocketReverse,
        LoadBalancer = maps.LoadBalancer,
        Services = maps.Services,
        Backends = maps.Backends,
        ReverseNat = maps.ReverseNat,
        Affinity = maps.Affinity,
        SourceRanges = maps.SourceRanges,
        Maglev = maps.Maglev,
        Policy = maps.Policy,
    };
}
