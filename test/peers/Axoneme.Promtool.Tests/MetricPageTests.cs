// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Tests;
using Axoneme.Hosting;
using Axoneme.Network;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Promtool.Tests;

/// <summary>What Prometheus' own checker says of the agent's page.</summary>
public sealed class MetricPageTests
{
    // It says 1 of a page that Prometheus cannot read, and 3 of names that it would not have chosen; ours are those of existing dashboards.
    private const int NamesOnly = 3;

    [Fact]
    public async Task Prometheus_reads_the_page()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var address = new ListenAddress(IpAddress.Parse("127.0.0.1"), FreePort());
        Task serving = agent.Sources.Metrics.ServeAsync(address, NullLogger.Instance, stop.Token);
        using var http = new HttpClient();
        string page = await http.GetStringAsync(new Uri($"http://{address}/metrics"), stop.Token);
        (int status, string output) = await CheckAsync(page);
        Assert.True(status is 0 or NamesOnly, output);
        Assert.DoesNotContain("no help text", output);
        Assert.DoesNotContain("error while linting", output);
        // The checker would say so of a page that ends in the middle of a line.
        Assert.Equal(1, (await CheckAsync(page.TrimEnd() + "\ncilium_endpoint{")).Status);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => serving);
    }

    private static async Task<(int Status, string Output)> CheckAsync(string page)
    {
        using Process promtool = Process.Start(new ProcessStartInfo("promtool", ["check", "metrics"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> output = promtool.StandardOutput.ReadToEndAsync(), error = promtool.StandardError.ReadToEndAsync();
        await promtool.StandardInput.WriteAsync(page);
        promtool.StandardInput.Close();
        await promtool.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (promtool.ExitCode, await output + await error);
    }

    private static ushort FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (ushort)((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
