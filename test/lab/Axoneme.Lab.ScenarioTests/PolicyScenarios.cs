// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>One row of the connectivity suite that users of the network know: policies, and who reaches whom under them.</summary>
/// <param name="Name">As there.</param>
/// <param name="Policies">Manifests; NS stands for the namespace of the pods.</param>
/// <param name="Matrix">
/// Lines "FROM... > TO... : PROBE : OUTCOME". FROM and TO are pods, <c>*</c> (all clients), <c>echo</c> (both servers), node1, node2, outside,
/// outside2, <c>host</c> (the client's own node) and <c>remote</c> (the other one). PROBE is tcp, tcp9, udp or ping. OUTCOME is ok, or the
/// direction and reason of the drop: egress-default, egress-deny, ingress-default, ingress-deny.
/// </param>
public sealed record PolicyScenario(string Name, string Policies, string Matrix);

/// <summary>The rows that need neither DNS, HTTP nor TLS rules, other clusters, encryption or hardware; docs/coverage.md names the others.</summary>
public static class PolicyScenarios
{
    private const string Clients = "endpointSelector: {matchLabels: {kind: client}}";
    private const string Echos = "endpointSelector: {matchLabels: {kind: echo}}";
    private const string Everybody = "endpointSelector: {}";
    private const string Cluster = "{matchExpressions: [{key: 'k8s:io.cilium.k8s.policy.cluster', operator: Exists}]}";
    private const string Client2 = "{matchLabels: {other: client}}";
    private const string Echo7 = "toPorts: [{ports: [{port: '7', protocol: TCP}]}]";
    private const string EchoRange = "toPorts: [{ports: [{port: '5', endPort: 8, protocol: TCP}]}]";
    private const string Icmp = "icmps: [{fields: [{type: 8, family: IPv4}, {type: 128, family: IPv6}]}]";

    // Both hosts outside are in these blocks; outside2 is the exception.
    private const string Except2 = "[{cidr: 192.0.0.0/4, except: [192.0.2.10/32]}, {cidr: '2001:db8::/32', except: ['2001:db8:2::10/128']}]";
    private const string Except1 = "[{cidr: 192.0.0.0/4, except: [203.0.113.10/32]}, {cidr: '2001:db8::/32', except: ['2001:db8::10/128']}]";

    private static readonly string AllowAll = Cnp("allow-egress", $"{Everybody}, egress: [{{toEndpoints: [{Cluster}]}}, {{toCIDR: [0.0.0.0/0, '::/0']}}]")
        + Cnp("allow-ingress", $"{Everybody}, ingress: [{{fromEndpoints: [{Cluster}]}}]");

