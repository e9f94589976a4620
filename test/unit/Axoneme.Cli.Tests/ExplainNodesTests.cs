// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cli.Explanations;

namespace Axoneme.Cli.Tests;

public sealed class ExplainNodesTests : IDisposable
{
    private const string Nodes = """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: cilium-config, namespace: kube-system}
        data: {enable-host-firewall: "true", enable-node-selector-labels: "true", host-firewall-management-cidrs: 198.51.100.0/24}
        ---
        apiVersion: v1
        kind: Node
        metadata: {name: worker-1, labels: {kubernetes.io/hostname: worker-1, pool: edge}}
        status: {addresses: [{type: InternalIP, address: 192.168.0.1}, {type: Hostname, address: worker-1}]}
        ---
        apiVersion: v1
        kind: Node
        metadata: {name: worker-2, labels: {kubernetes.io/hostname: worker-2, pool: core}}
        status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: etcd, namespace: kube-system}
        spec: {nodeName: worker-1, hostNetwork: true, containers: [{name: c}]}
        status: {podIP: 192.168.0.1}
        ---
        apiVersion: cilium.io/v2
        kind: CiliumClusterwideNetworkPolicy
        metadata: {name: edge}
        spec:
          nodeSelector: {matchLabels: {pool: edge}}
          ingress:
          - fromEntities: [cluster]
            toPorts: [{ports: [{port: "10250", protocol: TCP}]}]
          - fromNodes: [{matchLabels: {pool: core}}]
            toPorts: [{ports: [{port: "2379", protocol: TCP}]}]
          egress:
          - toEntities: [cluster]
        """;

    private readonly ShopManifests _shop = new();

    public ExplainNodesTests() => _shop.Add("nodes.yaml", Nodes);

    public void Dispose() => _shop.Dispose();

