// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Hubble.Api;
using Axoneme.Network;

namespace Axoneme.Hubble;

/// <summary>Turns kernel events into records. Bytes of the packet come from the network: nothing in them makes decoding fail.</summary>
internal sealed class FlowDecoder(IFlowEnrichment enrichment)
{
    private readonly DeniedPackets _denied = new();

    public void Decode(in KernelEvent kernel, out FlowRecord flow)
    {
        PacketHeaders packet = PacketHeaders.Parse(kernel.Packet, kernel.StartsAtIp);
        flow = default;
        flow.Type = kernel.Type;
        flow.SourceNames = flow.DestinationNames = [];
        SetPacket(ref flow, packet);
        flow.SourceIdentity = kernel.SourceIdentity;
        flow.DestinationIdentity = kernel.DestinationIdentity;
        if (packet.HasIp)
            SetEndpoints(ref flow, kernel, packet);
        switch (kernel.Type)
        {
            case MonitorEvent.Drop:
                SetDrop(ref flow, kernel);
                break;
            case MonitorEvent.Trace:
                SetTrace(ref flow, kernel);
                break;
            case MonitorEvent.PolicyVerdict:
                SetVerdict(ref flow, kernel);
                break;
        }
    }

    /// <summary>The flow of a DNS message: an answer is told from the server's side, as its packet would be.</summary>
    public void Decode(DnsExchange exchange, out FlowRecord flow)
    {
        flow = default;
        flow.Dns = exchange;
        flow.TimeNs = exchange.TimeNs;
        flow.Type = MonitorEvent.AccessLog;
        flow.SourceNames = flow.DestinationNames = [];
        (L4Address source, L4Address destination) =
            exchange.IsResponse ? (exchange.Server, exchange.Client) : (exchange.Client, exchange.Server);
        flow.Layer = exchange.Client.Protocol == L4Protocol.Tcp ? PacketLayer.Tcp : PacketLayer.Udp;
        flow.IsV6 = source.Address.IsV6;
        (flow.SourceAddress, flow.SourcePort) = (source.Address.Number, source.Port);
        (flow.DestinationAddress, flow.DestinationPort) = (destination.Address.Number, destination.Port);
        flow.Source = enrichment.FindEndpoint(source.Address);
        flow.Destination = enrichment.FindEndpoint(destination.Address);
        (exchange.IsResponse ? ref flow.SourceIdentity : ref flow.DestinationIdentity) = exchange.ServerIdentity;
        flow.SourceLabels = Labels(flow.Source, ref flow.SourceIdentity);
        flow.DestinationLabels = Labels(flow.Destination, ref flow.DestinationIdentity);
        flow.SourceService = enrichment.FindService(source);
        flow.DestinationService = enrichment.FindService(destination);
        flow.IsReplyKnown = true;
        flow.IsReply = exchange.IsResponse;
        flow.Direction = TrafficDirection.Egress;
        flow.Verdict = exchange.Verdict switch
        {
            DnsVerdict.Forwarded => Verdict.Forwarded,
            DnsVerdict.Denied => Verdict.Dropped,
            _ => Verdict.Error,
        };
    }

    private static void SetPacket(ref FlowRecord flow, in PacketHeaders packet)
    {
        flow.Layer = packet.Layer;
        flow.HasEthernet = packet.HasEthernet;
        flow.SourceMac = packet.SourceMac;
        flow.DestinationMac = packet.DestinationMac;
        flow.IsV6 = packet.Source.IsV6;
        flow.SourceAddress = packet.Source.Number;
        flow.DestinationAddress = packet.Destination.Number;
        flow.SourcePort = packet.SourcePort;
        flow.DestinationPort = packet.DestinationPort;
        flow.TcpFlags = packet.TcpFlags;
        flow.IcmpType = packet.Type;
        flow.IcmpCode = packet.Code;
    }

    private void SetEndpoints(ref FlowRecord flow, in KernelEvent kernel, in PacketHeaders packet)
    {
        flow.Source = enrichment.FindEndpoint(packet.Source);
        flow.Destination = enrichment.FindEndpoint(packet.Destination);
        flow.SourceLabels = Labels(flow.Source, ref flow.SourceIdentity);
        flow.DestinationLabels = Labels(flow.Destination, ref flow.DestinationIdentity);
        // A name is known to the endpoint that asked for it, which is the other side of the address.
        if (flow.Source is { Id: > 0 } source)
            flow.DestinationNames = enrichment.FindNames(source.Id, packet.Destination);
        if (flow.Destination is { Id: > 0 } destination)
            flow.SourceNames = enrichment.FindNames(destination.Id, packet.Source);
        if (packet.Layer is not (PacketLayer.Tcp or PacketLayer.Udp or PacketLayer.Sctp))
            return;
        var protocol = (L4Protocol)packet.Protocol;
        bool isReply = kernel.IsReply == true;
        L4Address? frontend = kernel.Frontend;
        flow.SourceService = enrichment.FindService(
            isReply && frontend is { } answered ? answered with { Protocol = protocol } : new L4Address(packet.Source, packet.SourcePort, protocol));
        flow.DestinationService = enrichment.FindService(
            !isReply && frontend is { } asked ? asked with { Protocol = protocol } : new L4Address(packet.Destination, packet.DestinationPort, protocol));
    }

