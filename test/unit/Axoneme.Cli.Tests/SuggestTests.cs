// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cli.Explanations;

namespace Axoneme.Cli.Tests;

public sealed class SuggestTests : IDisposable
{
    private readonly ShopManifests _shop = new();
    private readonly string _flows;

    public SuggestTests()
    {
        _flows = Path.Combine(_shop.Directory, "flows.jsonl");
        File.WriteAllLines(_flows, RecordedShop.Lines);
    }

    public void Dispose() => _shop.Dispose();

    [Fact]
    public async Task Recorded_connections_become_rules_with_their_evidence()
        => Assert.Equal(
            """
            # Checked: the 7 recorded connections that these policies are about stay allowed.
            # cart: what was recorded from 2026-03-04 05:06Z to 2026-03-04 05:06Z, and nothing else.
            # No ingress was recorded, and it stays open: add "ingress: [{}]" to close it.
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata:
              name: cart
              namespace: shop
            spec:
              endpointSelector:
                matchLabels:
                  app: cart
              egress:
              # 1 connection, last 2026-03-04 05:06Z
              - toEndpoints:
                - matchLabels:
                    k8s-app: kube-dns
                    k8s:io.kubernetes.pod.namespace: kube-system
                toPorts:
                - ports:
                  - port: "53"
                    protocol: UDP
                  rules:
                    dns:
                    - matchName: api.example.com
              # 3 connections, last 2026-03-04 05:06Z
              - toEndpoints:
                - matchLabels:
                    app: db
                toPorts:
                - ports:
                  - port: "5432"
                    protocol: TCP
              # 1 connection, last 2026-03-04 05:06Z
              - toFQDNs:
                - matchName: api.example.com
                toPorts:
                - ports:
                  - port: "443"
                    protocol: TCP
              # 1 connection, last 2026-03-04 05:06Z
              - toCIDR:
                - "198.51.100.7/32"
                toPorts:
                - ports:
                  - port: "443"
                    protocol: TCP
            ---
            """, Until(await RunAsync(), "---\n"));

    [Fact]
    public async Task Replies_probes_of_the_own_node_and_denied_connections_need_no_rule()
    {
        string database = (await RunAsync("--workload", "db")).Replace("\r", "", StringComparison.Ordinal);
        Assert.DoesNotContain("entities", database, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("\"22\"", database, StringComparison.Ordinal);
        Assert.DoesNotContain("egress:\n", database, StringComparison.Ordinal);
        Assert.Contains("app: gone", database, StringComparison.Ordinal);
        Assert.Contains("\"22\"", await RunAsync("--workload", "db", "--include-denied"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Suggested_policies_drop_nothing_of_what_they_were_made_of()
    {
        string policies = _shop.Add("suggested.yaml", await RunAsync());
        string present = Path.Combine(Directory.CreateDirectory(Path.Combine(_shop.Directory, "present")).FullName, "objects.yaml");
        File.WriteAllText(present, ShopManifests.Objects[..ShopManifests.Objects.IndexOf("---\napiVersion: cilium.io", StringComparison.Ordinal)]);
        var output = new StringWriter { NewLine = "\n" };
        int status = await new RehearseCommand(output, TimeProvider.System).RunAsync(
            ["--manifests", present, "--flows", _flows, "-f", policies, "--fail-on-drop", "-o", "json"], CancellationToken.None);
        // The refused connection alone changes its verdict: without policies it would pass.
        Assert.Equal(1, status);
        var json = System.Text.Json.Nodes.JsonNode.Parse(output.ToString())!;
        Assert.Equal(["22/TCP"], json["changes"]!.AsArray().Select(c => (string?)c!["port"]));
    }

    [Fact]
    public async Task Many_neighbouring_addresses_become_their_network_and_very_many_the_world()
    {
        File.WriteAllLines(_flows, Enumerable.Range(1, 8).Select(i => Outwards($"198.51.100.{i}", 443))
            .Concat(Enumerable.Range(1, 60).Select(i => Outwards($"203.0.{i}.1", 8443))));
        string text = await RunAsync();
        Assert.Contains("  # 8 connections, last 2026-03-04 05:06Z, 8 addresses\n  - toCIDR:\n    - \"198.51.100.0/24\"\n", text, StringComparison.Ordinal);
        Assert.Contains("  - toEntities:\n    - world\n    toPorts:\n    - ports:\n      - port: \"8443\"\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Manifests_without_configuration_are_taken_for_those_of_the_recorded_cluster()
    {
        File.WriteAllLines(_flows, RecordedShop.Lines.Select(l => l.Replace("policy.cluster=default", "policy.cluster=berlin", StringComparison.Ordinal)));
        Assert.Contains("# Checked: the 7 recorded connections", await RunAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Questions_are_looked_into_only_where_names_matter()
    {
        File.WriteAllLines(_flows, [RecordedShop.Flow(3, RecordedShop.Cart, "10.244.1.5", RecordedShop.Dns, "10.244.9.9", RecordedShop.Udp(50000, 53))]);
        string text = await RunAsync();
        Assert.Contains("port: \"53\"", text, StringComparison.Ordinal);
        Assert.DoesNotContain("rules:", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_network_policy_says_what_it_cannot_say()
    {
        File.AppendAllLines(_flows, [RecordedShop.Flow(8, RecordedShop.Cart, "10.244.1.5", """{"identity":6,"labels":["reserved:remote-node"]}""", "192.0.2.9", RecordedShop.Tcp(4, 10250))]);
        var errors = new StringWriter { NewLine = "\n" };
        string text = await RunAsync(errors, "--kind", "netpol", "--workload", "cart");
        Assert.Equal("not covered: shop/cart -> remote-node port 10250/TCP: a NetworkPolicy cannot name remote-node\nnot covered: 42 events were lost while it was recorded\n", errors.ToString());
        Assert.Contains("    - podSelector:\n        matchLabels:\n          k8s-app: kube-dns\n      namespaceSelector:\n        matchLabels:\n          kubernetes.io/metadata.name: kube-system\n", text, StringComparison.Ordinal);
        Assert.Contains("        cidr: \"203.0.113.9/32\"\n", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--namespace", "nowhere", "nothing was recorded that pods of nowhere need a rule for")]
    [InlineData("--kind", "ccnp", "--kind: \"ccnp\" is not one of cnp, netpol")]
    public async Task A_mistake_is_named(string flag, string value, string message)
        => Assert.Contains(message, (await Assert.ThrowsAsync<UserErrorException>(() => RunAsync(flag, value))).Message, StringComparison.Ordinal);

    private static string Outwards(string address, int port)
        => RecordedShop.Flow(1, RecordedShop.Cart, "10.244.1.5", RecordedShop.World, address, RecordedShop.Tcp(40000, port));

    private Task<string> RunAsync(params string[] arguments) => RunAsync(TextWriter.Null, arguments);

    private async Task<string> RunAsync(TextWriter errors, params string[] arguments)
    {
        var output = new StringWriter { NewLine = "\n" };
        Assert.Equal(0, await new SuggestCommand(output, errors, TimeProvider.System).RunAsync(
            ["--manifests", _shop.Path, "--flows", _flows, "--namespace", "shop", .. arguments], CancellationToken.None));
        return output.ToString();
    }

    private static string Until(string text, string end) => text[..(text.IndexOf(end, StringComparison.Ordinal) + end.Length - 1)];
}
