// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Nodes;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;

namespace Axoneme.Agent;

/// <summary>From the agent's settings and the node's addresses to those of the datapath.</summary>
internal static class DatapathSettings
{
    public static DatapathOptions For(AgentOptions options, LocalNode node) => new()
    {
        BpfRoot = options.BpfRoot,
        CgroupRoot = options.CgroupRoot,
        Devices = options.Devices,
        RoutingMode = options.RoutingMode == Configuration.RoutingMode.Native ? Datapath.RoutingMode.Native : Datapath.RoutingMode.Vxlan,
        TunnelPort = options.TunnelPort,
        EnableIPv4 = options.EnableIPv4,
        EnableIPv6 = options.EnableIPv6,
        Mtu = options.Mtu,
        SocketLoadBalancing = options.Services.SocketTranslation,
        PacketLoadBalancing = !options.Services.SocketTranslation || options.Services.SocketTranslationOfHostOnly,
        AutoDirectNodeRoutes = options.AutoDirectNodeRoutes,
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
        ConntrackTimeouts = options.ConntrackTimeouts,
        RouterIPv4 = node.IPv4Router,
        RouterIPv6 = node.IPv6Router,
        MapSizes = Sizes(options),
    };

    // One map for all protocols: what upstream divides between TCP and the rest.
    private static ImmutableDictionary<string, uint> Sizes(AgentOptions options)
    {
        uint connections = (uint)((options.Maps.ConntrackTcp ?? 524288) + (options.Maps.ConntrackAny ?? 262144));
        var services = (uint)options.Maps.LoadBalancer;
        return new Dictionary<string, uint>
        {
            [Maps.CiliumCt4Global.Spec.Name] = connections,
            [Maps.CiliumCt6Global.Spec.Name] = connections,
            [Maps.CiliumLb4ServicesV2.Spec.Name] = services,
            [Maps.CiliumLb6ServicesV2.Spec.Name] = services,
            [Maps.CiliumLb4BackendsV3.Spec.Name] = services,
            [Maps.CiliumLb6BackendsV3.Spec.Name] = services,
        }.ToImmutableDictionary();
    }
}