    // What the datapath saw wins over what user space thinks now, unless the datapath did not know.
    private LabelSet? Labels(FlowEndpoint? endpoint, ref SecurityIdentity identity)
    {
        if (endpoint is null)
            return enrichment.FindLabels(identity);
        if (identity == SecurityIdentity.Unknown)
            identity = endpoint.Identity;
        return identity == endpoint.Identity ? endpoint.Labels : enrichment.FindLabels(identity);
    }

    private void SetDrop(ref FlowRecord flow, in KernelEvent kernel)
    {
        flow.Verdict = Verdict.Dropped;
        flow.DropReason = kernel.DropReason;
        flow.SourceFile = kernel.SourceFile;
        flow.SourceLine = kernel.SourceLine;
        if (kernel.EndpointId != 0)
            flow.Direction = flow.Source?.Id == kernel.EndpointId ? TrafficDirection.Egress : TrafficDirection.Ingress;
        if (_denied.TryExplain(ref flow, kernel.TimestampNs) || flow.DropReason != (byte)DropReason.PolicyDenied || kernel.EndpointId == 0)
            return;
        // The verdict was lost, or verdicts are not reported: what no rule matched explains itself.
        flow.Attribution = enrichment.FindDefaultDeny(kernel.EndpointId, flow.Direction == TrafficDirection.Egress, isShadow: false);
    }

    private void SetTrace(ref FlowRecord flow, in KernelEvent kernel)
    {
        flow.Verdict = Verdict.Forwarded;
        flow.ObservationPoint = kernel.ObservationPoint;
        flow.TraceReason = kernel.TraceReason;
        flow.ProxyPort = kernel.ObservationPoint == (byte)TraceObservationPoint.ToProxy ? kernel.ProxyPort : (ushort)0;
        flow.InterfaceIndex = kernel.InterfaceIndex;
        if (kernel.InterfaceIndex != 0)
            flow.InterfaceName = enrichment.FindInterface(kernel.InterfaceIndex);
        if (kernel.IsReply is not { } isReply)
            return;
        flow.IsReplyKnown = true;
        flow.IsReply = isReply;
        // The direction is that of the connection as the endpoint sees it: an answer to its request still belongs to egress.
        if (kernel.EndpointId != 0)
        {
            bool isSource = flow.Source?.Id == kernel.EndpointId;
            flow.Direction = isSource != isReply ? TrafficDirection.Egress : TrafficDirection.Ingress;
        }
    }

    private void SetVerdict(ref FlowRecord flow, in KernelEvent kernel)
    {
        bool isDenied = kernel.PolicyAction == PolicyAction.Denied;
        flow.Verdict = kernel.PolicyAction switch
        {
            PolicyAction.Denied => Verdict.Dropped,
            PolicyAction.Redirected => Verdict.Redirected,
            PolicyAction.Audited or PolicyAction.WouldDeny or PolicyAction.WouldAllow => Verdict.Audit,
            _ => Verdict.Forwarded,
        };
        flow.Hypothesis = kernel.PolicyAction switch
        {
            PolicyAction.Audited => VerdictHypothesis.Audit,
            PolicyAction.WouldDeny => VerdictHypothesis.WouldDeny,
            PolicyAction.WouldAllow => VerdictHypothesis.WouldAllow,
            _ => VerdictHypothesis.None,
        };
        flow.Direction = kernel.IsEgressPolicy ? TrafficDirection.Egress : TrafficDirection.Ingress;
        flow.PolicyMatch = kernel.PolicyMatch;
        flow.DropReason = isDenied ? kernel.DropReason : (byte)0;
        flow.WasEstablished = kernel.TraceReason == (byte)TraceReason.Established;
        // Verdicts are about the packet that opens a connection, hence never about a reply.
        flow.IsReplyKnown = !isDenied;
        flow.Attribution = Attribution(kernel);
        if (isDenied)
            _denied.Note(flow, kernel.TimestampNs);
    }

    // Entries without a cookie were asked for by no policy. Without an entry nothing matched, which only a closed direction does not let pass.
    private FlowAttribution? Attribution(in KernelEvent kernel)
    {
        if (kernel.PolicyCookie != 0)
            return enrichment.FindRules(kernel.PolicyCookie);
        bool isRefusal = kernel.PolicyAction is PolicyAction.Denied or PolicyAction.Audited or PolicyAction.WouldDeny;
        if (!isRefusal || (kernel.PolicyAction == PolicyAction.Denied && kernel.DropReason != (byte)DropReason.PolicyDenied))
            return null;
        return enrichment.FindDefaultDeny(kernel.EndpointId, kernel.IsEgressPolicy, isShadow: kernel.PolicyAction == PolicyAction.WouldDeny);
    }
}
