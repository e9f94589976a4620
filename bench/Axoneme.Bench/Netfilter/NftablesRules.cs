// SPDX-License-Identifier: Apache-2.0
using System.Text;

namespace Axoneme.Bench.Netfilter;

/// <summary>
/// What kube-proxy writes in its nftables mode (its source: pkg/proxy/nftables): one verdict map for all services, a chain for each
/// service that picks an endpoint by a number, a chain for each endpoint that translates.
/// </summary>
internal static class NftablesRules
{
    /// <summary>
    /// How many services to add with one input: what the kernel does for a transaction grows with its square, and every transaction
    /// makes it check the table as a whole.
    /// </summary>
    public const int MostAtOnce = 2000;

    /// <summary>Input of <c>nft -f</c> that makes the table, without services.</summary>
    /// <param name="nodeAddress">Where node ports are served.</param>
    public static string Table(string nodeAddress) => $$"""
            table ip kube-proxy {
              set cluster-ips { type ipv4_addr; }
              set nodeport-ips { type ipv4_addr; elements = { {{nodeAddress}} } }
              map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
              map service-nodeports { type inet_proto . inet_service : verdict; }
              map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
              map no-endpoint-nodeports { type inet_proto . inet_service : verdict; }
              map firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
              chain mark-for-masquerade { meta mark set meta mark or 0x4000; }
              chain masquerading {
                meta mark and 0x4000 == 0 return
                meta mark set meta mark xor 0x4000
                masquerade fully-random
              }
              chain cluster-ips-check {
                ip daddr @cluster-ips reject
                ip daddr 10.96.0.0/16 drop
              }
              chain firewall-check { ip daddr . meta l4proto . th dport vmap @firewall-ips; }
              chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
              chain nodeport-endpoints-check { ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports; }
              chain services {
                ip daddr . meta l4proto . th dport vmap @service-ips
                ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
              }
              chain filter-prerouting { type filter hook prerouting priority -110; ct state new jump firewall-check; }
              chain filter-input {
                type filter hook input priority -110;
                ct state new jump nodeport-endpoints-check
                ct state new jump service-endpoints-check
              }
              chain filter-forward {
                type filter hook forward priority -110;
                ct state new jump service-endpoints-check
                ct state new jump cluster-ips-check
              }
              chain filter-output {
                type filter hook output priority -110;
                ct state new jump service-endpoints-check
                ct state new jump firewall-check
              }
              chain filter-output-post-dnat { type filter hook output priority -90; ct state new jump cluster-ips-check; }
              chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
              chain nat-output { type nat hook output priority -100; jump services; }
              chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }
            }

            """;

    /// <summary>Input of <c>nft -f</c> that adds services to the table.</summary>
    /// <param name="clusterCidr">Sources inside keep their address.</param>
    public static string Services(IReadOnlyCollection<ProxiedService> services, string clusterCidr)
    {
        var text = new StringBuilder("table ip kube-proxy {\n");
        foreach (ProxiedService service in services)
            Add(service, clusterCidr, text);
        text.Append("}\n");
        AddElements(text, "cluster-ips", services.Select(s => s.Address).Distinct());
        AddElements(text, "service-ips", services.Select(s => $"{s.Address} . tcp . {s.Port} : goto service-{s.Index}"));
        AddElements(text, "service-nodeports", services.Where(s => s.NodePort != 0).Select(s => $"tcp . {s.NodePort} : goto external-{s.Index}"));
        return text.ToString();
    }

    private static void AddElements(StringBuilder text, string set, IEnumerable<string> elements)
    {
        if (string.Join(", ", elements) is { Length: > 0 } list)
            text.Append($"add element ip kube-proxy {set} {{ {list} }}\n");
    }

    private static void Add(ProxiedService service, string clusterCidr, StringBuilder chains)
    {
        int count = service.Endpoints.Count;
        for (int i = 0; i < count; i++)
            chains.Append($"  chain endpoint-{service.Index}-{i} {{\n    ip saddr {service.Endpoints[i]} jump mark-for-masquerade\n")
                .Append($"    meta l4proto tcp dnat to {service.Endpoints[i]}:{service.EndpointPort}\n  }}\n");
        string choice = string.Join(", ", Enumerable.Range(0, count).Select(i => $"{i} : goto endpoint-{service.Index}-{i}"));
        chains.Append($"  chain service-{service.Index} {{\n")
            .Append($"    ip daddr {service.Address} tcp dport {service.Port} ip saddr != {clusterCidr} jump mark-for-masquerade\n")
            .Append($"    numgen random mod {count} vmap {{ {choice} }}\n  }}\n");
        if (service.NodePort != 0)
            chains.Append($"  chain external-{service.Index} {{\n    jump mark-for-masquerade\n    goto service-{service.Index}\n  }}\n");
    }
}
