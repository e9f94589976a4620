// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;
using Axoneme.Network;

namespace Axoneme.Hubble.Tests;

public sealed class DecodeTests
{
    private static readonly HubbleOptions Options = new() { NodeName = "node-1", ClusterName = "c1", Version = "1.2.3" };

    [Fact]
    public void Trace_of_a_request_carries_both_pods_and_the_service()
    {
        Flow flow = Decode(new KernelEvent
        {
            Type = MonitorEvent.Trace,
            EndpointId = 7,
            ObservationPoint = (byte)TraceObservationPoint.ToEndpoint,
            TraceReason = (byte)TraceReason.New,
            IsReply = false,
            InterfaceIndex = 14,
            Frontend = new L4Address(IpAddress.Parse("10.96.0.10"), 80, L4Protocol.Tcp),
            Packet = Packets.Frame("10.244.0.5", "10.244.0.6", 6, Packets.Tcp(40112, 8080, 0x12)),
        });
        Assert.Equal(Verdict.Forwarded, flow.Verdict);
        Assert.Equal(("10.244.0.5", "10.244.0.6", IPVersion.Ipv4), (flow.IP.Source, flow.IP.Destination, flow.IP.IpVersion));
        Assert.Equal((40112u, 8080u), (flow.L4.TCP.SourcePort, flow.L4.TCP.DestinationPort));
        Assert.True(flow.L4.TCP.Flags is { SYN: true, ACK: true, FIN: false });
        Assert.Equal("TCP Flags: SYN, ACK", flow.Summary);
        Assert.Equal((7u, 21001u, "shop", "cart-abc"), (flow.Source.ID, flow.Source.Identity, flow.Source.Namespace, flow.Source.PodName));
        Assert.Equal("Deployment", Assert.Single(flow.Source.Workloads).Kind);
        Assert.Equal(["k8s:app=db"], flow.Destination.Labels);
        Assert.Equal(("shop", "db"), (flow.DestinationService.Namespace, flow.DestinationService.Name));
        Assert.Null(flow.SourceService);
        Assert.Equal((TrafficDirection.Egress, false), (flow.TrafficDirection, flow.IsReply));
        Assert.Equal((4, 0), (flow.EventType.Type, flow.EventType.SubType));
        Assert.Equal((TraceObservationPoint.ToEndpoint, TraceReason.New), (flow.TraceObservationPoint, flow.TraceReason));
        Assert.Equal((14u, "lxc1234"), (flow.Interface.Index, flow.Interface.Name));
        Assert.Equal("02:00:00:00:00:01", flow.Ethernet.Source);
        Assert.Equal("c1/node-1", flow.NodeName);
    }

    [Theory]
    [InlineData(7, false, TrafficDirection.Egress)]
    [InlineData(7, true, TrafficDirection.Ingress)]
    [InlineData(8, false, TrafficDirection.Ingress)]
    [InlineData(8, true, TrafficDirection.Egress)]
    [InlineData(0, false, TrafficDirection.Unknown)]
    public void Direction_of_a_trace_is_that_of_the_connection(ushort endpoint, bool isReply, TrafficDirection expected)
        => Assert.Equal(expected, Decode(new KernelEvent
        {
            Type = MonitorEvent.Trace,
            EndpointId = endpoint,
            IsReply = isReply,
            Packet = Packets.Frame("10.244.0.5", "10.244.0.6", 17, Packets.Udp(1, 2)),
        }).TrafficDirection);

    [Fact]
    public void Answer_of_a_service_names_it_on_the_source_side()
    {
        Flow flow = Decode(new KernelEvent
        {
            Type = MonitorEvent.Trace,
            EndpointId = 7,
            IsReply = true,
            Frontend = new L4Address(IpAddress.Parse("10.96.0.10"), 80, L4Protocol.Tcp),
            Packet = Packets.Frame("10.244.0.6", "10.244.0.5", 6, Packets.Tcp(8080, 40112, 0x10)),
        });
        Assert.Equal("db", flow.SourceService.Name);
        Assert.Null(flow.DestinationService);
        Assert.True(flow.IsReply);
    }

    [Fact]
    public void Answer_with_the_address_of_a_node_port_is_in_the_namespace_of_its_sender()
    {
        Flow flow = Decode(new KernelEvent
        {
            Type = MonitorEvent.Trace,
            IsReply = true,
            SourceIdentity = new SecurityIdentity(30001),
            Packet = Packets.Frame("192.0.2.11", "203.0.113.10", 6, Packets.Tcp(30081, 40112, 0x10)),
        });
        Assert.Equal("shop", flow.Source.Namespace);
        Assert.Equal("", flow.Source.PodName);
    }

