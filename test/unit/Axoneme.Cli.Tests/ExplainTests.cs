// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Cli.Explanations;

namespace Axoneme.Cli.Tests;

public sealed class ExplainTests : IDisposable
{
    private readonly ShopManifests _shop = new();

    public void Dispose() => _shop.Dispose();

    [Fact]
    public async Task A_denied_connection_to_a_service_is_followed_to_the_rule_that_is_missing()
        => Assert.Equal(
            """
            DENIED: shop/cart-0 -> shop/db port 15432/TCP
            because no rule of CiliumNetworkPolicy shop/db lets shop/db-0 receive it
            service       shop/db port 15432/TCP (sql) is translated to its backend, by its selector: shop/db-0 port 5432
                          policy is asked about the backend and its port, not about the service

            source        shop/cart-0 10.244.1.5 on worker-1, identity 256: app=cart
            destination   shop/db-0 10.244.2.6 on worker-2, identity 257: app=db, port 5432/TCP
            egress        allowed by NetworkPolicy shop/egress spec.egress[0]
                            NetworkPolicy shop/egress spec.egress[0]: to app=db and namespace shop, every port (allows)
            ingress       DENIED by default: CiliumNetworkPolicy shop/db selects shop/db-0, and no rule matches
                            CiliumNetworkPolicy shop/db spec.ingressDeny[0]: deny from namespace monitoring, every port (other peer)
                            CiliumNetworkPolicy shop/db spec.ingress[0]: from app=web and namespace shop, 5432/TCP (other peer)
            replies       there are none

            The smallest change that would allow it:

            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata:
              name: allow-db-from-cart
              namespace: shop
            spec:
              endpointSelector:
                matchLabels:
                  app: db
              ingress:
              - fromEndpoints:
                - matchLabels:
                    app: cart
                toPorts:
                - ports:
                  - port: "5432"
                    protocol: TCP

            """, await ExplainAsync("shop/cart-0", "shop/db", "15432"));

