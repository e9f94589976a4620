// SPDX-License-Identifier: Apache-2.0
using System.Text.RegularExpressions;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>Policies for nodes: what they stop, what they leave alone, and what becomes of one that cuts the node off.</summary>
[Collection(HostFirewallCollection.Name)]
public sealed partial class HostFirewallTests(HostFirewallLab lab)
{
    private const string Client = "exec work/client";
    private const string Friend = "exec guarded/friend";
    private const string Others = "{fromEntities: [health, kube-apiserver, remote-node, world]}";

    private static string[] Node(int node, int port = 7) => [$"axl tcp {LabCluster.NodeV4(node)} {port} 10", $"axl tcp {LabCluster.NodeV6(node)} {port} 10"];

    private static string[] NodePing(int node) => [$"axl ping {LabCluster.NodeV4(node)}", $"axl ping {LabCluster.NodeV6(node)}"];

    private static string[] Outside => [$"axl tcp {LabCluster.OutsideV4} 7", $"axl tcp {LabCluster.OutsideV6} 7"];

    private string[] Pod(string pod) => [$"axl tcp {lab.V4(pod)} 7 10", $"axl tcp {lab.V6(pod)} 7 10"];

    private static string Policy(string name, string spec)
        => $"{{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {{name: {name}}}, spec: {spec}}}";

    private async Task<IAsyncDisposable> PolicyAsync(string name, string spec) => new PolicyUntilGone(DescribeAsync, await lab.WithAsync(Policy(name, spec)));

    private async Task<string> DescribeAsync(string node) => (await lab.NodeAsync(node, "cilium", "endpoint", "list")).Require() + await StatusAsync(node);

    private async Task<string> StatusAsync(string node) => (await lab.NodeAsync(node, "cilium", "status")).Require();

    private async Task<int> CountAsync(string node, string text) => (await lab.LabAsync("logs", node)).Require().Split(text).Length - 1;

    private async Task<string> EventsAsync()
        => (await lab.KubectlAsync("", "get", "events", "-n", "default", "-o", """jsonpath={range .items[*]}{.involvedObject.name} {.reason} {.message}{"\n"}{end}""")).Require();

    private async Task<string> ConditionsAsync(string policy) => (await lab.KubectlAsync(
        "", "get", "ccnp", policy, "-o", """jsonpath={range .status.conditions[*]}{.type}={.status} {.reason} {.message}{"\n"}{end}""")).Require();

    [Fact]
    public async Task The_node_is_an_endpoint_with_the_labels_of_its_object()
    {
        string list = (await lab.NodeAsync("node1", "cilium", "endpoint", "list")).Require();
        Assert.Matches(@"(?m)^\d+ +Disabled +Disabled +1 +k8s:.*\n(.*\n)*? +reserved:host", list);
        Assert.Contains("k8s:kubernetes.io/hostname=node1", list);
        Assert.Contains("Host firewall:", await StatusAsync("node1"));
        Assert.Matches("Host firewall: +Enabled \\[eth0", await StatusAsync("node1"));
    }

    [Fact]
    public async Task Ingress_policy_stops_the_pods_that_it_does_not_name_and_nobody_else()
    {
        await lab.ExpectAsync(Client, [.. Node(1), .. NodePing(1), .. Node(2)]);
        string spec = $"{{nodeSelector: {{}}, ingress: [{Others}, {{fromEndpoints: [{{matchExpressions: [{{key: app, operator: NotIn, values: [client]}}]}}]}}]}}";
        await using (await PolicyAsync("host-ingress", spec))
        {
            await lab.ExpectAsync(Client, [.. Pod("work/near"), .. Pod("work/far"), .. Outside], [.. Node(1), .. NodePing(1), .. Node(2), .. NodePing(2)]);
            await lab.ExpectAsync(Friend, [.. Node(1), .. NodePing(1), .. Node(2), .. NodePing(2)]);
            await lab.ExpectAsync("outside", [.. Node(1), .. Node(2), .. NodePing(1)]);
            await lab.ExpectAsync("node node1", [.. Node(2), .. Node(1), .. Pod("work/near"), .. Pod("work/far"), .. Outside]);
            string list = (await lab.NodeAsync("node1", "cilium", "endpoint", "list")).Require();
            Assert.Matches(@"(?m)^\d+ +Enabled +Disabled +1 +", list);
        }

        await lab.ExpectAsync(Client, [.. Node(1), .. Node(2)]);
    }

    [Fact]
    public async Task Egress_policy_stops_the_node_from_reaching_what_it_does_not_name()
    {
        string others = Others.Replace("from", "to", StringComparison.Ordinal);
        string spec = $"{{nodeSelector: {{}}, egress: [{others}, {{toEndpoints: [{{matchExpressions: [{{key: app, operator: NotIn, values: [server]}}]}}]}}]}}";
        await using IAsyncDisposable policy = await PolicyAsync("host-egress", spec);
        await lab.ExpectAsync("node node1", [.. Pod("work/near"), .. Pod("work/far"), .. Node(2), .. Outside], Pod("guarded/server"));
        await lab.ExpectAsync("node node2", [.. Pod("work/near"), .. Pod("work/far")], Pod("guarded/server"));
        await lab.ExpectAsync(Client, [.. Pod("guarded/server"), .. Node(1), .. Outside]);
        await lab.ExpectAsync("outside", [.. Node(1), .. Node(2)]);
    }

