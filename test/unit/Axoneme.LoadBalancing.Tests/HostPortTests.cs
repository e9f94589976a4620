// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using static Axoneme.LoadBalancing.Tests.Objects;

namespace Axoneme.LoadBalancing.Tests;

public sealed class HostPortTests
{
    private readonly Recorder _catalog = new(new CatalogOptions { NodeName = "one", EnableIPv6 = true });

    public HostPortTests() => _catalog.SetNode(["172.30.0.11", "fd00:30::11"]);

    private static Pod Pod(string name, params IReadOnlyList<ContainerPort> ports) => new()
    {
        Metadata = new ObjectMeta { Namespace = "shop", Name = name, CreationTimestamp = DateTimeOffset.UnixEpoch },
        Spec = new PodSpec { Containers = [new Container { Ports = ports }] },
        Status = new PodStatus { Phase = "Running", PodIPs = [new PodAddress { Ip = "10.0.1.1" }, new PodAddress { Ip = "fd00:1::1" }] },
    };

    private static ContainerPort Port(int hostPort, string? hostIP = null, string? protocol = null)
        => new() { Number = 8080, HostPort = hostPort, HostIP = hostIP, Protocol = protocol };

    private string All() => string.Join('\n', _catalog.Catalog.Frontends.OrderBy(f => f.Address)
        .Select(f => $"{f.Address} {f.Service.Name} to {Assert.Single(f.Inside.Backends).Address}{(f.IsLoopbackOnly ? " loopback" : "")}"));

    private string[] Problems(string name)
        => [.. _catalog.Catalog.ProblemsOf(new CatalogObject(CatalogObjectKind.Pod, new ResourceName("shop", name)))];

    [Theory]
    [InlineData(
        null,
        """
        0.0.0.0:80/TCP web:host-port:80 to 10.0.1.1:8080/TCP
        172.30.0.11:80/TCP web:host-port:80 to 10.0.1.1:8080/TCP
        [::]:80/TCP web:host-port:80 to [fd00:1::1]:8080/TCP
        [fd00:30::11]:80/TCP web:host-port:80 to [fd00:1::1]:8080/TCP
        """)]
    [InlineData(
        "0.0.0.0",
        """
        0.0.0.0:80/TCP web:host-port:80 to 10.0.1.1:8080/TCP
        172.30.0.11:80/TCP web:host-port:80 to 10.0.1.1:8080/TCP
        """)]
    [InlineData("127.0.0.1", "0.0.0.0:80/TCP web:host-port:80 to 10.0.1.1:8080/TCP loopback")]
    [InlineData("::1", "[::]:80/TCP web:host-port:80 to [fd00:1::1]:8080/TCP loopback")]
    [InlineData("192.0.2.7", "192.0.2.7:80/TCP web:host-port:80 to 10.0.1.1:8080/TCP")]
    public void Host_address_decides_where_the_port_is_served(string? hostIP, string expected)
    {
        _catalog.Upsert(LocalPod.From(Pod("web", Port(80, hostIP)))!);
        Assert.Equal(expected.ReplaceLineEndings("\n"), All());
        Assert.Equal(_catalog.Count, _catalog.Do(c => c.DeletePod(new ResourceName("shop", "web"))).Deletes.Length);
    }

    [Fact]
    public void Pods_that_have_ended_or_share_the_nodes_network_have_none()
    {
        Pod pod = Pod("web", Port(80));
        Assert.Null(LocalPod.From(pod with { Status = pod.Status with { Phase = "Succeeded" } }));
        Assert.Empty(LocalPod.From(pod with { Spec = pod.Spec with { HostNetwork = true } })!.HostPorts);
    }

    [Fact]
    public void Ports_that_cannot_be_served_are_reported()
    {
        _catalog.Upsert(LocalPod.From(Pod("web", Port(30100), Port(70000), Port(81, "nonsense"), Port(82, protocol: "ICMP"), Port(83, "172.30.0.11"), Port(83, "172.30.0.11")))!);
        Assert.Equal("172.30.0.11:83/TCP web:host-port:83 to 10.0.1.1:8080/TCP", All());
        Assert.Equal(
            [
                "spec.containers[].ports[].hostPort: 30100 is in the range of node ports, 30000 to 32767",
                "spec.containers[].ports[].hostPort: 70000 to 8080 is not in the range 1 to 65535",
                "spec.containers[].ports[].hostPort: hostIP 'nonsense' is not an IP address",
                "spec.containers[].ports[].hostPort: protocol 'ICMP' is not one of TCP, UDP, SCTP",
                "spec.containers[].ports[].hostPort: 172.30.0.11:83/TCP is given twice",
            ], Problems("web"));
    }

    [Fact]
    public void Successor_of_a_pod_has_the_port_as_soon_as_the_old_one_ends()
    {
        Pod old = Pod("old", Port(80, "172.30.0.11"));
        Pod next = Pod("new", Port(80, "172.30.0.11"));
        _catalog.Upsert(LocalPod.From(old)!);
        _catalog.Upsert(LocalPod.From(next with { Metadata = next.Metadata with { CreationTimestamp = DateTimeOffset.UnixEpoch.AddDays(1) } })!);
        Assert.StartsWith("172.30.0.11:80/TCP old", All(), StringComparison.Ordinal);
        Assert.Equal(
            ["spec.containers[].ports[].hostPort: 172.30.0.11:80/TCP belongs to pod shop/old, which is older"], Problems("new"));
        _catalog.Upsert(LocalPod.From(old with { Metadata = old.Metadata with { DeletionTimestamp = DateTimeOffset.UnixEpoch } })!);
        Assert.StartsWith("172.30.0.11:80/TCP new", All(), StringComparison.Ordinal);
        Assert.Empty(Problems("new"));
    }

    [Fact]
    public void A_thousand_and_more_backends_are_all_there()
    {
        _catalog.Upsert(Service("big", "10.96.0.1", Objects.Port(80)));
        for (int slice = 0; slice < 15; slice++)
            _catalog.Upsert(Slice("big", $"{slice}", 8080, Enumerable.Range(0, 100).Select(i => Endpoint($"10.1.{slice}.{i}"))));
        BackendSet set = _catalog.Find(new L4Address(IpAddress.Parse("10.96.0.1"), 80, L4Protocol.Tcp))!.Inside;
        Assert.Equal((1500, 1500), (set.UsableCount, set.Backends.Select(b => b.Address).Distinct().Count()));
    }
}
