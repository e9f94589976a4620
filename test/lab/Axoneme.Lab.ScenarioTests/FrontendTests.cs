// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>Every address that a service can be reached by, from everywhere, with packets translated on their way in and out.</summary>
[Collection(NativeCollection.Name)]
public sealed class FrontendTests(NativeLab lab)
{
    public const string Front = "work/front";
    public static readonly string[] ExternalAddresses = ["192.88.99.10", "fd00:99::10"];

    public static readonly string[] NodeAddresses =
        [LabCluster.NodeV4(1), LabCluster.NodeV4(2), LabCluster.NodeV6(1), LabCluster.NodeV6(2)];

    private static IEnumerable<string> Echo(string address, int port) => [$"axl tcp {address} {port} 20000", $"axl udp {address} {port} 1000"];

    private Task<string[]> LoadBalancersAsync() => lab.ServiceAddressesAsync(Front, "{.status.loadBalancer.ingress[*].ip}");

    [Theory]
    [InlineData("exec work/client")]
    [InlineData("exec guarded/stranger")]
    [InlineData("node node1")]
    [InlineData("node node2")]
    [InlineData("outside")]
    public async Task A_service_answers_at_each_of_its_addresses(string from)
    {
        string[] balancers = await LoadBalancersAsync();
        Assert.Equal(2, balancers.Length);
        await lab.ExpectAsync(from,
        [
            .. NodeAddresses.SelectMany(a => Echo(a, 30007)),
            .. balancers.Concat(ExternalAddresses).SelectMany(a => Echo(a, 1007)),
        ]);
    }

    [Fact]
    public Task A_node_has_its_node_ports_on_loopback_for_itself()
        => lab.ExpectAsync("node node1", ["axl tcp 127.0.0.1 30007", "axl udp 127.0.0.1 30007"]);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Every_backend_serves_clients_from_outside_through_either_node(bool ipv6)
    {
        foreach (string node in NodeAddresses.Where(a => a.Contains(':') == ipv6))
            foreach (string protocol in (string[])["tcp", "udp"])
            {
                IReadOnlyList<Witness> witnesses = await lab.WhoAsync("outside", node, 30009, 25, protocol);
                Assert.Equal(["far", "near"], witnesses.Select(w => w.Pod).Distinct().Order());
            }
    }

    [Fact]
    public async Task A_backend_sees_the_client_where_no_other_node_lies_between_and_else_that_node()
    {
        IReadOnlyList<Witness> witnesses = await lab.WhoAsync("outside", LabCluster.NodeV4(1), 30009, 25);
        Assert.Equal([("far", LabCluster.NodeV4(1)), ("near", LabCluster.OutsideV4)], witnesses.Select(w => (w.Pod, w.Client)).Distinct().Order());
        witnesses = await lab.WhoAsync("outside", LabCluster.NodeV6(1), 30009, 25, "udp");
        Assert.Equal([("far", LabCluster.NodeV6(1)), ("near", LabCluster.OutsideV6)], witnesses.Select(w => (w.Pod, w.Client)).Distinct().Order());
    }

    [Theory]
    [InlineData("exec work/client")]
    [InlineData("node node1")]
    [InlineData("outside")]
    public async Task A_port_that_a_service_address_does_not_serve_is_refused(string from)
    {
        string[] addresses = [.. await LoadBalancersAsync(), .. ExternalAddresses];
        await lab.ExpectAsync(from, [], [], [.. addresses.SelectMany(a => (string[])[$"axl tcp {a} 4711 1", $"axl udp {a} 4711 1"])]);
    }

    [Theory]
    [InlineData("exec work/client")]
    [InlineData("node node1")]
    [InlineData("outside")]
    public async Task A_service_without_backends_refuses(string from)
    {
        await using IAsyncDisposable service = await lab.WithAsync("""
            {apiVersion: v1, kind: Service, metadata: {name: empty, namespace: work}, spec: {type: LoadBalancer, ipFamilyPolicy: RequireDualStack,
              selector: {app: nobody}, externalIPs: [192.88.99.11], ports: [{name: t, port: 1007, nodePort: 30070}, {name: u, port: 1007, nodePort: 30070, protocol: UDP}]}}
            """);
        IEnumerable<string> own = from == "outside" ? [] : await lab.ServiceAddressesAsync("work/empty", "{.spec.clusterIPs[*]}");
        await lab.ExpectAsync(from, [], [],
        [
            // What a node sends to an address that is none of its own comes back to it from the router, with a source that is its own.
            .. (from.StartsWith("node", StringComparison.Ordinal) ? own : own.Append("192.88.99.11")).SelectMany(a => (string[])[$"axl tcp {a} 1007 1", $"axl udp {a} 1007 1"]),
            $"axl tcp {LabCluster.NodeV4(1)} 30070 1", $"axl tcp {LabCluster.NodeV6(2)} 30070 1",
        ]);
    }

