// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cli.Hubble;
using Axoneme.Grpc;
using Axoneme.Hubble.Api;
using Axoneme.Network;
using Axoneme.Policy.Explain;
using Google.Protobuf.WellKnownTypes;
using MonitorEvent = Axoneme.Hubble.MonitorEvent;

namespace Axoneme.Cli.Explanations;

/// <summary>Where recorded flows come from: a file, or a Hubble server's memory.</summary>
internal sealed class FlowRecords(TimeProvider time)
{
    private readonly ServerFlags _server = new();
    private readonly List<string> _files = [];
    private TimeSpan? _last;

    public string? Kubeconfig => _server.Kubeconfig;

    public void AddTo(FlagSet flags)
    {
        _server.AddTo(flags);
        flags.Value("flows", _files.Add, "FILE", "flows as \"hubble observe -o json\" or an exporter writes them; - is the standard input; may be repeated")
            .Duration("last", v => _last = v, "without --flows: what the Hubble server has of this time");
    }

    public async Task<FlowHistory> ReadAsync(CancellationToken cancellation)
    {
        if (_files.Count == 0 && _last is null)
            throw new UserErrorException("no flows: give --flows FILE, or --last DURATION to ask the Hubble server");
        var history = new FlowHistory();
        foreach (string file in _files)
        {
            await foreach (GetFlowsResponse response in FlowFile.ReadAsync(file, cancellation).ConfigureAwait(false))
                Add(history, response);
        }

        if (_files.Count == 0)
            await ReadServersAsync(history, cancellation).ConfigureAwait(false);
        if (history.Records == 0)
            throw new UserErrorException("there is no flow in the record");
        return history;
    }

    // A relay has the flows of all nodes; a lab has none, but its nodes are all here.
    private async Task ReadServersAsync(FlowHistory history, CancellationToken cancellation)
    {
        if (!_server.IsAnywhere || RunningLab.Find() is not { } lab)
        {
            await ReadServerAsync(history, _server.Server, cancellation).ConfigureAwait(false);
            return;
        }

        foreach (LabNode node in lab.Nodes)
            await ReadServerAsync(history, node.HubbleAddress, cancellation).ConfigureAwait(false);
    }

    private async Task ReadServerAsync(FlowHistory history, string server, CancellationToken cancellation)
    {
        using GrpcChannel channel = _server.Connect(server);
        var request = new GetFlowsRequest { Since = Timestamp.FromDateTimeOffset(time.GetUtcNow() - _last!.Value) };
        try
        {
            await using var stream = await channel.ServerStreamAsync(Axoneme.Hubble.ObserverMethods.GetFlows, request, cancellation: cancellation).ConfigureAwait(false);
            while (await stream.ReadAsync().ConfigureAwait(false) is { } response)
                Add(history, response);
        }
        catch (GrpcException e)
        {
            throw new UserErrorException(
                $"the Hubble server at {server}: {e.Message}\nRun this on a node or beside a lab, or give --server ADDRESS (of a relay), or the flows themselves with --flows FILE.");
        }
    }

    public static void Add(FlowHistory history, GetFlowsResponse response)
    {
        if (response.LostEvents is { } lost)
            history.AddLost(lost.NumEventsLost);
        if (response.Flow is not { } flow)
            return;
        if (response.NodeName.Length > 0 || flow.NodeName.Length > 0)
            history.Nodes.Add(response.NodeName.Length > 0 ? response.NodeName : flow.NodeName);
        DateTimeOffset? at = (flow.Time ?? response.Time)?.ToDateTimeOffset();
        if (TryRead(flow, out RecordedFlow? recorded, out string reason))
            history.Add(recorded! with { Time = at });
        else
            history.LeaveOut(reason, at);
    }

