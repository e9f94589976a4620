// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using static Axoneme.Kubernetes.Tests.Samples;

namespace Axoneme.Kubernetes.Tests;

public sealed class ClientTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_list_is_read_page_by_page_and_a_bad_item_is_reported_by_name()
    {
        await using ScriptedApi api = await ScriptedApi.StartAsync();
        api.Then(200, ListPage(7, "more", Service("a", 1), BadService("b", 2))).Then(200, ListPage(7, "", Service("c", 3)));
        using KubernetesClient client = Client(api);
        ResourceList<Service> list = await client.Of(Kinds.Services).ListAsync(new ResourceQuery("default", "app=web,tier in (x)", "spec.type=A"), Stop);
        Assert.Equal(["a", "c"], list.Items.Select(s => s.Metadata.Name));
        Assert.Equal("7", list.ResourceVersion);
        UndecodableObject bad = Assert.Single(list.Undecodable);
        Assert.Equal(Name("b"), bad.Name);
        Assert.StartsWith("spec.ports[0].port: ", bad.Problem, StringComparison.Ordinal);
        ScriptedApi.RecordedRequest[] requests = [.. api.Requests];
        Assert.Equal("/api/v1/namespaces/default/services", requests[0].Path);
        Assert.Equal(("500", "app=web,tier in (x)", "spec.type=A"), (requests[0].Query["limit"], requests[0].Query["labelSelector"], requests[0].Query["fieldSelector"]));
        Assert.Equal("more", requests[1].Query["continue"]);
    }

    [Fact]
    public async Task A_list_whose_continuation_expired_starts_again_in_one_piece()
    {
        await using ScriptedApi api = await ScriptedApi.StartAsync();
        api.Then(200, ListPage(7, "more", Service("a", 1))).Then(410, Status(410, "Expired", "too old")).Then(200, List(9, Service("b", 8)));
        using KubernetesClient client = Client(api);
        ResourceList<Service> list = await client.Of(Kinds.Services).ListAsync(null, Stop);
        Assert.Equal("b", Assert.Single(list.Items).Metadata.Name);
        Assert.False(api.Requests.Last().Query.ContainsKey("limit"));
    }

    [Fact]
    public async Task A_refusal_carries_what_the_API_said()
    {
        await using ScriptedApi api = await ScriptedApi.StartAsync();
        api.Then(422, """{"kind":"Status","status":"Failure","message":"port is wrong","reason":"Invalid","details":{"name":"a","causes":[{"field":"spec.ports[0].port","message":"must be positive"}]},"code":422}""")
            .Then(502 - 1, "<html>no</html>");
        using KubernetesClient client = Client(api);
        var refused = await Assert.ThrowsAsync<KubernetesException>(() => client.Of(Kinds.Services).CreateAsync(
            new Service { Metadata = new() { Namespace = "default", Name = "a" } }, cancellationToken: Stop));
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "Invalid", "spec.ports[0].port"),
            (refused.Code, refused.Reason, refused.Status!.Details!.Causes![0].Field));
        Assert.Contains("POST /api/v1/namespaces/default/services: port is wrong", refused.Message, StringComparison.Ordinal);
        var garbled = await Assert.ThrowsAsync<KubernetesException>(() => client.Of(Kinds.Services).GetAsync(Name("a"), Stop));
        Assert.Contains("<html>no</html>", garbled.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Writes_use_the_method_path_and_media_type_of_their_kind()
    {
        await using ScriptedApi api = await ScriptedApi.StartAsync();
        api.Otherwise = context => ScriptedApi.ReplyAsync(context, 200, Service("a", 5));
        using KubernetesClient client = Client(api);
        ResourceClient<Service> services = client.Of(Kinds.Services);
        Service read = await services.GetAsync(Name("a"), Stop);
        Assert.Null(read.Metadata.ManagedFields);
        await services.CreateAsync(read, "me", Stop);
        await services.UpdateAsync(read, null, Stop);
        await services.UpdateStatusAsync(read, null, Stop);
        await services.PatchAsync(Name("a"), PatchKind.Merge, "{}", "status", Stop);
        await services.PatchAsync(Name("a"), PatchKind.Json, "[]", null, Stop);
        await services.PatchAsync(Name("a"), PatchKind.StrategicMerge, "{}", null, Stop);
        await services.ApplyAsync(read, "me", force: true, cancellationToken: Stop);
        Assert.True(await services.DeleteAsync(Name("a"), new DeleteOptions("Foreground", 0, "u-a", "5"), Stop));
        const string Path = "/api/v1/namespaces/default/services";
        Assert.Equal(
            [
                ("GET", Path + "/a", null), ("POST", Path, "application/json"), ("PUT", Path + "/a", "application/json"),
                ("PUT", Path + "/a/status", "application/json"), ("PATCH", Path + "/a/status", "application/merge-patch+json"),
                ("PATCH", Path + "/a", "application/json-patch+json"), ("PATCH", Path + "/a", "application/strategic-merge-patch+json"),
                ("PATCH", Path + "/a", "application/apply-patch+yaml"), ("DELETE", Path + "/a", "application/json"),
            ],
            api.Requests.Select(r => (r.Method, r.Path, r.ContentType)));
        ScriptedApi.RecordedRequest[] requests = [.. api.Requests];
        Assert.Equal("me", requests[1].Query["fieldManager"]);
        Assert.Equal(("me", "true"), (requests[7].Query["fieldManager"], requests[7].Query["force"]));
        using JsonDocument delete = JsonDocument.Parse(requests[8].Body);
        Assert.Equal("u-a", delete.RootElement.GetProperty("preconditions").GetProperty("uid").GetString());
        Assert.Equal(0, delete.RootElement.GetProperty("gracePeriodSeconds").GetInt32());
    }

    [Fact]
    public async Task Modify_tries_again_after_a_conflict_and_not_found_is_an_answer()
    {
        await using ScriptedApi api = await ScriptedApi.StartAsync();
        api.Then(200, Service("a", 1)).Then(409, Status(409, "Conflict", "changed")).Then(200, Service("a", 2)).Then(200, Service("a", 3))
            .Then(404, Status(404, "NotFound", "none")).Then(404, Status(404, "NotFound", "none"));
        using KubernetesClient client = Client(api);
        Service result = await client.Of(Kinds.Services).ModifyAsync(Name("a"), s => s with { Spec = s.Spec with { Type = "NodePort" } }, Stop);
        Assert.Equal("3", result.Metadata.ResourceVersion);
        Assert.Contains("\"resourceVersion\":\"2\"", api.Requests.Last().Body, StringComparison.Ordinal);
        Assert.Null(await client.Of(Kinds.Services).FindAsync(Name("b"), Stop));
        Assert.False(await client.Of(Kinds.Services).DeleteAsync(Name("b"), null, Stop));
    }

    [Fact]
    public async Task Another_server_takes_over_from_a_dead_one_and_keeps_the_work()
    {
        ScriptedApi dead = await ScriptedApi.StartAsync();
        await using ScriptedApi alive = await ScriptedApi.StartAsync();
        using KubernetesClient client = Client(dead, alive);
        await dead.DisposeAsync();
        alive.Otherwise = context => ScriptedApi.ReplyAsync(context, 200, Service("a", 1));
        await client.Of(Kinds.Services).GetAsync(Name("a"), Stop);
        // A connection that was refused carried no request, so even a creation may go to the next server.
        await client.Of(Kinds.Services).CreateAsync(new Service { Metadata = new() { Namespace = "default", Name = "a" } }, cancellationToken: Stop);
        Assert.Equal(2, alive.Requests.Count);
        Assert.Equal([false, true], client.Servers.Select(s => s.IsCurrent));
        Assert.NotEqual("", client.Servers[0].LastError);
    }

    [Fact]
    public async Task A_creation_that_broke_off_is_not_sent_twice_but_a_read_is()
    {
        await using ScriptedApi api = await ScriptedApi.StartAsync();
        api.Otherwise = context =>
        {
            context.Abort();
            return Task.CompletedTask;
        };
        using KubernetesClient client = Client(new KubernetesClientOptions { Qps = 0, Attempts = 3 }, api);
        await Assert.ThrowsAsync<HttpRequestException>(() => client.Of(Kinds.Services).CreateAsync(
            new Service { Metadata = new() { Namespace = "default", Name = "a" } }, cancellationToken: Stop));
        Assert.Single(api.Requests);
        await Assert.ThrowsAsync<HttpRequestException>(() => client.Of(Kinds.Services).GetAsync(Name("a"), Stop));
        Assert.Equal(4, api.Requests.Count);
    }

    [Fact]
    public async Task A_server_that_says_come_later_is_asked_again()
    {
        await using ScriptedApi api = await ScriptedApi.StartAsync();
        api.Then(429, Status(429, "TooManyRequests", "busy")).Then(503, Status(503, "ServiceUnavailable", "starting")).Then(200, Service("a", 1));
        using KubernetesClient client = Client(api);
        Assert.Equal("a", (await client.Of(Kinds.Services).GetAsync(Name("a"), Stop)).Metadata.Name);
    }

    [Fact]
    public async Task A_refused_token_is_read_again_from_its_file()
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "old\n", Stop);
            await using ScriptedApi api = await ScriptedApi.StartAsync();
            string valid = "Bearer old";
            api.Otherwise = context => context.Request.Headers.Authorization == valid
                ? ScriptedApi.ReplyAsync(context, 200, Service("a", 1))
                : ScriptedApi.ReplyAsync(context, 401, Status(401, "Unauthorized", "token"));
            using var client = new KubernetesClient(new KubernetesConfig { Servers = [api.Address], Token = new FileToken(file) });
            await client.Of(Kinds.Services).GetAsync(Name("a"), Stop);
            await File.WriteAllTextAsync(file, "new\n", Stop);
            valid = "Bearer new";
            await client.Of(Kinds.Services).GetAsync(Name("a"), Stop);
            valid = "Bearer other";
            var refused = await Assert.ThrowsAsync<KubernetesException>(() => client.Of(Kinds.Services).GetAsync(Name("a"), Stop));
            Assert.Equal(HttpStatusCode.Unauthorized, refused.Code);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task TLS_speaks_HTTP_2_and_trusts_only_the_given_authority_and_name()
    {
        using X509Certificate2 certificate = ScriptedApi.NewCertificate();
        using X509Certificate2 stranger = ScriptedApi.NewCertificate();
        await using ScriptedApi api = await ScriptedApi.StartAsync(certificate);
        api.Otherwise = context => ScriptedApi.ReplyAsync(context, 200, Service("a", 1));
        var options = new KubernetesClientOptions { Attempts = 1 };
        var config = new KubernetesConfig { Servers = [api.Address], CertificateAuthorities = () => [X509CertificateLoader.LoadCertificate(certificate.RawData)] };
        using (var client = new KubernetesClient(config, options))
            await client.Of(Kinds.Services).GetAsync(Name("a"), Stop);
        Assert.Equal("HTTP/2", Assert.Single(api.Requests).Protocol);
        foreach (KubernetesConfig bad in new[]
        {
            config with { CertificateAuthorities = () => [X509CertificateLoader.LoadCertificate(stranger.RawData)] },
            config with { CertificateAuthorities = null },
            config with { TlsServerName = "api.example" },
        })
        {
            using var client = new KubernetesClient(bad, options);
            await Assert.ThrowsAsync<HttpRequestException>(() => client.Of(Kinds.Services).GetAsync(Name("a"), Stop));
        }

        using (var client = new KubernetesClient(config with { CertificateAuthorities = null, SkipTlsVerification = true }, options))
            await client.Of(Kinds.Services).GetAsync(Name("a"), Stop);
        Assert.Equal(2, api.Requests.Count);
    }
}