    [Fact]
    public async Task Cluster_addresses_are_for_the_cluster()
    {
        string[] addresses = await lab.ServiceAddressesAsync(Front, "{.spec.clusterIPs[*]}");
        string[] route = ["sh", "-c", $"ip route replace 10.96.0.0/16 via {LabCluster.NodeV4(1)}; ip -6 route replace fd00:96::/112 via {LabCluster.NodeV6(1)}"];
        (await lab.RunAsync("router", route)).Require();
        await lab.ExpectAsync("outside", [], [.. addresses.SelectMany(a => (string[])[$"axl tcp {a} 1007 1", $"axl udp {a} 1007 1"])]);
        (await lab.RunAsync("router", "sh", "-c", "ip route del 10.96.0.0/16; ip -6 route del fd00:96::/112")).Require();
    }

    [Fact]
    public async Task A_pod_reaches_itself_through_its_service()
    {
        string[] addresses = await lab.ServiceAddressesAsync(Front, "{.spec.clusterIPs[*]}");
        foreach (string address in addresses)
        {
            IReadOnlyList<Witness> witnesses = await lab.WhoAsync("exec work/near", address, 1009, 15);
            Assert.Contains(witnesses, w => w.Pod == "near");
        }
    }

    [Fact]
    public async Task Bulk_and_many_connections_pass_both_nodes_unharmed()
    {
        (await lab.RunAsync("outside", "axl", "bulk", LabCluster.NodeV4(1), "30007", "2")).Require();
        (await lab.RunAsync("outside", "axl", "bulk", LabCluster.NodeV6(2), "30007", "2")).Require();
        Assert.Contains("500 connections", (await lab.RunAsync("outside", "axl", "parallel", LabCluster.NodeV4(2), "30007", "500")).Require());
    }

    [Fact]
    public async Task Backends_on_a_nodes_own_network_serve()
    {
        // The echo servers that run on the nodes themselves.
        string endpoints = $"[{{addresses: [{LabCluster.NodeV4(1)}], nodeName: node1}}, {{addresses: [{LabCluster.NodeV4(2)}], nodeName: node2}}]";
        await using IAsyncDisposable service = await lab.WithAsync($$$"""
            {apiVersion: v1, kind: Service, metadata: {name: nodes, namespace: work}, spec: {type: NodePort, clusterIP: 10.96.77.3,
              ports: [{name: who, port: 1009, targetPort: 9, nodePort: 30073}]}}
            ---
            {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: nodes-1, namespace: work, labels: {kubernetes.io/service-name: nodes}},
              addressType: IPv4, ports: [{name: who, port: 9}], endpoints: {{{endpoints}}}}
            """);
        foreach ((string from, string address, int port) in ((string, string, int)[])
            [("exec work/client", "10.96.77.3", 1009), ("node node1", "10.96.77.3", 1009), ("outside", LabCluster.NodeV4(1), 30073), ("outside", LabCluster.NodeV4(2), 30073)])
        {
            await lab.ExpectAsync(from, [$"axl who {address} {port}"]);
            IReadOnlyList<Witness> witnesses = await lab.WhoAsync(from, address, port, 25);
            Assert.Equal(["node1", "node2"], witnesses.Select(w => w.Pod).Distinct().Order());
        }
    }

    [Fact]
    public async Task A_host_port_is_on_its_node_only()
    {
        const string pod = """
            {apiVersion: v1, kind: Pod, metadata: {name: hosted, namespace: work}, spec: {nodeName: node2, terminationGracePeriodSeconds: 0,
              containers: [{name: c, image: axoneme.io/echo, ports: [{containerPort: 7, hostPort: 4007}, {containerPort: 7, hostPort: 4007, protocol: UDP}]}]}}
            """;
        await using IAsyncDisposable applied = await lab.WithAsync(pod);
        string[] there = [LabCluster.NodeV4(2), LabCluster.NodeV6(2)], elsewhere = [LabCluster.NodeV4(1), LabCluster.NodeV6(1)];
        foreach (string from in (string[])["outside", "exec work/client", "node node1", "node node2"])
            await lab.ExpectAsync(from, [.. there.SelectMany(a => Echo(a, 4007))], [], [.. elsewhere.Select(a => $"axl tcp {a} 4007 1")]);
    }

    [Fact]
    public async Task No_netfilter_rule_appears()
    {
        await lab.ExpectAsync("outside", [.. NodeAddresses.SelectMany(a => Echo(a, 30007))]);
        foreach (string node in (string[])["node1", "node2"])
        {
            Assert.Equal("", (await lab.NodeAsync(node, "nft", "list", "ruleset")).Require());
            // Where the older implementation would list its tables.
            Assert.Equal("", (await lab.NodeAsync(node, "sh", "-c", "cat /proc/self/net/ip_tables_names /proc/self/net/ip6_tables_names 2>/dev/null; true")).Require());
        }
    }
}
