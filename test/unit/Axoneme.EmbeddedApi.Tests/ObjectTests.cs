// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Tests;

public sealed class ObjectTests
{
    private const string Services = "/api/v1/namespaces/default/services";
    private const string Deployments = "/apis/apps/v1/namespaces/default/deployments";

    private const string Deployment = """
        {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},
         "template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"echo:1"}]}}}}
        """;

    private const string ReadyNode = """
        {"apiVersion":"v1","kind":"Node","metadata":{"name":"NAME","labels":{"kubernetes.io/hostname":"NAME"}},
         "status":{"conditions":[{"type":"Ready","status":"True"}]}}
        """;

    private static JsonObject Json(string text) => (JsonObject)JsonNode.Parse(text)!;

    [Theory]
    [InlineData(Services, """{"metadata":{"name":"s"},"spec":{"ports":[{"port":0}]}}""", "spec.ports[0].port")]
    [InlineData(Services, """{"metadata":{"name":"s"},"spec":{"ports":[{"port":80,"name":"a"},{"port":80,"name":"b"}]}}""", "spec.ports[1]")]
    [InlineData(Services, """{"metadata":{"name":"s"},"spec":{"ports":[{"port":80},{"port":81}]}}""", "spec.ports[0].name")]
    [InlineData(Services, """{"metadata":{"name":"s"},"spec":{"clusterIP":"1.2.3.4","ports":[{"port":80}]}}""", "spec.clusterIPs")]
    [InlineData(Services, """{"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":80}]}}""", "spec.ports[0].nodePort")]
    [InlineData(Services, """{"metadata":{"name":"S_1"},"spec":{"ports":[{"port":80}]}}""", "metadata.name")]
    [InlineData("/api/v1/namespaces/default/pods", """{"metadata":{"name":"p"},"spec":{"containers":[]}}""", "spec.containers")]
    [InlineData("/api/v1/namespaces/default/pods", """{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"},{"name":"c","image":"i"}]}}""", "spec.containers[1].name")]
    [InlineData(Deployments, """{"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}""", "spec.template.metadata.labels")]
    [InlineData("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", """{"metadata":{"name":"n"},"spec":{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/33"}}]}]}}""", "spec.ingress[0].from[0].ipBlock.cidr")]
    [InlineData("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", """{"metadata":{"name":"n"},"spec":{"ingress":[{"ports":[{"port":70000}]}]}}""", "spec.ingress[0].ports[0].port")]
    public async Task An_invalid_object_is_refused_with_the_field_named(string path, string body, string field)
    {
        await using TestApi api = await TestApi.StartAsync();
        (int code, JsonNode status) = await api.SendAsync("POST", path, body);
        Assert.Equal((422, "Invalid"), (code, (string)status["reason"]!));
        Assert.Contains(field, status["details"]!["causes"]!.AsArray().Select(c => (string)c!["field"]!));
    }

    [Fact]
    public async Task A_service_gets_addresses_of_both_families_and_keeps_them()
    {
        await using TestApi api = await TestApi.StartAsync();
        (_, JsonNode service) = await api.SendAsync("POST", Services, """{"metadata":{"name":"d"},"spec":{"ipFamilyPolicy":"RequireDualStack","ports":[{"port":80}]}}""");
        string[] ips = [.. service["spec"]!["clusterIPs"]!.AsArray().Select(i => (string)i!)];
        Assert.StartsWith("10.96.", ips[0]);
        Assert.StartsWith("fd00:96::", ips[1]);
        (_, JsonNode again) = await api.SendAsync("PUT", Services + "/d", """{"metadata":{"name":"d"},"spec":{"ports":[{"port":81}]}}""");
        Assert.Equal(ips, again["spec"]!["clusterIPs"]!.AsArray().Select(i => (string)i!));
        (int code, _) = await api.SendAsync("PATCH", Services + "/d", """{"spec":{"clusterIP":"10.96.9.9","clusterIPs":["10.96.9.9"]}}""", "application/merge-patch+json");
        Assert.Equal(422, code);
    }