    [Fact]
    public void Drop_says_why_and_where_and_not_whether_it_was_a_reply()
    {
        Flow flow = Decode(new KernelEvent
        {
            Type = MonitorEvent.Drop,
            EndpointId = 8,
            DropReason = 133,
            SourceFile = 18,
            SourceLine = 42,
            SourceIdentity = SecurityIdentity.World,
            Packet = Packets.Frame("203.0.113.10", "10.244.0.6", 17, Packets.Udp(53, 53)),
        });
        Assert.Equal((Verdict.Dropped, DropReason.PolicyDenied), (flow.Verdict, flow.DropReasonDesc));
        Assert.Equal((1, 133), (flow.EventType.Type, flow.EventType.SubType));
        Assert.Equal(("policy.h", 42u), (flow.File.Name, flow.File.Line));
        Assert.Equal(TrafficDirection.Ingress, flow.TrafficDirection);
        Assert.Null(flow.IsReply);
        Assert.Equal(["reserved:world"], flow.Source.Labels);
        Assert.StartsWith("UDP; default deny in direction ingress", flow.Summary, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(PolicyAction.Allowed, Verdict.Forwarded, true)]
    [InlineData(PolicyAction.Denied, Verdict.Dropped, false)]
    [InlineData(PolicyAction.Redirected, Verdict.Redirected, true)]
    [InlineData(PolicyAction.Audited, Verdict.Audit, true)]
    [InlineData(PolicyAction.WouldDeny, Verdict.Audit, true)]
    [InlineData(PolicyAction.WouldAllow, Verdict.Audit, true)]
    public void Policy_verdict_maps_to_its_verdict(PolicyAction action, Verdict expected, bool knowsReply)
    {
        Flow flow = Decode(new KernelEvent
        {
            Type = MonitorEvent.PolicyVerdict,
            PolicyAction = action,
            IsEgressPolicy = true,
            PolicyMatch = 2,
            PolicyCookie = 5,
            DropReason = 133,
            Packet = Packets.Frame("fd00:244::5", "fd00:244::6", 6, Packets.Tcp(1, 2, 2)),
        });
        Assert.Equal(expected, flow.Verdict);
        Assert.Equal((TrafficDirection.Egress, 2u), (flow.TrafficDirection, flow.PolicyMatchType));
        Assert.Equal(knowsReply ? false : null, flow.IsReply);
        Assert.Equal(action == PolicyAction.Denied ? DropReason.PolicyDenied : DropReason.Unknown, flow.DropReasonDesc);
        Assert.Equal(action is PolicyAction.Allowed or PolicyAction.Redirected or PolicyAction.WouldAllow ? 1 : 0, flow.EgressAllowedBy.Count);
        Assert.Equal(action is PolicyAction.Denied or PolicyAction.Audited or PolicyAction.WouldDeny ? 1 : 0, flow.EgressDeniedBy.Count);
        Assert.Empty(flow.IngressAllowedBy);
    }

    [Fact]
    public void Identity_of_the_datapath_wins_over_the_one_of_the_address()
    {
        Flow flow = Decode(new KernelEvent
        {
            Type = MonitorEvent.Trace,
            SourceIdentity = new SecurityIdentity(30000),
            Packet = Packets.Frame("10.244.0.5", "203.0.113.10", 17, Packets.Udp(1, 2)),
        });
        Assert.Equal(30000u, flow.Source.Identity);
        Assert.Equal(["k8s:app=other"], flow.Source.Labels);
        Assert.Equal("cart-abc", flow.Source.PodName);
        Assert.Equal(["api.example.com"], flow.DestinationNames);
    }

    [Theory]
    [InlineData(1, new byte[] { 8, 0, 0, 0 }, "10.0.0.1", "ICMPv4 EchoRequest")]
    [InlineData(1, new byte[] { 3, 4, 0, 0 }, "10.0.0.1", "ICMPv4 DestinationUnreachable(FragmentationNeeded)")]
    [InlineData(1, new byte[] { 8, 9, 0, 0 }, "10.0.0.1", "ICMPv4 EchoRequest(Code: 9)")]
    [InlineData(1, new byte[] { 77, 3, 0, 0 }, "10.0.0.1", "ICMPv4 77(3)")]
    [InlineData(58, new byte[] { 135, 0, 0, 0 }, "fd00::1", "ICMPv6 NeighborSolicitation")]
    [InlineData(58, new byte[] { 1, 4, 0, 0 }, "fd00::1", "ICMPv6 DestinationUnreachable(PortUnreachable)")]
    [InlineData(132, new byte[] { 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0 }, "10.0.0.1", "SCTP")]
    [InlineData(50, new byte[] { 1, 2, 3, 4 }, "10.0.0.1", "IPv4")]
    [InlineData(2, new byte[] { 0x16, 0, 0, 0, 224, 0, 0, 9 }, "10.0.0.1", "IGMP IGMPv2 Membership Report")]
    [InlineData(112, new byte[] { 0x21, 7, 100, 0, 0, 0, 0, 0 }, "10.0.0.1", "VRRP VRRPv2 Advertisement")]
    public void Summary_names_the_last_header(byte protocol, byte[] payload, string address, string expected)
        => Assert.Equal(expected, Decode(new KernelEvent { Type = MonitorEvent.Trace, Packet = Packets.Frame(address, address, protocol, payload) }).Summary);

    [Fact]
    public void Vlan_tags_extension_headers_and_packets_without_ethernet_are_understood()
    {
        byte[] udp = Packets.Udp(5, 6);
        Flow tagged = Decode(new KernelEvent { Packet = Packets.Ethernet(0x0800, Packets.Ip("10.0.0.1", "10.0.0.2", 17, udp), 5, 6) });
        Assert.Equal(6u, tagged.L4.UDP.DestinationPort);
        byte[] extended = Packets.Ip("fd00::1", "fd00::2", 0, [60, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, .. udp]);
        Assert.Equal(5u, Decode(new KernelEvent { Packet = extended, StartsAtIp = true }).L4.UDP.SourcePort);
        byte[] later = Packets.Ip("fd00::1", "fd00::2", 44, [17, 0, 0, 8, 0, 0, 0, 0, .. udp]);
        Flow fragment = Decode(new KernelEvent { Packet = later, StartsAtIp = true });
        Assert.Null(fragment.L4);
        Assert.Equal("IPv6", fragment.Summary);
    }

    [Fact]
    public void Later_fragment_has_no_ports()
    {
        byte[] packet = Packets.Ip("10.0.0.1", "10.0.0.2", 17, Packets.Udp(5, 6));
        packet[7] = 1;
        Assert.Null(Decode(new KernelEvent { Packet = packet, StartsAtIp = true }).L4);
    }

    [Fact]
    public void Random_and_mutilated_packets_never_fail()
    {
        var random = new Random(1);
        byte[][] seeds =
        [
            Packets.Frame("10.244.0.5", "10.244.0.6", 6, Packets.Tcp(1, 2, 2)),
            Packets.Frame("fd00:244::5", "fd00:244::6", 0, [17, 0, 0, 0, 0, 0, 0, 0, .. Packets.Udp(5, 6)]),
            Packets.Ethernet(0x8100, new byte[30]),
        ];
        for (int i = 0; i < 30_000; i++)
        {
            byte[] packet = (byte[])seeds[i % seeds.Length].Clone();
            for (int m = random.Next(6); m > 0; m--)
                packet[random.Next(packet.Length)] = (byte)random.Next(256);
            if (i % 7 == 0)
                random.NextBytes(packet);
            Flow flow = Decode(new KernelEvent
            {
                Type = (MonitorEvent)random.Next(8),
                EndpointId = (ushort)random.Next(10),
                DropReason = (byte)random.Next(256),
                ObservationPoint = (byte)random.Next(256),
                StartsAtIp = random.Next(2) == 0,
                Packet = packet.AsSpan(0, random.Next(packet.Length + 1)),
            });
            Assert.NotNull(flow.Summary);
        }
    }

    [Fact]
    public void Ingesting_allocates_nothing()
    {
        var observer = new HubbleObserver(Options, new KnownCluster(), TimeProvider.System);
        byte[] packet = Packets.Frame("192.0.2.1", "192.0.2.2", 6, Packets.Tcp(1, 2, 2));
        var quiet = new HubbleObserver(Options, new NothingKnown(), TimeProvider.System);
        Ingest(quiet, packet, 1000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Ingest(quiet, packet, 10_000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(0, observer.Counters.SeenFlows);
    }

    private static void Ingest(HubbleObserver observer, byte[] packet, int times)
    {
        for (int i = 0; i < times; i++)
            observer.Ingest(new KernelEvent { Type = MonitorEvent.Trace, Packet = packet, IsReply = false, EndpointId = 3 });
    }

    private static Flow Decode(in KernelEvent kernel)
    {
        new FlowDecoder(new KnownCluster()).Decode(kernel, out FlowRecord record);
        return new FlowRenderer(Options, Guid.Empty).Render(record);
    }

    private sealed class NothingKnown : IFlowEnrichment
    {
        public FlowEndpoint? FindEndpoint(IpAddress address) => null;

        public LabelSet? FindLabels(SecurityIdentity identity) => null;

        public FlowService? FindService(L4Address frontend) => null;

        public System.Collections.Immutable.ImmutableArray<string> FindNames(ushort endpointId, IpAddress address) => [];

        public FlowAttribution? FindRules(uint cookie) => null;

        public FlowAttribution? FindDefaultDeny(ushort endpointId, bool isEgress, bool isShadow) => null;

        public string? FindInterface(uint index) => null;
    }
}
