// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Tests;

public sealed class RequestTests
{
    private const string ConfigMaps = "/api/v1/namespaces/default/configmaps";

    [Fact]
    public async Task A_stale_update_is_a_conflict_and_a_fresh_one_moves_the_version()
    {
        await using TestApi api = await TestApi.StartAsync();
        (int code, JsonNode created) = await api.SendAsync("POST", ConfigMaps, TestApi.ConfigMap("a"));
        Assert.Equal(201, code);
        JsonNode changed = created.DeepClone();
        changed["data"]!["k"] = "2";
        (code, JsonNode updated) = await api.SendAsync("PUT", ConfigMaps + "/a", changed.ToJsonString());
        Assert.Equal(200, code);
        Assert.NotEqual((string)created["metadata"]!["resourceVersion"]!, (string)updated["metadata"]!["resourceVersion"]!);
        (code, JsonNode status) = await api.SendAsync("PUT", ConfigMaps + "/a", changed.ToJsonString());
        Assert.Equal((409, "Conflict"), (code, (string)status["reason"]!));
        (code, JsonNode same) = await api.SendAsync("PUT", ConfigMaps + "/a", updated.ToJsonString());
        Assert.Equal((200, (string)updated["metadata"]!["resourceVersion"]!), (code, (string)same["metadata"]!["resourceVersion"]!));
    }

    [Fact]
    public async Task Lists_are_paged_at_one_version()
    {
        await using TestApi api = await TestApi.StartAsync();
        for (int i = 0; i < 7; i++)
            await api.SendAsync("POST", ConfigMaps, TestApi.ConfigMap($"p{i}"));
        (_, JsonNode first) = await api.SendAsync("GET", ConfigMaps + "?limit=3&labelSelector=!x");
        await api.SendAsync("DELETE", ConfigMaps + "/p6");
        var names = first["items"]!.AsArray().Select(i => (string)i!["metadata"]!["name"]!).ToList();
        string? token = (string?)first["metadata"]!["continue"];
        while (token is not null)
        {
            (_, JsonNode page) = await api.SendAsync("GET", $"{ConfigMaps}?limit=3&labelSelector=!x&continue={token}");
            Assert.Equal((string)first["metadata"]!["resourceVersion"]!, (string)page["metadata"]!["resourceVersion"]!);
            names.AddRange(page["items"]!.AsArray().Select(i => (string)i!["metadata"]!["name"]!));
            token = (string?)page["metadata"]!["continue"];
        }
        Assert.Equal(["kube-root-ca.crt", "p0", "p1", "p2", "p3", "p4", "p5", "p6"], names);
    }

