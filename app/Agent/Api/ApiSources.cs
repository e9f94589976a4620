// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Dns;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.HostPolicy;
using Axoneme.Agent.Metrics;
using Axoneme.Agent.Nodes;
using Axoneme.Agent.Sockets;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Hubble;
using Axoneme.Ipam;

namespace Axoneme.Agent.Api;

/// <summary>Where the API's answers come from. The API is served from the start, so that people see what the agent waits for.</summary>
internal sealed class ApiSources
{
    private volatile RunningNode? _running;

    public ApiSources(AgentOptions options, IReadOnlyList<string> configWarnings, ControlPlane control, Modules modules)
    {
        Options = options;
        ConfigWarnings = configWarnings;
        Control = control;
        Modules = modules;
        Metrics = new AgentMetrics(this);
    }

    public AgentOptions Options { get; }

    /// <summary>Settings that are unknown or without effect, in words.</summary>
    public IReadOnlyList<string> ConfigWarnings { get; }

    public ControlPlane Control { get; }

    public Modules Modules { get; }

    /// <summary>They read from here what they do not keep themselves.</summary>
    public AgentMetrics Metrics { get; }

    /// <summary>What the agent waits for before pods can be attached, or null when it is ready.</summary>
    public required Func<string?> NotReadyReason { get; init; }

    /// <summary>Set once, when the node's own part is up.</summary>
    public RunningNode? Running
    {
        get => _running;
        set => _running = value;
    }
}

/// <summary>What exists only after the node is known and its datapath is up.</summary>
internal sealed record RunningNode
{
    public required LocalNode Local { get; init; }

    public required EndpointTables Endpoints { get; init; }

    public required NodeIpam Ipam { get; init; }

    /// <summary>Null where the kernel is not programmed, as in tests.</summary>
    public NodeDatapath? Datapath { get; init; }

    public ServiceTarget? Services { get; init; }

    public SocketTermination? Sockets { get; init; }

    public ConntrackCollector? Collector { get; init; }

    public NatStatistics? Nat { get; init; }

    /// <summary>How full the maps are; null where there are none.</summary>
    public MapPressure? MapPressure { get; init; }

    /// <summary>Names and the DNS proxy; null where policies may not mention them, and in tests.</summary>
    public NodeNames? Names { get; init; }

    /// <summary>Null where it is off.</summary>
    public HostFirewall? HostFirewall { get; init; }

    public HubbleObserver? Observer { get; init; }

    public EventSource? Events { get; init; }

    /// <summary>Named like the tables that they keep.</summary>
    public Func<IEnumerable<ReconcilerView>> Reconcilers { get; init; } = static () => [];
}
