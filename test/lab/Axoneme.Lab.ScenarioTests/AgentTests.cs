// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>An agent that is killed, stopped and started again while its node works on.</summary>
[Collection(NativeCollection.Name)]
public sealed class AgentTests(NativeLab lab)
{
    private const string Policy = """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: kept, namespace: guarded}
        spec: {podSelector: {matchLabels: {app: server}}, ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]}
        """;

    private static string Pod(string name, string node) => $$$"""
        apiVersion: v1
        kind: Pod
        metadata: {name: {{{name}}}, namespace: work, labels: {app: passing}}
        spec: {nodeName: {{{node}}}, terminationGracePeriodSeconds: 1, containers: [{name: c, image: axoneme.io/echo}]}
        """;

    [Theory]
    [InlineData("kill", "work/near")]
    [InlineData("restart", "work/far")]
    public async Task An_agent_that_ends_costs_no_connection_and_comes_back_to_what_it_left(string action, string pod)
    {
        int started = await CountAsync("Ready: node");
        using Process traffic = lab.Start("exec", "work/client", "--", "axl", "steady", lab.V4(pod), "7", "8");
        Assert.Equal("started", await traffic.StandardOutput.ReadLineAsync());
        (await lab.LabAsync("agent", "node1", action)).Require();
        await Eventually.IsAsync("the agent is back", () => CountAsync("Ready: node"), n => n > started);
        string report = await traffic.StandardOutput.ReadToEndAsync();
        await traffic.WaitForExitAsync();
        Assert.True(traffic.ExitCode == 0, report);
        string start = (await lab.LabAsync("logs", "node1")).Require().Split("Datapath: ")[^1];
        Assert.Matches("^created 0, adopted [1-9][0-9]*, repaired 0\n", start);
        Assert.Matches("Endpoints: created 0, adopted [1-9][0-9]*, repaired 0\n", start);
        Assert.DoesNotContain("missing", start);
    }

    [Fact]
    public async Task Policy_services_and_new_connections_work_without_the_agent()
    {
        await using IAsyncDisposable policy = await lab.WithAsync(Policy);
        string server = $"axl tcp {lab.V4("guarded/server")} 7";
        await lab.ExpectAsync("exec guarded/stranger", [], [server]);
        string service = (await lab.KubectlAsync("", "get", "service", "-n", "work", "echo", "-o", "jsonpath={.spec.clusterIP}")).Require();
        await using (await StoppedAsync("node2"))
        {
            await lab.ExpectAsync("exec guarded/friend", [server]);
            await lab.ExpectAsync("exec guarded/stranger", [$"axl tcp {service} 1007"], [server]);
        }

        await lab.ExpectAsync("exec guarded/stranger", [$"axl tcp {service} 1007"], [server]);
        await lab.ExpectAsync("exec guarded/friend", [server]);
    }

    [Fact]
    public async Task What_changed_while_the_agent_was_away_is_made_up_for()
    {
        await lab.ApplyAsync(Pod("leaving", "node1"));
        await ReadyAsync("leaving");
        string address = await AddressAsync("leaving");
        await using (await StoppedAsync("node1"))
        {
            (await lab.KubectlAsync("", "delete", "-n", "work", "pod", "leaving", "--timeout=30s")).Require();
            await lab.ApplyAsync(Pod("coming", "node1"));
            await lab.ApplyAsync(Policy);
        }

        await ReadyAsync("coming");
        await lab.ExpectAsync("exec work/client", [$"axl tcp {await AddressAsync("coming")} 7"]);
        await Eventually.IsAsync("the endpoint is gone", () => ListAsync("cilium", "endpoint", "list"), t => !Words(t).Contains(address));
        await Eventually.IsAsync("the API's endpoint is gone",
            async () => (await lab.KubectlAsync("", "get", "cep", "-n", "work", "-o", "name")).Require(), t => !t.Contains("leaving"));
        await lab.ExpectAsync("exec guarded/stranger", [], [$"axl tcp {lab.V4("guarded/server")} 7"]);
        (await lab.KubectlAsync("", "delete", "-n", "work", "pod", "coming", "--timeout=30s")).Require();
        (await lab.KubectlAsync(Policy, "delete", "-f", "-")).Require();
    }

    [Fact]
    public async Task Map_entries_deleted_by_hand_come_back()
    {
        string policies = (await lab.NodeAsync("node1", "sh", "-c", "ls /sys/fs/bpf/tc/globals | grep cilium_policy_v2_ | tail -n 1")).Require().Trim();
        string[] maps = ["cilium_lxc", "cilium_lxc6", "cilium_ipcache_v2", "cilium_lb4_services_v2", "cilium_lb4_backends_v3", policies];
        string[][] entries = await Task.WhenAll(maps.Select(FirstEntryAsync));
        foreach (string[] entry in entries)
            (await MapAsync("delete", entry)).Require();
        foreach (string[] entry in entries)
            await Eventually.IsAsync($"the entry of {entry[1]}", () => MapAsync("lookup", entry), r => r.Status == 0);
        await lab.ExpectAsync("exec work/client", [$"axl tcp {lab.V4("work/near")} 7", $"axl tcp {lab.V6("work/near")} 7", "axl get http://echo/"]);
    }

    /// <summary>Map and key of some entry, as bpftool takes them.</summary>
    private async Task<string[]> FirstEntryAsync(string map)
    {
        string[] pinned = ["pinned", $"/sys/fs/bpf/tc/globals/{map}"];
        string dump = (await lab.NodeAsync("node1", ["bpftool", "-j", "map", "dump", .. pinned])).Require();
        JsonArray key = JsonNode.Parse(dump)!.AsArray()[0]!["key"]!.AsArray();
        return [.. pinned, "key", .. key.Select(b => (string)b!)];
    }

    private Task<CommandResult> MapAsync(string verb, string[] entry) => lab.NodeAsync("node1", ["bpftool", "map", verb, .. entry]);

    private async Task<string> ListAsync(params string[] command) => (await lab.NodeAsync("node1", command)).Require();

    private static string[] Words(string text) => text.Split((char[])[' ', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries);

    private async Task<int> CountAsync(string text) => (await lab.LabAsync("logs", "node1")).Require().Split(text).Length - 1;

    private async Task ReadyAsync(string pod)
        => (await lab.KubectlAsync("", "wait", "-n", "work", "pod", pod, "--for=condition=Ready", "--timeout=60s")).Require();

    private async Task<string> AddressAsync(string pod)
        => (await lab.KubectlAsync("", "get", "-n", "work", "pod", pod, "-o", "jsonpath={.status.podIP}")).Require();

    /// <summary>Stops an agent; disposing starts it and waits until it is ready.</summary>
    private async Task<IAsyncDisposable> StoppedAsync(string node)
    {
        (await lab.LabAsync("agent", node, "stop")).Require();
        await Eventually.IsAsync("no agent", () => lab.LabAsync("status"), s => AgentOf(s, node).Contains("stopped"));
        return new Stopped(lab, node);
    }

    private static string AgentOf(CommandResult status, string node)
        => status.Output.Split('\n').FirstOrDefault(l => l.StartsWith(node + " ", StringComparison.Ordinal)) ?? status.ToString();

    private sealed class Stopped(LabCluster lab, string node) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            (await lab.LabAsync("agent", node, "start")).Require();
            await Eventually.IsAsync("the agent is healthy", () => lab.NodeAsync(node, "curl", "-sf", "http://127.0.0.1:9879/healthz"), r => r.Status == 0);
        }
    }
}
