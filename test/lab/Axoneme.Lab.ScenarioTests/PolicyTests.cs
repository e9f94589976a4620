// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>Policies for the pods of the namespace "guarded": server on node 2, friend on node 1, stranger on node 2.</summary>
[Collection(NativeCollection.Name)]
public sealed class PolicyTests(NativeLab lab)
{
    private const string Friend = "exec guarded/friend";
    private const string Stranger = "exec guarded/stranger";
    private const string Visitor = "exec other/visitor";

    private string[] Server(int port = 7) => [$"axl tcp {lab.V4("guarded/server")} {port} 10", $"axl tcp {lab.V6("guarded/server")} {port} 10"];

    private string[] ServerUdp => [$"axl udp {lab.V4("guarded/server")} 7 10", $"axl udp {lab.V6("guarded/server")} 7 10"];

    private string[] ServerPing => [$"axl ping {lab.V4("guarded/server")}", $"axl ping {lab.V6("guarded/server")}"];

    private string[] ServerHttp => [$"axl get http://{lab.V4("guarded/server")}:8080/", $"axl get http://[{lab.V6("guarded/server")}]:8080/"];

    private Task<IAsyncDisposable> KubernetesAsync(string spec)
        => lab.WithAsync($"{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: guarded}}, spec: {spec}}}");

    private static string Cilium(string spec, string name = "p")
        => $"{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: {name}, namespace: guarded}}, spec: {spec}}}";

    private Task<IAsyncDisposable> CiliumAsync(string spec) => lab.WithAsync(Cilium(spec));

    [Fact]
    public async Task Ingress_without_rules_lets_nobody_in_but_the_own_node()
    {
        await using (await KubernetesAsync("{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}"))
        {
            await lab.ExpectAsync(Friend, [], [.. Server(), .. ServerUdp, .. ServerPing]);
            await lab.ExpectAsync("outside", [], Server());
            await lab.ExpectAsync("node node1", [], Server());
            await lab.ExpectAsync("node node2", Server());
        }

        await lab.ExpectAsync(Friend, [.. Server(), .. ServerUdp, .. ServerPing]);
    }

    [Fact]
    public async Task Egress_without_rules_lets_nothing_out()
    {
        await using IAsyncDisposable policy = await KubernetesAsync("{podSelector: {matchLabels: {app: friend}}, policyTypes: [Egress]}");
        await lab.ExpectAsync(Friend, [], [.. Server(), $"axl tcp {LabCluster.OutsideV4} 7", $"axl tcp {LabCluster.OutsideV6} 7", $"axl udp {lab.V4("work/near")} 7"]);
        await lab.ExpectAsync(Stranger, Server());
    }

    [Fact]
    public async Task Pods_are_allowed_by_label_and_port()
    {
        await using IAsyncDisposable policy = await KubernetesAsync("""
            {podSelector: {matchLabels: {app: server}}, ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: 7, protocol: TCP}]}]}
            """);
        await lab.ExpectAsync(Friend, Server(), [.. ServerUdp, .. ServerHttp]);
        await lab.ExpectAsync(Stranger, [], Server());
    }

    [Fact]
    public async Task Pods_are_allowed_by_namespace_label()
    {
        await using IAsyncDisposable policy = await KubernetesAsync("""
            {podSelector: {matchLabels: {app: server}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]}
            """);
        await lab.ExpectAsync(Visitor, [.. Server(), .. ServerUdp]);
        await lab.ExpectAsync(Friend, [], Server());
    }

    [Fact]
    public async Task Port_ranges_have_both_ends_and_nothing_beyond()
    {
        await using IAsyncDisposable policy = await KubernetesAsync("""
            {podSelector: {matchLabels: {app: server}}, ingress: [{ports: [{port: 8000, endPort: 8080, protocol: TCP}]}]}
            """);
        await lab.ExpectAsync(Friend, ServerHttp, [.. Server(7), .. Server(8081)]);
    }

    [Fact]
    public async Task A_cilium_policy_allows_by_endpoint_and_denies_before_it_allows()
    {
        await using (await CiliumAsync("""
            {endpointSelector: {matchLabels: {app: server}}, ingress: [{fromEndpoints: [{matchLabels: {app: friend}}, {matchLabels: {'k8s:io.kubernetes.pod.namespace': other}}]}]}
            """))
        {
            await lab.ExpectAsync(Friend, [.. Server(), .. ServerUdp]);
            await lab.ExpectAsync(Visitor, Server());
            await lab.ExpectAsync(Stranger, [], Server());
        }

        await using IAsyncDisposable denying = await CiliumAsync("""
            {endpointSelector: {matchLabels: {app: server}}, ingress: [{fromEntities: [all]}], ingressDeny: [{fromEndpoints: [{matchLabels: {app: stranger}}],
              toPorts: [{ports: [{port: '7', protocol: TCP}]}]}]}
            """);
        await lab.ExpectAsync(Stranger, [.. ServerUdp, .. ServerHttp], Server());
        await lab.ExpectAsync(Friend, Server());
    }

