// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>Policies that name names: which ones may be asked for, and whose addresses may be reached.</summary>
[Collection(NativeCollection.Name)]
public sealed class NameTests(NativeLab lab)
{
    // Two hosts beyond the cluster, by names that only the test knows.
    private const string Names = """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: lab-names, namespace: kube-system}
        data:
          allowed.example.test: "203.0.113.10 2001:db8::10 ttl=2"
          www.wild.test: "203.0.113.10 2001:db8::10"
          a.b.wild.test: "203.0.113.10"
          other.test: "192.0.2.10 2001:db8:2::10"
          wild.test: "192.0.2.10"
        """;

    private static string Policy(string peers, string dns)
    {
        string reached = peers.Length == 0 ? "" : $"  - {{toFQDNs: [{peers}], toPorts: [{{ports: [{{port: \"7\", protocol: TCP}}]}}]}}";
        return $$$"""
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata: {name: names, namespace: guarded}
            spec:
              endpointSelector: {matchLabels: {app: friend}}
              egress:
              - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system}}]
                toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{{{dns}}}]}}]
            {{{reached}}}
            """;
    }

    private const string From = "exec guarded/friend";

    [Fact]
    public async Task Dns_only_answers_names_and_reaches_nobody()
    {
        await using IAsyncDisposable names = await lab.WithAsync(Names);
        await using IAsyncDisposable policy = await lab.WithAsync(Policy("", "{matchPattern: \"*\"}"));
        await lab.ExpectAsync(
            From,
            ["axl ask allowed.example.test.", "axl ask allowed.example.test. AAAA", "axl ask other.test. A tcp"],
            [$"axl tcp {LabCluster.OutsideV4} 7", "axl tcp allowed.example.test. 7", $"axl tcp {lab.V4("work/near")} 7"]);
    }

    [Fact]
    public async Task Addresses_of_allowed_names_are_reached_and_no_others()
    {
        await using IAsyncDisposable names = await lab.WithAsync(Names);
        await using IAsyncDisposable policy = await lab.WithAsync(
            Policy("{matchName: allowed.example.test}", "{matchPattern: \"*.example.test\"}, {matchPattern: \"**.test\"}"));
        await lab.ExpectAsync(From, ["axl tcp allowed.example.test. 7", "axl ask other.test."], ["axl tcp other.test. 7", $"axl tcp 192.0.2.10 7"]);
        await lab.ExpectAsync(From, ["axl ask allowed.example.test. AAAA"]);
        await lab.ExpectAsync(
            From, [$"axl tcp {LabCluster.OutsideV4} 7", $"axl tcp {LabCluster.OutsideV6} 7"], [$"axl tcp 2001:db8:2::10 7", $"axl udp {LabCluster.OutsideV4} 7"]);
        JsonNode selectors = JsonNode.Parse((await lab.NodeAsync("node1", "cilium", "fqdn", "names")).Require())!["FQDNPolicySelectors"]!;
        JsonNode selector = selectors.AsArray().Single(s => (string?)s!["selectorString"] == "allowed.example.test")!;
        Assert.Contains(LabCluster.OutsideV4, selector["ips"]!.AsArray().Select(i => (string?)i));
        Assert.Contains("allowed.example.test.", (await lab.NodeAsync("node1", "cilium", "fqdn", "cache", "list")).Require());
        Assert.Matches("DNS Proxy: +OK", (await lab.NodeAsync("node1", "cilium", "status")).Require());
    }

