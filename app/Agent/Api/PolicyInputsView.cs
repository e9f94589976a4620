// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.AgentApi;
using Axoneme.Datapath;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;

namespace Axoneme.Agent.Api;

/// <summary>What policy is computed from, so that a command can compute it again with a change.</summary>
internal static class PolicyInputsView
{
    public static PolicyInputs Of(ApiSources sources)
    {
        ClusterState cluster = sources.Control.Cluster;
        IEnumerable<JsonElement> items =
        [
            .. Rows(cluster.Namespaces), .. Rows(cluster.OwnNode), .. Rows(cluster.CiliumNodes), .. Rows(cluster.Pods), .. Rows(cluster.CiliumEndpoints),
            .. Rows(cluster.CiliumIdentities), .. Rows(cluster.Services), .. Rows(cluster.EndpointSlices), .. Rows(cluster.NetworkPolicies),
            .. Rows(cluster.CiliumNetworkPolicies), .. Rows(cluster.CiliumClusterwideNetworkPolicies), .. Rows(cluster.CiliumCidrGroups),
            .. Rows(cluster.ClusterNetworkPolicies), .. Rows(cluster.AdminNetworkPolicies), .. Rows(cluster.BaselineAdminNetworkPolicies),
        ];
        return new PolicyInputs(OptionsOf(sources.Options), [.. items], AddressesOf(sources));
    }

    // Spelled as in the configuration, which is where a command without an agent reads them.
    private static Dictionary<string, string> OptionsOf(AgentOptions options) => new()
    {
        ["cluster-name"] = options.ClusterName,
        ["enable-policy"] = options.EnablePolicy.ToString().ToLowerInvariant(),
        ["enable-ipv4"] = Text(options.EnableIPv4),
        ["enable-ipv6"] = Text(options.EnableIPv6),
        ["allow-localhost"] = options.AlwaysAllowLocalhost ? "always" : "policy",
        ["policy-default-local-cluster"] = Text(options.PolicyDefaultLocalCluster),
        ["enable-non-default-deny-policies"] = Text(options.EnableNonDefaultDenyPolicies),
        ["cluster-id"] = options.Numbering.ClusterId.ToString(),
        ["max-connected-clusters"] = options.MaxConnectedClusters.ToString(),
        ["enable-sctp"] = Text(options.Policies.EnableSctp),
        ["enable-icmp-rules"] = Text(options.Policies.EnableIcmpRules),
        ["enable-l7-proxy"] = Text(options.Policies.EnableL7Proxy),
        ["enable-extended-ip-protocols"] = Text(options.Policies.EnableExtendedProtocols),
        ["enable-node-selector-labels"] = Text(options.Policies.EnableNodeSelectorLabels),
        ["enable-host-firewall"] = Text(options.HostFirewall.Enabled),
        ["node-labels"] = string.Join(' ', options.Policies.NodeLabels),
        ["policy-cidr-match-mode"] = options.Policies.CidrMatchesNodes ? "nodes" : "",
        ["host-firewall-management-ports"] = string.Join(' ', options.HostFirewall.ManagementPorts),
        ["host-firewall-management-cidrs"] = string.Join(' ', options.HostFirewall.ManagementCidrs),
        ["enable-k8s-networkpolicy"] = Text(options.EnableNetworkPolicy),
        ["labels"] = string.Join(' ', options.IdentityLabels),
    };

    private static LocalAddress[] AddressesOf(ApiSources sources)
    {
        IReadOnlyCollection<IpcacheEntry> entries = [.. sources.Control.Ipcache.Table.Snapshot().Values.Where(e => e.Identity.IsLocalCidr)];
        Dictionary<SecurityIdentity, LabelSet> labels = sources.Control.Policies.Read(
            engine => engine.Identities.Where(i => i.Id.IsLocalCidr).ToDictionary(i => i.Id, i => i.Labels));
        return
        [
            .. entries.OrderBy(e => e.Prefix).Select(e => new LocalAddress(
                e.Prefix.ToString(), e.Identity.Value, [.. (labels.GetValueOrDefault(e.Identity) ?? LabelSet.Empty).Select(l => l.ToString())])),
        ];
    }

    // Null: the kind is switched off.
    private static IEnumerable<JsonElement> Rows<T>(Table<ResourceName, T>? table)
        where T : Resource
        => table is null ? [] : table.Snapshot().Values.OrderBy(r => r.ResourceName).Select(r => JsonSerializer.SerializeToElement(r, ((ResourceKind<T>)r.Definition).TypeInfo));

    private static string Text(bool value) => value ? "true" : "false";
}