    [Fact]
    public async Task The_printed_change_applied_as_it_is_turns_the_verdict_round()
    {
        string text = await ExplainAsync("shop/cart-0", "shop/db", "15432");
        _shop.Add("change.yaml", text[text.IndexOf("apiVersion", StringComparison.Ordinal)..]);
        Assert.StartsWith("ALLOWED: shop/cart-0 -> shop/db port 15432/TCP", await ExplainAsync("shop/cart-0", "shop/db", "15432"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Backends_that_policies_treat_differently_are_told_apart()
    {
        _shop.Add("more.yaml", """
            {apiVersion: v1, kind: Pod, metadata: {name: open-0, namespace: shop, labels: {app: open, set: all}}, status: {podIP: 10.244.2.20}}
            ---
            {apiVersion: v1, kind: Pod, metadata: {name: shut-0, namespace: shop, labels: {app: shut, set: all}}, status: {podIP: 10.244.2.21}}
            ---
            {apiVersion: v1, kind: Service, metadata: {name: all, namespace: shop}, spec: {clusterIP: 10.96.0.21, selector: {set: all}, ports: [{port: 80}]}}
            ---
            {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: shut, namespace: shop}, spec: {podSelector: {matchLabels: {app: shut}}}}
            """);
        string text = await ExplainAsync("monitoring/scraper-0", "10.96.0.21", "80");
        Assert.StartsWith("DEPENDS ON THE BACKEND: monitoring/scraper-0 -> 10.96.0.21 port 80/TCP\n", text, StringComparison.Ordinal);
        Assert.Contains("\nBackend 1 of 2: allowed\n", text, StringComparison.Ordinal);
        Assert.Contains("\nBackend 2 of 2: denied\n", text, StringComparison.Ordinal);
        _shop.Add("change.yaml", text[text.IndexOf("apiVersion", StringComparison.Ordinal)..]);
        Assert.StartsWith("ALLOWED: ", await ExplainAsync("monitoring/scraper-0", "10.96.0.21", "80"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_earlier_tier_decides_before_the_policies_of_the_namespace()
    {
        _shop.Add("tier.yaml", """
            apiVersion: policy.networking.k8s.io/v1alpha2
            kind: ClusterNetworkPolicy
            metadata: {name: first}
            spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{name: none, action: Deny, from: [{namespaces: {}}]}]}
            """);
        string text = await ExplainAsync("shop/cart-0", "shop/db-0", "5432");
        Assert.Contains("ingress       DENIED by ClusterNetworkPolicy first spec.ingress[0]\n", text, StringComparison.Ordinal);
        Assert.Contains("remove or narrow, because nothing that is added outdoes it:\n  ClusterNetworkPolicy first spec.ingress[0]", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_deny_rule_has_to_go_before_anything_helps()
    {
        string text = await ExplainAsync("monitoring/scraper-0", "shop/db-0", "sql");
        Assert.StartsWith(
            "DENIED: monitoring/scraper-0 -> shop/db-0 port sql/TCP\nbecause CiliumNetworkPolicy shop/db spec.ingressDeny[0] does not let shop/db-0 receive it\n", text, StringComparison.Ordinal);
        Assert.Contains("ingress       DENIED by CiliumNetworkPolicy shop/db spec.ingressDeny[0]\n", text, StringComparison.Ordinal);
        Assert.Contains(
            "To allow it, remove or narrow, because nothing that is added outdoes it:\n  CiliumNetworkPolicy shop/db spec.ingressDeny[0]: namespace monitoring, every port\n",
            text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Json_says_the_same_for_programs()
    {
        JsonNode json = JsonNode.Parse(await ExplainAsync("shop/cart-0", "203.0.113.9", "443/tcp", "-o", "json"))!;
        Assert.Equal("denied", (string?)json["verdict"]);
        Assert.Equal("default-deny", (string?)json["paths"]![0]!["egress"]!["reason"]);
        Assert.Equal("spec.egress[0]", (string?)json["paths"]![0]!["egress"]!["decidedBy"]![0]!["path"]);
        Assert.True((bool)json["change"]!["flips"]!);
        Assert.Equal("203.0.113.9/32", (string?)json["change"]!["add"]![0]!["spec"]!["egress"]![0]!["toCIDR"]![0]);
    }

    [Theory]
    [InlineData("shop/crat", "shop/db", "5432", "there is no pod shop/crat; did you mean shop/cart-0")]
    [InlineData("shap/cart-0", "shop/db", "5432", "there is no namespace shap with pods; there is shop")]
    [InlineData("cart", "shop/db", "5432", "'cart' has no namespace: give NAMESPACE/POD; did you mean shop/cart-0?")]
    [InlineData("shop/cart-0", "shop/db", "5432", "service shop/db has no port 5432/TCP: it has 15432/TCP")]
    [InlineData("shop/cart-0", "svc/shop/bd", "5432", "there is no service shop/bd; did you mean shop/db?")]
    [InlineData("shop/cart-0", "shop/db-0", "http", "shop/db-0 has no container port http/TCP: it has sql (5432/TCP)")]
    [InlineData("shop/cart-0", "shop/db-0", "99999", "port '99999': 99999 is not in the range 1 to 65535")]
    [InlineData("shop/cart-0", "shop/db-0", "80/xyz", "port '80/xyz' is not PORT/PROTOCOL")]
    [InlineData("shop/cart-0", "", "80", "--to is missing")]
    public async Task A_mistake_is_answered_with_what_there_is(string from, string to, string port, string message)
        => Assert.Contains(message, (await Assert.ThrowsAsync<UserErrorException>(() => ExplainAsync(from, to, port))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("kind: Pod\nmetadata: {name: x}\nspec: {containers: 7}\n", "bad.yaml:1: Pod x: spec.containers")]
    [InlineData("a: [", "bad.yaml: yaml:")]
    [InlineData("metadata: {name: x}\n", "bad.yaml:1: the object has no kind")]
    public async Task A_broken_manifest_is_named_with_its_place(string text, string message)
    {
        _shop.Add("bad.yaml", text);
        Assert.Contains(message, (await Assert.ThrowsAsync<UserErrorException>(() => ExplainAsync("shop/cart-0", "shop/db", "80"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Invalid_policies_and_templates_are_pointed_out()
    {
        _shop.Add("more.yaml", """
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata: {name: broken, namespace: shop}
            spec: {endpointSelector: {}, ingress: [{fromEntities: [moon]}]}
            """);
        string text = await ExplainAsync("shop/ledger", "shop/db-0", "5432");
        Assert.Contains("note          shop/ledger is the template of a StatefulSet: there is no pod of it here", text, StringComparison.Ordinal);
        Assert.Contains("CiliumNetworkPolicy shop/broken is invalid and has no effect: spec.ingress[0].fromEntities[0]: 'moon' is no entity", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{kind: CiliumEndpointSlice, metadata: {name: ces-x}, namespace: shop, endpoints: [{name: web-0, id: 4711, named-ports: [{name: http, port: 8080, protocol: TCP}], networking: {addressing: [{ipv4: 10.244.3.3}], node: 192.168.0.3}}]}")]
    [InlineData("{kind: CiliumEndpoint, metadata: {name: web-0, namespace: shop}, status: {identity: {id: 4711}, named-ports: [{name: http, port: 8080, protocol: TCP}], networking: {addressing: [{ipv4: 10.244.3.3}], node: 192.168.0.3}}}")]
    public async Task A_pod_that_only_a_slice_of_endpoints_speaks_of_has_the_labels_of_its_identity(string endpoint)
    {
        _shop.Add("endpoints.yaml", $$"""
            {{endpoint}}
            ---
            kind: CiliumIdentity
            metadata: {name: "4711"}
            security-labels: {"k8s:app": web, "k8s:io.kubernetes.pod.namespace": shop, "k8s:io.cilium.k8s.policy.cluster": default, "k8s:io.cilium.k8s.policy.serviceaccount": default}
            """);
        string text = await ExplainAsync("10.244.3.3", "shop/db-0", "5432");
        Assert.Contains("source        shop/web-0 10.244.3.3 on 192.168.0.3, identity 4711: app=web\n", text, StringComparison.Ordinal);
        Assert.Contains("ingress       allowed by CiliumNetworkPolicy shop/db spec.ingress[0]\n", text, StringComparison.Ordinal);
        Assert.Contains("port 8080/TCP", await ExplainAsync("shop/cart-0", "shop/web-0", "http"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("denied", 0)]
    [InlineData("allowed", 1)]
    public async Task An_expectation_decides_about_the_exit_status(string expected, int status)
        => Assert.Equal(status, await new ExplainCommand(TextWriter.Null).RunAsync(
            ["--manifests", _shop.Directory, "--from", "shop/cart-0", "--to", "world", "--port", "443", "--expect", expected], CancellationToken.None));

    private async Task<string> ExplainAsync(string from, string to, string port, params string[] more)
    {
        var output = new StringWriter { NewLine = "\n" };
        Assert.Equal(0, await new ExplainCommand(output).RunAsync(
            ["--manifests", _shop.Directory, "--from", from, "--to", to, "--port", port, .. more], CancellationToken.None));
        return output.ToString();
    }
}
