// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Axoneme.Hubble.Api;

namespace Axoneme.Hubble;

/// <summary>A DNS message as clients of Hubble know it.</summary>
internal static class DnsFlow
{
    // RFC 1035, 3596, 2782, 6891, 4034, 9460 and their relatives: the types that have names in flows.
    private static readonly Dictionary<ushort, string> Types = new()
    {
        [1] = "A",
        [2] = "NS",
        [3] = "MD",
        [4] = "MF",
        [5] = "CNAME",
        [6] = "SOA",
        [7] = "MB",
        [8] = "MG",
        [9] = "MR",
        [10] = "NULL",
        [11] = "WKS",
        [12] = "PTR",
        [13] = "HINFO",
        [14] = "MINFO",
        [15] = "MX",
        [16] = "TXT",
        [28] = "AAAA",
        [33] = "SRV",
        [35] = "NAPTR",
        [41] = "OPT",
        [46] = "RRSIG",
        [48] = "DNSKEY",
        [64] = "SVCB",
        [65] = "HTTPS",
        [256] = "URI",
    };

    private static readonly string[] Rcodes =
    [
        "No Error", "Format Error", "Server Failure", "Non-Existent Domain", "Not Implemented", "Query Refused", "Name Exists when it should not",
        "RR Set Exists when it should not", "RR Set that should exist does not", "Server Not Authoritative for zone", "Name not contained in zone",
    ];

    public static Layer7 Render(DnsExchange exchange)
    {
        var dns = new DNS { Query = exchange.Query, ObservationSource = "proxy" };
        dns.Qtypes.Add(TypeName(exchange.QueryType));
        if (exchange.IsResponse)
        {
            dns.Ips.Add(exchange.Addresses.Select(a => a.ToString()));
            dns.Cnames.Add(exchange.Cnames);
            dns.Rrtypes.Add(exchange.AnswerTypes.Select(TypeName));
            dns.Rcode = (uint)exchange.Rcode;
            dns.Ttl = exchange.Ttl;
        }

        return new Layer7
        {
            Type = exchange.IsResponse ? L7FlowType.Response : L7FlowType.Request,
            LatencyNs = exchange.LatencyNs,
            Dns = dns,
        };
    }

    public static string Summary(DnsExchange exchange)
    {
        string question = $"{exchange.Query} {TypeName(exchange.QueryType)}";
        if (!exchange.IsResponse)
            return $"DNS Query {question}";
        var text = new StringBuilder("DNS Answer ");
        if (exchange.Rcode != 0)
            text.Append($"RCode: {(exchange.Rcode < Rcodes.Length ? Rcodes[exchange.Rcode] : "Unknown")} ");
        if (exchange.Addresses.Count > 0)
            text.Append($"\"{string.Join(',', exchange.Addresses)}\" ");
        if (exchange.Cnames.Count > 0)
            text.Append($"CNAMEs: \"{string.Join(',', exchange.Cnames)}\" ");
        return text.Append($"TTL: {exchange.Ttl} (Proxy {question})").ToString();
    }

    private static string TypeName(ushort type) => Types.GetValueOrDefault(type, "Unknown");
}
