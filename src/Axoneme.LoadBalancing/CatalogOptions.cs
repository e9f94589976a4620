// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>How packets from outside are forwarded unless a service says otherwise.</summary>
public enum DefaultForwarding : byte
{
    Snat,
    Dsr,

    /// <summary>TCP as <see cref="Dsr"/>, which costs it an option in one packet; everything else as <see cref="Snat"/>.</summary>
    Hybrid,
}

/// <summary>Settings of the node that decide which frontends there are and what they are like. They do not change while it runs.</summary>
public sealed record CatalogOptions
{
    public required string NodeName { get; init; }

    public bool EnableIPv4 { get; init; } = true;

    public bool EnableIPv6 { get; init; } = true;

    /// <summary>Node ports, host ports, external and load-balancer addresses are served too; without it, cluster addresses alone.</summary>
    public bool ServeOutside { get; init; } = true;

    /// <summary>Services carry this value in the label service.kubernetes.io/service-proxy-name; empty: those without the label.</summary>
    public string ServiceProxyName { get; init; } = "";

    public ushort NodePortMinimum { get; init; } = 30000;

    public ushort NodePortMaximum { get; init; } = 32767;

    public BackendSelection DefaultSelection { get; init; }

    /// <summary>The annotation lb-algorithm counts.</summary>
    public bool SelectionByAnnotation { get; init; }

    public DefaultForwarding DefaultForwarding { get; init; }

    /// <summary>The annotation forwarding-mode counts.</summary>
    public bool ForwardingByAnnotation { get; init; }

    /// <summary>Cluster addresses are reachable from outside, too.</summary>
    public bool ExternalClusterIP { get; init; }

    /// <summary>internalTrafficPolicy counts; otherwise it is Cluster.</summary>
    public bool InternalTrafficPolicy { get; init; } = true;

    /// <summary>loadBalancerSourceRanges count.</summary>
    public bool SourceRanges { get; init; } = true;

    /// <summary>Source ranges count for every type of frontend that is reachable from outside.</summary>
    public bool SourceRangesForAllTypes { get; init; }

    /// <summary>Hints of slices count.</summary>
    public bool ServiceTopology { get; init; }

    /// <summary>The health-check port of a service is served on its load-balancer addresses too.</summary>
    public bool HealthChecksOnLoadBalancers { get; init; }

    public bool LocalRedirectPolicies { get; init; }

    /// <summary>Which addresses a local redirect policy may take; empty: all.</summary>
    public ImmutableArray<IpPrefix> RedirectableAddresses { get; init; } = [];

    internal bool Enables(IpAddress address) => address.IsV6 ? EnableIPv6 : EnableIPv4;
}

/// <summary>What services have to know of the node that they are served on.</summary>
public sealed record NodeFacts
{
    public static NodeFacts None { get; } = new();

    /// <summary>Where node ports and host ports are served.</summary>
    public ImmutableArray<IpAddress> NodePortAddresses { get; init; } = [];

    /// <summary>Every address that belongs to the node itself.</summary>
    public FrozenSet<IpAddress> Addresses { get; init; } = [];

    public FrozenDictionary<string, string> Labels { get; init; } = FrozenDictionary<string, string>.Empty;

    /// <summary>Empty when the node has none.</summary>
    public string Zone => Labels.GetValueOrDefault("topology.kubernetes.io/zone", "");
}

/// <summary>The facts of the node as they are now, for all who compute with them.</summary>
internal sealed class NodeReference
{
    public NodeFacts Facts { get; set; } = NodeFacts.None;
}
