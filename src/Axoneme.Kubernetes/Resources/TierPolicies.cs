// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

/// <summary>policy.networking.k8s.io/v1alpha2: rules before (tier Admin) or behind (tier Baseline) those of network policies.</summary>
public sealed record ClusterNetworkPolicy : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.ClusterNetworkPolicies;

    public ClusterNetworkPolicySpec Spec { get => field ?? new(); init; }

    public TierPolicyStatus? Status { get; init; }
}

public sealed record ClusterNetworkPolicySpec : PolicyElement
{
    /// <summary>Admin or Baseline.</summary>
    public string? Tier { get; init; }

    /// <summary>0 to 1000; smaller comes first.</summary>
    public int? Priority { get; init; }

    public TierSubject? Subject { get; init; }

    public IReadOnlyList<ClusterNetworkPolicyRule>? Ingress { get; init; }

    public IReadOnlyList<ClusterNetworkPolicyRule>? Egress { get; init; }
}

/// <summary>Earlier rules come before later ones.</summary>
public sealed record ClusterNetworkPolicyRule : PolicyElement
{
    public string? Name { get; init; }

    /// <summary>Accept, Deny or Pass.</summary>
    public string? Action { get; init; }

    /// <summary>Of ingress rules.</summary>
    public IReadOnlyList<TierPeer>? From { get; init; }

    /// <summary>Of egress rules.</summary>
    public IReadOnlyList<TierPeer>? To { get; init; }

    /// <summary>Null: every protocol.</summary>
    public IReadOnlyList<TierProtocol>? Protocols { get; init; }
}

/// <summary>Exactly one of the fields.</summary>
public sealed record TierProtocol : PolicyElement
{
    public TierProtocolPorts? Tcp { get; init; }

    public TierProtocolPorts? Udp { get; init; }

    public TierProtocolPorts? Sctp { get; init; }

    public string? DestinationNamedPort { get; init; }
}

public sealed record TierProtocolPorts : PolicyElement
{
    /// <summary>Null: every port.</summary>
    public TierPort? DestinationPort { get; init; }
}

/// <summary>Exactly one of the fields.</summary>
public sealed record TierPort : PolicyElement
{
    public int? Number { get; init; }

    public TierPortRange? Range { get; init; }
}

/// <summary>Both ends are included. The protocol is for the older kinds only.</summary>
public sealed record TierPortRange
{
    public string? Protocol { get; init; }

    public int Start { get; init; }

    public int End { get; init; }
}

/// <summary>Exactly one of the fields.</summary>
public sealed record TierSubject : PolicyElement
{
    public LabelSelector? Namespaces { get; init; }

    public TierPods? Pods { get; init; }
}

public sealed record TierPods
{
    /// <summary>Empty: all namespaces.</summary>
    public LabelSelector NamespaceSelector { get => field ?? LabelSelector.Everything; init; }

    /// <summary>Empty: all pods.</summary>
    public LabelSelector PodSelector { get => field ?? LabelSelector.Everything; init; }
}

/// <summary>Exactly one of the fields; the last three are for egress only.</summary>
public sealed record TierPeer : PolicyElement
{
    public LabelSelector? Namespaces { get; init; }

    public TierPods? Pods { get; init; }

    public LabelSelector? Nodes { get; init; }

    public IReadOnlyList<string>? Networks { get; init; }

    public IReadOnlyList<string>? DomainNames { get; init; }
}

public sealed record TierPolicyStatus
{
    public IReadOnlyList<Condition>? Conditions { get; init; }
}

/// <summary>policy.networking.k8s.io/v1alpha1, the kind before <see cref="ClusterNetworkPolicy"/> of tier Admin.</summary>
public sealed record AdminNetworkPolicy : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.AdminNetworkPolicies;

    public AdminNetworkPolicySpec Spec { get => field ?? new(); init; }

    public TierPolicyStatus? Status { get; init; }
}

/// <summary>policy.networking.k8s.io/v1alpha1, the kind before <see cref="ClusterNetworkPolicy"/> of tier Baseline. Only "default" is in force.</summary>
public sealed record BaselineAdminNetworkPolicy : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.BaselineAdminNetworkPolicies;

    public AdminNetworkPolicySpec Spec { get => field ?? new(); init; }

    public TierPolicyStatus? Status { get; init; }
}

public sealed record AdminNetworkPolicySpec : PolicyElement
{
    /// <summary>0 to 1000; smaller comes first. None for the baseline.</summary>
    public int? Priority { get; init; }

    public TierSubject? Subject { get; init; }

    public IReadOnlyList<AdminNetworkPolicyRule>? Ingress { get; init; }

    public IReadOnlyList<AdminNetworkPolicyRule>? Egress { get; init; }
}

public sealed record AdminNetworkPolicyRule : PolicyElement
{
    public string? Name { get; init; }

    /// <summary>Allow, Deny or, except in the baseline, Pass.</summary>
    public string? Action { get; init; }

    public IReadOnlyList<TierPeer>? From { get; init; }

    public IReadOnlyList<TierPeer>? To { get; init; }

    /// <summary>Null: every port.</summary>
    public IReadOnlyList<AdminNetworkPolicyPort>? Ports { get; init; }
}

/// <summary>Exactly one of the fields.</summary>
public sealed record AdminNetworkPolicyPort : PolicyElement
{
    public AdminNetworkPolicyPortNumber? PortNumber { get; init; }

    public TierPortRange? PortRange { get; init; }

    public string? NamedPort { get; init; }
}

public sealed record AdminNetworkPolicyPortNumber
{
    /// <summary>TCP, UDP or SCTP; TCP when omitted.</summary>
    public string? Protocol { get; init; }

    public int Port { get; init; }
}
