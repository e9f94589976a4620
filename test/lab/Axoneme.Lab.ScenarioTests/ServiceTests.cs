// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

[Collection(NativeCollection.Name)]
public sealed class ServiceTests(NativeLab lab)
{
    private const string Name = "echo.work.svc.cluster.local";

    [Theory]
    [InlineData("exec work/client")]
    [InlineData("node node1")]
    public async Task A_service_answers_by_both_families_and_protocols(string from)
    {
        string[] addresses = await ClusterAddressesAsync("echo");
        Assert.Equal(2, addresses.Length);
        await lab.ExpectAsync(from, [.. addresses.SelectMany(a => (string[])[$"axl tcp {a} 1007 5000", $"axl udp {a} 1007 1000"])]);
    }

    [Fact]
    public async Task Both_backends_serve_and_see_the_client()
    {
        string[] addresses = await ClusterAddressesAsync("echo");
        string loop = string.Join("; ", addresses.Select(a => $"for i in $(seq 15); do axl get http://{(a.Contains(':') ? $"[{a}]" : a)}/; done"));
        string answers = (await lab.ExecAsync("work/client", "sh", "-c", loop)).Require();
        Assert.Contains("pod: near", answers);
        Assert.Contains("pod: far", answers);
        string[] clients = [.. answers.Split('\n').Where(l => l.StartsWith("client: ", StringComparison.Ordinal))];
        Assert.Equal(30, clients.Length);
        Assert.All(clients, c => Assert.True(c.Contains(lab.V4("work/client")) || c.Contains(lab.V6("work/client")), c));
    }

    [Fact]
    public Task Pods_find_services_and_the_world_by_name()
        => lab.ExpectAsync("exec work/client",
        [
            $"axl get http://{Name}/", "axl get http://echo/", "axl get http://echo.work/", $"axl udp {Name} 1007",
            "axl tcp headless 7", "axl tcp outside.lab 7",
        ]);

    [Fact]
    public async Task A_headless_service_has_the_addresses_of_its_pods_and_no_translation()
    {
        string records = (await lab.ExecAsync("work/client", "getent", "ahosts", "headless.work.svc.cluster.local")).Require();
        foreach (string address in (string[])[lab.V4("work/near"), lab.V6("work/near"), lab.V4("work/far"), lab.V6("work/far")])
            Assert.Contains(address, records);
        // The service's port 1007 exists nowhere but in its object, and a pod that listens on 7 refuses it.
        CommandResult refused = await lab.ExecAsync("work/client", "axl", "tcp", lab.V4("work/near"), "1007");
        Assert.Contains("refused", refused.Error);
    }

    [Fact]
    public async Task A_service_follows_its_backends()
    {
        const string service = """
            {apiVersion: v1, kind: Service, metadata: {name: moving, namespace: work}, spec: {clusterIP: 10.96.77.1, selector: {role: mover},
              ports: [{name: t, port: 1007, targetPort: 7}, {name: u, port: 1007, targetPort: 7, protocol: UDP}]}}
            """;
        await using IAsyncDisposable applied = await lab.WithAsync(service);
        (await lab.KubectlAsync("", "label", "-n", "work", "pod", "far", "role=mover")).Require();
        await lab.ExpectAsync("exec work/client", ["axl tcp 10.96.77.1 1007", "axl udp 10.96.77.1 1007"]);
        (await lab.KubectlAsync("", "label", "-n", "work", "pod", "far", "role-")).Require();
        await Eventually.IsAsync("a service without backends", () => lab.ExecAsync("work/client", "axl", "tcp", "10.96.77.1", "1007"),
            r => r.Status != 0);
        (await lab.KubectlAsync("", "label", "-n", "work", "pod", "near", "role=mover")).Require();
        await lab.ExpectAsync("exec work/client", ["axl tcp 10.96.77.1 1007", "axl udp 10.96.77.1 1007"]);
        (await lab.KubectlAsync("", "label", "-n", "work", "pod", "near", "role-")).Require();
    }

    private async Task<string[]> ClusterAddressesAsync(string service)
        => (await lab.KubectlAsync("", "get", "service", "-n", "work", service, "-o", "jsonpath={.spec.clusterIPs[*]}")).Require().Split(' ');
}
