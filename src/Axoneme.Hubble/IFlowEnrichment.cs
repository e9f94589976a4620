// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Net;
using Axoneme.Network;

namespace Axoneme.Hubble;

/// <summary>
/// What the agent knows about the numbers in an event. Called once per event on the decoding thread, so an answer must cost a lookup
/// and no more; hand out shared instances, because the ring of flows keeps references to them.
/// </summary>
public interface IFlowEnrichment
{
    /// <summary>The endpoint, node or known prefix behind an address; null when nothing is known.</summary>
    FlowEndpoint? FindEndpoint(IpAddress address);

    /// <summary>Labels of an identity; null when it is unknown here.</summary>
    LabelSet? FindLabels(SecurityIdentity identity);

    /// <summary>The service with this frontend; null when there is none.</summary>
    FlowService? FindService(L4Address frontend);

    /// <summary>DNS names through which the endpoint learned of the address, without the trailing dot.</summary>
    ImmutableArray<string> FindNames(ushort endpointId, IpAddress address);

    /// <summary>The rules behind a verdict's cookie; null when the cookie is not (or no longer) known.</summary>
    FlowAttribution? FindRules(uint cookie);

    /// <summary>Why the endpoint refuses what no rule allows; null when the endpoint is unknown or open in the direction.</summary>
    /// <param name="endpointId">Of this node.</param>
    /// <param name="isEgress">Of the endpoint.</param>
    /// <param name="isShadow">Rules that are not enforced count too.</param>
    FlowAttribution? FindDefaultDeny(ushort endpointId, bool isEgress, bool isShadow);

    /// <summary>Name of a network device; null when it is unknown.</summary>
    string? FindInterface(uint index);
}

/// <summary>One side of a flow. <see cref="Id"/> is the endpoint's number on this node, 0 for everything else.</summary>
public sealed record FlowEndpoint(ushort Id, SecurityIdentity Identity, LabelSet Labels)
{
    public string ClusterName { get; init; } = "";

    public string Namespace { get; init; } = "";

    public string PodName { get; init; } = "";

    public ImmutableArray<FlowWorkload> Workloads { get; init; } = [];
}

/// <summary>What made a pod: <c>Deployment</c> and its name.</summary>
public sealed record FlowWorkload(string Kind, string Name);

public sealed record FlowService(string Namespace, string Name);

/// <summary>What a Hubble server says about itself.</summary>
public sealed record HubbleOptions
{
    public string ClusterName { get; init; } = "default";

    public required string NodeName { get; init; }

    public IReadOnlyList<string> NodeLabels { get; init; } = [];

    /// <summary>Semantic version without a leading v.</summary>
    public required string Version { get; init; }

    /// <summary>Flows that the ring keeps: 2^n - 1, between 1 and 65535.</summary>
    public int Capacity { get; init; } = 4095;

    /// <summary>A reader that was overtaken, or a full queue, is reported at most this often.</summary>
    public TimeSpan LostEventInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The form of the node's name in flows.</summary>
    public string AbsoluteNodeName => $"{ClusterName}/{NodeName}";

    /// <summary>User errors in these settings; empty when they are usable.</summary>
    public IEnumerable<string> Validate()
    {
        if (Capacity is < 1 or > 65535 || !System.Numerics.BitOperations.IsPow2(Capacity + 1))
            yield return $"hubble-event-buffer-capacity: {Capacity} is not one less than a power of two between 1 and 65535";
    }
}

/// <summary>Another Hubble server of the cluster.</summary>
public sealed record HubblePeer(string Name, IPAddress Address, int Port, string? TlsServerName = null);
