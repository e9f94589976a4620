// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Text;
using System.Text.Json;
using Axoneme.AgentApi;

namespace Axoneme.Agent.Tests;

public sealed class ApiServerTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("GET", "/v1/nothing", 404)]
    [InlineData("GET", "/", 404)]
    [InlineData("GET", "/v1", 404)]
    [InlineData("GET", "/v2/healthz", 404)]
    [InlineData("GET", "/v1/healthz/", 404)]
    [InlineData("GET", "/v1/tables/nodes/more", 404)]
    [InlineData("POST", "/v1/nothing", 404)]
    [InlineData("PUT", "/v1/config", 405)]
    [InlineData("PATCH", "/v1/config", 400)]
    [InlineData("PATCH", "/v1/endpoint/872/config", 400)]
    [InlineData("PATCH", "/v1/endpoint/872", 405)]
    [InlineData("DELETE", "/v1/endpoint/872", 405)]
    [InlineData("PUT", "/v1/policy", 405)]
    public async Task What_does_not_exist_is_refused_by_name(string method, string path, int code)
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        string answer = await agent.RequestAsync(method, path);
        Assert.StartsWith($"HTTP/1.1 {code} ", answer, StringComparison.Ordinal);
        Assert.Equal(code == 405, answer.Contains("Allow: GET", StringComparison.Ordinal));
        ApiError? error = JsonSerializer.Deserialize(answer[(answer.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..], AgentJson.Default.ApiError);
        Assert.Contains(path, error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_socket_is_for_root_and_its_group_and_replaces_one_that_was_left()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync(prepare: a => File.WriteAllText(a.SocketPath, "left"));
        Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite,
            File.GetUnixFileMode(agent.SocketPath));
        Assert.NotNull((await agent.Client.GetStatusAsync(isBrief: true, Cancelled)).Cilium);
    }

    [Fact]
    public async Task Garbage_ends_its_connection_and_no_other()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        var random = new Random(1);
        for (int i = 0; i < 50; i++)
        {
            byte[] garbage = new byte[random.Next(1, 4096)];
            random.NextBytes(garbage);
            await IgnoreResetAsync(agent.ExchangeAsync(garbage, isAll: true));
        }

        await IgnoreResetAsync(agent.RequestAsync("GET", "/v1/" + new string('a', 100_000)));
        await IgnoreResetAsync(agent.RequestAsync("GET", "/v1/endpoint/%ff%00%2e%2e"));
        Assert.Equal(872, Assert.Single(await agent.Client.GetEndpointsAsync(Cancelled)).Id);
    }

    [Fact]
    public async Task A_large_body_is_not_taken_in()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        string answer = await agent.RequestAsync("GET", "/v1/endpoint", "Content-Length: 1000000\r\n");
        Assert.StartsWith("HTTP/1.1 413 ", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Health_is_served_on_loopback_and_nothing_else_is()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        using var http = new HttpClient();
        Assert.Contains(agent.HealthAddresses, address => address.Host == "127.0.0.1");
        foreach (Uri address in agent.HealthAddresses)
        {
            using HttpResponseMessage health = await ProbeAsync(http, address, "false");
            Assert.Equal((HttpStatusCode.OK, "ok"), (health.StatusCode, await health.Content.ReadAsStringAsync(Cancelled)));
            foreach (string path in new[] { "/", "/v1/healthz", "/v1/endpoint", "/healthz/" })
            {
                using HttpResponseMessage refused = await http.GetAsync(new Uri(address, path), Cancelled);
                Assert.Equal(HttpStatusCode.NotFound, refused.StatusCode);
                Assert.Contains(path, await refused.Content.ReadAsStringAsync(Cancelled), StringComparison.Ordinal);
            }

            using HttpResponseMessage posted = await http.PostAsync(new Uri(address, "/healthz"), new StringContent("x"), Cancelled);
            Assert.Equal(HttpStatusCode.MethodNotAllowed, posted.StatusCode);
        }
    }

    [Fact]
    public async Task Health_says_why_the_agent_is_not_ready()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync(isRunning: false, prepare: a => a.NotReadyReason = "the datapath is not up");
        using var http = new HttpClient();
        using HttpResponseMessage waiting = await ProbeAsync(http, agent.HealthAddresses[0], "false");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, waiting.StatusCode);
        Assert.Equal("the datapath is not up", await waiting.Content.ReadAsStringAsync(Cancelled));
        agent.NotReadyReason = null;
        using HttpResponseMessage ready = await ProbeAsync(http, agent.HealthAddresses[0], "false");
        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
    }

    [Fact]
    public async Task An_api_server_that_is_away_counts_only_for_those_who_want_it()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        Task watches = agent.Control.Cluster.RunAsync(stop.Token);
        while (agent.Control.Cluster.Problem is null)
            await Task.Delay(10, Cancelled);
        using var http = new HttpClient();
        using HttpResponseMessage relaxed = await ProbeAsync(http, agent.HealthAddresses[0], "false");
        Assert.Equal(HttpStatusCode.OK, relaxed.StatusCode);
        using HttpResponseMessage strict = await ProbeAsync(http, agent.HealthAddresses[0], "true");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, strict.StatusCode);
        Assert.StartsWith("Kubernetes API: ", await strict.Content.ReadAsStringAsync(Cancelled), StringComparison.Ordinal);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watches);
    }

    private static async Task<HttpResponseMessage> ProbeAsync(HttpClient http, Uri address, string requireKubernetes)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(address, "/healthz"));
        request.Headers.Add("brief", "true");
        request.Headers.Add("require-k8s-connectivity", requireKubernetes);
        return await http.SendAsync(request, Cancelled);
    }

    private static async Task IgnoreResetAsync(Task<string> exchange)
    {
        try
        {
            string answer = await exchange;
            Assert.True(answer.Length == 0 || answer.StartsWith("HTTP/1.1 4", StringComparison.Ordinal), answer);
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
        {
            // Closed before everything was sent: as good an answer as any.
        }
    }
}
