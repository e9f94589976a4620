// SPDX-License-Identifier: Apache-2.0
using Axoneme.Grpc;
using Axoneme.Hubble.Api;
using Axoneme.Hubble.Filters;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Axoneme.Hubble;

/// <summary>Methods of <c>observer.Observer</c>, for servers and clients.</summary>
public static class ObserverMethods
{
    public static GrpcMethod<GetFlowsRequest, GetFlowsResponse> GetFlows { get; } = Of<GetFlowsRequest, GetFlowsResponse>(nameof(GetFlows));

    public static GrpcMethod<GetAgentEventsRequest, GetAgentEventsResponse> GetAgentEvents { get; }
        = Of<GetAgentEventsRequest, GetAgentEventsResponse>(nameof(GetAgentEvents));

    public static GrpcMethod<GetDebugEventsRequest, GetDebugEventsResponse> GetDebugEvents { get; }
        = Of<GetDebugEventsRequest, GetDebugEventsResponse>(nameof(GetDebugEvents));

    public static GrpcMethod<GetNodesRequest, GetNodesResponse> GetNodes { get; } = Of<GetNodesRequest, GetNodesResponse>(nameof(GetNodes));

    public static GrpcMethod<GetNamespacesRequest, GetNamespacesResponse> GetNamespaces { get; }
        = Of<GetNamespacesRequest, GetNamespacesResponse>(nameof(GetNamespaces));

    public static GrpcMethod<ServerStatusRequest, ServerStatusResponse> ServerStatus { get; }
        = Of<ServerStatusRequest, ServerStatusResponse>(nameof(ServerStatus));

    private static GrpcMethod<TRequest, TResponse> Of<TRequest, TResponse>(string name)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
        => GrpcMethod.Of<TRequest, TResponse>(ObserverReflection.Descriptor.Services[0], name);
}

/// <summary>Answers observer.Observer from a ring.</summary>
internal sealed class ObserverService(HubbleObserver observer)
{
    private readonly HubbleOptions _options = observer.Options;

    public void AddTo(GrpcServerBuilder server)
        => server.Announce(ObserverReflection.Descriptor.Services[0])
            .ServerStream(ObserverMethods.GetFlows, GetFlowsAsync)
            .ServerStream(ObserverMethods.GetAgentEvents, GetAgentEventsAsync)
            .ServerStream(ObserverMethods.GetDebugEvents, GetDebugEventsAsync)
            .Unary(ObserverMethods.GetNodes, (_, call) => Task.FromResult(GetNodes(call)))
            .Unary(ObserverMethods.GetNamespaces, (_, call) => Task.FromResult(GetNamespaces(call)))
            .Unary(ObserverMethods.ServerStatus, (_, call) => Task.FromResult(ServerStatus(call)));

    private async Task GetFlowsAsync(GetFlowsRequest request, GrpcStreamWriter<GetFlowsResponse> responses, GrpcServerCall call)
    {
        var range = RingRange.Of(request.Number, request.First, request.Follow, request.Since, request.Until);
        FlowFilters filters = CompileFilters(request);
        FieldMask? mask = ReadMask(request.FieldMask);
        SetVersion(call);
        await call.StartAsync().ConfigureAwait(false);
        var query = new RingQuery<GetFlowsResponse>(observer, range, Select, Lost);
        await query.RunAsync(responses, call).ConfigureAwait(false);

        GetFlowsResponse? Select(in FlowRecord record, out bool isCounted)
        {
            isCounted = record.IsFlow;
            if (record.Message is LostEvent lost)
                return new GetFlowsResponse { LostEvents = lost, NodeName = _options.AbsoluteNodeName, Time = FlowRenderer.ToTimestamp(record.TimeNs) };
            if (!record.IsFlow)
                return null;
            Flow flow = observer.Renderer.Render(record);
            if (!filters.Matches(flow))
                return null;
            Flow shown = mask is null ? flow : Masked(flow, mask);
            return new GetFlowsResponse { Flow = shown, NodeName = shown.NodeName, Time = shown.Time };
        }
    }

