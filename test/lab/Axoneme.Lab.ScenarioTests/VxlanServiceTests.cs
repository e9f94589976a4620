// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>Services whose backends are reached through the tunnel.</summary>
[Collection(VxlanCollection.Name)]
public sealed class VxlanServiceTests(VxlanLab lab)
{
    [Theory]
    [InlineData("exec work/client")]
    [InlineData("exec guarded/stranger")]
    [InlineData("node node1")]
    [InlineData("node node2")]
    [InlineData("outside")]
    public async Task A_service_answers_at_each_of_its_addresses(string from)
    {
        string[] balancers = await lab.ServiceAddressesAsync(FrontendTests.Front, "{.status.loadBalancer.ingress[*].ip}");
        await lab.ExpectAsync(from,
        [
            .. FrontendTests.NodeAddresses.SelectMany(a => (string[])[$"axl tcp {a} 30007 100000", $"axl udp {a} 30007 1200"]),
            .. balancers.Concat(FrontendTests.ExternalAddresses).SelectMany(a => (string[])[$"axl tcp {a} 1007 100000", $"axl udp {a} 1007 1200"]),
        ]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Both_backends_serve_clients_outside_and_the_far_one_sees_the_balancing_nodes_router(bool ipv6)
    {
        string node = ipv6 ? LabCluster.NodeV6(1) : LabCluster.NodeV4(1), client = ipv6 ? LabCluster.OutsideV6 : LabCluster.OutsideV4;
        foreach (string protocol in (string[])["tcp", "udp"])
        {
            IReadOnlyList<Witness> witnesses = await lab.WhoAsync("outside", node, 30009, 25, protocol);
            Assert.All(witnesses, w => Assert.True((w.Client == client) == (w.Pod == "near"), w.ToString()));
            Assert.Equal(["far", "near"], witnesses.Select(w => w.Pod).Distinct().Order());
        }
    }
}
