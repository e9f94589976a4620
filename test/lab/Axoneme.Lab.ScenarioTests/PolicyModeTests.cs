// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>Policies that are on trial, that are only watched, or that are not asked for: by object, endpoint and node, changed at run time.</summary>
[Collection(PolicyCollection.Name)]
public sealed class PolicyModeTests(PolicyLab lab)
{
    private const string Friend = "exec guarded/friend";
    private const string Stranger = "exec guarded/stranger";
    private const string Visitor = "exec other/visitor";
    private const string Server = "guarded/server";
    private const string Audited = "guarded/audited";

    private static string Cilium(string name, string from, string annotations = "")
        => $"{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: {name}, namespace: guarded, annotations: {{{annotations}}}}}, "
            + $"spec: {{endpointSelector: {{matchLabels: {{app: server}}}}, ingress: [{{fromEndpoints: [{from}]}}]}}}}";

    private const string FromFriend = "{matchLabels: {app: friend}}";

    /// <summary>For the echo servers of both nodes, and the pod server: nobody but the friend.</summary>
    private Task<IAsyncDisposable> FriendsOnlyAsync() => lab.WithAsync(
        "{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: friends-only}, spec: {endpointSelector: {matchExpressions: "
        + $"[{{key: app, operator: In, values: [echo, server]}}]}}, ingress: [{{fromEndpoints: [{FromFriend}]}}]}}}}");

    /// <summary>What was reported of the stranger's connections to a pod.</summary>
    private Task<string> VerdictsAsync(string to, string text) => lab.ShowsAsync(
        "node2", $"hubble observe --last 40 --verdict AUDIT --print-policy-names --from-pod guarded/stranger --to-pod {to}", t => t.Contains(text));

    [Fact]
    public async Task A_policy_on_trial_changes_nothing_and_says_what_it_would_change()
    {
        const string shadow = "'policy.cilium.io/enforcement': shadow";
        await using IAsyncDisposable policy = await lab.WithAsync(Cilium("trial", FromFriend, shadow));
        await Eventually.IsAsync("the condition", () => ConditionAsync("trial"), c => c.StartsWith("True", StringComparison.Ordinal) && c.Contains("on trial"));
        Assert.Matches(@"CiliumNetworkPolicy guarded/trial +True +1 +\d+ +shadow", (await lab.NodeAsync("node2", "cilium", "policy", "list")).Require());
        await Eventually.IsAsync("the report", async () =>
        {
            await lab.ExpectAsync(Stranger, lab.Tcp(Server));
            return (await lab.NodeAsync("node2", "hubble", "observe", "--last", "20", "--verdict", "AUDIT", "--from-pod", "guarded/stranger", "--print-policy-names")).Require();
        }, t => t.Contains("shadow: would be denied by default in direction ingress because CiliumNetworkPolicy guarded/trial selects guarded/server, none matches"));
        await lab.ExpectAsync(Friend, lab.Tcp(Server));
        Assert.DoesNotContain("guarded/friend", (await lab.NodeAsync("node2", "hubble", "observe", "--last", "50", "--verdict", "AUDIT")).Require());

        // A policy in force denies the stranger, and one on trial would let it in.
        await using (await lab.WithAsync(Cilium("strict", FromFriend) + "\n---\n" + Cilium("trial", "{}", shadow)))
        {
            await lab.ExpectAsync(Stranger, [], lab.Tcp(Server));
            await VerdictsAsync(Server, "shadow: would be allowed in direction ingress by CiliumNetworkPolicy guarded/trial (spec.ingress[0])");
        }

        await lab.ApplyAsync(Cilium("trial", FromFriend, "'policy.cilium.io/enforcement': enforce"));
        await lab.ExpectAsync(Stranger, [], lab.Tcp(Server));
        await lab.ExpectAsync(Friend, lab.Tcp(Server));
        await Eventually.IsAsync("the condition", () => ConditionAsync("trial"), c => c.StartsWith("True", StringComparison.Ordinal) && !c.Contains("on trial"));
    }

    [Fact]
    public async Task A_node_in_audit_mode_lets_pass_what_its_policies_would_drop_and_reports_it()
    {
        await using IAsyncDisposable policy = await FriendsOnlyAsync();
        await Task.WhenAll(lab.ExpectAsync(Visitor, [], [.. lab.Tcp("work/near"), .. lab.Tcp("work/far")]), lab.ExpectAsync(Stranger, [], lab.Tcp(Server)));
        await ConfigureAsync("node2", "PolicyAuditMode=Enabled");
        await lab.ExpectAsync(Visitor, [.. lab.Tcp("work/far"), .. lab.Tcp(Server)], lab.Tcp("work/near"));
        await lab.ExpectAsync(Stranger, lab.Tcp(Server));
        await VerdictsAsync(Server, "AUDITED BY friends-only (CiliumClusterwideNetworkPolicy)");
        Assert.Contains("Disabled (Audit)", (await lab.NodeAsync("node2", "cilium", "endpoint", "list")).Require());
        await ConfigureAsync("node2", "PolicyAuditMode=Disabled");
        await lab.ExpectAsync(Stranger, [], lab.Tcp(Server));
    }

