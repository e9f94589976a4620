// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

public sealed record NetworkPolicy : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.NetworkPolicies;

    public NetworkPolicySpec Spec { get => field ?? new(); init; }
}

public sealed record NetworkPolicySpec
{
    /// <summary>Empty selects every pod of the namespace.</summary>
    public LabelSelector? PodSelector { get; init; }

    /// <summary>Ingress, Egress; when omitted: Ingress, and Egress if there are egress rules.</summary>
    public IReadOnlyList<string>? PolicyTypes { get; init; }

    public IReadOnlyList<NetworkPolicyIngressRule>? Ingress { get; init; }

    public IReadOnlyList<NetworkPolicyEgressRule>? Egress { get; init; }
}

public sealed record NetworkPolicyIngressRule
{
    /// <summary>Null or empty: any peer.</summary>
    public IReadOnlyList<NetworkPolicyPeer>? From { get; init; }

    /// <summary>Null or empty: any port.</summary>
    public IReadOnlyList<NetworkPolicyPort>? Ports { get; init; }
}

public sealed record NetworkPolicyEgressRule
{
    /// <summary>Null or empty: any peer.</summary>
    public IReadOnlyList<NetworkPolicyPeer>? To { get; init; }

    /// <summary>Null or empty: any port.</summary>
    public IReadOnlyList<NetworkPolicyPort>? Ports { get; init; }
}

public sealed record NetworkPolicyPeer
{
    public LabelSelector? PodSelector { get; init; }

    public LabelSelector? NamespaceSelector { get; init; }

    /// <summary>Excludes the selectors.</summary>
    public IPBlock? IpBlock { get; init; }
}

public sealed record IPBlock
{
    public string Cidr { get => field ?? ""; init; }

    public IReadOnlyList<string>? Except { get; init; }
}

public sealed record NetworkPolicyPort
{
    /// <summary>TCP when omitted.</summary>
    public string? Protocol { get; init; }

    /// <summary>Null: every port.</summary>
    public IntOrString? Port { get; init; }

    /// <summary>Inclusive; needs a numeric port.</summary>
    public int? EndPort { get; init; }
}
