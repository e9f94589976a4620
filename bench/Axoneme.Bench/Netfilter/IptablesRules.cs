// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;

namespace Axoneme.Bench.Netfilter;

/// <summary>
/// What kube-proxy writes in its iptables mode (its source: pkg/proxy/iptables): a rule for each service in one long chain, a chain for
/// each service that throws dice, a chain for each endpoint that translates.
/// </summary>
internal static class IptablesRules
{
    /// <summary>Input of iptables-restore that replaces everything.</summary>
    /// <param name="clusterCidr">Sources inside keep their address.</param>
    public static string Build(IReadOnlyList<ProxiedService> services, string clusterCidr)
    {
        var chains = new StringBuilder();
        var portals = new StringBuilder();
        var rules = new StringBuilder();
        foreach (ProxiedService service in services)
            Add(service, clusterCidr, chains, portals, rules);
        return $"""
            *filter
            :INPUT ACCEPT [0:0]
            :FORWARD ACCEPT [0:0]
            :OUTPUT ACCEPT [0:0]
            :KUBE-EXTERNAL-SERVICES - [0:0]
            :KUBE-FORWARD - [0:0]
            :KUBE-NODEPORTS - [0:0]
            :KUBE-PROXY-FIREWALL - [0:0]
            :KUBE-SERVICES - [0:0]
            -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
            -A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
            -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
            -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
            -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
            -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
            -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
            -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
            -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
            -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
            -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
            -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
            COMMIT
            *nat
            :PREROUTING ACCEPT [0:0]
            :INPUT ACCEPT [0:0]
            :OUTPUT ACCEPT [0:0]
            :POSTROUTING ACCEPT [0:0]
            :KUBE-MARK-MASQ - [0:0]
            :KUBE-NODEPORTS - [0:0]
            :KUBE-POSTROUTING - [0:0]
            :KUBE-SERVICES - [0:0]
            {chains}-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
            -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
            -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
            -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
            -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
            -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
            -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
            {portals}-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
            {rules}COMMIT

            """;
    }

    private static void Add(ProxiedService service, string clusterCidr, StringBuilder chains, StringBuilder portals, StringBuilder rules)
    {
        string chain = $"KUBE-SVC-{service.Index:D16}";
        string match = $"-d {service.Address}/32 -p tcp -m comment --comment \"{service.Name} cluster IP\" -m tcp --dport {service.Port}";
        chains.Append($":{chain} - [0:0]\n");
        portals.Append($"-A KUBE-SERVICES {match} -j {chain}\n");
        rules.Append($"-A {chain} ! -s {clusterCidr} {match} -j KUBE-MARK-MASQ\n");
        int left = service.Endpoints.Count;
        foreach (string endpoint in service.Endpoints)
        {
            string place = $"KUBE-SEP-{service.Index:D8}{left:D8}";
            string dice = left == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $" -m statistic --mode random --probability {1.0 / left:0.0000000000}");
            chains.Append($":{place} - [0:0]\n");
            rules.Append($"-A {chain} -m comment --comment \"{service.Name} -> {endpoint}:{service.EndpointPort}\"{dice} -j {place}\n")
                .Append($"-A {place} -s {endpoint}/32 -m comment --comment \"{service.Name}\" -j KUBE-MARK-MASQ\n")
                .Append($"-A {place} -p tcp -m comment --comment \"{service.Name}\" -m tcp -j DNAT --to-destination {endpoint}:{service.EndpointPort}\n");
            left--;
        }

        if (service.NodePort == 0)
            return;
        string external = $"KUBE-EXT-{service.Index:D16}";
        chains.Append($":{external} - [0:0]\n");
        rules.Append($"-A KUBE-NODEPORTS -p tcp -m comment --comment \"{service.Name}\" -m tcp --dport {service.NodePort} -j {external}\n")
            .Append($"-A {external} -m comment --comment \"masquerade traffic for {service.Name} external destinations\" -j KUBE-MARK-MASQ\n")
            .Append($"-A {external} -j {chain}\n");
    }
}
