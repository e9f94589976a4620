// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>What the operator tidies up while agents work.</summary>
[Collection(HybridCollection.Name)]
public sealed class OperatorTests(HybridLab lab)
{
    private const string Pod = """
        {apiVersion: v1, kind: Pod, metadata: {name: passing, namespace: work, labels: {app: passing}}, spec: {nodeName: node1, terminationGracePeriodSeconds: 0,
          containers: [{name: c, image: axoneme.io/client}]}}
        """;

    [Fact]
    public async Task An_identity_goes_some_time_after_its_last_pod_and_comes_back_with_the_next()
    {
        for (int round = 0; round < 2; round++)
        {
            await using (await lab.WithAsync(Pod))
            {
                await Eventually.IsAsync("an identity", IdentitiesAsync, i => i.Contains("passing"));
                await Eventually.IsAsync("ready", () => PhaseAsync("passing"), p => p == "Running");
                // Unused ones go within this time, and this one is used.
                await lab.ExpectAsync("exec work/passing", [$"axl tcp {lab.V4("work/far")} 7"]);
            }

            await Eventually.IsAsync("no identity", IdentitiesAsync, i => !i.Contains("passing"));
        }

        Assert.Contains("k8s:app", (await lab.KubectlAsync("", "get", "ciliumidentities", "-o", "yaml")).Require());
        await lab.ExpectAsync("exec work/client", [$"axl tcp {lab.V4("work/far")} 7"]);
    }

    [Fact]
    public async Task An_endpoint_without_a_pod_goes()
    {
        await lab.ApplyAsync("{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {name: left, namespace: work}, status: {identity: {id: 4711}, networking: {addressing: [], node: 172.30.0.99}}}");
        await Eventually.IsAsync("gone", async () => (await lab.KubectlAsync("", "get", "cep", "-n", "work", "-o", "name")).Require(), c => !c.Contains("/left") && c.Contains("/far"));
    }

    [Fact]
    public async Task Agents_know_other_nodes_pods_from_slices()
    {
        string slices = (await lab.KubectlAsync("", "get", "ciliumendpointslices", "-o", "jsonpath={range .items[*]}{.namespace}:{.endpoints[*].name}{\"\\n\"}{end}")).Require();
        Assert.Contains("far", Assert.Single(slices.Split('\n'), line => line.StartsWith("work:", StringComparison.Ordinal)));
        await using IAsyncDisposable policy = await lab.WithAsync("""
            {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: only-passing, namespace: work}, spec: {endpointSelector: {matchLabels: {app: echo}},
              ingress: [{fromEndpoints: [{matchLabels: {app: passing}}]}]}}
            """);
        await lab.ExpectAsync("exec work/client", [], [$"axl tcp {lab.V4("work/far")} 7"]);
        await using IAsyncDisposable pod = await lab.WithAsync(Pod);
        await Eventually.IsAsync("ready", () => PhaseAsync("passing"), p => p == "Running");
        await lab.ExpectAsync("exec work/passing", [$"axl tcp {lab.V4("work/far")} 7", $"axl tcp {lab.V6("work/far")} 7"]);
    }

    [Fact]
    public async Task It_serves_its_health_and_its_metrics()
    {
        Assert.Contains("ok", (await lab.NodeAsync("node1", "axl", "get", "http://127.0.0.1:9234/healthz")).Require());
        await Eventually.IsAsync(
            "collections are counted", async () => (await lab.NodeAsync("node1", "axl", "get", "http://127.0.0.1:9963/metrics")).Output,
            m => m.Contains("cilium_operator_identity_gc_runs{outcome=\"success\",identity_type=\"crd\"}"));
    }

    private async Task<string> IdentitiesAsync()
        => (await lab.KubectlAsync("", "get", "ciliumidentities", "-o", "jsonpath={.items[*].security-labels.k8s:app}")).Require();

    private async Task<string> PhaseAsync(string pod)
        => (await lab.KubectlAsync("", "get", "pod", "-n", "work", pod, "-o", "jsonpath={.status.phase}")).Output;
}
