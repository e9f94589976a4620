// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Cli.Explanations;

namespace Axoneme.Cli.Tests;

public sealed class RehearseTests : IDisposable
{
    private const string Lockdown = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: lockdown, namespace: shop}
        spec: {endpointSelector: {}, egress: [{toEndpoints: [{matchLabels: {app: db}}]}]}
        """;

    private readonly ShopManifests _shop = new();
    private readonly string _flows;
    private readonly string _change;

    public RehearseTests()
    {
        _flows = Path.Combine(_shop.Directory, "flows.jsonl");
        File.WriteAllLines(_flows, RecordedShop.Lines);
        // Outside of the manifests: these are the present ones.
        _change = Path.Combine(Directory.CreateDirectory(_shop.Directory + "-change").FullName, "change.yaml");
        File.WriteAllText(_change, Lockdown);
    }

    public void Dispose()
    {
        Directory.Delete(Path.GetDirectoryName(_change)!, recursive: true);
        _shop.Dispose();
    }

    [Fact]
    public async Task What_a_deletion_would_let_pass_is_grouped_with_the_rules_before_and_after()
    {
        (int status, string text) = await RunAsync("--delete", "cnp/shop/db", "--fail-on-drop");
        Assert.Equal(0, status);
        Assert.Equal(
            """
            11 records of 9 connections, 2026-03-04T05:06:01Z to 2026-03-04T05:06:09Z

            WOULD PASS, and are dropped now: 5 connections
              shop/cart -> shop/db port 5432/TCP: 3 connections, 2026-03-04T05:06:01Z to 2026-03-04T05:06:09Z
                ingress of shop/db now:  denied by default, as no rule of CiliumNetworkPolicy shop/db matches
                ingress of shop/db then: allowed, no policy restricts it
              shop/gone -> shop/db port 22/TCP: 1 connections, 2026-03-04T05:06:07Z to 2026-03-04T05:06:07Z
                ingress of shop/db now:  denied by default, as no rule of CiliumNetworkPolicy shop/db matches
                ingress of shop/db then: allowed, no policy restricts it
              shop/gone -> shop/db port 5432/TCP: 1 connections, 2026-03-04T05:06:05Z to 2026-03-04T05:06:05Z
                ingress of shop/db now:  denied by default, as no rule of CiliumNetworkPolicy shop/db matches
                ingress of shop/db then: allowed, no policy restricts it

            Unchanged: 4 connections

            What this does not say:
              - the record spans 8s: what happens more rarely, such as nightly jobs, may not be in it
              - 42 events were lost while it was recorded: connections may be missing
              - it is of default/n1 only
              - 1 records were not replayed: replies, which pass without a rule
              - 7 connections were recorded with another verdict than the present policies give: policies or labels were others then

            """, text);
    }

    [Fact]
    public async Task What_a_new_policy_would_drop_fails_a_pipeline_that_asks_for_it()
    {
        WithoutPolicies();
        (int status, string text) = await RunAsync("-f", _change, "--fail-on-drop");
        Assert.Equal(1, status);
        Assert.Contains("WOULD BE DROPPED: 3 connections", text, StringComparison.Ordinal);
        Assert.Contains("  shop/cart -> api.example.com port 443/TCP: 1 connections", text, StringComparison.Ordinal);
        Assert.Contains("    egress of shop/cart then: denied by default, as no rule of CiliumNetworkPolicy shop/lockdown matches", text, StringComparison.Ordinal);
        Assert.Contains("  - nothing was recorded of shop/ledger, which the change selects", text, StringComparison.Ordinal);
        Assert.Equal(0, (await RunAsync("-f", _change)).Status);
    }

    [Fact]
    public async Task Json_has_the_same_groups()
    {
        JsonNode json = JsonNode.Parse((await RunAsync("--delete", "cnp/shop/db", "-o", "json")).Text)!;
        JsonNode group = json["changes"]![0]!;
        Assert.Equal(("passed", "shop/cart", "ingress", 3), ((string?)group["change"], (string?)group["source"], (string?)group["direction"], (int)group["connections"]!));
        Assert.Equal("db", (string?)group["before"]!["decidedBy"]![0]!["name"]);
        Assert.Equal(42, (int)json["lostEvents"]!);
    }

    [Fact]
    public async Task Names_that_would_no_longer_be_answered_are_listed()
    {
        File.WriteAllText(_change, """
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata: {name: names, namespace: shop}
            spec:
              endpointSelector: {matchLabels: {app: cart}}
              enableDefaultDeny: {egress: false}
              egress: [{toEndpoints: [{matchLabels: {k8s-app: kube-dns, "k8s:io.kubernetes.pod.namespace": kube-system}}], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: other.example.com}]}}]}]
            """);
        WithoutPolicies();
        (_, string text) = await RunAsync("-f", _change);
        Assert.Contains("WOULD BE REFUSED NAMES: 1 connections\n  shop/cart -> kube-system/kube-dns port 53/UDP", text, StringComparison.Ordinal);
        Assert.Contains("    refused: api.example.com\n", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--delete", "cnp/shop/nothing", "--delete cnp/shop/nothing: there is no CiliumNetworkPolicy shop/nothing")]
    [InlineData("--delete", "pod/shop/x", "--delete 'pod/shop/x': pod is not one of cnp, ccnp, netpol, cnetpol, anp, banp")]
    [InlineData("--delete", "ccnp/a/b", "--delete 'ccnp/a/b' is not ccnp/NAME")]
    [InlineData("-f", "/nowhere.yaml", "/nowhere.yaml: there is no such file")]
    [InlineData("--fail-on-drop", "true", "unexpected argument")]
    public async Task A_mistake_is_named(string flag, string value, string message)
        => Assert.Contains(message, (await Assert.ThrowsAsync<UserErrorException>(() => RunAsync(flag, value))).Message, StringComparison.Ordinal);

    [Fact]
    public async Task An_invalid_policy_is_not_rehearsed()
    {
        File.WriteAllText(_change, Lockdown.Replace("toEndpoints: [{matchLabels: {app: db}}]", "toEntities: [moon]", StringComparison.Ordinal));
        UserErrorException error = await Assert.ThrowsAsync<UserErrorException>(() => RunAsync("-f", _change));
        Assert.Contains("CiliumNetworkPolicy shop/lockdown is invalid: spec.egress[0].toEntities[0]: 'moon' is no entity", error.Message, StringComparison.Ordinal);
    }

    private void WithoutPolicies()
        => _shop.Add("shop.yaml", ShopManifests.Objects[..ShopManifests.Objects.IndexOf("apiVersion: cilium.io", StringComparison.Ordinal)]);

    private async Task<(int Status, string Text)> RunAsync(params string[] arguments)
    {
        var output = new StringWriter { NewLine = "\n" };
        int status = await new RehearseCommand(output, TimeProvider.System).RunAsync(
            ["--manifests", _shop.Path, "--flows", _flows, .. arguments], CancellationToken.None);
        return (status, output.ToString());
    }
}