    public static IReadOnlyList<PolicyScenario> All { get; } =
    [
        new("no-policies", "", """
            * > echo : tcp : ok
            * > echo : udp : ok
            * > client client2 client3 : ping : ok
            * > outside outside2 : tcp : ok
            * > host remote : ping : ok
            node1 node2 outside > echo : tcp : ok
            """),
        new("allow-all-except-world", Cnp("p", $"{Everybody}, ingress: [{{fromEntities: [host, remote-node, cluster, init, health, kube-apiserver]}}, {{fromEndpoints: [{Cluster}]}}], "
            + $"egress: [{{toEntities: [host, remote-node, cluster, init, health, kube-apiserver]}}, {{toEndpoints: [{Cluster}]}}]"), """
            * > echo : tcp : ok
            * > client client2 client3 : ping : ok
            * > host remote : ping : ok
            client client3 > outside : tcp : egress-default
            """),
        new("client-ingress", Cnp("p", $"{Clients}, ingress: [{{fromEndpoints: [{Client2}]}}]"), """
            client2 > client client3 : ping : ok
            client > client2 client3 : ping : ingress-default
            client3 > client client2 : ping : ingress-default
            """),
        new("client-ingress-knp", Knp("p", "podSelector: {matchLabels: {kind: client}}, ingress: [{from: [{podSelector: {matchLabels: {other: client}}}]}]"), """
            client2 > client client3 : ping : ok
            client > client2 client3 : ping : ingress-default
            client3 > client client2 : ping : ingress-default
            """),
        new("all-ingress-deny", Cnp("p", $"{Everybody}, ingress: [{{}}]"), """
            * > echo : tcp : ingress-default
            outside > echo : tcp : ingress-default
            client client3 > outside : tcp : ok
            """),
        new("all-ingress-deny-knp", Knp("p", "podSelector: {}, policyTypes: [Ingress]"), """
            * > echo : tcp : ingress-default
            client client3 > outside : tcp : ok
            """),
        new("all-egress-deny", Cnp("p", $"{Everybody}, egress: [{{}}]"), """
            * > echo : tcp : egress-default
            * > outside : tcp : egress-default
            node1 > echo : tcp : ok
            """),
        new("all-egress-deny-knp", Knp("p", "podSelector: {}, policyTypes: [Egress]"), """
            * > echo : tcp : egress-default
            * > outside : tcp : egress-default
            """),
        new("all-entities-deny", Cnp("p", $"{Everybody}, egressDeny: [{{toEntities: [all]}}]"), """
            * > echo : tcp : egress-deny
            * > outside : tcp : egress-deny
            """),
        new("cluster-entity", Cnp("p", $"{Clients}, egress: [{{toEntities: [cluster]}}]"), """
            * > echo : tcp : ok
            * > outside : tcp : egress-default
            """),
        new("host-entity-egress", Cnp("p", $"{Everybody}, egress: [{{toEntities: [host, remote-node]}}]"), """
            * > host remote : ping : ok
            * > echo : tcp : egress-default
            """),
        new("host-entity-ingress", Cnp("p", $"{Everybody}, ingress: [{{fromEntities: [host, remote-node]}}]"), """
            node1 node2 > echo : tcp : ok
            client client3 > echo : tcp : ingress-default
            """),
        new("echo-ingress", Cnp("p", $"{Echos}, ingress: [{{fromEndpoints: [{Client2}], {Echo7}}}]"), """
            client2 > echo : tcp : ok
            client client3 > echo : tcp : ingress-default
            client2 > echo : udp : ingress-default
            outside > echo : tcp : ingress-default
            """),
        new("echo-ingress-knp", Knp("p", "podSelector: {matchLabels: {kind: echo}}, ingress: [{from: [{podSelector: {matchLabels: {other: client}}}], ports: [{port: 7, protocol: TCP}]}]"), """
            client2 > echo : tcp : ok
            client client3 > echo : tcp : ingress-default
            """),
        new("from-cidr-host-netns", Cnp("p", $"{Echos}, ingress: [{{fromCIDR: [203.0.113.0/24, '2001:db8::/64']}}]"), """
            outside > echo : tcp : ok
            outside2 > echo : tcp : ingress-default
            client > echo : tcp : ingress-default
            """),
        new("client-ingress-icmp", Cnp("p", $"{Clients}, ingress: [{{fromEndpoints: [{Client2}], {Icmp}}}]"), """
            client2 > client client3 : ping : ok
            client > client2 client3 : ping : ingress-default
            client3 > client : ping : ingress-default
            """),
        new("client-egress", Cnp("p", $"{Clients}, egress: [{{toEndpoints: [{{matchLabels: {{kind: echo}}}}], {Echo7}}}]"), """
            * > echo : tcp : ok
            client > echo : udp : egress-default
            client > outside : tcp : egress-default
            """),
        new("client-egress-knp", Knp("p", "podSelector: {matchLabels: {kind: client}}, egress: [{to: [{podSelector: {matchLabels: {kind: echo}}}], ports: [{port: 7, protocol: TCP}]}]"), """
            * > echo : tcp : ok
            client > outside : tcp : egress-default
            """),
        new("client-egress-expression", Cnp("p", $"endpointSelector: {{matchExpressions: [{{key: kind, operator: In, values: [client]}}]}}, egress: [{{toEndpoints: [{{matchExpressions: [{{key: kind, operator: In, values: [echo]}}]}}], {Echo7}}}]"), """
            * > echo : tcp : ok
            * > outside : tcp : egress-default
            """),
        new("client-egress-expression-port-range", Cnp("p", $"endpointSelector: {{matchExpressions: [{{key: kind, operator: In, values: [client]}}]}}, egress: [{{toEndpoints: [{{matchExpressions: [{{key: kind, operator: In, values: [echo]}}]}}], {EchoRange}}}]"), """
            * > echo : tcp : ok
            client client3 > echo : tcp9 : egress-default
            """),
        new("client-egress-expression-knp-port-range", Knp("p", "podSelector: {matchExpressions: [{key: kind, operator: In, values: [client]}]}, egress: [{to: [{podSelector: {matchExpressions: [{key: kind, operator: In, values: [echo]}]}}], ports: [{port: 5, endPort: 8, protocol: TCP}]}]"), """
            * > echo : tcp : ok
            client client3 > echo : tcp9 : egress-default
            """),
        new("client-with-service-account-egress-to-echo", Cnp("p", $"endpointSelector: {{matchLabels: {{io.cilium.k8s.policy.serviceaccount: client}}}}, egress: [{{toEndpoints: [{{matchLabels: {{kind: echo}}}}], {Echo7}}}]"), """
            * > echo : tcp : ok
            client > outside : tcp : egress-default
            client2 > outside : tcp : ok
            """),
        new("client-egress-to-echo-service-account", Cnp("p", $"{Clients}, egress: [{{toEndpoints: [{{matchLabels: {{io.cilium.k8s.policy.serviceaccount: echo-same}}}}], {EchoRange}}}]"), """
            * > echo-same : tcp : ok
            * > echo-other : tcp : egress-default
            """),
        new("to-entities-world", Cnp("p", $"{Clients}, egress: [{{toEntities: [world], {Echo7}}}]"), """
            * > outside : tcp : ok
            client client3 > outside : tcp9 : egress-default
            client > echo : tcp : egress-default
            """),
        new("to-entities-world-port-range", Cnp("p", $"{Clients}, egress: [{{toEntities: [world], {EchoRange}}}]"), """
            * > outside : tcp : ok
            client client3 > outside : tcp9 : egress-default
            """),
        new("to-cidr-external", Cnp("p", $"{Clients}, egress: [{{toCIDRSet: {Except2}}}]"), """
            * > outside : tcp : ok
            * > outside2 : tcp : egress-default
            """),
        new("to-cidr-external-knp", Knp("p", "podSelector: {matchLabels: {kind: client}}, egress: [{to: [{ipBlock: {cidr: 192.0.0.0/4, except: [192.0.2.10/32]}}, {ipBlock: {cidr: '2001:db8::/32', except: ['2001:db8:2::10/128']}}]}]"), """
            * > outside : tcp : ok
            * > outside2 : tcp : egress-default
            """),
        new("echo-ingress-from-other-client-deny", AllowAll + Cnp("p", $"{Echos}, ingressDeny: [{{fromEndpoints: [{Client2}]}}]"), """
            client client3 > echo : tcp : ok
            client2 > echo : tcp : ingress-deny
            client2 > client client3 : ping : ok
            """),
        new("client-ingress-from-other-client-icmp-deny", AllowAll + Cnp("p", $"{Clients}, ingressDeny: [{{fromEndpoints: [{Client2}], {Icmp}}}]"), """
            client2 > client client3 : ping : ingress-deny
            client > client2 client3 : ping : ok
            * > echo : tcp : ok
            """),
        new("client-egress-to-echo-deny", AllowAll + Cnp("p", $"{Clients}, egressDeny: [{{toEndpoints: [{{matchLabels: {{kind: echo}}}}], {Echo7}}}]"), """
            * > echo : tcp : egress-deny
            * > echo : udp : ok
            * > client client2 client3 : ping : ok
            """),
        new("client-egress-to-echo-deny-port-range", AllowAll + Cnp("p", $"{Clients}, egressDeny: [{{toEndpoints: [{{matchLabels: {{kind: echo}}}}], {EchoRange}}}]"), """
            * > echo : tcp : egress-deny
            * > client client2 client3 : ping : ok
            """),
        new("client-ingress-to-echo-named-port-deny", AllowAll + Cnp("p", $"{Echos}, ingressDeny: [{{fromEndpoints: [{{matchLabels: {{name: client}}}}], toPorts: [{{ports: [{{port: echo-7, protocol: TCP}}]}}]}}]"), """
            client > echo : tcp : ingress-deny
            client2 client3 > echo : tcp : ok
            """),
        new("client-egress-to-echo-expression-deny", AllowAll + Cnp("p", $"endpointSelector: {{matchExpressions: [{{key: name, operator: In, values: [client]}}]}}, egressDeny: [{{toEndpoints: [{{matchExpressions: [{{key: kind, operator: In, values: [echo]}}]}}], {EchoRange}}}]"), """
            client > echo : tcp : egress-deny
            client2 client3 > echo : tcp : ok
            """),
        new("client-with-service-account-egress-to-echo-deny", AllowAll + Cnp("p", $"endpointSelector: {{matchLabels: {{io.cilium.k8s.policy.serviceaccount: client}}}}, egressDeny: [{{toEndpoints: [{{matchLabels: {{kind: echo}}}}], {Echo7}}}]"), """
            client > echo : tcp : egress-deny
            client2 client3 > echo : tcp : ok
            """),
        new("client-egress-to-echo-service-account-deny", AllowAll + Cnp("p", $"{Clients}, egressDeny: [{{toEndpoints: [{{matchLabels: {{io.cilium.k8s.policy.serviceaccount: echo-same}}}}], {Echo7}}}]"), """
            * > echo-same : tcp : egress-deny
            * > echo-other : tcp : ok
            """),
        new("client-egress-to-cidr-deny", AllowAll + Cnp("p", $"{Clients}, egressDeny: [{{toCIDRSet: {Except1}}}]"), """
            * > outside : tcp : ok
            * > outside2 : tcp : egress-deny
            * > echo : tcp : ok
            """),
        new("client-egress-to-cidrgroup-deny", AllowAll + CidrGroup() + Cnp("p", $"{Clients}, egressDeny: [{{toCIDRSet: [{{cidrGroupRef: NS, except: [203.0.113.10/32, '2001:db8::10/128']}}]}}]"), """
            * > outside : tcp : ok
            * > outside2 : tcp : egress-deny
            """),
        new("client-egress-to-cidrgroup-deny-by-label", AllowAll + CidrGroup() + Cnp("p", $"{Clients}, egressDeny: [{{toCIDRSet: [{{cidrGroupSelector: {{matchLabels: {{destination: NS}}}}, except: [203.0.113.10/32, '2001:db8::10/128']}}]}}]"), """
            * > outside : tcp : ok
            * > outside2 : tcp : egress-deny
            """),
        new("client-egress-to-cidr-deny-default", Cnp("p", $"{Clients}, egressDeny: [{{toCIDRSet: {Except1}}}]"), """
            * > outside : tcp : egress-default
            * > outside2 : tcp : egress-deny
            """),
        new("policy-local-cluster-egress", Cnp("p", $"{Clients}, egress: [{{toEndpoints: [{{matchLabels: {{kind: echo}}}}], {Echo7}}}]"), """
            * > echo : tcp : ok
            """),
        new("egress-to-specific-namespace-ccnp", Ccnp("egress", "endpointSelector: {matchLabels: {'k8s:io.kubernetes.pod.namespace': NS, kind: client}}, egress: [{toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': work}}]}]"), """
            * > work/far : tcp : ok
            * > echo : tcp : egress-default
            """),
        new("ingress-from-specific-namespace-ccnp", Ccnp("ingress", "endpointSelector: {matchLabels: {'k8s:io.kubernetes.pod.namespace': NS, kind: echo}}, ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': work}}]}]"), """
            work/client > echo : tcp : ok
            * > echo : tcp : ingress-default
            """),
    ];

    private static string Cnp(string name, string spec)
        => $"---\n{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: {name}, namespace: NS}}, spec: {{{spec}}}}}\n";

    private static string Ccnp(string name, string spec)
        => $"---\n{{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {{name: NS-{name}}}, spec: {{{spec}}}}}\n";

    private static string Knp(string name, string spec)
        => $"---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: NS}}, spec: {{{spec}}}}}\n";

    private static string CidrGroup()
        => "---\n{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: NS, labels: {destination: NS}}, spec: {externalCIDRs: [192.0.0.0/4, '2001:db8::/32']}}\n";
}
