// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Hubble.Api;
using Axoneme.Network;
using Google.Protobuf.WellKnownTypes;

namespace Axoneme.Hubble;

/// <summary>Writes a record out as the message that clients know.</summary>
internal sealed class FlowRenderer(HubbleOptions options, Guid instance)
{
    private const string NamespaceLabel = "io.kubernetes.pod.namespace";

    // The message has no field for rules, and its labels are free.
    private const string RuleLabel = "axoneme:rule";

    private readonly string _nodeName = options.AbsoluteNodeName;

    public Flow Render(in FlowRecord record)
    {
        var flow = new Flow
        {
            Time = ToTimestamp(record.TimeNs),
            Uuid = Uuid(record.Number),
            Emitter = new Emitter { Name = "Hubble", Version = options.Version },
            Verdict = record.Verdict,
            Type = record.Dns is null ? FlowType.L3L4 : FlowType.L7,
            NodeName = _nodeName,
            TrafficDirection = record.Direction,
            EventType = new CiliumEventType { Type = (int)record.Type, SubType = SubType(record) },
            Summary = Summary(record),
            ProxyPort = record.ProxyPort,
            PolicyMatchType = record.PolicyMatch,
        };
        flow.NodeLabels.Add(options.NodeLabels);
        if (record.HasEthernet)
            flow.Ethernet = new Ethernet { Source = Mac(record.SourceMac), Destination = Mac(record.DestinationMac) };
        if (record.HasIp)
            SetNetwork(flow, record);
        if (record.Dns is { } exchange)
            flow.L7 = DnsFlow.Render(exchange);
        SetReason(flow, record);
        if (record.IsReplyKnown)
            SetReply(flow, record.IsReply);
        if (record.InterfaceIndex != 0)
            flow.Interface = new NetworkInterface { Index = record.InterfaceIndex, Name = record.InterfaceName ?? "" };
        SetPolicies(flow, record);
        return flow;
    }

    public static Timestamp ToTimestamp(long unixNs)
    {
        (long seconds, long nanos) = Math.DivRem(unixNs, 1_000_000_000);
        return new Timestamp { Seconds = seconds, Nanos = (int)nanos };
    }

    public static long ToUnixNs(Timestamp time) => (time.Seconds * 1_000_000_000) + time.Nanos;

    // Unique without asking for randomness per flow: the start of the server, then the number of the flow (RFC 9562, version 8).
    private string Uuid(long number)
    {
        Span<byte> bytes = stackalloc byte[16];
        instance.TryWriteBytes(bytes, bigEndian: true, out _);
        System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(bytes[8..], number);
        bytes[6] = (byte)((bytes[6] & 0x0f) | 0x80);
        bytes[8] = (byte)((bytes[8] & 0x3f) | 0x80);
        return new Guid(bytes, bigEndian: true).ToString();
    }

    private static int SubType(in FlowRecord record) => record.Type switch
    {
        MonitorEvent.Drop => record.DropReason,
        // On the wire of the events, delivery to an endpoint is point 0.
        MonitorEvent.Trace => record.ObservationPoint == (byte)TraceObservationPoint.ToEndpoint ? 0 : record.ObservationPoint,
        _ => 0,
    };

    private void SetNetwork(Flow flow, in FlowRecord record)
    {
        flow.IP = new IP
        {
            Source = record.SourceIp.ToString(),
            Destination = record.DestinationIp.ToString(),
            IpVersion = record.IsV6 ? IPVersion.Ipv6 : IPVersion.Ipv4,
        };
        flow.L4 = Transport(record);
        flow.Source = Side(record.Source, record.SourceIdentity, record.SourceLabels);
        flow.Destination = Side(record.Destination, record.DestinationIdentity, record.DestinationLabels);
        flow.SourceNames.Add(record.SourceNames);
        flow.DestinationNames.Add(record.DestinationNames);
        flow.SourceService = ToService(record.SourceService);
        flow.DestinationService = ToService(record.DestinationService);
    }

    private Endpoint Side(FlowEndpoint? known, SecurityIdentity identity, LabelSet? labels)
    {
        var side = new Endpoint { Identity = identity.Value };
        if (labels is not null)
            side.Labels.Add(labels.Select(l => l.ToString()));
        // A reply has the address of the service that it comes through, which is not its sender's: the identity still says whose it is.
        side.Namespace = known is { Namespace.Length: > 0 } ? known.Namespace : labels?.Find(Label.Kubernetes, NamespaceLabel) ?? "";
        if (known is null)
            return side;
        side.ID = known.Id;
        side.PodName = known.PodName;
        side.ClusterName = known.ClusterName.Length > 0 ? known.ClusterName : known.PodName.Length > 0 ? options.ClusterName : "";
        foreach (FlowWorkload workload in known.Workloads)
            side.Workloads.Add(new Workload { Kind = workload.Kind, Name = workload.Name });
        return side;
    }