    [Fact]
    public async Task Policy_that_cuts_off_the_API_server_is_rolled_back_and_says_so()
    {
        const string cut = "{nodeSelector: {matchLabels: {kubernetes.io/hostname: node1}}, egress: [{}]}";
        await using (await PolicyAsync("cut", cut))
        {
            await lab.ExpectAsync("node node1", [], Outside);
            // Answers need no rule.
            await lab.ExpectAsync("outside", Node(1));
            await Eventually.IsAsync("the roll-back", () => StatusAsync("node1"), s => s.Contains("rolled back to the confirmed policy"));
            await lab.ExpectAsync("node node1", [.. Outside, .. Pod("work/near")]);
            string status = await StatusAsync("node1");
            Assert.Contains("the last version of cut", status);
            Assert.Contains("the API server could not be reached by a new connection", status);
            await Eventually.IsAsync("the event", EventsAsync, e => e.Contains("cut HostPolicyRolledBack"));
            Assert.DoesNotContain("rolled back", await StatusAsync("node2"));
            // It may have been the API server's fault, and users see both at the object.
            Assert.Matches("cut is tried again from .* after 1 of at most 10 trials and 1 of at most 3", status);
            await Eventually.IsAsync("the condition", () => ConditionsAsync("cut"), c => c.Contains("axoneme.io/HostFirewall-node1=False RolledBack"));
            Assert.DoesNotContain("HostFirewall-node2", await ConditionsAsync("cut"));

            // The version that failed stays out until its next trial, also in the next life of the agent.
            int started = await CountAsync("node1", "Ready: node");
            (await lab.LabAsync("agent", "node1", "kill")).Require();
            await Eventually.IsAsync("the agent is back", () => CountAsync("node1", "Ready: node"), n => n > started);
            await lab.ExpectAsync("node node1", Outside);
            Assert.Contains("the last version of cut", await StatusAsync("node1"));

            // Another one is tried.
            await lab.ApplyAsync(Policy("cut", "{nodeSelector: {matchLabels: {kubernetes.io/hostname: node1}}, egress: [{toEntities: [all]}]}"));
            await Eventually.IsAsync("the other version", () => StatusAsync("node1"), s => !s.Contains("rolled back") && !s.Contains("on trial"));
            await Eventually.IsAsync("no condition", () => ConditionsAsync("cut"), c => c.Contains("Valid=True") && !c.Contains("HostFirewall"));
            Assert.Matches(@"(?m)^\d+ +Disabled +Enabled +1 +", (await lab.NodeAsync("node1", "cilium", "endpoint", "list")).Require());
        }
    }

    [Fact]
    public async Task Policy_that_locks_people_out_is_rolled_back()
    {
        await using IAsyncDisposable policy = await PolicyAsync(
            "locked", "{nodeSelector: {matchLabels: {kubernetes.io/hostname: node2}}, ingress: [{fromEndpoints: [{matchLabels: {app: friend}}]}]}");
        await lab.ExpectAsync("outside", [], Node(2));
        await Eventually.IsAsync(
            "the roll-back", () => StatusAsync("node2"), s => s.Contains("nobody outside the cluster's pods could open port 7 any more"));
        await lab.ExpectAsync("outside", Node(2));
    }

    [Fact]
    public async Task Agent_that_is_killed_during_a_trial_comes_back_to_the_confirmed_policy()
    {
        int started = await CountAsync("node1", "Ready: node");
        await using IAsyncDisposable policy = await PolicyAsync("killed", "{nodeSelector: {matchLabels: {kubernetes.io/hostname: node1}}, egress: [{}]}");
        await Eventually.IsAsync("the trial", () => CountAsync("node1", "The node's policy changes with killed"), n => n > 0);
        (await lab.LabAsync("agent", "node1", "kill")).Require();
        await Eventually.IsAsync("the agent is back", () => CountAsync("node1", "Ready: node"), n => n > started);
        Assert.Equal(1, await CountAsync("node1", "The agent ended while the node's policy was on trial"));
        await Eventually.IsAsync("the roll-back", () => StatusAsync("node1"), s => s.Contains("the last version of killed"));
        await lab.ExpectAsync("node node1", Outside);
    }

    [Fact]
    public async Task Confirmed_policy_is_enforced_without_the_agent_and_after_its_return()
    {
        await using IAsyncDisposable policy = await PolicyAsync(
            "kept", $"{{nodeSelector: {{}}, ingress: [{Others}, {{fromEndpoints: [{{matchLabels: {{app: friend}}}}]}}]}}");
        await lab.ExpectAsync(Client, [], Node(1));
        await Eventually.IsAsync("the confirmation", () => StatusAsync("node1"), s => !s.Contains("on trial"));
        int started = await CountAsync("node1", "Ready: node");
        int trials = await CountAsync("node1", "The node's policy changes with kept");
        (await lab.LabAsync("agent", "node1", "kill")).Require();
        await lab.ExpectAsync(Client, [], Node(1));
        await lab.ExpectAsync("outside", Node(1));
        await Eventually.IsAsync("the agent is back", () => CountAsync("node1", "Ready: node"), n => n > started);
        await lab.ExpectAsync(Client, [], Node(1));
        await lab.ExpectAsync(Friend, Node(1));
        Assert.Equal(trials, await CountAsync("node1", "The node's policy changes with kept"));
    }

    /// <summary>Deletes the policy and waits until the nodes are without: a change that comes earlier would share the trial of the deletion.</summary>
    private sealed class PolicyUntilGone(Func<string, Task<string>> describeAsync, IAsyncDisposable policy) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await policy.DisposeAsync();
            foreach (string node in new[] { "node1", "node2" })
            {
                await Eventually.IsAsync(
                    $"{node} without a policy",
                    () => describeAsync(node),
                    s => Open().IsMatch(s) && !s.Contains("on trial") && !s.Contains("rolled back"));
            }
        }
    }

    [GeneratedRegex(@"(?m)^\d+ +Disabled +Disabled +1 +")]
    private static partial Regex Open();
}
