// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>Backends that come and go under load, and the connections of those that went.</summary>
[Collection(NativeCollection.Name)]
public sealed class DrainTests(NativeLab lab)
{
    // Servers that go on for eight seconds after SIGTERM, as with a preStop hook that sleeps: longer than killed agents of two nodes take to be back
    // together on two processors, beside all that the test runs.
    private const string Servers = """
        {apiVersion: apps/v1, kind: Deployment, metadata: {name: rolling, namespace: work}, spec: {replicas: 3, selector: {matchLabels: {app: rolling}},
          strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}, template: {metadata: {labels: {app: rolling}}, spec: {terminationGracePeriodSeconds: 10,
          containers: [{name: c, image: none, command: [axl, echo, '8080', '8'], readinessProbe: {tcpSocket: {port: 7}, periodSeconds: 1}}]}}}}
        ---
        {apiVersion: v1, kind: Service, metadata: {name: rolling, namespace: work}, spec: {type: NodePort, clusterIP: 10.96.77.20, selector: {app: rolling},
          ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30081}, {name: who, port: 9, protocol: UDP, nodePort: 30082}]}}
        """;

    [Theory]
    [InlineData(25, 2, 0)]
    [InlineData(60, 4, 7)]
    public async Task A_rolling_restart_under_load_fails_no_request(int seconds, int rounds, int kills)
    {
        await using IAsyncDisposable servers = await lab.WithAsync(Servers);
        await RolledAsync();
        await lab.ExpectAsync("outside", [$"axl get http://{LabCluster.NodeV4(1)}:30081/"]);
        string time = seconds.ToString(CultureInfo.InvariantCulture);
        using Process inside = lab.Start("exec", "work/client", "--", "axl", "load", "10.96.77.20", "80", "9", time);
        using Process outside = lab.Start("outside", "--", "axl", "load", LabCluster.NodeV4(1), "30081", "30082", time);
        Process[] clients = [inside, outside];
        foreach (Process client in clients)
            Assert.Equal("started", await client.StandardOutput.ReadLineAsync());
        Task<int> killing = KillAgentsAsync(kills, clients);
        for (int round = 0; round < rounds; round++)
        {
            (await lab.KubectlAsync("", "rollout", "restart", "-n", "work", "deployment", "rolling")).Require();
            await RolledAsync();
        }

        foreach (Process client in clients)
        {
            string report = await client.StandardOutput.ReadToEndAsync();
            await client.WaitForExitAsync();
            Assert.True(client.ExitCode == 0, report);
            // Terminating backends serve on, so that not even a second attempt is needed.
            Assert.Matches("new connections: [1-9][0-9]+ done, 0 tried again, 0 failed", report);
            Assert.Matches("kept connection: [1-9][0-9]+ done, 0 tried again, 0 failed", report);
            Assert.Matches("datagrams: [1-9][0-9]+ done, [0-9]+ tried again, 0 failed", report);
        }

        Assert.Equal(kills, await killing);
    }

    [Theory]
    [InlineData("exec work/client")]
    [InlineData("node node1")]
    public async Task A_datagram_client_does_not_wait_for_a_backend_that_is_gone(string from)
    {
        await using IAsyncDisposable service = await lab.WithAsync("""
            {apiVersion: v1, kind: Pod, metadata: {name: leaving, namespace: work, labels: {app: leaving}}, spec: {nodeName: node2, terminationGracePeriodSeconds: 0,
              containers: [{name: c, image: axoneme.io/echo, readinessProbe: {tcpSocket: {port: 7}, periodSeconds: 1}}]}}
            ---
            {apiVersion: v1, kind: Service, metadata: {name: leaving, namespace: work}, spec: {clusterIP: 10.96.77.21, selector: {app: leaving},
              ports: [{name: who, port: 9, protocol: UDP}]}}
            """);
        await lab.ExpectAsync(from, ["axl who 10.96.77.21 9 1 udp"]);
        using Process client = lab.Start([.. from.Split(' '), "--", "axl", "orphan", "10.96.77.21", "9", "30"]);
        Assert.StartsWith("leaving", await client.StandardOutput.ReadLineAsync());
        (await lab.KubectlAsync("", "delete", "pod", "-n", "work", "leaving", "--timeout=30s")).Require();
        string report = await client.StandardOutput.ReadToEndAsync();
        await client.WaitForExitAsync();
        Assert.True(client.ExitCode == 0, report);
        Assert.Contains("ended: ConnectionAborted", report);
    }

    private async Task RolledAsync()
        => (await lab.KubectlAsync("", "rollout", "status", "-n", "work", "deployment", "rolling", "--timeout=90s")).Require();

    /// <summary>Kills both agents time and again while the clients run, each time when both are back; returns how often.</summary>
    private async Task<int> KillAgentsAsync(int times, Process[] clients)
    {
        for (int kills = 0; kills < times; kills++)
        {
            if (clients.Any(c => c.HasExited))
                return kills;
            int started = await StartsAsync();
            foreach (string node in (string[])["node1", "node2"])
                (await lab.LabAsync("agent", node, "kill")).Require();
            await Eventually.IsAsync("both agents are back", RestartAsync, n => n >= started + 2);
        }

        return times;
    }

    // Without the order to start, an agent that dies often waits longer each time, and its node is left with what it knew.
    private async Task<int> RestartAsync()
    {
        foreach (string node in (string[])["node1", "node2"])
            (await lab.LabAsync("agent", node, "start")).Require();
        return await StartsAsync();
    }

    private async Task<int> StartsAsync()
    {
        int starts = 0;
        foreach (string node in (string[])["node1", "node2"])
            starts += (await lab.LabAsync("logs", node)).Require().Split("Ready: node").Length - 1;
        return starts;
    }
}
