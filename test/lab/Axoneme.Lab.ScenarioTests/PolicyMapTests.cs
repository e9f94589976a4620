// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>What policies take of an endpoint's map: classes of peers, and policies that are too large.</summary>
[Collection(PolicyCollection.Name)]
public sealed class PolicyMapTests(PolicyLab lab)
{
    private const string Friend = "exec guarded/friend";
    private const string Visitor = "exec other/visitor";
    private const string Server = "guarded/server";

    private static string Policy(string name, string from)
        => $"{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: {name}, namespace: guarded}}, "
            + $"spec: {{endpointSelector: {{matchLabels: {{app: server}}}}, ingress: [{from}]}}}}";

    /// <summary>One entry for each block and port, and the friend's.</summary>
    private static string Large(int blocks, int ports)
        => Policy("large", $"{{fromEndpoints: [{{matchLabels: {{app: friend}}}}], toPorts: [{{ports: [{{port: '7', protocol: TCP}}]}}]}}, "
            + $"{{fromCIDR: [{string.Join(", ", Enumerable.Range(0, blocks).Select(b => $"198.18.{b}.0/24"))}], "
            + $"toPorts: [{{ports: [{string.Join(", ", Enumerable.Range(0, ports).Select(p => $"{{port: '{1001 + (2 * p)}', protocol: TCP}}"))}]}}]}}");

    [Fact]
    public async Task Pods_nodes_and_the_world_are_one_peer_each_however_many_they_are()
    {
        JsonArray none = await EntriesAsync();
        await using IAsyncDisposable policy = await lab.WithAsync(
            "{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: classes}, spec: {endpointSelector: {matchLabels: {app: server}}, "
            + "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: '7', protocol: TCP}]}]}, {fromEntities: [world], toPorts: [{ports: [{port: '9', protocol: TCP}]}]}, "
            + "{fromEntities: [cluster], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]}]}}");
        await Task.WhenAll(
            lab.ExpectAsync(Visitor, [.. lab.Tcp(Server), $"axl get http://{lab.V4(Server)}:8080/"], lab.Tcp(Server, 9)),
            lab.ExpectAsync("outside", [$"axl who {lab.V4(Server)} 9 1 tcp 0", $"axl who {lab.V6(Server)} 9 1 tcp 0"], [.. lab.Tcp(Server), $"axl get http://{lab.V4(Server)}:8080/"]),
            lab.ExpectAsync("node node1", [$"axl get http://{lab.V4(Server)}:8080/", $"axl get http://[{lab.V6(Server)}]:8080/"], lab.Tcp(Server)));
        JsonArray before = await EntriesAsync();
        Assert.NotEqual(none.Count, before.Count);
        // Pods with labels that nobody had before are in the class: nothing is written for them, and they may at once.
        await using (await lab.WithAsync(string.Concat(Enumerable.Range(1, 3).Select(i =>
            $"---\n{{apiVersion: v1, kind: Pod, metadata: {{name: new{i}, namespace: other, labels: {{app: new{i}}}}}, spec: {{nodeName: node{1 + (i % 2)}, "
            + "terminationGracePeriodSeconds: 0, containers: [{name: c, image: axoneme.io/client}]}}\n"))))
        {
            await Eventually.IsAsync("the pods run", () => PhasesAsync("new1 new2 new3"), p => p == "Running Running Running");
            await Task.WhenAll(Enumerable.Range(1, 3).Select(i => lab.ExpectAsync($"exec other/new{i}", lab.Tcp(Server), lab.Tcp(Server, 9))));
            Assert.Equal(before.Count, (await EntriesAsync()).Count);
        }
    }