    [Fact]
    public async Task Node_ports_are_taken_once_and_come_back()
    {
        await using TestApi api = await TestApi.StartAsync();
        string Body(string name) => $$$"""{"metadata":{"name":"{{{name}}}"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30080}]}}""";
        Assert.Equal(201, (await api.SendAsync("POST", Services, Body("a"))).Code);
        Assert.Equal(422, (await api.SendAsync("POST", Services, Body("b"))).Code);
        Assert.Equal(200, (await api.SendAsync("DELETE", Services + "/a")).Code);
        Assert.Equal(201, (await api.SendAsync("POST", Services, Body("b"))).Code);
    }

    [Fact]
    public async Task Apply_conflicts_name_the_other_manager_and_force_takes_the_field()
    {
        await using TestApi api = await TestApi.StartAsync();
        const string apply = "application/apply-patch+yaml";
        Assert.Equal(201, (await api.SendAsync("PATCH", Deployments + "/web?fieldManager=one", Deployment, apply)).Code);
        string five = Deployment.Replace("\"replicas\":2", "\"replicas\":5");
        (int code, JsonNode status) = await api.SendAsync("PATCH", Deployments + "/web?fieldManager=two", five, apply);
        Assert.Equal((409, ".spec.replicas"), (code, (string)status["details"]!["causes"]![0]!["field"]!));
        Assert.Contains("one", (string)status["message"]!);
        (code, JsonNode forced) = await api.SendAsync("PATCH", Deployments + "/web?fieldManager=two&force=true", five, apply);
        Assert.Equal((200, 5), (code, (int)forced["spec"]!["replicas"]!));
        (code, _) = await api.SendAsync("PATCH", Deployments + "/web?fieldManager=one", Deployment, apply);
        Assert.Equal(409, code);
    }

    [Fact]
    public async Task A_field_that_its_manager_no_longer_applies_goes()
    {
        await using TestApi api = await TestApi.StartAsync();
        const string path = "/api/v1/namespaces/default/configmaps/m?fieldManager=";
        await api.SendAsync("PATCH", path + "one", """{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1","b":"2"}}""", "application/apply-patch+yaml");
        await api.SendAsync("PATCH", path + "two", """{"apiVersion":"v1","kind":"ConfigMap","data":{"c":"3"}}""", "application/apply-patch+yaml");
        (_, JsonNode result) = await api.SendAsync("PATCH", path + "one", """{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1"}}""", "application/apply-patch+yaml");
        Assert.Equal(["a", "c"], result["data"]!.AsObject().Select(p => p.Key).Order());
    }

    [Fact]
    public async Task Strategic_merge_patches_merge_containers_by_name()
    {
        await using TestApi api = await TestApi.StartAsync();
        await api.SendAsync("POST", Deployments, Deployment);
        (int code, JsonNode patched) = await api.SendAsync("PATCH", Deployments + "/web",
            """{"spec":{"template":{"spec":{"containers":[{"name":"d","image":"x"},{"name":"c","env":[{"name":"A","value":"1"}]}]}}}}""",
            "application/strategic-merge-patch+json");
        Assert.Equal(200, code);
        JsonArray containers = patched["spec"]!["template"]!["spec"]!["containers"]!.AsArray();
        Assert.Equal(["c", "d"], containers.Select(c => (string)c!["name"]!));
        Assert.Equal("echo:1", (string)containers[0]!["image"]!);
        Assert.Equal(2, (int)patched["metadata"]!["generation"]!);
    }

    [Fact]
    public async Task A_bound_pod_goes_gracefully_and_at_once_on_confirmation()
    {
        await using TestApi api = await TestApi.StartAsync();
        api.Objects.Create(Json(TestApi.Pod("g").Replace("\"spec\":{", "\"spec\":{\"nodeName\":\"n\",")));
        (int code, JsonNode deleted) = await api.SendAsync("DELETE", "/api/v1/namespaces/default/pods/g");
        Assert.Equal((200, 30), (code, (int)deleted["metadata"]!["deletionGracePeriodSeconds"]!));
        Assert.NotNull(api.Objects.Get("pods", "default", "g"));
        Assert.True(api.Objects.Delete("pods", "default", "g", graceSeconds: 0));
        Assert.Null(api.Objects.Get("pods", "default", "g"));
    }

