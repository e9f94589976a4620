// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>Rules before and behind those of network policies: what they let through, stop and leave to the others.</summary>
[Collection(PolicyCollection.Name)]
public sealed class TierTests(PolicyLab lab)
{
    private const string Friend = "exec guarded/friend";
    private const string Stranger = "exec guarded/stranger";
    private const string Visitor = "exec other/visitor";
    private const string Client = "exec work/client";
    private const string Server = "guarded/server";

    private static string Pods(string app) => $"{{pods: {{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: {app}}}}}}}}}";

    private string[] Http(string pod) => [$"axl get http://{lab.V4(pod)}:8080/", $"axl get http://[{lab.V6(pod)}]:8080/"];

    private Task<IAsyncDisposable> ClusterAsync(string name, string tier, int priority, string rules) => lab.WithAsync(
        $"{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: {name}}}, spec: {{tier: {tier}, priority: {priority}, "
        + $"subject: {Pods("server")}, ingress: [{rules}]}}}}");

    private Task<IAsyncDisposable> AdminAsync(string name, int priority, string rules) => lab.WithAsync(
        $"{{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {{name: {name}}}, spec: {{priority: {priority}, "
        + $"subject: {Pods("friend")}, egress: [{rules}]}}}}");

    private Task<IAsyncDisposable> KubernetesAsync(string spec)
        => lab.WithAsync($"{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: between, namespace: guarded}}, spec: {spec}}}");

    [Fact]
    public async Task Cluster_network_policies_come_before_and_behind_network_policies()
    {
        await using IAsyncDisposable admin = await ClusterAsync("first", "Admin", 10,
            $"{{action: Deny, from: [{Pods("stranger")}], protocols: [{{tcp: {{destinationPort: {{number: 7}}}}}}]}}, "
            + $"{{action: Accept, from: [{Pods("friend")}]}}, {{action: Pass, from: [{{namespaces: {{matchLabels: {{team: other}}}}}}]}}");
        await using IAsyncDisposable baseline = await ClusterAsync("last", "Baseline", 10, "{action: Deny, from: [{namespaces: {}}]}");
        // Nobody isolates the server: who is passed on, or not mentioned, meets the baseline, which says nothing about those who are no pods.
        await Task.WhenAll(
            lab.ExpectAsync(Friend, [.. lab.Tcp(Server), .. lab.Udp(Server), .. lab.Tcp("work/far")]),
            lab.ExpectAsync(Stranger, lab.Tcp("work/far"), [.. lab.Tcp(Server), .. lab.Udp(Server)]),
            lab.ExpectAsync(Visitor, lab.Tcp("work/far"), lab.Tcp(Server)),
            lab.ExpectAsync(Client, [], lab.Tcp(Server)),
            lab.ExpectAsync("outside", lab.Tcp(Server)));
        await using (await KubernetesAsync(
            "{podSelector: {matchLabels: {app: server}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}, {podSelector: {matchLabels: {app: stranger}}}]}]}"))
        {
            await Task.WhenAll(
                lab.ExpectAsync(Friend, [.. lab.Tcp(Server), .. lab.Udp(Server)]),
                lab.ExpectAsync(Stranger, [.. lab.Udp(Server), .. Http(Server)], lab.Tcp(Server)),
                lab.ExpectAsync(Visitor, lab.Tcp(Server)),
                lab.ExpectAsync(Client, [], lab.Tcp(Server)),
                lab.ExpectAsync("outside", [], lab.Tcp(Server)));
            await lab.ShowsAsync("node2", "hubble observe --last 50 --type drop --from-pod guarded/stranger --to-pod guarded/server",
                t => t.Contains("denied in direction ingress by ClusterNetworkPolicy first (spec.ingress[0])"));
            await using (await ClusterAsync("before", "Admin", 9, $"{{action: Accept, from: [{Pods("stranger")}]}}"))
                await lab.ExpectAsync(Stranger, lab.Tcp(Server));
            await lab.ExpectAsync(Stranger, [], lab.Tcp(Server));
        }

        await lab.ExpectAsync("outside", lab.Tcp(Server));
    }

    [Fact]
    public async Task Admin_network_policies_come_before_and_the_baseline_behind_network_policies()
    {
        string[] outside = [$"axl tcp {LabCluster.OutsideV4} 7", $"axl tcp {LabCluster.OutsideV6} 7"];
        const string networks = "{networks: [203.0.113.0/24, '2001:db8::/64']}";
        await using IAsyncDisposable denying = await AdminAsync("denying", 5,
            $"{{action: Deny, to: [{Pods("echo")}], ports: [{{portNumber: {{port: 7, protocol: TCP}}}}]}}, "
            + $"{{action: Pass, to: [{Pods("server")}], ports: [{{portRange: {{start: 8000, end: 8100}}}}]}}");
        await using IAsyncDisposable allowing = await AdminAsync("allowing", 6, "{action: Allow, to: [{namespaces: {}}]}");
        await using IAsyncDisposable baseline = await lab.WithAsync(
            "{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: default}, spec: "
            + $"{{subject: {{namespaces: {{matchLabels: {{'kubernetes.io/metadata.name': guarded}}}}}}, egress: [{{action: Deny, to: [{networks}]}}]}}}}");
        await Task.WhenAll(
            lab.ExpectAsync(Friend, [.. lab.Udp("work/far"), .. lab.Tcp(Server), .. Http(Server)], [.. lab.Tcp("work/far"), .. outside]),
            lab.ExpectAsync(Stranger, lab.Tcp("work/far"), outside),
            lab.ExpectAsync(Visitor, [.. lab.Tcp("work/far"), .. outside]));
        await using IAsyncDisposable policy = await KubernetesAsync(
            "{podSelector: {matchLabels: {app: friend}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}");
        await lab.ExpectAsync(Friend, [outside[0], .. lab.Tcp(Server), .. lab.Udp("work/far")], [outside[1], .. Http(Server), .. lab.Tcp("work/far")]);
    }
}
