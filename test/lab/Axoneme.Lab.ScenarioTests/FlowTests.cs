// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace Axoneme.Lab.ScenarioTests;

[Collection(NativeCollection.Name)]
public sealed class FlowTests(NativeLab lab)
{
    private Task<string> ObserveAsync(string node, string filters, Func<string, bool> holds)
        => Eventually.IsAsync($"hubble observe {filters}", async () => (await lab.NodeAsync(node, ["hubble", "observe", .. filters.Split(' ')])).Require(), holds);

    [Fact]
    public async Task Forwarded_flows_carry_the_names_of_pods()
    {
        await lab.ExpectAsync("exec work/client", [$"axl tcp {lab.V4("work/far")} 7", $"axl udp {lab.V6("work/near")} 7"]);
        await ObserveAsync("node1", "--from-pod work/client --to-pod work/far --protocol tcp --last 20",
            t => t.Contains("work/client:") && t.Contains("work/far:7 ") && t.Contains("FORWARDED"));
        await ObserveAsync("node2", "--to-pod work/far --last 20", t => t.Contains("work/client:") && t.Contains("FORWARDED"));
        await ObserveAsync("node1", "--to-pod work/near --protocol udp --ipv6 --last 20", t => t.Contains("work/near:7 ") && t.Contains("UDP"));
    }

