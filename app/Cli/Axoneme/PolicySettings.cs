// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary>The agent's settings that decide about policy, by their keys.</summary>
internal static class PolicySettings
{
    public static ClusterObjects Apply(ClusterObjects objects, IReadOnlyDictionary<string, string> settings)
    {
        var options = new PolicyOptions
        {
            Enforcement = Text("enable-policy", "default") switch
            {
                "default" => EnforcementMode.Default,
                "always" => EnforcementMode.Always,
                "never" => EnforcementMode.Never,
                var other => throw new UserErrorException($"enable-policy: '{other}' is not one of default, always, never"),
            },
            ClusterName = Text("cluster-name", "default"),
            DualStack = IsOn("enable-ipv4", true) && IsOn("enable-ipv6", true),
            AllowLocalhost = Text("allow-localhost", "auto") != "policy",
            DefaultLocalCluster = IsOn("policy-default-local-cluster", true),
            EnableNonDefaultDeny = IsOn("enable-non-default-deny-policies", true),
            Numbering = new IdentityNumbering
            {
                ClusterId = uint.TryParse(Text("cluster-id", "0"), out uint clusterId) ? clusterId : throw new UserErrorException($"cluster-id: '{Text("cluster-id", "")}' is not a number"),
                Bits = Text("max-connected-clusters", "255") == "511" ? 15 : 16,
            },
            EnableSctp = IsOn("enable-sctp", false),
            EnableIcmpRules = IsOn("enable-icmp-rules", true),
            EnableL7Proxy = IsOn("enable-l7-proxy", true),
            EnableExtendedProtocols = IsOn("enable-extended-ip-protocols", false),
            EnableNodeSelectorLabels = IsOn("enable-node-selector-labels", false),
            EnableHostFirewall = IsOn("enable-host-firewall", false),
        };
        try
        {
            objects = objects with { Options = options, Filter = LabelFilter.Parse(Text("labels", "")) };
        }
        catch (FormatException e)
        {
            throw new UserErrorException($"labels: {e.Message}");
        }

        objects = ForNodes(objects, Text);

        return IsOn("enable-k8s-networkpolicy", true) ? objects : objects with { Items = [.. objects.Items.Where(i => i is not NetworkPolicy)] };

        string Text(string key, string whenMissing) => settings.TryGetValue(key, out string? value) ? value : whenMissing;

        bool IsOn(string key, bool whenMissing) => Text(key, whenMissing ? "true" : "false") == "true";
    }

    private static ClusterObjects ForNodes(ClusterObjects objects, Func<string, string, string> text)
    {
        try
        {
            objects = objects with
            {
                NodeFilter = LabelFilter.ParseWithoutDefaults(string.Join(' ', List("node-labels"))),
                CidrMatchesNodes = List("policy-cidr-match-mode").Contains("nodes"),
            };
        }
        catch (FormatException e)
        {
            throw new UserErrorException($"node-labels: {e.Message}");
        }

        return objects with
        {
            Management = new ManagementAllowance(
                [.. List("host-firewall-management-cidrs").Select(b => IpPrefix.TryParse(b, out IpPrefix block)
                    ? block : throw new UserErrorException($"host-firewall-management-cidrs: '{b}' is not an address block"))],
                [.. List("host-firewall-management-ports", "22").Select(p => ushort.TryParse(p, out ushort port)
                    ? port : throw new UserErrorException($"host-firewall-management-ports: '{p}' is not a port"))]),
        };

        string[] List(string key, string whenMissing = "") => text(key, whenMissing).Split([' ', ','], StringSplitOptions.RemoveEmptyEntries);
    }
}