    [Fact]
    public async Task Names_that_no_rule_allows_are_refused_by_either_protocol()
    {
        await using IAsyncDisposable names = await lab.WithAsync(Names);
        await using IAsyncDisposable policy = await lab.WithAsync(
            Policy("{matchPattern: \"*.wild.test\"}", "{matchPattern: \"*.wild.test\"}, {matchName: other.test}"));
        await lab.ExpectAsync(
            From,
            ["axl ask www.wild.test.", "axl ask www.wild.test. A tcp", "axl ask other.test. AAAA", "axl tcp www.wild.test. 7"],
            ["axl tcp other.test. 7"],
            ["axl ask allowed.example.test.", "axl ask a.b.wild.test. A tcp", "axl ask wild.test. AAAA"]);
        string flows = (await lab.NodeAsync(
            "node1", "hubble", "observe", "--type", "l7", "--protocol", "dns", "--last", "200", "-o", "compact")).Require();
        Assert.Matches("DNS Query www\\.wild\\.test\\. A", flows);
        Assert.Matches("DNS Answer \"203\\.0\\.113\\.10\"", flows);
        Assert.Matches("allowed\\.example\\.test\\..*DROPPED|DROPPED.*allowed\\.example\\.test", flows);
    }

    [Fact]
    public async Task Questions_are_answered_and_names_reached_while_the_agent_dies_again_and_again()
    {
        await using IAsyncDisposable names = await lab.WithAsync(Names);
        // What other tests asked for is known to the node, and the pattern takes it in.
        (await lab.NodeAsync("node1", "cilium", "fqdn", "cache", "clean", "--force")).Require();
        await using IAsyncDisposable policy = await lab.WithAsync(Policy("{matchPattern: \"**.test\"}", "{matchPattern: \"*\"}"));
        await lab.ExpectAsync(From, ["axl tcp allowed.example.test. 7"], [$"axl tcp 192.0.2.10 7"]);
        using Process asking = lab.Start("exec", "guarded/friend", "--", "axl", "asking", "allowed.example.test.", "12", "20");
        for (int i = 0; i < 3; i++)
        {
            (await lab.LabAsync("agent", "node1", "kill")).Require();
            await lab.ExpectAsync(From, ["axl tcp allowed.example.test. 7"]);
        }

        (await lab.LabAsync("agent", "node1", "stop")).Require();
        try
        {
            // A name that nobody asked for before, of a host that no policy opens otherwise.
            await lab.ExpectAsync(From, ["axl tcp other.test. 7", $"axl tcp {LabCluster.OutsideV4} 7"]);
        }
        finally
        {
            (await lab.LabAsync("agent", "node1", "start")).Require();
        }

        string report = await asking.StandardOutput.ReadToEndAsync();
        await asking.WaitForExitAsync();
        Assert.True(asking.ExitCode == 0, report);
        await Eventually.IsAsync(
            "the agent knows what was learned without it",
            () => lab.NodeAsync("node1", "cilium", "fqdn", "cache", "list"), r => r.Status == 0 && r.Output.Contains("other.test."));
        await lab.ExpectAsync(From, ["axl tcp 192.0.2.10 7", "axl tcp allowed.example.test. 7"]);
    }

    [Fact]
    public async Task Proxy_that_dies_comes_back_with_its_rules_and_takes_no_access()
    {
        await using IAsyncDisposable names = await lab.WithAsync(Names);
        await using IAsyncDisposable policy = await lab.WithAsync(Policy("{matchName: www.wild.test}", "{matchPattern: \"*.wild.test\"}"));
        await lab.ExpectAsync(From, ["axl tcp www.wild.test. 7"], null, ["axl ask other.test."]);
        using LiveConnection open = await LiveConnection.OpenAsync(lab, "guarded/friend", LabCluster.OutsideV4);
        (await lab.LabAsync("proxy", "node1", "kill")).Require();
        Assert.Equal("alive", await open.AskAsync());
        await lab.ExpectAsync(From, ["axl ask www.wild.test.", $"axl tcp {LabCluster.OutsideV4} 7"], null, ["axl ask other.test."]);
        Assert.Equal("alive", await open.AskAsync());
    }

