// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

[Collection(PolicyCollection.Name)]
public sealed class NativeNodeSelectionTests(PolicyLab lab) : NodeSelectionTests(lab);

[Collection(VxlanCollection.Name)]
public sealed class VxlanNodeSelectionTests(VxlanLab lab) : NodeSelectionTests(lab);

/// <summary>Rules for other nodes by the labels of their objects.</summary>
public abstract class NodeSelectionTests(LabCluster lab)
{
    private const string Friend = "exec guarded/friend";
    private const string Visitor = "exec other/visitor";
    private const string Server = "guarded/server";

    private static string[] Node(int node) => [$"axl tcp {LabCluster.NodeV4(node)} 7 10", $"axl tcp {LabCluster.NodeV6(node)} 7 10"];

    private Task<IAsyncDisposable> PolicyAsync(string spec)
        => lab.WithAsync($"{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: nodes, namespace: guarded}}, spec: {spec}}}");

    [Fact]
    public async Task Ingress_from_a_node_follows_the_labels_of_its_object()
    {
        await using IAsyncDisposable policy = await PolicyAsync(
            "{endpointSelector: {matchLabels: {app: server}}, ingress: [{fromNodes: [{matchLabels: {role: trusted}}]}]}");
        await Task.WhenAll(lab.ExpectAsync("node node1", [], lab.Tcp(Server)), lab.ExpectAsync(Visitor, [], lab.Tcp(Server)));
        (await lab.KubectlAsync("", "label", "node", "node1", "role=trusted")).Require();
        try
        {
            await lab.ExpectAsync("node node1", [.. lab.Tcp(Server), .. lab.Udp(Server)]);
            // Pods of the node are not the node, and the own node needs no rule.
            await Task.WhenAll(lab.ExpectAsync(Visitor, [], lab.Tcp(Server)), lab.ExpectAsync("node node2", lab.Tcp(Server)));
        }
        finally
        {
            (await lab.KubectlAsync("", "label", "node", "node1", "role-")).Require();
        }

        await lab.ExpectAsync("node node1", [], lab.Tcp(Server));
    }

    [Fact]
    public async Task Egress_to_a_node_leaves_out_the_others_and_all_pods()
    {
        await using (await PolicyAsync("{endpointSelector: {matchLabels: {app: friend}}, egress: [{toNodes: [{matchLabels: {'kubernetes.io/hostname': node2}}]}]}"))
            await lab.ExpectAsync(Friend, Node(2), [.. Node(1), .. lab.Tcp(Server), .. lab.Tcp("work/near"), $"axl tcp {LabCluster.OutsideV4} 7"]);
        await using (await PolicyAsync("{endpointSelector: {matchLabels: {app: friend}}, egress: [{toNodes: [{matchLabels: {'kubernetes.io/hostname': node3}}]}]}"))
            await lab.ExpectAsync(Friend, [], Node(2));
        // Nodes that rules can tell apart are still all of them.
        await using (await PolicyAsync("{endpointSelector: {matchLabels: {app: friend}}, egress: [{toEntities: [remote-node]}]}"))
            await lab.ExpectAsync(Friend, Node(2), [.. Node(1), .. lab.Tcp(Server)]);
    }
}
