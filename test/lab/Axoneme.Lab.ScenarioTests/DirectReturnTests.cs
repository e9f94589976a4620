// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>Direct server return, Maglev, and masquerading: what the outside sees of a cluster.</summary>
[Collection(DsrCollection.Name)]
public sealed partial class DirectReturnTests(DsrLab lab)
{
    private static readonly string[] Protocols = ["tcp", "udp"];

    [Fact]
    public Task A_service_answers_at_each_of_its_addresses()
        => lab.ExpectAsync("outside",
        [
            .. FrontendTests.NodeAddresses.SelectMany(a => (string[])[$"axl tcp {a} 30007 20000", $"axl udp {a} 30007 1000"]),
            .. FrontendTests.ExternalAddresses.SelectMany(a => (string[])[$"axl tcp {a} 1007 20000", $"axl udp {a} 1007 1000"]),
        ]);

    [Fact]
    public async Task Every_backend_sees_the_clients_own_address()
    {
        foreach (string node in FrontendTests.NodeAddresses)
            foreach (string protocol in Protocols)
            {
                string client = node.Contains(':') ? LabCluster.OutsideV6 : LabCluster.OutsideV4;
                IReadOnlyList<Witness> witnesses = await lab.WhoAsync("outside", node, 30009, 25, protocol);
                Assert.All(witnesses, w => Assert.Equal(client, w.Client));
                Assert.Equal(["far", "near"], witnesses.Select(w => w.Pod).Distinct().Order());
            }
    }

    [Theory]
    [InlineData("ip", "172.30.0.11")]
    [InlineData("ip6", "fd00:30::11")]
    public async Task No_byte_of_an_answer_passes_the_node_that_balances(string family, string node)
    {
        await using IAsyncDisposable service = await lab.WithAsync("""
            {apiVersion: v1, kind: Service, metadata: {name: distant, namespace: guarded}, spec: {type: NodePort, ipFamilyPolicy: RequireDualStack,
              selector: {app: server}, ports: [{name: echo, port: 7, nodePort: 30083}]}}
            """);
        await lab.ExpectAsync("outside", [$"axl tcp {node} 30083"]);
        string filter = $"{family} and src host {node} and tcp src port 30083";
        await using Capture balancer = await Capture.StartAsync(lab, "node1", filter), server = await Capture.StartAsync(lab, "node2", filter);
        (await lab.RunAsync("outside", "axl", "tcp", node, "30083", "1000000")).Require();
        Assert.Equal(0, await balancer.CountAsync());
        Assert.InRange(await server.CountAsync(), 10, long.MaxValue);
    }

    [Fact]
    public async Task A_client_keeps_its_backend_when_another_node_balances()
    {
        const string address = "192.88.99.10";
        Task RouteAsync(int node) => lab.RunAsync("router", "ip", "route", "replace", address, "via", LabCluster.NodeV4(node));
        string[][] pods = [await ChosenAsync(address), []];
        await RouteAsync(2);
        pods[1] = await ChosenAsync(address);
        await RouteAsync(1);
        Assert.Equal(pods[0], pods[1]);
        Assert.Equal(["far", "near"], pods[0].Distinct().Order());
    }

    /// <summary>The backends of clients with different ports of their own.</summary>
    private async Task<string[]> ChosenAsync(string address)
    {
        const int first = 41000, count = 12;
        IReadOnlyList<Witness>[] witnesses = await Task.WhenAll(
            Enumerable.Range(first, count).Select(port => lab.WhoAsync("outside", address, 1009, 1, "udp", port)));
        return [.. witnesses.Select(w => w[0].Pod)];
    }

    [Fact]
    public async Task Pods_go_out_with_their_nodes_address()
    {
        foreach ((string pod, int node) in ((string, int)[])[("work/client", 1), ("guarded/stranger", 2)])
            foreach (string protocol in Protocols)
            {
                Assert.Equal(LabCluster.NodeV4(node), (await lab.WhoAsync($"exec {pod}", LabCluster.OutsideV4, 9, 1, protocol))[0].Client);
                Assert.Equal(LabCluster.NodeV6(node), (await lab.WhoAsync($"exec {pod}", LabCluster.OutsideV6, 9, 1, protocol))[0].Client);
            }

        await lab.ExpectAsync("exec work/client", [$"axl ping {LabCluster.OutsideV4}", $"axl ping {LabCluster.OutsideV6}", $"axl parallel {LabCluster.OutsideV4} 7 300"]);
    }

    [Fact]
    public async Task Pods_meet_pods_and_nodes_with_their_own_address()
    {
        Assert.Equal(lab.V4("work/client"), (await lab.WhoAsync("exec work/client", lab.V4("work/far"), 9))[0].Client);
        Assert.Equal(lab.V6("work/client"), (await lab.WhoAsync("exec work/client", lab.V6("work/far"), 9))[0].Client);
        Assert.Equal(lab.V4("work/client"), (await lab.WhoAsync("exec work/client", LabCluster.NodeV4(2), 9))[0].Client);
    }

    [Fact]
    public async Task A_pod_and_its_node_may_use_the_same_port_to_the_same_server()
    {
        const int port = 42000;
        foreach (string protocol in Protocols)
        {
            Task<IReadOnlyList<Witness>> pod = lab.WhoAsync("exec work/client", LabCluster.OutsideV4, 9, 5, protocol, port);
            Task<IReadOnlyList<Witness>> node = lab.WhoAsync("node node1", LabCluster.OutsideV4, 9, 5, protocol, port);
            Assert.All((await pod).Concat(await node), w => Assert.Equal(LabCluster.NodeV4(1), w.Client));
        }
    }

    [Fact]
    public async Task No_netfilter_rule_appears()
    {
        foreach (string node in (string[])["node1", "node2"])
            Assert.Equal("", (await lab.NodeAsync(node, "nft", "list", "ruleset")).Require());
    }

    /// <summary>Counts packets on the router's end of a node's cable.</summary>
    private sealed partial class Capture : IAsyncDisposable
    {
        private readonly Process _process;

        private Capture(Process process) => _process = process;

        public static async Task<Capture> StartAsync(LabCluster lab, string cable, string filter)
        {
            var capture = new Capture(lab.Start("router", "--", "tcpdump", "-n", "-p", "-i", cable, "-w", "/dev/null", filter));
            // It listens from this line on.
            while (await capture._process.StandardError.ReadLineAsync() is { } line && !line.Contains("listening on", StringComparison.Ordinal))
            {
            }

            return capture;
        }

        /// <summary>Ends the capture.</summary>
        public async Task<long> CountAsync()
        {
            (await Command.RunAsync("kill", ["-INT", $"{_process.Id}"])).Require();
            string report = await _process.StandardError.ReadToEndAsync();
            await _process.WaitForExitAsync();
            // Packets received by the filter: those that it saw, even if it was too slow to write them.
            Match match = Received().Match(report);
            return match.Success ? long.Parse(match.Groups[1].Value) : throw new InvalidOperationException(report);
        }

        public ValueTask DisposeAsync()
        {
            if (!_process.HasExited)
                _process.Kill();
            _process.Dispose();
            return ValueTask.CompletedTask;
        }

        [GeneratedRegex("([0-9]+) packets? received by filter")]
        private static partial Regex Received();
    }
}
