// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Health;
using Axoneme.Hosting;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

public sealed class HealthPortTests
{
    private static readonly ResourceName Web = new("shop", "web");

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_node_with_endpoints_says_how_many_and_one_without_is_unavailable()
    {
        using var ports = new HealthCheckPorts(NullLogger<HealthCheckPorts>.Instance);
        ushort port = FreePort();
        ports.Set([new HealthCheck(port, Web, 2)]);
        Assert.Equal((HttpStatusCode.OK, 2, "2"), await ProbeAsync(port, "127.0.0.1"));
        Assert.Equal((HttpStatusCode.OK, 2, "2"), await ProbeAsync(port, "[::1]"));

        ports.Set([new HealthCheck(port, Web, 0)]);
        Assert.Equal((HttpStatusCode.ServiceUnavailable, 0, "0"), await ProbeAsync(port, "127.0.0.1"));
        Assert.Empty(ports.Problems);
    }

    [Fact]
    public async Task A_port_closes_with_its_service_and_can_be_opened_by_another()
    {
        using var ports = new HealthCheckPorts(NullLogger<HealthCheckPorts>.Instance);
        ushort port = FreePort();
        ports.Set([new HealthCheck(port, Web, 1)]);
        Assert.Equal((HttpStatusCode.OK, 1, "1"), await ProbeAsync(port, "127.0.0.1"));
        ports.Set([]);
        await Assert.ThrowsAsync<HttpRequestException>(() => ProbeAsync(port, "127.0.0.1"));
        ports.Set([new HealthCheck(port, new ResourceName("shop", "other"), 3)]);
        Assert.Equal((HttpStatusCode.OK, 3, "3"), await ProbeAsync(port, "127.0.0.1", "other"));
    }

    [Fact]
    public async Task A_port_that_is_taken_is_reported_with_its_service_until_it_is_free()
    {
        using var ports = new HealthCheckPorts(NullLogger<HealthCheckPorts>.Instance);
        var squatter = new TcpListener(IPAddress.Any, 0);
        squatter.Start();
        var port = (ushort)((IPEndPoint)squatter.LocalEndpoint).Port;
        HealthCheck[] wanted = [new(port, Web, 1), new(FreePort(), new ResourceName("shop", "fine"), 1)];
        ports.Set(wanted);
        string problem = Assert.Single(ports.Problems);
        Assert.Contains("shop/web", problem, StringComparison.Ordinal);
        Assert.Contains($"{port}", problem, StringComparison.Ordinal);
        Assert.Equal((HttpStatusCode.OK, 1, "1"), await ProbeAsync(wanted[1].Port, "127.0.0.1", "fine"));

        squatter.Stop();
        ports.Set(wanted);
        Assert.Empty(ports.Problems);
        Assert.Equal((HttpStatusCode.OK, 1, "1"), await ProbeAsync(port, "127.0.0.1"));
    }

    [Fact]
    public async Task Of_two_services_with_one_port_the_second_is_reported()
    {
        using var ports = new HealthCheckPorts(NullLogger<HealthCheckPorts>.Instance);
        ushort port = FreePort();
        ports.Set([new HealthCheck(port, Web, 1), new HealthCheck(port, new ResourceName("shop", "zebra"), 5)]);
        Assert.Contains("shop/zebra", Assert.Single(ports.Problems), StringComparison.Ordinal);
        Assert.Equal((HttpStatusCode.OK, 1, "1"), await ProbeAsync(port, "127.0.0.1"));
    }