    [Fact]
    public async Task Dropped_flows_carry_the_verdict_and_the_reason()
    {
        await using IAsyncDisposable policy = await lab.WithAsync(
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: shut, namespace: guarded}, spec: {podSelector: {matchLabels: {app: server}}}}");
        await lab.ExpectAsync("exec guarded/stranger", [], [$"axl tcp {lab.V4("guarded/server")} 7"]);
        string drops = await ObserveAsync("node2", "--verdict DROPPED --from-pod guarded/stranger --last 20", t => t.Contains("Policy denied DROPPED"));
        Assert.Contains("guarded/server:7 ", drops);
        Assert.DoesNotContain("FORWARDED", drops);
        await ObserveAsync("node2", "--type policy-verdict --to-pod guarded/server --last 20", t => t.Contains("policy-verdict:none INGRESS DENIED"));
    }

    [Fact]
    public async Task Verdicts_and_drops_name_the_policies_that_decided()
    {
        const string Shown = "--last 30 --print-policy-names --to-pod guarded/server";
        string[] server = [$"axl tcp {lab.V4("guarded/server")} 7 10"];
        await using IAsyncDisposable policy = await lab.WithAsync("""
            {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: named, namespace: guarded}, spec: {endpointSelector: {matchLabels: {app: server}},
             ingress: [{fromEndpoints: [{matchLabels: {app: friend}}]}], ingressDeny: [{fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: other}}]}]}}
            """);
        await lab.ExpectAsync("exec guarded/friend", server);
        await lab.ExpectAsync("exec guarded/stranger", [], server);
        await lab.ExpectAsync("exec other/visitor", [], server);
        await ObserveAsync("node2", $"{Shown} --from-pod guarded/friend --type policy-verdict", t => t.Contains("ALLOWED BY named (CiliumNetworkPolicy)"));
        const string Default = "; default deny in direction ingress because CiliumNetworkPolicy guarded/named selects guarded/server, none matches)";
        await ObserveAsync("node2", $"{Shown} --from-pod guarded/stranger --type policy-verdict", t => t.Contains("DENIED BY named (CiliumNetworkPolicy)") && t.Contains(Default));
        await ObserveAsync("node2", $"{Shown} --from-pod guarded/stranger --type drop", t => t.Contains("Policy denied DROPPED") && t.Contains(Default));
        const string Rule = "; denied in direction ingress by CiliumNetworkPolicy guarded/named (spec.ingressDeny[0]))";
        await ObserveAsync("node2", $"{Shown} --from-pod other/visitor --type drop", t => t.Contains("denylist DROPPED") && t.Contains(Rule));
        await ObserveAsync("node2", "--last 30 --to-pod guarded/server --from-pod other/visitor --type drop -o json", t => t.Contains("axoneme:rule=spec.ingressDeny[0]"));
    }

    [Fact]
    public async Task An_explanation_and_a_rehearsal_on_a_node_agree_with_what_happens()
    {
        string axoneme = Path.Combine(LabCluster.Artifacts, "cli", "axoneme");
        string[] server = [$"axl tcp {lab.V4("guarded/server")} 7 10"];
        const string Policy = """
            {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: judged, namespace: guarded}, spec: {endpointSelector: {matchLabels: {app: server}},
             ingress: [{fromEndpoints: [{matchLabels: {app: friend}}]}]}}
            """;
        string file = Path.Combine(Directory.CreateTempSubdirectory("axoneme-rehearse-").FullName, "judged.yaml");
        await File.WriteAllTextAsync(file, Policy);
        await lab.ExpectAsync("exec guarded/stranger", server);
        string[] rehearse = [axoneme, "policy", "rehearse", "-f", file, "--last", "2m"];
        await Eventually.IsAsync("the rehearsal", async () => (await lab.NodeAsync("node2", rehearse)).Require(),
            t => t.Contains("WOULD BE DROPPED") && t.Contains("guarded/stranger -> guarded/server port 7/TCP"));
        await using (await lab.WithAsync(Policy))
        {
            await lab.ExpectAsync("exec guarded/stranger", [], server);
            await lab.ExpectAsync("exec guarded/friend", server);
            string[] explain = [axoneme, "explain", "--to", "guarded/server", "--port", "7/tcp", "--from"];
            Assert.Contains("DENIED by default: CiliumNetworkPolicy guarded/judged selects guarded/server", (await lab.NodeAsync("node2", [.. explain, "guarded/stranger"])).Require());
            Assert.Contains("allowed by CiliumNetworkPolicy guarded/judged spec.ingress[0]", (await lab.NodeAsync("node1", [.. explain, "guarded/friend"])).Require());
        }

        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [Fact]
    public async Task Outside_of_the_nodes_an_explanation_finds_the_lab_and_the_node_of_the_pod()
    {
        string axoneme = Path.Combine(LabCluster.Artifacts, "cli", "axoneme");
        string[] server = [$"axl tcp {lab.V4("guarded/server")} 7 10"];
        await using IAsyncDisposable policy = await lab.WithAsync("""
            {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: judged, namespace: guarded}, spec: {endpointSelector: {matchLabels: {app: server}},
             ingress: [{fromEndpoints: [{matchLabels: {app: friend}}]}]}}
            """);
        await lab.ExpectAsync("exec guarded/friend", server);
        await lab.ExpectAsync("exec guarded/stranger", [], server);
        string[] explain = [axoneme, "explain", "--to", "guarded/server", "--port", "7/tcp", "--from"];
        foreach (string[] access in (string[][])[[], ["--node", "node1"], ["--kubeconfig", lab.Kubeconfig]])
        {
            string stranger = (await OutsideAsync([.. explain, "guarded/stranger", .. access])).Require();
            Assert.Contains("DENIED by default: CiliumNetworkPolicy guarded/judged selects guarded/server", stranger);
            Assert.Contains("allowed by CiliumNetworkPolicy guarded/judged spec.ingress[0]", (await OutsideAsync([.. explain, "guarded/friend", .. access])).Require());
            string node = access.Length > 0 ? "node1" : "node2";
            if (access is not ["--kubeconfig", _])
                Assert.Contains($"as the agent of {node} in the lab sees it", stranger);
        }

        Assert.Contains("the lab has no node 'node9': it has node1, node2", (await OutsideAsync([.. explain, "guarded/friend", "--node", "node9"])).Error);
        string[] rehearse = [axoneme, "policy", "rehearse", "--delete", "cnp/guarded/judged", "--last", "2m"];
        await Eventually.IsAsync("the rehearsal", async () => (await OutsideAsync(rehearse)).Require(),
            t => t.Contains("WOULD PASS") && t.Contains("guarded/stranger -> guarded/server port 7/TCP") && t.Contains("node1") && t.Contains("node2"));
    }

    private Task<CommandResult> OutsideAsync(string[] command) => Command.RunAsync("env", [$"AXONEME_LAB_ROOT={LabCluster.Root}-{lab.Name}", .. command]);

    [Fact]
    public async Task Filters_leave_out_what_they_should()
    {
        await lab.ExpectAsync("exec work/client", [$"axl tcp {lab.V4("work/near")} 7", $"axl udp {lab.V4("work/near")} 7"]);
        string udp = await ObserveAsync("node1", "--protocol udp --pod work/near --last 50", t => t.Contains("work/near:7 "));
        Assert.All(udp.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Contains("UDP", line));
        string other = (await lab.NodeAsync("node1", "hubble", "observe", "--namespace", "nowhere", "--last", "50")).Require();
        Assert.Empty(other);
        string not = (await lab.NodeAsync("node1", "hubble", "observe", "--not", "--namespace", "work", "--last", "50")).Require();
        // Namespaces are those of pods; a service by which a flow is named may be in another.
        Assert.DoesNotContain("work/client", not);
        Assert.DoesNotContain("work/near", not);
    }

    [Fact]
    public async Task Following_shows_flows_as_they_happen()
    {
        using Process follow = lab.Start("node", "node1", "--", "hubble", "observe", "--follow", "--from-pod", "other/visitor", "-o", "json");
        Task<string?> line = follow.StandardOutput.ReadLineAsync();
        // The observer may subscribe after the first of them.
        await Eventually.IsAsync("a flow", async () =>
        {
            await lab.ExpectAsync("exec other/visitor", [$"axl tcp {lab.V4("work/near")} 7"]);
            return line.IsCompleted;
        }, seen => seen);
        Assert.Contains("\"pod_name\":\"visitor\"", await line);
        follow.Kill();
        await follow.WaitForExitAsync();
    }
}
