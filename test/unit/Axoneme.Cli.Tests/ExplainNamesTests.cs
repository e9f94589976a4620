// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Cli.Explanations;

namespace Axoneme.Cli.Tests;

public sealed class ExplainNamesTests : IDisposable
{
    private const string Server = """
        apiVersion: v1
        kind: Service
        metadata: {name: kube-dns, namespace: kube-system}
        spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53, protocol: UDP, targetPort: 5353}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: coredns-0, namespace: kube-system, labels: {k8s-app: kube-dns}}
        """;

    private const string Names = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: names, namespace: shop}
        spec:
          endpointSelector: {matchLabels: {app: ledger}}
          egress:
          - toEndpoints: [{matchLabels: {k8s-app: kube-dns, "k8s:io.kubernetes.pod.namespace": kube-system}}]
            toPorts: [{ports: [{port: "5353", protocol: ANY}], rules: {dns: [{matchPattern: "*.example.com"}, {matchName: intern.lan}]}}]
          - toFQDNs: [{matchPattern: "*.example.com"}, {matchName: example.org}]
            toPorts: [{ports: [{port: "443", protocol: TCP}]}]
        """;

    private readonly ShopManifests _shop = new();

    public ExplainNamesTests()
    {
        _shop.Add("server.yaml", Server);
        _shop.Add("names.yaml", Names);
    }

    public void Dispose() => _shop.Dispose();

    [Fact]
    public async Task A_name_is_followed_from_its_lookup_to_the_pattern_that_opens_its_addresses()
    {
        string text = await ExplainAsync("--from", "shop/ledger", "--to", "api.example.com", "--port", "443");
        Assert.StartsWith("ALLOWED: shop/ledger -> api.example.com port 443/TCP\n", text, StringComparison.Ordinal);
        Assert.Contains(
            """
            lookup        shop/ledger has to ask kube-system/coredns-0 port 5353/UDP for api.example.com first
            redirect      to the DNS proxy, which lets the names *.example.com, intern.lan pass and refuses others
            question      api.example.com passes by CiliumNetworkPolicy shop/names spec.egress[0]
            name          *.example.com of CiliumNetworkPolicy shop/names spec.egress[1] stands for the addresses in the answers
            """, text, StringComparison.Ordinal);
        // Nothing denies a name: the rule that opens it is the one to change.
        Assert.EndsWith("To deny it, remove or narrow, because nothing that is added outdoes it:\n  CiliumNetworkPolicy shop/names spec.egress[1]: fqdn *.example.com, fqdn example.org, 443/TCP\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_name_that_may_be_reached_but_not_asked_for_is_not_reached()
    {
        string text = await ExplainAsync("--from", "shop/ledger", "--to", "example.org", "--port", "443");
        Assert.StartsWith("DENIED", text, StringComparison.Ordinal);
        Assert.Contains("question      example.org is REFUSED: CiliumNetworkPolicy shop/names spec.egress[0] sends questions to the proxy, and no rule names it\n", text, StringComparison.Ordinal);
        Assert.Contains("\nbecause the name cannot be looked up: the DNS proxy answers for other names only\n", text, StringComparison.Ordinal);
        Assert.Contains("name          example.org of CiliumNetworkPolicy shop/names spec.egress[1] stands for no address, as the DNS proxy sees no answer\n", text, StringComparison.Ordinal);
        await AppliedAsync(text, "ALLOWED", "--from", "shop/ledger", "--to", "example.org", "--port", "443");
        Assert.DoesNotContain("toFQDNs", text[text.IndexOf("apiVersion", StringComparison.Ordinal)..], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_that_are_asked_for_past_the_proxy_open_nothing()
    {
        _shop.Add("names.yaml", Names.Replace(", rules: {dns: [{matchPattern: \"*.example.com\"}, {matchName: intern.lan}]}", "", StringComparison.Ordinal));
        string text = await ExplainAsync("--from", "shop/ledger", "--to", "api.example.com", "--port", "443");
        Assert.StartsWith("DENIED", text, StringComparison.Ordinal);
        Assert.Contains("question      api.example.com is asked for past the DNS proxy: no rule with rules.dns holds for the question", text, StringComparison.Ordinal);
        await AppliedAsync(text, "ALLOWED", "--from", "shop/ledger", "--to", "api.example.com", "--port", "443");
    }

    [Fact]
    public async Task Who_may_reach_the_world_but_ask_nobody_reaches_no_name()
    {
        _shop.Add("names.yaml", """
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata: {name: names, namespace: shop}
            spec: {endpointSelector: {matchLabels: {app: ledger}}, egress: [{toEntities: [world]}]}
            """);
        string text = await ExplainAsync("--from", "shop/ledger", "--to", "api.example.com", "--port", "443");
        Assert.StartsWith("DENIED", text, StringComparison.Ordinal);
        Assert.Contains("lookup        shop/ledger has to ask kube-system/coredns-0 port 5353/UDP for api.example.com first\n              DENIED by default: CiliumNetworkPolicy shop/names", text, StringComparison.Ordinal);
        await AppliedAsync(text, "ALLOWED", "--from", "shop/ledger", "--to", "api.example.com", "--port", "443");
    }

    [Theory]
    [InlineData("api.example.com", "ANSWERED", "question      api.example.com passes by CiliumNetworkPolicy shop/names spec.egress[0]")]
    [InlineData("intern.lan.", "ANSWERED", "question      intern.lan passes by CiliumNetworkPolicy shop/names spec.egress[0]")]
    [InlineData("a.b.example.com", "REFUSED", "question      a.b.example.com is REFUSED: CiliumNetworkPolicy shop/names spec.egress[0] sends")]
    public async Task A_question_is_answered_or_refused_by_a_rule(string name, string verdict, string line)
    {
        string text = await ExplainAsync("--from", "shop/ledger", "--dns-query", name);
        Assert.StartsWith($"{verdict}: shop/ledger asks kube-system/coredns-0 port 53/UDP for {name.TrimEnd('.')}\n", text, StringComparison.Ordinal);
        Assert.Contains(line, text, StringComparison.Ordinal);
        if (verdict == "REFUSED")
            await AppliedAsync(text, "ANSWERED", "--from", "shop/ledger", "--dns-query", name);
    }

    [Fact]
    public async Task A_question_that_no_rule_looks_at_is_answered_and_a_closed_pod_may_ask_nobody()
    {
        Assert.Contains("question      api.example.com is asked for past the DNS proxy", await ExplainAsync("--from", "shop/db-0", "--dns-query", "api.example.com", "--to", "10.96.0.10"), StringComparison.Ordinal);
        string text = await ExplainAsync("--from", "shop/cart-0", "--dns-query", "api.example.com");
        Assert.StartsWith("DENIED: shop/cart-0 asks ", text, StringComparison.Ordinal);
        await AppliedAsync(text, "ANSWERED", "--from", "shop/cart-0", "--dns-query", "api.example.com");
        Assert.StartsWith("REFUSED", await ExplainAsync("--from", "shop/cart-0", "--dns-query", "other.example.com"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Json_has_the_outcome_for_the_name()
    {
        JsonNode json = JsonNode.Parse(await ExplainAsync("--from", "shop/ledger", "--dns-query", "example.org", "-o", "json"))!;
        Assert.Equal(("denied", "example.org"), ((string?)json["verdict"], (string?)json["dnsQuery"]));
        Assert.Equal(("refused", "spec.egress[0]"), ((string?)json["paths"]![0]!["question"]!["outcome"], (string?)json["paths"]![0]!["question"]!["rules"]![0]!["path"]));
        Assert.Equal("*.example.com", (string?)json["paths"]![0]!["egress"]!["redirectNames"]![0]);
        JsonNode named = JsonNode.Parse(await ExplainAsync("--from", "shop/ledger", "--to", "api.example.com", "--port", "443", "-o", "json"))!;
        Assert.Equal("answered", (string?)named["paths"]![0]!["lookup"]!["question"]!["outcome"]);
    }

    [Fact]
    public async Task Without_a_known_server_the_name_is_said_not_to_be_examined()
    {
        _shop.Add("server.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: empty}}\n");
        Assert.Contains("note          whether the name can be looked up is not known", await ExplainAsync("--from", "shop/ledger", "--to", "api.example.com", "--port", "443"), StringComparison.Ordinal);
        Assert.Contains("give it with --to", (await Assert.ThrowsAsync<UserErrorException>(() => ExplainAsync("--from", "shop/ledger", "--dns-query", "x.org"))).Message, StringComparison.Ordinal);
        Assert.Equal("'a b' is not a DNS name", (await Assert.ThrowsAsync<UserErrorException>(() => ExplainAsync("--from", "shop/ledger", "--to", "shop/db-0", "--dns-query", "a b"))).Message);
    }

    private async Task AppliedAsync(string text, string verdict, params string[] question)
    {
        _shop.Add("change.yaml", text[text.IndexOf("apiVersion", StringComparison.Ordinal)..]);
        Assert.StartsWith(verdict, await ExplainAsync(question), StringComparison.Ordinal);
    }

    private async Task<string> ExplainAsync(params string[] question)
    {
        var output = new StringWriter { NewLine = "\n" };
        Assert.Equal(0, await new ExplainCommand(output).RunAsync(["--manifests", _shop.Directory, .. question], CancellationToken.None));
        return output.ToString();
    }
}