    [Fact]
    public async Task Connections_from_before_their_names_are_examined_do_not_go_on()
    {
        string[] servers = [LabCluster.NodeV4(1), LabCluster.NodeV6(1), lab.V4("work/near"), LabCluster.OutsideV4];
        var open = new List<LiveConnection>();
        try
        {
            foreach (string server in servers)
                open.Add(await LiveConnection.OpenAsync(lab, "guarded/friend", server));
            await using IAsyncDisposable policy = await lab.WithAsync("""
                apiVersion: cilium.io/v2
                kind: CiliumNetworkPolicy
                metadata: {name: names, namespace: guarded}
                spec:
                  endpointSelector: {matchLabels: {app: friend}}
                  egress:
                  - toEntities: [all]
                    toPorts: [{ports: [{port: "7", protocol: TCP}], rules: {dns: [{matchPattern: "*"}]}}]
                """);
            foreach ((LiveConnection connection, string server) in open.Zip(servers))
            {
                string answer = "alive";
                for (int i = 0; i < 100 && answer == "alive"; i++)
                {
                    answer = await connection.AskAsync();
                    await Task.Delay(100);
                }

                Assert.True(answer != "alive", $"the connection with {server} goes on");
            }
        }
        finally
        {
            open.ForEach(c => c.Dispose());
        }
    }

    // Long enough that every stage of an agent's start is hit: it takes about two seconds.
    private const string Asking = "allowed.example.test.,www.wild.test. 20 20 7";

    [Fact]
    public async Task Nothing_is_lost_while_the_agent_is_restarted_all_the_time()
    {
        await using IAsyncDisposable names = await lab.WithAsync(Names);
        await using IAsyncDisposable policy = await lab.WithAsync(Policy("{matchPattern: \"**.test\"}", "{matchPattern: \"*\"}"));
        await lab.ExpectAsync(From, ["axl tcp allowed.example.test. 7", "axl tcp www.wild.test. 7"]);
        using Process asking = lab.Start(["exec", "guarded/friend", "--", "axl", "asking", .. Asking.Split(' ')]);
        int restarts = await RestartAllTheTimeAsync("agent", asking);
        string report = await asking.StandardOutput.ReadToEndAsync();
        await Eventually.IsAsync("the agent is back", () => lab.NodeAsync("node1", "cilium", "status"), r => r.Status == 0);
        Assert.True(asking.ExitCode == 0, $"{restarts} restarts: {report}");
        Assert.InRange(restarts, 5, int.MaxValue);
    }

    [Fact]
    public async Task Nothing_is_lost_while_the_proxy_is_restarted()
    {
        await using IAsyncDisposable names = await lab.WithAsync(Names);
        await using IAsyncDisposable policy = await lab.WithAsync(Policy("{matchPattern: \"**.test\"}", "{matchPattern: \"**.test\"}"));
        await lab.ExpectAsync(From, ["axl tcp allowed.example.test. 7", "axl tcp www.wild.test. 7"]);
        using Process asking = lab.Start(["exec", "guarded/friend", "--", "axl", "asking", .. Asking.Split(' ')]);
        for (int i = 0; i < 4; i++)
        {
            (await lab.LabAsync("proxy", "node1", "restart")).Require();
            await lab.ExpectAsync(From, ["axl ask allowed.example.test."], null, ["axl ask other.nowhere."]);
        }

        string report = await asking.StandardOutput.ReadToEndAsync();
        await asking.WaitForExitAsync();
        Assert.True(asking.ExitCode == 0, report);
    }

    // At random moments, so that agents end in all stages of their start.
    private async Task<int> RestartAllTheTimeAsync(string what, Process until)
    {
        int restarts = 0;
        for (; !until.HasExited; restarts++)
        {
            (await lab.LabAsync(what, "node1", restarts % 4 == 3 ? "restart" : "kill")).Require();
            await Task.Delay(Random.Shared.Next(200, 1000));
            (await lab.LabAsync(what, "node1", "start")).Require();
            await Task.Delay(Random.Shared.Next(300, 1200));
        }

        return restarts;
    }
}
