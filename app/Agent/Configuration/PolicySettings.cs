// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Hosting;
using Axoneme.Policy;

namespace Axoneme.Agent.Configuration;

/// <summary>Which kinds of policies and rules there are, and what they may select.</summary>
internal sealed record PolicySettings
{
    public bool EnableSctp { get; init; }

    public bool EnableIcmpRules { get; init; } = true;

    public bool EnableL7Proxy { get; init; } = true;

    public bool EnableExtendedProtocols { get; init; }

    /// <summary>enable-node-selector-labels: other nodes have identities with the labels of their Node objects.</summary>
    public bool EnableNodeSelectorLabels { get; init; }

    /// <summary>node-labels: which labels of nodes count, as label filters; none: all.</summary>
    public ImmutableArray<string> NodeLabels { get; init; } = [];

    /// <summary>policy-cidr-match-mode has "nodes": address blocks also select nodes.</summary>
    public bool CidrMatchesNodes { get; init; }

    /// <summary>policy-audit-mode: what policy would drop passes and is reported.</summary>
    public bool AuditMode { get; init; }

    /// <summary>policy-deny-response is "icmp", not "none": a pod is told what its own egress policy drops.</summary>
    public bool DenyByIcmp { get; init; }

    /// <summary>enable-k8s-cluster-network-policy.</summary>
    public bool EnableClusterNetworkPolicies { get; init; }

    /// <summary>enable-k8s-admin-network-policy: the older kinds AdminNetworkPolicy and BaselineAdminNetworkPolicy. A setting of our own.</summary>
    public bool EnableAdminNetworkPolicies { get; init; }

    /// <summary>
    /// enable-endpoint-lockdown-on-policy-overflow: an endpoint whose policy does not fit into its map loses its established connections as well;
    /// new ones are dropped in any case.
    /// </summary>
    public bool LockdownOnOverflow { get; init; }

    public static PolicySettings Read(OptionReader reader)
    {
        ImmutableArray<string> modes = reader.List("policy-cidr-match-mode");
        foreach (string mode in modes.Where(mode => mode != "nodes"))
        {
            reader.Problem(
                "policy-cidr-match-mode",
                mode == "pods" ? "'pods' is not available in this version; address blocks can select nodes only" : $"'{mode}' is not one of nodes");
        }

        ImmutableArray<string> nodeLabels = reader.List("node-labels");
        try
        {
            LabelFilter.ParseWithoutDefaults(string.Join(' ', nodeLabels));
        }
        catch (FormatException e)
        {
            reader.Problem("node-labels", e.Message);
        }

        return new PolicySettings
        {
            EnableSctp = reader.Switch("enable-sctp", false),
            EnableIcmpRules = reader.Switch("enable-icmp-rules", true),
            EnableL7Proxy = reader.Switch("enable-l7-proxy", true),
            EnableExtendedProtocols = reader.Switch("enable-extended-ip-protocols", false),
            EnableNodeSelectorLabels = reader.Switch("enable-node-selector-labels", false),
            NodeLabels = nodeLabels,
            CidrMatchesNodes = modes.Contains("nodes"),
            LockdownOnOverflow = reader.Switch("enable-endpoint-lockdown-on-policy-overflow", false),
            AuditMode = reader.Switch("policy-audit-mode", false),
            DenyByIcmp = reader.Choice("policy-deny-response", "none", "none", "icmp") == "icmp",
            EnableClusterNetworkPolicies = reader.Switch("enable-k8s-cluster-network-policy", false),
            EnableAdminNetworkPolicies = reader.Switch("enable-k8s-admin-network-policy", false),
        };
    }
}