    [Fact]
    public async Task A_watch_resumes_after_a_version_and_an_old_version_is_gone()
    {
        await using TestApi api = await TestApi.StartAsync(o => o with { WatchHistoryLength = 4 });
        (_, JsonNode list) = await api.SendAsync("GET", ConfigMaps);
        string version = (string)list["metadata"]!["resourceVersion"]!;
        await api.SendAsync("POST", ConfigMaps, TestApi.ConfigMap("w"));
        await api.SendAsync("DELETE", ConfigMaps + "/w");
        using (HttpResponseMessage response = await api.Http.GetAsync(
            $"{ConfigMaps}?watch=1&resourceVersion={version}", HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken))
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
            Assert.Equal("ADDED", (string)JsonNode.Parse((await reader.ReadLineAsync(TestContext.Current.CancellationToken))!)!["type"]!);
            Assert.Equal("DELETED", (string)JsonNode.Parse((await reader.ReadLineAsync(TestContext.Current.CancellationToken))!)!["type"]!);
        }
        for (int i = 0; i < 8; i++)
            await api.SendAsync("POST", ConfigMaps, TestApi.ConfigMap($"x{i}"));
        (int code, JsonNode status) = await api.SendAsync("GET", $"{ConfigMaps}?watch=1&resourceVersion={version}");
        Assert.Equal((410, "Expired"), (code, (string)status["reason"]!));
    }

    [Fact]
    public async Task An_object_that_leaves_the_selection_is_deleted_for_the_watch()
    {
        await using TestApi api = await TestApi.StartAsync();
        await api.SendAsync("POST", ConfigMaps, """{"metadata":{"name":"s","labels":{"in":"yes"}}}""");
        using HttpResponseMessage response = await api.Http.GetAsync(
            $"{ConfigMaps}?watch=1&labelSelector=in%3Dyes", HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        Assert.Contains("\"ADDED\"", await reader.ReadLineAsync(TestContext.Current.CancellationToken));
        await api.SendAsync("PATCH", ConfigMaps + "/s", """{"metadata":{"labels":{"in":"no"}}}""", "application/merge-patch+json");
        Assert.Contains("\"DELETED\"", await reader.ReadLineAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Nobody_gets_in_without_a_known_token_or_a_signed_certificate()
    {
        await using TestApi api = await TestApi.StartAsync();
        Assert.Equal(HttpStatusCode.Unauthorized, (await api.Client(null).GetAsync("/api/v1/pods", TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await api.Client("wrong").GetAsync("/api/v1/pods", TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await api.Client(null).GetAsync("/readyz", TestContext.Current.CancellationToken)).StatusCode);
        (string pem, string key) = api.Host.IssueClientCertificate(new ApiUser("node", "system:nodes"));
        using X509Certificate2 certificate = X509Certificate2.CreateFromPem(pem, key);
        Assert.Equal(HttpStatusCode.OK, (await api.Client(null, certificate).GetAsync("/api/v1/pods", TestContext.Current.CancellationToken)).StatusCode);
        await using TestApi other = await TestApi.StartAsync();
        (pem, key) = other.Host.IssueClientCertificate(new ApiUser("node"));
        using X509Certificate2 foreign = X509Certificate2.CreateFromPem(pem, key);
        Assert.Equal(HttpStatusCode.Unauthorized, (await api.Client(null, foreign).GetAsync("/api/v1/pods", TestContext.Current.CancellationToken)).StatusCode);
    }

    [Fact]
    public async Task Garbage_and_huge_bodies_are_refused_and_harm_nobody()
    {
        await using TestApi api = await TestApi.StartAsync(o => o with { MaxRequestBytes = 64 * 1024 });
        using (var socket = new TcpClient("127.0.0.1", api.Host.Addresses[0].Port))
        {
            await socket.GetStream().WriteAsync(Encoding.ASCII.GetBytes(new string('x', 5000) + "\r\n\r\n"), TestContext.Current.CancellationToken);
            var answer = new byte[100];
            Assert.True(await socket.GetStream().ReadAsync(answer, TestContext.Current.CancellationToken) >= 0);
        }
        (int code, JsonNode status) = await api.SendAsync("POST", ConfigMaps, "{\"data\":{\"k\":\"" + new string('y', 100_000) + "\"}}");
        Assert.Equal((413, "RequestEntityTooLarge"), (code, (string)status["reason"]!));
        foreach (string body in (string[])["{", "[]", "null", "{\"metadata\":7}", "\"\\ud800\"", new string('[', 5000)])
        {
            (code, _) = await api.SendAsync("POST", ConfigMaps, body);
            Assert.Equal(400, code);
        }
        (code, _) = await api.SendAsync("POST", ConfigMaps, TestApi.ConfigMap("fine"));
        Assert.Equal(201, code);
    }

    [Fact]
    public async Task Unknown_fields_warn_or_are_refused_as_the_client_asks()
    {
        await using TestApi api = await TestApi.StartAsync();
        string body = """{"metadata":{"name":"u"},"dat":{"k":"v"}}""";
        (int code, JsonNode status) = await api.SendAsync("POST", ConfigMaps + "?fieldValidation=Strict", body);
        Assert.Equal(400, code);
        Assert.Contains("unknown field \"dat\"", (string)status["message"]!);
        using HttpResponseMessage response = await api.Http.PostAsync(
            ConfigMaps, new StringContent(body, Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken);
        Assert.Contains("unknown field", response.Headers.GetValues("Warning").Single());
    }

    [Fact]
    public async Task Tables_have_the_columns_of_the_kind()
    {
        await using TestApi api = await TestApi.StartAsync();
        await api.SendAsync("POST", "/api/v1/namespaces/default/pods", TestApi.Pod("t"));
        (_, JsonNode table) = await api.SendAsync("GET", "/api/v1/pods", accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
        Assert.Equal(["Name", "Ready", "Status", "Restarts", "Age"],
            table["columnDefinitions"]!.AsArray().Where(c => (int)c!["priority"]! == 0).Select(c => (string)c!["name"]!));
        Assert.Equal(["t", "0/1", "Pending", "0"], table["rows"]![0]!["cells"]!.AsArray().Take(4).Select(c => (string)c!));
    }

    [Fact]
    public async Task A_socket_that_the_caller_made_is_served_too()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        var address = (IPEndPoint)socket.LocalEndPoint!;
        await using TestApi api = await TestApi.StartAsync(o => o with { Listeners = [.. o.Listeners, ApiListener.FromSocket(socket.Handle)] });
        string answer = await api.Http.GetStringAsync($"https://{address}/readyz", TestContext.Current.CancellationToken);
        Assert.Equal("ok", answer);
        GC.KeepAlive(socket);
    }

    [Fact]
    public async Task Dry_runs_leave_nothing()
    {
        await using TestApi api = await TestApi.StartAsync();
        (int code, _) = await api.SendAsync("POST", ConfigMaps + "?dryRun=All", TestApi.ConfigMap("d"));
        Assert.Equal(201, code);
        string service = """{"metadata":{"name":"d"},"spec":{"clusterIP":"10.96.0.77","ports":[{"port":80}]}}""";
        (code, _) = await api.SendAsync("POST", "/api/v1/namespaces/default/services?dryRun=All", service);
        Assert.Equal(201, code);
        Assert.Null(api.Objects.Get("configmaps", "default", "d"));
        (code, _) = await api.SendAsync("POST", "/api/v1/namespaces/default/services", service);
        Assert.Equal(201, code);
    }

    [Fact]
    public async Task Objects_and_authority_survive_a_restart_with_a_data_folder()
    {
        string folder = Directory.CreateTempSubdirectory("axoneme-api-").FullName;
        try
        {
            string ca, version;
            await using (TestApi api = await TestApi.StartAsync(o => o with { DataFolder = folder }))
            {
                ca = api.Host.CaCertificatePem;
                version = (string)(await api.SendAsync("POST", ConfigMaps, TestApi.ConfigMap("kept"))).Body["metadata"]!["resourceVersion"]!;
                await api.Host.StopAsync();
            }
            await using TestApi again = await TestApi.StartAsync(o => o with { DataFolder = folder });
            Assert.Equal(ca, again.Host.CaCertificatePem);
            Assert.Equal(version, (string)again.Objects.Get("configmaps", "default", "kept")!["metadata"]!["resourceVersion"]!);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Ten_thousand_services_are_one_quick_list()
    {
        await using TestApi api = await TestApi.StartAsync();
        for (int i = 0; i < 10_000; i++)
            api.Objects.Create((JsonObject)JsonNode.Parse($$$"""{"apiVersion":"v1","kind":"Service","metadata":{"name":"s{{{i}}}","namespace":"default"},"spec":{"ports":[{"port":80}]}}""")!);
        (int code, JsonNode list) = await api.SendAsync("GET", "/api/v1/services");
        Assert.Equal((200, 10_001), (code, list["items"]!.AsArray().Count));
        Assert.Equal(10_001, list["items"]!.AsArray().Select(i => (string)i!["spec"]!["clusterIP"]!).Distinct().Count());
    }
}