    [Fact]
    public async Task A_deployment_rolls_its_pods_and_everything_goes_with_it()
    {
        await using TestApi api = await TestApi.StartAsync();
        foreach (string node in (string[])["n1", "n2"])
            api.Objects.Create(Json(ReadyNode.Replace("NAME", node)));
        using var stop = new CancellationTokenSource();
        Task kubelet = RunPodsAsync(api, stop.Token);
        api.Objects.Create(Json(Deployment));
        await Complete(api, "echo:1", 2);
        Assert.Equal(2, api.Objects.List("pods").Select(p => (string)p["spec"]!["nodeName"]!).Distinct().Count());
        api.Objects.Modify("deployments.apps", "default", "web", d => d["spec"]!["template"]!["spec"]!["containers"]![0]!["image"] = "echo:2");
        await Complete(api, "echo:2", 2);
        JsonObject deployment = api.Objects.Get("deployments.apps", "default", "web")!;
        Assert.Equal("2", (string)deployment["metadata"]!["annotations"]!["deployment.kubernetes.io/revision"]!);
        await api.SendAsync("DELETE", Deployments + "/web", """{"propagationPolicy":"Foreground"}""");
        await TestApi.EventuallyAsync(() => api.Objects.Get("deployments.apps", "default", "web") is null
            && api.Objects.List("replicasets.apps").Count + api.Objects.List("pods").Count == 0 ? "gone" : null, "the end of the deployment");
        await stop.CancelAsync();
        await kubelet;
    }

    [Fact]
    public async Task Slices_follow_pods_in_both_families()
    {
        await using TestApi api = await TestApi.StartAsync();
        api.Objects.Create(Json("""{"apiVersion":"v1","kind":"Service","metadata":{"name":"s","namespace":"default"},"spec":{"ipFamilyPolicy":"RequireDualStack","selector":{"app":"a"},"ports":[{"port":80,"targetPort":"http"}]}}"""));
        api.Objects.Create(Json(TestApi.Pod("a").Replace("\"spec\":{", "\"spec\":{\"nodeName\":\"n\",")));
        api.Objects.Modify("pods", "default", "a", p => p["status"] = Json(
            """{"phase":"Running","podIP":"10.244.0.5","podIPs":[{"ip":"10.244.0.5"},{"ip":"fd00:244::5"}],"conditions":[{"type":"Ready","status":"True"}]}"""), "status");
        string[] Ready() => [.. api.Objects.List("endpointslices.discovery.k8s.io", "default", "kubernetes.io/service-name=s")
            .SelectMany(s => s["endpoints"]!.AsArray().Where(e => (bool)e!["conditions"]!["ready"]!)
                .Select(e => $"{e!["addresses"]![0]} {s["ports"]![0]!["port"]}")).Order(StringComparer.Ordinal)];
        await TestApi.EventuallyAsync(() => Ready() is ["10.244.0.5 8080", "fd00:244::5 8080"] ? "ready" : null, "two endpoints");
        api.Objects.Delete("pods", "default", "a");
        await TestApi.EventuallyAsync(() => Ready().Length == 0 ? "not ready" : null, "the end of readiness");
        JsonObject slice = api.Objects.List("endpointslices.discovery.k8s.io", "default", "kubernetes.io/service-name=s")[0];
        Assert.True((bool)slice["endpoints"]![0]!["conditions"]!["terminating"]!);
    }

    [Fact]
    public async Task Nodes_get_distinct_pod_prefixes_of_both_families()
    {
        await using TestApi api = await TestApi.StartAsync();
        foreach (string node in (string[])["n1", "n2", "n3"])
            api.Objects.Create(Json(ReadyNode.Replace("NAME", node)));
        await TestApi.EventuallyAsync(() => api.Objects.List("nodes").All(n => n["spec"]?["podCIDRs"] is not null) ? "all" : null, "pod prefixes");
        string[] prefixes = [.. api.Objects.List("nodes").SelectMany(n => n["spec"]!["podCIDRs"]!.AsArray()).Select(c => (string)c!)];
        Assert.Equal(6, prefixes.Distinct().Count());
        Assert.Equal(3, prefixes.Count(p => p.StartsWith("10.244.") && p.EndsWith("/24")));
        Assert.Equal(3, prefixes.Count(p => p.StartsWith("fd00:244:") && p.EndsWith("/64")));
    }

