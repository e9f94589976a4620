// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli.Tests;

/// <summary>Flows of the cluster of <see cref="ShopManifests"/>, as a server writes them.</summary>
internal static class RecordedShop
{
    private const string Space = "\"k8s:io.cilium.k8s.policy.cluster=default\",\"k8s:io.kubernetes.pod.namespace=shop\"";

    public const string Cart = $$"""{"ID":7,"identity":256,"namespace":"shop","pod_name":"cart-0","labels":["k8s:app=cart",{{Space}}],"workloads":[{"name":"cart","kind":"Deployment"}]}""";
    public const string Database = $$"""{"identity":257,"namespace":"shop","pod_name":"db-0","labels":["k8s:app=db",{{Space}}]}""";
    public const string Gone = $$"""{"identity":300,"namespace":"shop","pod_name":"gone-1","labels":["k8s:app=gone",{{Space}}]}""";
    public const string Dns = """{"identity":301,"namespace":"kube-system","pod_name":"coredns-1","labels":["k8s:k8s-app=kube-dns","k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=kube-system","k8s:io.cilium.k8s.policy.cluster=default","k8s:io.kubernetes.pod.namespace=kube-system"]}""";
    public const string World = """{"identity":9,"labels":["reserved:world-ipv4"]}""";
    public const string Host = """{"identity":1,"labels":["reserved:host"]}""";

    /// <summary>Cart asks db three times, the name server, and one name of the world; a pod that is gone asked db; db was probed; somebody was refused.</summary>
    public static readonly string[] Lines =
    [
        Flow(1, Cart, "10.244.1.5", Database, "10.244.2.6", Tcp(40001, 5432)),
        Flow(1, Cart, "10.244.1.5", Database, "10.244.2.6", Tcp(40001, 5432)),
        Flow(2, Cart, "10.244.1.5", Database, "10.244.2.6", Tcp(40002, 5432)),
        Flow(9, Cart, "10.244.1.5", Database, "10.244.2.6", Tcp(40003, 5432)),
        Flow(2, Database, "10.244.2.6", Cart, "10.244.1.5", Tcp(5432, 40001), more: ""","is_reply":true"""),
        Flow(3, Cart, "10.244.1.5", Dns, "10.244.9.9", Udp(50000, 53), more: ""","is_reply":false,"l7":{"type":"REQUEST","dns":{"query":"api.example.com."}}"""),
        Flow(4, Cart, "10.244.1.5", World, "203.0.113.9", Tcp(40004, 443), more: ""","is_reply":false,"destination_names":["api.example.com"]"""),
        Flow(4, Cart, "10.244.1.5", World, "198.51.100.7", Tcp(40005, 443)),
        Flow(5, Gone, "10.244.3.3", Database, "10.244.2.6", Tcp(40006, 5432)),
        Flow(6, Host, "192.0.2.1", Database, "10.244.2.6", Tcp(40007, 5432)),
        Flow(7, Gone, "10.244.3.3", Database, "10.244.2.6", Tcp(40008, 22), "DROPPED", ""","drop_reason_desc":"POLICY_DENIED" """),
        """{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"42"},"node_name":"default/n1","time":"2026-03-04T05:06:09Z"}""",
    ];

    public static string Flow(int second, string source, string from, string destination, string to, string l4, string verdict = "FORWARDED", string? more = null)
        => $$"""
            {"flow":{"time":"2026-03-04T05:06:{{second:00}}Z","verdict":"{{verdict}}","IP":{"source":"{{from}}","destination":"{{to}}"},"l4":{{l4}},"source":{{source}},"destination":{{destination}},"event_type":{"type":{{(verdict == "DROPPED" ? 1 : 4)}}}{{more ?? (verdict == "DROPPED" ? "" : ",\"is_reply\":false")}} },"node_name":"default/n1","time":"2026-03-04T05:06:{{second:00}}Z"}
            """.Trim();

    public static string Tcp(int source, int destination) => $"{{\"TCP\":{{\"source_port\":{source},\"destination_port\":{destination}}}}}";

    public static string Udp(int source, int destination) => $"{{\"UDP\":{{\"source_port\":{source},\"destination_port\":{destination}}}}}";
}