    [Fact]
    public async Task Entities_stand_for_the_world_the_nodes_and_the_api()
    {
        string world4 = $"axl tcp {LabCluster.OutsideV4} 7", world6 = $"axl tcp {LabCluster.OutsideV6} 7";
        string own = $"axl tcp {LabCluster.NodeV4(1)} 7", other = $"axl tcp {LabCluster.NodeV4(2)} 7";
        // It listens there, and speaks TLS: connecting is what is asked.
        const string api = "bash -c ': </dev/tcp/172.30.0.2/6443'";
        const string noApi = "bash -c 'timeout 3 bash -c \": </dev/tcp/172.30.0.2/6443\" ; [ $? = 124 ] && echo no answer'";
        static string To(string entity) => $"{{endpointSelector: {{matchLabels: {{app: friend}}}}, egress: [{{toEntities: [{entity}]}}]}}";
        await using (await CiliumAsync(To("world")))
            await lab.ExpectAsync(Friend, [world4, world6], [own, other, .. Server()]);
        await using (await CiliumAsync(To("host")))
            await lab.ExpectAsync(Friend, [own], [world4, world6, other, noApi]);
        await using (await CiliumAsync(To("remote-node")))
            await lab.ExpectAsync(Friend, [other], [world4, .. Server()]);
        await using (await CiliumAsync(To("kube-apiserver")))
            await lab.ExpectAsync(Friend, [api], [world4, world6, other]);
    }

    [Fact]
    public async Task Address_blocks_have_exceptions()
    {
        await using (await CiliumAsync("""
            {endpointSelector: {matchLabels: {app: friend}}, egress: [{toCIDRSet: [{cidr: 203.0.113.0/24}, {cidr: '2001:db8::/64', except: ['2001:db8::10/128']}]}]}
            """))
            await lab.ExpectAsync(Friend, [$"axl tcp {LabCluster.OutsideV4} 7"], [$"axl tcp {LabCluster.OutsideV6} 7", .. Server()]);
        await using IAsyncDisposable policy = await KubernetesAsync("""
            {podSelector: {matchLabels: {app: server}}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.10/32]}}, {ipBlock: {cidr: '2001:db8::/64'}}]}]}
            """);
        await lab.ExpectAsync("outside", [$"axl tcp {lab.V6("guarded/server")} 7"], [$"axl tcp {lab.V4("guarded/server")} 7"]);
    }

    [Theory]
    [InlineData("guarded/friend")]
    [InlineData("guarded/stranger")]
    public async Task A_change_of_policy_reaches_established_connections(string pod)
    {
        using LiveConnection connection = await LiveConnection.OpenAsync(lab, pod, lab.V4("guarded/server"));
        await using (await KubernetesAsync("{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}"))
            await Eventually.IsAsync("silent", connection.AskAsync, a => a == "silent");
        await Eventually.IsAsync("alive again", connection.AskAsync, a => a == "alive");
    }

    [Fact]
    public async Task An_invalid_policy_says_what_is_wrong_and_its_last_valid_version_stays()
    {
        const string valid = "{endpointSelector: {matchLabels: {app: server}}, ingress: [{fromEndpoints: [{matchLabels: {app: friend}}], toPorts: [{ports: [{port: '7'}]}]}]}";
        await using IAsyncDisposable bystander = await lab.WithAsync(
            Cilium("{endpointSelector: {matchLabels: {app: friend}}, egress: [{toEndpoints: [{matchLabels: {app: server}}]}]}", "bystander"));
        await using IAsyncDisposable policy = await CiliumAsync(valid);
        await lab.ExpectAsync(Friend, Server(), [$"axl tcp {LabCluster.OutsideV4} 7"]);
        await lab.ExpectAsync(Stranger, [], Server());
        await lab.ApplyAsync(Cilium("{endpointSelector: {}, ingress: [{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [192.168.0.0/16]}], toPorts: [{ports: [{port: '0', endPort: 7}]}]}]}"));
        string condition = await Eventually.IsAsync("the condition says so", () => ConditionAsync("p"), c => c.StartsWith("False", StringComparison.Ordinal));
        Assert.Contains("192.168.0.0/16 is not inside 10.0.0.0/8", condition);
        Assert.Contains("ports[0].endPort", condition);
        await lab.ExpectAsync(Friend, Server(), [$"axl tcp {LabCluster.OutsideV4} 7"]);
        await lab.ExpectAsync(Stranger, [], Server());
        Assert.StartsWith("True", await ConditionAsync("bystander"));
        await lab.ApplyAsync(Cilium(valid));
        await Eventually.IsAsync("valid again", () => ConditionAsync("p"), c => c.StartsWith("True", StringComparison.Ordinal));
    }

    private async Task<string> ConditionAsync(string policy)
        => (await lab.KubectlAsync("", "get", "cnp", "-n", "guarded", policy, "-o",
            "jsonpath={.status.conditions[?(@.type==\"Valid\")].status} {.status.conditions[?(@.type==\"Valid\")].message}")).Require();
}
