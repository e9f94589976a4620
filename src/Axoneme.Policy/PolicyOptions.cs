// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Option <c>enable-policy</c>.</summary>
public enum EnforcementMode
{
    /// <summary>A direction closes with the first rule that selects the endpoint.</summary>
    Default,

    /// <summary>Both directions are closed also without a rule.</summary>
    Always,

    /// <summary>No policy is enforced.</summary>
    Never,
}

/// <summary>Validated settings of the policy engine and of the translation.</summary>
public sealed record PolicyOptions
{
    public static readonly PolicyOptions Default = new();

    public EnforcementMode Enforcement { get; init; } = EnforcementMode.Default;

    public string ClusterName { get; init; } = "default";

    /// <summary>Numbers of this cluster's identities (<c>cluster-id</c>, <c>max-connected-clusters</c>).</summary>
    public IdentityNumbering Numbering { get; init; } = IdentityNumbering.Default;

    /// <summary>Identities of pods whose numbers are the same in every cluster (<see cref="WellKnownIdentities"/>).</summary>
    public ImmutableArray<KeyValuePair<SecurityIdentity, LabelSet>> WellKnown { get; init; } = [];

    /// <summary>Peer selectors without a cluster mean the own one (<c>policy-default-local-cluster</c>).</summary>
    public bool DefaultLocalCluster { get; init; } = true;

    /// <summary>Both families are on: outside addresses have an identity per family.</summary>
    public bool DualStack { get; init; } = true;

    /// <summary>The own node reaches its pods unless a rule denies it (<c>allow-localhost</c>).</summary>
    public bool AllowLocalhost { get; init; } = true;

    /// <summary>Rules with a nodeSelector police the node itself (<c>enable-host-firewall</c>); else they are valid and do nothing.</summary>
    public bool EnableHostFirewall { get; init; }

    public bool EnableSctp { get; init; }

    public bool EnableIcmpRules { get; init; } = true;

    /// <summary>Rules may name VRRP, IGMP, GRE, IPIP, IPV6, ESP and AH (<c>enable-extended-ip-protocols</c>).</summary>
    public bool EnableExtendedProtocols { get; init; }

    /// <summary>Rules may select other nodes by their labels (<c>enable-node-selector-labels</c>).</summary>
    public bool EnableNodeSelectorLabels { get; init; }

    /// <summary>Rules may hold what a proxy enforces (<c>enable-l7-proxy</c>).</summary>
    public bool EnableL7Proxy { get; init; } = true;

    /// <summary>Off: enableDefaultDeny is ignored, every rule closes its direction.</summary>
    public bool EnableNonDefaultDeny { get; init; } = true;

    /// <summary>Of learned names.</summary>
    public FqdnOptions Fqdn { get; init; } = new();
}