    [Fact]
    public async Task A_namespace_takes_its_content_along_and_lets_nothing_in_meanwhile()
    {
        await using TestApi api = await TestApi.StartAsync();
        api.Objects.Create(Json("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"old"}}"""));
        api.Objects.Create(Json("""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"held","namespace":"old","finalizers":["test/hold"]}}"""));
        await api.SendAsync("DELETE", "/api/v1/namespaces/old");
        (int code, JsonNode status) = await api.SendAsync("POST", "/api/v1/namespaces/old/configmaps", TestApi.ConfigMap("late"));
        Assert.Equal(403, code);
        Assert.Contains("because it is being terminated", (string)status["message"]!);
        Assert.NotNull(api.Objects.Get("namespaces", null, "old"));
        api.Objects.Modify("configmaps", "old", "held", c => c["metadata"]!.AsObject().Remove("finalizers"));
        await TestApi.EventuallyAsync(() => api.Objects.Get("namespaces", null, "old") is null ? "gone" : null, "the end of the namespace");
    }

    [Fact]
    public async Task Custom_resources_are_pruned_defaulted_and_checked()
    {
        await using TestApi api = await TestApi.StartAsync();
        foreach (string file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "crds"), "*.yaml"))
            api.Objects.ApplyManifests(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        const string path = "/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies";
        (int code, JsonNode created) = await api.SendAsync("POST", path,
            """{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"ok"},"spec":{"endpointSelector":{},"nonsense":1,"ingress":[{"icmps":[{"fields":[{"type":8}]}]}]}}""");
        Assert.Equal(201, code);
        Assert.Null(created["spec"]!["nonsense"]);
        Assert.Equal("IPv4", (string)created["spec"]!["ingress"]![0]!["icmps"]![0]!["fields"]![0]!["family"]!);
        (code, JsonNode status) = await api.SendAsync("POST", path,
            """{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"bad"},"spec":{"endpointSelector":{},"ingress":[{"fromCIDR":["10.0.0.1"]}]}}""");
        Assert.Equal(422, code);
        Assert.Contains("spec.ingress[0].fromCIDR[0]", status["details"]!["causes"]!.AsArray().Select(c => (string)c!["field"]!));
        (code, JsonNode updated) = await api.SendAsync("PATCH", path + "/ok/status",
            """{"spec":{"description":"x"},"status":{"conditions":[{"type":"Valid","status":"True"}]}}""", "application/merge-patch+json");
        Assert.Equal((200, null), (code, (string?)updated["spec"]!["description"]));
        (code, status) = await api.SendAsync("POST", "/apis/cilium.io/v2/namespaces/default/ciliumnodes", "{}");
        Assert.Equal(404, code);
    }

    // What a node runner does: it starts pods that were bound, and confirms deletions.
    private static async Task RunPodsAsync(TestApi api, CancellationToken stop)
    {
        int address = 2;
        try
        {
            await foreach (ObjectEvent each in api.Objects.WatchAsync("pods", cancellationToken: stop))
            {
                string name = (string)each.Object["metadata"]!["name"]!;
                if (each.Type == "DELETED" || each.Object["spec"]!["nodeName"] is null || api.Objects.Get("pods", "default", name) is null)
                    continue;
                if (each.Object["metadata"]!["deletionTimestamp"] is not null)
                    api.Objects.Delete("pods", "default", name, graceSeconds: 0);
                else if ((string?)each.Object["status"]?["phase"] == "Pending")
                    api.Objects.Modify("pods", "default", name, p => p["status"] = Json(
                        $$$"""{"phase":"Running","podIPs":[{"ip":"10.244.0.{{{address++}}}"}],"conditions":[{"type":"Ready","status":"True"}]}"""), "status");
            }
        }
        catch (OperationCanceledException)
        {
            // The test is over.
        }
    }

    private static Task<string> Complete(TestApi api, string image, int replicas) => TestApi.EventuallyAsync(() =>
    {
        JsonNode? status = api.Objects.Get("deployments.apps", "default", "web")?["status"];
        return (int?)status?["updatedReplicas"] == replicas && (int?)status["availableReplicas"] == replicas && (int?)status["replicas"] == replicas
            && api.Objects.List("pods") is var pods && pods.Count == replicas
            && pods.All(p => (string)p["spec"]!["containers"]![0]!["image"]! == image) ? "complete" : null;
    }, $"{replicas} pods of {image}");
}