    private Task GetAgentEventsAsync(GetAgentEventsRequest request, GrpcStreamWriter<GetAgentEventsResponse> responses, GrpcServerCall call)
    {
        var range = RingRange.Of(request.Number, request.First, request.Follow, request.Since, request.Until);
        return RunAsync(range, responses, call, Select);

        GetAgentEventsResponse? Select(in FlowRecord record, out bool isCounted)
        {
            isCounted = record.Message is AgentEvent;
            return record.Message is AgentEvent agentEvent
                ? new GetAgentEventsResponse
                {
                    AgentEvent = agentEvent,
                    NodeName = _options.AbsoluteNodeName,
                    Time = FlowRenderer.ToTimestamp(record.TimeNs),
                }
                : null;
        }
    }

    private Task GetDebugEventsAsync(GetDebugEventsRequest request, GrpcStreamWriter<GetDebugEventsResponse> responses, GrpcServerCall call)
    {
        var range = RingRange.Of(request.Number, request.First, request.Follow, request.Since, request.Until);
        return RunAsync(range, responses, call, Select);

        GetDebugEventsResponse? Select(in FlowRecord record, out bool isCounted)
        {
            isCounted = record.Message is DebugEvent;
            return record.Message is DebugEvent debugEvent
                ? new GetDebugEventsResponse
                {
                    DebugEvent = debugEvent,
                    NodeName = _options.AbsoluteNodeName,
                    Time = FlowRenderer.ToTimestamp(record.TimeNs),
                }
                : null;
        }
    }

    private async Task RunAsync<TResponse>(
        RingRange range, GrpcStreamWriter<TResponse> responses, GrpcServerCall call, RecordSelector<TResponse> select)
        where TResponse : class, IMessage<TResponse>
    {
        SetVersion(call);
        await call.StartAsync().ConfigureAwait(false);
        await new RingQuery<TResponse>(observer, range, select, reportLost: null).RunAsync(responses, call).ConfigureAwait(false);
    }

    private GetFlowsResponse Lost(LostEvent lost) => new()
    {
        LostEvents = lost,
        NodeName = _options.AbsoluteNodeName,
        Time = FlowRenderer.ToTimestamp(observer.NowUnixNs()),
    };

    // A server without peers behind it knows one node: itself.
    private GetNodesResponse GetNodes(GrpcServerCall call)
    {
        SetVersion(call);
        ObserverCounters counters = observer.Counters;
        var node = new Node
        {
            Name = _options.AbsoluteNodeName,
            Version = VersionText,
            State = NodeState.NodeConnected,
            UptimeNs = (ulong)counters.Uptime.TotalNanoseconds,
            NumFlows = (ulong)counters.CurrentFlows,
            MaxFlows = (ulong)counters.MaxFlows,
            SeenFlows = (ulong)counters.SeenFlows,
        };
        return new GetNodesResponse { Nodes = { node } };
    }

    private GetNamespacesResponse GetNamespaces(GrpcServerCall call)
    {
        SetVersion(call);
        var response = new GetNamespacesResponse();
        response.Namespaces.Add(observer.Namespaces.Select(n => new Namespace { Cluster = _options.ClusterName, Namespace_ = n }));
        return response;
    }

    private ServerStatusResponse ServerStatus(GrpcServerCall call)
    {
        SetVersion(call);
        ObserverCounters counters = observer.Counters;
        return new ServerStatusResponse
        {
            NumFlows = (ulong)counters.CurrentFlows,
            MaxFlows = (ulong)counters.MaxFlows,
            SeenFlows = (ulong)counters.SeenFlows,
            UptimeNs = (ulong)counters.Uptime.TotalNanoseconds,
            FlowsRate = counters.FlowsPerSecond,
            Version = VersionText,
        };
    }

    private string VersionText => $"cilium v{_options.Version}";

    private void SetVersion(GrpcServerCall call) => call.ResponseHeaders["hubble-server-version"] = _options.Version;

    private static FlowFilters CompileFilters(GetFlowsRequest request)
    {
        try
        {
            return FlowFilters.Compile(request.Whitelist, request.Blacklist);
        }
        catch (FormatException e)
        {
            throw new GrpcException(GrpcStatus.Unknown, e.Message, e);
        }
    }

    private static FieldMask? ReadMask(FieldMask? mask)
    {
        if (mask is null || mask.Paths.Count == 0)
            return null;
        foreach (string path in mask.Paths)
        {
            if (!FieldMask.IsValid<Flow>(path))
                throw new GrpcException(GrpcStatus.Unknown, $"invalid fieldmask: flow.Flow has no field {path}");
        }

        return mask;
    }

    private static Flow Masked(Flow flow, FieldMask mask)
    {
        var shown = new Flow();
        mask.Merge(flow, shown);
        return shown;
    }
}