    [Fact]
    public async Task Kube_proxys_page_tells_when_services_were_last_up_to_date()
    {
        var time = new ManualTime(DateTimeOffset.Parse("2026-01-02T03:04:05Z", null));
        string? problem = null;
        var page = new KubeProxyHealthz(() => problem, time);
        using HttpResponder responder = page.Listen(new ListenAddress(IpAddress.Parse("127.0.0.1"), FreePort()), NullLogger.Instance);
        Assert.Equal((HttpStatusCode.OK, "2026-01-02T03:04:05", "2026-01-02T03:04:05"), await HealthzAsync(responder.Port));

        problem = "the API server is away";
        time.Now += TimeSpan.FromMinutes(1);
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "2026-01-02T03:04:05", "2026-01-02T03:05:05"), await HealthzAsync(responder.Port));

        problem = null;
        Assert.Equal((HttpStatusCode.OK, "2026-01-02T03:05:05", "2026-01-02T03:05:05"), await HealthzAsync(responder.Port));
    }

    [Theory]
    [InlineData("POST / HTTP/1.1\r\n\r\n", 405)]
    [InlineData("GET /\r\n\r\n", 400)]
    [InlineData("GET / HTTP/2.0\r\n\r\n", 400)]
    [InlineData("\r\n\r\n", 400)]
    [InlineData("\u0001\u0002\u0003\r\n\r\n", 400)]
    [InlineData("HEAD / HTTP/1.0\r\n\r\n", 200)]
    [InlineData("GET /x?y=z HTTP/1.1\r\nHost: node\r\n\r\n", 200)]
    public async Task Whatever_is_asked_gets_one_answer(string request, int status)
    {
        using HttpResponder responder = Echo();
        string answer = await ExchangeAsync(responder.Port, request);
        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
        Assert.Equal(status == 200 && request[0] == 'G', answer.EndsWith("/x?y=z", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_head_without_end_is_refused()
    {
        using HttpResponder responder = Echo();
        Assert.StartsWith("HTTP/1.1 400 ", await ExchangeAsync(responder.Port, "GET / HTTP/1.1\r\n" + new string('a', 8192 - 16)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Silent_clients_do_not_keep_others_from_their_answers()
    {
        using HttpResponder responder = Echo();
        TcpClient[] silent = [.. Enumerable.Range(0, 20).Select(_ => new TcpClient())];
        foreach (TcpClient client in silent)
            await client.ConnectAsync(IPAddress.Loopback, responder.Port, Cancelled);
        Assert.StartsWith("HTTP/1.1 200 ", await ExchangeAsync(responder.Port, "GET / HTTP/1.1\r\n\r\n"), StringComparison.Ordinal);
        foreach (TcpClient client in silent)
            client.Dispose();
    }

    private static HttpResponder Echo()
        => HttpResponder.Listen(new ListenAddress(IpAddress.Parse("127.0.0.1"), FreePort()), target => HttpAnswer.Text(200, target), NullLogger.Instance);

    private static async Task<(HttpStatusCode Status, int Endpoints, string? Weight)> ProbeAsync(ushort port, string host, string service = "web")
    {
        using var http = new HttpClient();
        using HttpResponseMessage answer = await http.GetAsync(new Uri($"http://{host}:{port}/"), Cancelled);
        using JsonDocument body = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Cancelled));
        Assert.Equal("application/json", answer.Content.Headers.ContentType!.MediaType);
        Assert.Equal(("shop", service), (Member("namespace"), Member("name")));
        return (answer.StatusCode, body.RootElement.GetProperty("localEndpoints").GetInt32(), answer.Headers.GetValues("X-Load-Balancing-Endpoint-Weight").Single());

        string? Member(string name) => body.RootElement.GetProperty("service").GetProperty(name).GetString();
    }

    private static async Task<(HttpStatusCode Status, string LastUpdated, string CurrentTime)> HealthzAsync(ushort port)
    {
        using var http = new HttpClient();
        using HttpResponseMessage answer = await http.GetAsync(new Uri($"http://127.0.0.1:{port}/healthz"), Cancelled);
        using JsonDocument body = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Cancelled));
        return (answer.StatusCode, Second("lastUpdated"), Second("currentTime"));

        string Second(string name) => body.RootElement.GetProperty(name).GetString()![..19];
    }

    private static async Task<string> ExchangeAsync(ushort port, string request)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port, Cancelled);
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request), Cancelled);
        using var reader = new StreamReader(stream);
        return await reader.ReadToEndAsync(Cancelled);
    }

    private static ushort FreePort()
    {
        var probe = new TcpListener(IPAddress.Any, 0);
        probe.Start();
        var port = (ushort)((IPEndPoint)probe.LocalEndpoint).Port;
        probe.Stop();
        return port;
    }

    private sealed class ManualTime(DateTimeOffset start) : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = start;

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
