// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>Hybrid forwarding, and exceptions from masquerading.</summary>
[Collection(HybridCollection.Name)]
public sealed class HybridTests(HybridLab lab)
{
    [Fact]
    public Task A_service_answers_at_each_of_its_addresses()
        => lab.ExpectAsync("outside",
        [
            .. FrontendTests.NodeAddresses.SelectMany(a => (string[])[$"axl tcp {a} 30007 20000", $"axl udp {a} 30007 1000"]),
            .. FrontendTests.ExternalAddresses.SelectMany(a => (string[])[$"axl tcp {a} 1007 20000", $"axl udp {a} 1007 1000"]),
        ]);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Backends_elsewhere_see_the_client_by_tcp_and_the_node_by_udp(bool ipv6)
    {
        (string node, string client) = ipv6 ? (LabCluster.NodeV6(1), LabCluster.OutsideV6) : (LabCluster.NodeV4(1), LabCluster.OutsideV4);
        IReadOnlyList<Witness> tcp = await lab.WhoAsync("outside", node, 30009, 25), udp = await lab.WhoAsync("outside", node, 30009, 25, "udp");
        Assert.Equal([("far", client), ("near", client)], tcp.Select(w => (w.Pod, w.Client)).Distinct().Order());
        Assert.Equal([("far", node), ("near", client)], udp.Select(w => (w.Pod, w.Client)).Distinct().Order());
    }

    [Fact]
    public async Task Destinations_of_the_file_see_pods_with_their_own_address()
    {
        const string Other = "192.0.2.10", Other6 = "2001:db8:2::10";
        try
        {
            await File.WriteAllTextAsync(HybridLab.ExceptionFile, "nonMasqueradeCIDRs: [192.0.2.0/24, '2001:db8:2::/64']\nresyncInterval: 1s\n");
            await SeenAsync(Other, lab.V4("work/client"));
            await SeenAsync(Other6, lab.V6("work/client"));
            await SeenAsync(LabCluster.OutsideV4, LabCluster.NodeV4(1));
            await SeenAsync(LabCluster.OutsideV6, LabCluster.NodeV6(1));
            // What cannot be read changes nothing.
            await File.WriteAllTextAsync(HybridLab.ExceptionFile, "nonMasqueradeCIDRs: [here]\n");
            await Eventually.IsAsync("reported", async () => (await lab.NodeAsync("node1", "cilium", "status", "--verbose")).Output, s => s.Contains("'here' is not a prefix"));
            await SeenAsync(Other, lab.V4("work/client"));
            await File.WriteAllTextAsync(HybridLab.ExceptionFile, "nonMasqueradeCIDRs: [203.0.113.0/24]\n");
            await SeenAsync(Other, LabCluster.NodeV4(1));
            await SeenAsync(LabCluster.OutsideV4, lab.V4("work/client"));
        }
        finally
        {
            File.Delete(HybridLab.ExceptionFile);
        }
    }

    private Task SeenAsync(string server, string client) => Eventually.IsAsync(
        $"{server} sees {client}", async () => (await lab.WhoAsync("exec work/client", server, 9))[0].Client, seen => seen == client);
}
