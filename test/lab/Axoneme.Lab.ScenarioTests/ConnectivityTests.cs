// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>Everything that should reach everything else, by every protocol and with the largest packets.</summary>
public abstract class ConnectivityTests(LabCluster lab, int podMtu)
{
    // What an ICMP echo can carry in a packet that must not be fragmented.
    private const int IPv4Headers = 20 + 8;
    private const int IPv6Headers = 40 + 8;

    private string[] ToPod(string pod) =>
    [
        .. ToHost(lab.V4(pod), podMtu - IPv4Headers), .. ToHost(lab.V6(pod), podMtu - IPv6Headers),
    ];

    private static string[] ToHost(string address, int pingBytes) =>
    [
        $"axl tcp {address} 7 100000", $"axl udp {address} 7 1000", $"axl ping {address} 1 {pingBytes}",
    ];

    [Fact]
    public Task Pods_reach_a_pod_of_their_node() => lab.ExpectAsync("exec work/client", ToPod("work/near"));

    [Fact]
    public Task Pods_reach_a_pod_of_another_node() => lab.ExpectAsync("exec work/client", ToPod("work/far"));

    [Fact]
    public Task Pods_reach_their_own_node_and_another()
        => lab.ExpectAsync("exec work/client",
        [
            .. ToHost(LabCluster.NodeV4(1), podMtu - IPv4Headers), .. ToHost(LabCluster.NodeV6(1), podMtu - IPv6Headers),
            .. ToHost(LabCluster.NodeV4(2), podMtu - IPv4Headers), .. ToHost(LabCluster.NodeV6(2), podMtu - IPv6Headers),
        ]);

    [Fact]
    public Task Nodes_reach_their_pods_and_those_of_others()
        => lab.ExpectAsync("node node1", [.. ToPod("work/near"), .. ToPod("work/far")]);

    [Fact]
    public Task Pods_reach_the_world()
        => lab.ExpectAsync("exec work/client",
            [.. ToHost(LabCluster.OutsideV4, podMtu - IPv4Headers), .. ToHost(LabCluster.OutsideV6, podMtu - IPv6Headers)]);

    [Fact]
    public Task The_world_reaches_pods() => lab.ExpectAsync("outside", [.. ToPod("work/near"), .. ToPod("work/far")]);

    [Fact]
    public Task Datagrams_larger_than_a_packet_arrive_in_fragments()
        => lab.ExpectAsync("exec work/client",
            [.. from pod in (string[])["work/near", "work/far"] from a in (string[])[lab.V4(pod), lab.V6(pod)] select $"axl udp {a} 7 8000"]);

    [Theory]
    [InlineData("work/near")]
    [InlineData("work/far")]
    public async Task A_thousand_connections_at_a_time_lose_nothing(string pod)
        => Assert.Contains("1000 connections, 2000000 bytes",
            (await lab.ExecAsync("work/client", "axl", "parallel", lab.V4(pod), "7", "1000")).Require());

    [Theory]
    [InlineData("work/near")]
    [InlineData("work/far")]
    public async Task A_bulk_transfer_arrives_whole(string pod)
        => (await lab.ExecAsync("work/client", "axl", "bulk", lab.V6(pod), "7", "3")).Require();
}

[Collection(NativeCollection.Name)]
public sealed class NativeConnectivityTests(NativeLab lab) : ConnectivityTests(lab, podMtu: 1500);

[Collection(VxlanCollection.Name)]
public sealed class VxlanConnectivityTests(VxlanLab lab) : ConnectivityTests(lab, podMtu: 1450);
