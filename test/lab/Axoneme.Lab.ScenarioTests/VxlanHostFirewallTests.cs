// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>Policies for nodes whose pods reach each other by a tunnel.</summary>
[Collection(VxlanHostFirewallCollection.Name)]
public sealed class VxlanHostFirewallTests(VxlanHostFirewallLab lab)
{
    private const string Client = "exec work/client";
    private const string Friend = "exec guarded/friend";

    private static string[] Node(int node) => [$"axl tcp {LabCluster.NodeV4(node)} 7 10", $"axl tcp {LabCluster.NodeV6(node)} 7 10"];

    private string[] Pod(string pod) => [$"axl tcp {lab.V4(pod)} 7 10", $"axl tcp {lab.V6(pod)} 7 10"];

    private Task<IAsyncDisposable> PolicyAsync(string name, string spec)
        => lab.WithAsync($"{{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {{name: {name}}}, spec: {spec}}}");

    [Fact]
    public async Task Nodes_are_judged_by_who_comes_through_the_tunnel_and_pods_keep_theirs()
    {
        await lab.ExpectAsync(Client, [.. Node(1), .. Node(2), .. Pod("work/far")]);
        const string spec = """
            {nodeSelector: {}, ingress: [{fromEntities: [health, kube-apiserver, remote-node, world]},
            {fromEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [client]}]}]}]}
            """;
        await using (await PolicyAsync("tunnel-ingress", spec))
        {
            await lab.ExpectAsync(Client, [.. Pod("work/near"), .. Pod("work/far")], [.. Node(1), .. Node(2)]);
            await lab.ExpectAsync(Friend, [.. Node(1), .. Node(2)]);
            await lab.ExpectAsync("outside", [.. Node(1), .. Node(2)]);
            await lab.ExpectAsync("node node1", [.. Node(2), .. Pod("work/far")]);
        }

        await lab.ExpectAsync(Client, [.. Node(1), .. Node(2)]);
    }

    [Fact]
    public async Task What_nodes_send_through_the_tunnel_is_judged_by_the_pod_that_it_is_for()
    {
        const string spec = """
            {nodeSelector: {}, egress: [{toEntities: [health, kube-apiserver, remote-node, world]},
            {toEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [server]}]}]}]}
            """;
        await using IAsyncDisposable policy = await PolicyAsync("tunnel-egress", spec);
        await lab.ExpectAsync("node node1", [.. Pod("work/near"), .. Pod("work/far")], Pod("guarded/server"));
        await lab.ExpectAsync("node node2", [.. Pod("work/near"), .. Pod("work/far")], Pod("guarded/server"));
        await lab.ExpectAsync(Client, [.. Pod("guarded/server"), .. Pod("work/far")]);
    }
}
