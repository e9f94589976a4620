// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>Services that are balanced in the driver, before the stack sees a packet.</summary>
[Collection(DriverCollection.Name)]
public sealed class DriverProgramTests(DriverLab lab)
{
    [Fact]
    public async Task A_service_answers_at_each_of_its_addresses()
    {
        string[] balancers = await lab.ServiceAddressesAsync(FrontendTests.Front, "{.status.loadBalancer.ingress[*].ip}");
        await lab.ExpectAsync("outside",
        [
            .. FrontendTests.NodeAddresses.SelectMany(a => (string[])[$"axl tcp {a} 30007 20000", $"axl udp {a} 30007 1000"]),
            .. balancers.Concat(FrontendTests.ExternalAddresses).SelectMany(a => (string[])[$"axl tcp {a} 1007 20000", $"axl udp {a} 1007 1000"]),
        ]);
    }

    [Fact]
    public async Task Backends_of_both_nodes_serve_and_see_whom_they_should()
    {
        foreach ((string node, string self, string client) in ((string, string, string)[])
            [("near", LabCluster.NodeV4(1), LabCluster.OutsideV4), ("near", LabCluster.NodeV6(1), LabCluster.OutsideV6)])
        {
            IReadOnlyList<Witness> witnesses = await lab.WhoAsync("outside", self, 30009, 25);
            Assert.Equal([("far", self), (node, client)], witnesses.Select(w => (w.Pod, w.Client)).Distinct().Order());
        }
    }

    [Fact]
    public async Task Large_transfers_and_many_connections_pass()
    {
        (await lab.RunAsync("outside", "axl", "bulk", LabCluster.NodeV4(1), "30007", "2")).Require();
        Assert.Contains("300 connections", (await lab.RunAsync("outside", "axl", "parallel", LabCluster.NodeV6(2), "30007", "300")).Require());
    }

    [Fact]
    public async Task The_program_is_in_the_driver_of_each_node()
    {
        const int native = 1;
        foreach (string node in (string[])["node1", "node2"])
        {
            string link = (await lab.NodeAsync(node, "ip", "-j", "-d", "link", "show", "dev", "eth0")).Require();
            Assert.Equal(native, (int?)JsonNode.Parse(link)![0]!["xdp"]?["mode"]);
        }
    }
}