    [Fact]
    public async Task A_policy_that_does_not_fit_closes_its_endpoint_and_no_other_until_it_does()
    {
        await using IAsyncDisposable small = await lab.WithAsync(Large(1, 1));
        await lab.ExpectAsync(Friend, lab.Tcp(Server));
        using LiveConnection connection = await LiveConnection.OpenAsync(lab, "guarded/friend", lab.V4(Server));
        await lab.ApplyAsync(Large(12, 30));
        await lab.ExpectAsync(Friend, [.. lab.Tcp("work/far"), .. lab.Tcp("work/near")], lab.Tcp(Server));
        Assert.Equal("alive", await connection.AskAsync());
        await lab.ShowsAsync("node2", "hubble observe --last 50 --verdict DROPPED --type drop --from-pod guarded/friend --to-pod guarded/server",
            t => t.Contains("No configuration available to perform policy decision"));
        string endpoint = (await lab.NodeAsync("node2", "cilium", "endpoint", "get", "-l", "app=server", "-o", "json")).Require();
        Assert.Contains("367 policy entries do not fit into the 256 of the endpoint", endpoint);
        Assert.Matches(@" 10\.244\.1\.\d+ +not-ready", (await lab.NodeAsync("node2", "cilium", "endpoint", "list")).Require());
        await Eventually.IsAsync("the event", EventsAsync, e => e.Contains("large PolicyMapOverflow"));
        string condition = await Eventually.IsAsync("the condition", ConditionsAsync, c => c.Contains("axoneme.io/PolicyMap-node2 False PolicyMapOverflow"));
        Assert.Contains("of 256 policy map entries (143%), most for CiliumNetworkPolicy guarded/large (361): its new connections are dropped", condition);
        Assert.Contains("Valid True", condition);
        Assert.DoesNotContain("PolicyMap-node1", condition);

        // What others are told meanwhile takes effect.
        await using (await lab.WithAsync("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: shut, namespace: work}, spec: {podSelector: {matchLabels: {app: echo}}}}"))
            await lab.ExpectAsync(Visitor, [], [.. lab.Tcp("work/far"), .. lab.Tcp("work/near")]);
        await lab.ExpectAsync(Visitor, [.. lab.Tcp("work/far"), .. lab.Tcp("work/near")]);

        // A restart makes it no better and no worse.
        await lab.RestartAgentAsync("node2");
        await lab.ExpectAsync(Friend, lab.Tcp("work/far"), lab.Tcp(Server));
        Assert.Contains("axoneme.io/PolicyMap-node2 False PolicyMapOverflow", await ConditionsAsync());

        // Nearly full is open, and is said.
        await lab.ApplyAsync(Large(8, 30));
        await lab.ExpectAsync(Friend, lab.Tcp(Server), lab.Udp(Server));
        Assert.Equal("alive", await connection.AskAsync());
        await Eventually.IsAsync("the condition", ConditionsAsync, c => c.Contains("axoneme.io/PolicyMap-node2 False PolicyMapNearlyFull"));
        await lab.ShowsAsync("node2", "cilium tables policy-map-fill", t => t.Contains(" 256 ") && t.Contains("Critical"));
        await lab.ApplyAsync(Large(1, 1));
        await lab.ShowsAsync("node2", "cilium tables policy-map-fill", t => !t.Contains("Critical"));
        await Eventually.IsAsync("no condition but the usual", ConditionsAsync, c => c.Contains("Valid True") && !c.Contains("PolicyMap"));
    }

    [Fact]
    public async Task A_pod_whose_policy_would_not_fit_does_not_start_until_it_does()
    {
        const string pod = "{apiVersion: v1, kind: Pod, metadata: {name: waiting, namespace: guarded, labels: {app: waiting}}, "
            + "spec: {nodeName: node1, terminationGracePeriodSeconds: 0, containers: [{name: c, image: axoneme.io/echo}]}}";
        string policy = Large(12, 30).Replace("{app: server}", "{app: waiting}", StringComparison.Ordinal);
        await using (await lab.WithAsync(policy))
        {
            await using IAsyncDisposable created = await lab.WithAsync(pod);
            await Eventually.IsAsync("the reason", async () => (await lab.KubectlAsync("", "get", "pod", "-n", "guarded", "waiting", "-o", "jsonpath={.status.message}")).Output,
                m => m.Contains("policy entries do not fit into the 256 of the endpoint's map"));
            Assert.Equal("Pending", await PhasesAsync("waiting", "guarded"));
            await lab.ApplyAsync(Large(1, 1).Replace("{app: server}", "{app: waiting}", StringComparison.Ordinal));
            await Eventually.IsAsync("the pod runs", () => PhasesAsync("waiting", "guarded"), p => p == "Running");
            await lab.RefreshAddressesAsync();
            await lab.ExpectAsync(Friend, lab.Tcp("guarded/waiting"), lab.Udp("guarded/waiting"));
        }
    }

    private async Task<JsonArray> EntriesAsync()
    {
        string list = (await lab.NodeAsync("node2", "cilium", "endpoint", "get", "-l", "app=server", "-o", "json")).Require();
        int id = (int)JsonNode.Parse(list)!.AsArray().Single()!["id"]!;
        string map = (await lab.NodeAsync("node2", "cilium", "bpf", "policy", "get", $"{id}", "-o", "json")).Require();
        return JsonNode.Parse(map)!.AsArray().Single()!["content"]!.AsArray();
    }

    private async Task<string> PhasesAsync(string pods, string space = "other")
        => string.Join(' ', await Task.WhenAll(pods.Split(' ').Select(async p => (await lab.KubectlAsync("", "get", "pod", "-n", space, p, "-o", "jsonpath={.status.phase}")).Output)));

    private async Task<string> ConditionsAsync() => (await lab.KubectlAsync(
        "", "get", "cnp", "-n", "guarded", "large", "-o", """jsonpath={range .status.conditions[*]}{.type} {.status} {.reason} {.message}{"\n"}{end}""")).Require();

    private async Task<string> EventsAsync() => (await lab.KubectlAsync(
        "", "get", "events", "-A", "-o", """jsonpath={range .items[*]}{.involvedObject.name} {.reason} {.message}{"\n"}{end}""")).Require();
}