    [Fact]
    public async Task An_endpoint_in_audit_mode_is_open_and_its_neighbours_are_not()
    {
        await using IAsyncDisposable policy = await FriendsOnlyAsync();
        // Its own setting stays with the endpoint, so it goes with a pod of its own.
        await using IAsyncDisposable pod = await lab.WithAsync(
            "{apiVersion: v1, kind: Pod, metadata: {name: audited, namespace: guarded, labels: {app: server, own: 'yes'}}, "
            + "spec: {nodeName: node2, terminationGracePeriodSeconds: 0, containers: [{name: c, image: axoneme.io/echo}]}}");
        await Eventually.IsAsync("the pod runs", async () => (await lab.KubectlAsync("", "get", "pod", "-n", "guarded", "audited", "-o", "jsonpath={.status.phase}")).Output, p => p == "Running");
        await lab.RefreshAddressesAsync();
        await lab.ExpectAsync(Stranger, [], lab.Tcp(Audited));
        string id = await EndpointAsync("node2", "own=yes");
        (await lab.NodeAsync("node2", "cilium", "endpoint", "config", id, "PolicyAuditMode=Enabled")).Require();
        Assert.Matches("PolicyAuditMode *: Enabled", (await lab.NodeAsync("node2", "cilium", "endpoint", "config", id)).Require());
        await lab.ExpectAsync(Stranger, lab.Tcp(Audited), [.. lab.Tcp(Server), .. lab.Tcp("work/far")]);
        await VerdictsAsync(Audited, "AUDITED BY friends-only (CiliumClusterwideNetworkPolicy)");
        (await lab.NodeAsync("node2", "cilium", "endpoint", "config", id, "PolicyAuditMode=Disabled")).Require();
        await lab.ExpectAsync(Stranger, [], lab.Tcp(Audited));
        await lab.ExpectAsync(Friend, [.. lab.Tcp(Audited), .. lab.Tcp(Server)]);
    }

    [Fact]
    public async Task Settings_of_one_node_change_its_agent_and_no_other()
    {
        await using IAsyncDisposable policy = await FriendsOnlyAsync();
        const string Config = """
            {apiVersion: cilium.io/v2, kind: CiliumNodeConfig, metadata: {name: watched, namespace: kube-system},
             spec: {nodeSelector: {matchLabels: {'kubernetes.io/hostname': node2}}, defaults: {policy-audit-mode: 'true'}}}
            """;
        try
        {
            await lab.ApplyAsync(Config);
            await Task.WhenAll(lab.RestartAgentAsync("node1"), lab.RestartAgentAsync("node2"));
            await lab.ExpectAsync(Visitor, [.. lab.Tcp("work/far"), .. lab.Tcp(Server)], lab.Tcp("work/near"));
            Assert.Contains("policy-audit-mode in spec.defaults of CiliumNodeConfig kube-system/watched",
                (await lab.NodeAsync("node2", "cilium", "tables", "config-overrides")).Require());
            Assert.DoesNotContain("policy-audit-mode", (await lab.NodeAsync("node1", "cilium", "tables", "config-overrides")).Require());
        }
        finally
        {
            (await lab.KubectlAsync(Config, "delete", "-f", "-")).Require();
            await lab.RestartAgentAsync("node2");
        }

        await lab.ExpectAsync(Visitor, [], lab.Tcp("work/far"));
    }

    [Fact]
    public async Task Enforcement_can_be_switched_while_the_agent_runs()
    {
        await ConfigureAsync("node2", "PolicyEnforcement=always");
        await lab.ExpectAsync(Friend, lab.Tcp("work/near"), [.. lab.Tcp(Server), .. lab.Tcp("work/far")]);
        await lab.ShowsAsync("node2", "hubble observe --last 40 --type drop --from-pod guarded/friend --to-pod guarded/server",
            t => t.Contains("although no policy selects guarded/server: enforcement is always on"));
        await using IAsyncDisposable policy = await lab.WithAsync(Cilium("open", FromFriend));
        await lab.ExpectAsync(Friend, lab.Tcp(Server), lab.Tcp("work/far"));
        await ConfigureAsync("node2", "PolicyEnforcement=never");
        await lab.ExpectAsync(Visitor, [.. lab.Tcp(Server), .. lab.Tcp("work/far")]);
        await ConfigureAsync("node2", "PolicyEnforcement=default");
        await lab.ExpectAsync(Visitor, lab.Tcp("work/far"), lab.Tcp(Server));
        await lab.ExpectAsync(Friend, lab.Tcp(Server));
        CommandResult wrong = await lab.NodeAsync("node2", "cilium", "config", "PolicyEnforcement=sometimes");
        Assert.NotEqual(0, wrong.Status);
        Assert.Contains("'sometimes' is not one of default, always, never", wrong.Error);
    }

    private async Task ConfigureAsync(string node, string setting) => (await lab.NodeAsync(node, "cilium", "config", setting)).Require();

    private async Task<string> EndpointAsync(string node, string label)
    {
        string list = (await lab.NodeAsync(node, "cilium", "endpoint", "get", "-l", label, "-o", "json")).Require();
        return $"{(int)JsonNode.Parse(list)!.AsArray().Single()!["id"]!}";
    }

    private async Task<string> ConditionAsync(string policy) => (await lab.KubectlAsync("", "get", "cnp", "-n", "guarded", policy, "-o",
        "jsonpath={.status.conditions[?(@.type==\"Valid\")].status} {.status.conditions[?(@.type==\"Valid\")].message}")).Require();
}