    private static Service? ToService(FlowService? service)
        => service is null ? null : new Service { Name = service.Name, Namespace = service.Namespace };

    private static Layer4? Transport(in FlowRecord record) => record.Layer switch
    {
        PacketLayer.Tcp when record.Dns is not null => new Layer4 { TCP = new TCP { SourcePort = record.SourcePort, DestinationPort = record.DestinationPort } },
        PacketLayer.Tcp => new Layer4 { TCP = new TCP { SourcePort = record.SourcePort, DestinationPort = record.DestinationPort, Flags = Flags(record.TcpFlags) } },
        PacketLayer.Udp => new Layer4 { UDP = new UDP { SourcePort = record.SourcePort, DestinationPort = record.DestinationPort } },
        PacketLayer.Sctp => new Layer4 { SCTP = new SCTP { SourcePort = record.SourcePort, DestinationPort = record.DestinationPort } },
        PacketLayer.IcmpV4 => new Layer4 { ICMPv4 = new ICMPv4 { Type = record.IcmpType, Code = record.IcmpCode } },
        PacketLayer.IcmpV6 => new Layer4 { ICMPv6 = new ICMPv6 { Type = record.IcmpType, Code = record.IcmpCode } },
        PacketLayer.Igmp => new Layer4
        {
            IGMP = new IGMP
            {
                Type = record.IcmpType,
                GroupAddress = IpAddress.FromV4(((uint)record.SourcePort << 16) | record.DestinationPort).ToString(),
            },
        },
        PacketLayer.Vrrp => new Layer4 { VRRP = new VRRP { Type = record.SourcePort, Vrid = record.IcmpType, Priority = record.IcmpCode } },
        _ => null,
    };

    private static TCPFlags Flags(int bits) => new()
    {
        FIN = (bits & 0x001) != 0,
        SYN = (bits & 0x002) != 0,
        RST = (bits & 0x004) != 0,
        PSH = (bits & 0x008) != 0,
        ACK = (bits & 0x010) != 0,
        URG = (bits & 0x020) != 0,
        ECE = (bits & 0x040) != 0,
        CWR = (bits & 0x080) != 0,
        NS = (bits & 0x100) != 0,
    };

    private static void SetReason(Flow flow, in FlowRecord record)
    {
        if (record.Type == MonitorEvent.Trace)
        {
            flow.TraceObservationPoint = (TraceObservationPoint)record.ObservationPoint;
            flow.TraceReason = (TraceReason)record.TraceReason;
        }

        if (record.Verdict != Verdict.Dropped || record.Dns is not null)
            return;
        flow.DropReason = record.DropReason;
        flow.DropReasonDesc = (DropReason)record.DropReason;
        if (record.Type == MonitorEvent.Drop)
            flow.File = new Api.FileInfo { Name = SourceFiles.NameOf(record.SourceFile), Line = record.SourceLine };
    }

    private static void SetReply(Flow flow, bool isReply)
    {
        flow.IsReply = isReply;
        flow.Reply = isReply;
    }

    private static string Summary(in FlowRecord record)
    {
        string packet = FlowSummary.Of(record);
        string sentence = VerdictSentence.Of(record);
        return sentence.Length == 0 ? packet : $"{packet}; {sentence}";
    }

    // What would be denied is under "denied" too: the verdict says that it was not.
    private static void SetPolicies(Flow flow, in FlowRecord record)
    {
        if (record.Attribution is not { } attribution)
            return;
        bool isEgress = record.Direction == TrafficDirection.Egress;
        bool isDenial = record.Verdict == Verdict.Dropped || record.Hypothesis is VerdictHypothesis.Audit or VerdictHypothesis.WouldDeny;
        Google.Protobuf.Collections.RepeatedField<Policy> target = isDenial
            ? (isEgress ? flow.EgressDeniedBy : flow.IngressDeniedBy)
            : (isEgress ? flow.EgressAllowedBy : flow.IngressAllowedBy);
        foreach (FlowPolicy policy in attribution.Policies)
        {
            var message = new Policy { Name = policy.Name, Namespace = policy.Namespace, Kind = policy.Kind, Revision = policy.Revision };
            message.Labels.Add(policy.Labels);
            message.Labels.Add(policy.Rules.Select(rule => $"{RuleLabel}={rule}"));
            target.Add(message);
        }

        flow.PolicyLog.Add(attribution.Logs);
    }

    private static string Mac(ulong address)
        => string.Create(17, address, static (text, value) =>
        {
            for (int i = 0; i < 6; i++)
            {
                ((byte)(value >> (8 * (5 - i)))).TryFormat(text[(i * 3)..], out _, "x2");
                if (i < 5)
                    text[(i * 3) + 2] = ':';
            }
        });
}