    private static bool TryRead(Flow flow, out RecordedFlow? recorded, out string reason)
    {
        recorded = null;
        reason = "";
        var type = (MonitorEvent)(flow.EventType?.Type ?? 0);
        if (flow.IsReply == true)
            reason = "replies, which pass without a rule";
        else if (type is MonitorEvent.TraceSock)
            reason = "translations at the socket";
        else if (flow.IP is null || Transport(flow.L4) is not { } transport)
            reason = "without a transport protocol that policy knows";
        else if (flow.Verdict == Verdict.Dropped && type != MonitorEvent.AccessLog && !IsPolicyDrop(flow))
            reason = "dropped for another reason than policy";
        else if (flow.IsReply is null && flow.Verdict != Verdict.Dropped)
            reason = "from before connection tracking, of which the direction is not known";
        else if (IsUnknown(flow.Source) || IsUnknown(flow.Destination))
            reason = "with an end that the recorder did not know";
        else if (IsServiceAddress(flow))
            reason = "to a service's address, before its translation";
        else
            recorded = Record(flow, transport);
        return recorded is not null;
    }

    private static RecordedFlow Record(Flow flow, (L4Protocol Protocol, ushort Source, ushort Destination) transport)
        => new(End(flow.Source, flow.IP.Source, flow.SourceNames), End(flow.Destination, flow.IP.Destination, flow.DestinationNames),
            transport.Protocol, transport.Destination)
        {
            SourcePort = transport.Source,
            Question = flow.L7?.Dns?.Query ?? "",
            Verdict = flow.Verdict switch
            {
                Verdict.Forwarded or Verdict.Redirected => RecordedVerdict.Passed,
                Verdict.Dropped when IsPolicyDrop(flow) => RecordedVerdict.DeniedByPolicy,
                // A refused question: the connection itself passed.
                Verdict.Dropped => RecordedVerdict.Passed,
                _ => RecordedVerdict.Unknown,
            },
        };

    // The identity 0 says nothing, unless labels do.
    private static bool IsUnknown(Endpoint? end) => end is null || (end.Identity == 0 && end.Labels.Count == 0 && end.PodName.Length == 0);

    private static bool IsPolicyDrop(Flow flow) => flow.DropReasonDesc is DropReason.PolicyDenied or DropReason.PolicyDeny;

    // The address of a service is nobody's: the end behind it is not told.
    private static bool IsServiceAddress(Flow flow)
        => flow.DestinationService is not null && flow.Destination is { PodName.Length: 0, Namespace.Length: 0 } end && end.Labels.All(l => l.StartsWith("reserved:world", StringComparison.Ordinal));

    private static RecordedEnd End(Endpoint end, string address, IEnumerable<string> names)
    {
        LabelSet labels = LabelSet.Parse(end.Labels);
        bool isPod = labels.Any(l => l.Source == Label.Kubernetes) || end.PodName.Length > 0;
        return new RecordedEnd(
            isPod ? end.Namespace : "", end.PodName, end.Workloads.Count > 0 ? end.Workloads[0].Name : "",
            IpAddress.TryParse(address, out IpAddress parsed) ? parsed : null, new SecurityIdentity(end.Identity),
            labels.Count > 0 || !SecurityIdentity.ReservedNames.TryGetValue(end.Identity, out string? reserved) ? labels : LabelSet.Reserved(reserved),
            [.. names.Select(n => n.TrimEnd('.')).Distinct().Order(StringComparer.Ordinal)]);
    }

    private static (L4Protocol Protocol, ushort Source, ushort Destination)? Transport(Layer4? l4) => l4?.ProtocolCase switch
    {
        Layer4.ProtocolOneofCase.TCP => (L4Protocol.Tcp, (ushort)l4.TCP.SourcePort, (ushort)l4.TCP.DestinationPort),
        Layer4.ProtocolOneofCase.UDP => (L4Protocol.Udp, (ushort)l4.UDP.SourcePort, (ushort)l4.UDP.DestinationPort),
        Layer4.ProtocolOneofCase.SCTP => (L4Protocol.Sctp, (ushort)l4.SCTP.SourcePort, (ushort)l4.SCTP.DestinationPort),
        Layer4.ProtocolOneofCase.ICMPv4 => (L4Protocol.Icmp, 0, (ushort)l4.ICMPv4.Type),
        Layer4.ProtocolOneofCase.ICMPv6 => (L4Protocol.IcmpV6, 0, (ushort)l4.ICMPv6.Type),
        _ => null,
    };
}