    [Fact]
    public async Task A_node_that_refuses_says_by_which_policy_and_what_would_open_it()
    {
        string text = await ExplainAsync("203.0.113.9", "node/worker-1", "22");
        Assert.StartsWith("DENIED: 203.0.113.9 -> node/worker-1 port 22/TCP\n", text, StringComparison.Ordinal);
        Assert.Contains("destination   node worker-1 192.168.0.1, identity ", text, StringComparison.Ordinal);
        Assert.Contains("ingress       DENIED by default: CiliumClusterwideNetworkPolicy edge selects node worker-1, and no rule matches\n", text, StringComparison.Ordinal);
        Assert.Contains("\n                CiliumClusterwideNetworkPolicy edge spec.ingress[1]: from nodes with pool=core, 2379/TCP (other peer and port)\n", text, StringComparison.Ordinal);
        Assert.EndsWith(
            """
            apiVersion: cilium.io/v2
            kind: CiliumClusterwideNetworkPolicy
            metadata:
              name: allow-worker-1-from-203-0-113-9
            spec:
              nodeSelector:
                matchLabels:
                  kubernetes.io/hostname: worker-1
              ingress:
              - fromCIDR:
                - "203.0.113.9/32"
                toPorts:
                - ports:
                  - port: "22"
                    protocol: TCP

            """, text, StringComparison.Ordinal);
        _shop.Add("change.yaml", text[text.IndexOf("apiVersion", StringComparison.Ordinal)..]);
        Assert.StartsWith("ALLOWED", await ExplainAsync("203.0.113.9", "node/worker-1", "22"), StringComparison.Ordinal);
        Assert.StartsWith("DENIED", await ExplainAsync("203.0.113.10", "node/worker-1", "22"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("203.0.113.9", "worker-1", "10250", "DENIED")]
    [InlineData("203.0.113.9", "worker-2", "10250", "ALLOWED")]
    [InlineData("198.51.100.7", "192.168.0.1", "22", "ALLOWED")]
    [InlineData("198.51.100.7", "192.168.0.1", "23", "DENIED")]
    [InlineData("shop/cart-0", "node/worker-1", "10250", "DENIED: shop/cart-0 -> node/worker-1 port 10250/TCP")]
    [InlineData("monitoring/scraper-0", "node/worker-1", "10250", "ALLOWED")]
    [InlineData("monitoring/scraper-0", "node/worker-1", "2379", "DENIED")]
    [InlineData("node/worker-2", "node/worker-1", "2379", "ALLOWED")]
    [InlineData("node/worker-2", "kube-system/etcd", "2379", "ALLOWED")]
    [InlineData("node/worker-2", "kube-system/etcd", "2380", "DENIED")]
    [InlineData("node/worker-1", "203.0.113.9", "443", "DENIED")]
    [InlineData("node/worker-1", "node/worker-1", "9999", "ALLOWED")]
    [InlineData("node/worker-1", "shop/db-0", "5432", "DENIED")]
    [InlineData("node/worker-2", "shop/db-0", "5432", "ALLOWED")]
    [InlineData("host", "shop/db-0", "5432", "ALLOWED")]
    [InlineData("2001:db8::7", "worker-1", "135/icmpv6", "ALLOWED")]
    [InlineData("2001:db8::7", "worker-1", "128/icmpv6", "DENIED")]
    public async Task Nodes_are_judged_by_their_labels_and_by_those_of_other_nodes(string from, string to, string port, string verdict)
        => Assert.StartsWith(verdict, await ExplainAsync(from, to, port), StringComparison.Ordinal);

    [Fact]
    public async Task A_pod_that_tells_nodes_apart_is_asked_about_each()
    {
        _shop.Add("pods.yaml", """
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata: {name: scraper, namespace: monitoring}
            spec: {endpointSelector: {}, egress: [{toNodes: [{matchLabels: {pool: edge}}]}]}
            """);
        Assert.Contains("egress        allowed by CiliumNetworkPolicy monitoring/scraper spec.egress[0]\n", await ExplainAsync("monitoring/scraper-0", "worker-1", "10250"), StringComparison.Ordinal);
        // The own node is not meant by rules about nodes.
        string own = await ExplainAsync("monitoring/scraper-0", "worker-2", "10250");
        Assert.Contains("destination   node worker-2 192.168.0.2, identity 1 (host), port 10250/TCP\n", own, StringComparison.Ordinal);
        Assert.StartsWith("DENIED", own, StringComparison.Ordinal);
        string away = await ExplainAsync("monitoring/scraper-0", "203.0.113.9", "443");
        Assert.Contains("egress        DENIED by default", away, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_the_firewall_nodes_have_no_policy()
    {
        _shop.Add("nodes.yaml", Nodes.Replace("enable-host-firewall: \"true\"", "enable-host-firewall: \"false\"", StringComparison.Ordinal));
        string text = await ExplainAsync("203.0.113.9", "node/worker-1", "22");
        Assert.StartsWith("ALLOWED", text, StringComparison.Ordinal);
        Assert.Contains("ingress       allowed: nodes have no policy, as the host firewall is off (enable-host-firewall)\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_without_an_object_is_pointed_out()
    {
        _shop.Add("more.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: far-0, namespace: shop}, spec: {nodeName: worker-9, containers: []}}\n");
        Assert.Contains(
            "there is no Node object for node worker-9: its labels are not known", await ExplainAsync("203.0.113.9", "node/worker-9", "22"), StringComparison.Ordinal);
        UserErrorException error = await Assert.ThrowsAsync<UserErrorException>(() => ExplainAsync("203.0.113.9", "node/worker-7", "22"));
        Assert.Equal("there is no node worker-7; there is worker-1, worker-2", error.Message);
    }

    private async Task<string> ExplainAsync(string from, string to, string port)
    {
        var output = new StringWriter { NewLine = "\n" };
        Assert.Equal(0, await new ExplainCommand(output).RunAsync(
            ["--manifests", _shop.Directory, "--from", from, "--to", to, "--port", port], CancellationToken.None));
        return output.ToString();
    }
}
