// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Tests;

/// <summary>Fields of services beyond cluster addresses, and what controllers make of them.</summary>
public sealed class ServiceTests
{
    private const string Services = "/api/v1/namespaces/default/services";
    private const string Merge = "application/merge-patch+json";

    private static string Service(string spec, string annotations = "{}")
        => $$$"""{"metadata":{"name":"s","annotations":{{{annotations}}} },"spec":{{{spec}}} }""";

    private static Task<TestApi> WithPoolAsync() => TestApi.StartAsync(o => o with
    {
        LoadBalancerCidrs = [IpPrefix.Parse("198.51.100.0/24"), IpPrefix.Parse("2001:db8:51::/112")],
    });

    [Theory]
    [InlineData("""{"type":"ClusterIP","externalTrafficPolicy":"Local","ports":[{"port":80}]}""", "spec.externalTrafficPolicy")]
    [InlineData("""{"type":"NodePort","externalTrafficPolicy":"Local","healthCheckNodePort":30100,"ports":[{"port":80}]}""", "spec.healthCheckNodePort")]
    [InlineData("""{"type":"NodePort","loadBalancerClass":"a/b","ports":[{"port":80}]}""", "spec.loadBalancerClass")]
    [InlineData("""{"type":"NodePort","allocateLoadBalancerNodePorts":true,"ports":[{"port":80}]}""", "spec.allocateLoadBalancerNodePorts")]
    [InlineData("""{"type":"NodePort","clusterIP":"None","ports":[{"port":80}]}""", "spec.clusterIPs[0]")]
    [InlineData("""{"type":"NodePort","loadBalancerSourceRanges":["10.0.0.0/8"],"ports":[{"port":80}]}""", "spec.LoadBalancerSourceRanges")]
    [InlineData("""{"type":"LoadBalancer","loadBalancerSourceRanges":["10.0.0.0"],"ports":[{"port":80}]}""", "spec.loadBalancerSourceRanges[0]")]
    [InlineData("""{"externalIPs":["127.0.0.1"],"ports":[{"port":80}]}""", "spec.externalIPs[0]")]
    [InlineData("""{"externalIPs":["::"],"ports":[{"port":80}]}""", "spec.externalIPs[0]")]
    [InlineData("""{"trafficDistribution":"Near","ports":[{"port":80}]}""", "spec.trafficDistribution")]
    [InlineData("""{"type":"NodePort","ports":[{"name":"a","port":80,"nodePort":30100},{"name":"b","port":81,"nodePort":30100}]}""", "spec.ports[1].nodePort")]
    [InlineData("""{"sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":86401}},"ports":[{"port":80}]}""", "spec.sessionAffinityConfig.clientIP.timeoutSeconds")]
    public async Task A_field_out_of_place_is_refused(string spec, string field)
    {
        await using TestApi api = await TestApi.StartAsync();
        (int code, JsonNode status) = await api.SendAsync("POST", Services, Service(spec));
        Assert.Equal(422, code);
        Assert.Contains(field, status["details"]!["causes"]!.AsArray().Select(c => (string)c!["field"]!));
    }

    [Fact]
    public async Task Source_ranges_of_the_annotation_are_checked()
    {
        await using TestApi api = await TestApi.StartAsync();
        const string key = "service.beta.kubernetes.io/load-balancer-source-ranges";
        (int code, JsonNode status) = await api.SendAsync("POST", Services,
            Service("""{"type":"LoadBalancer","ports":[{"port":80}]}""", $$"""{"{{key}}":"10.0.0.0/8,nonsense"}"""));
        Assert.Equal((422, $"metadata.annotations[{key}]"), (code, (string)status["details"]!["causes"]![0]!["field"]!));
    }

    [Fact]
    public async Task A_local_load_balancer_has_a_health_check_port_until_it_is_neither()
    {
        await using TestApi api = await TestApi.StartAsync();
        (_, JsonNode service) = await api.SendAsync("POST", Services,
            Service("""{"type":"LoadBalancer","externalTrafficPolicy":"Local","ports":[{"port":80}]}"""));
        int port = (int)service["spec"]!["healthCheckNodePort"]!;
        Assert.InRange(port, 30000, 32767);
        Assert.NotEqual(port, (int)service["spec"]!["ports"]![0]!["nodePort"]!);
        string taken = $$$"""{"metadata":{"name":"t"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":{{{port}}}}]}}""";
        Assert.Equal(422, (await api.SendAsync("POST", Services, taken)).Code);
        (_, service) = await api.SendAsync("PATCH", $"{Services}/s", """{"spec":{"externalTrafficPolicy":"Cluster"}}""", Merge);
        Assert.Null(service["spec"]!["healthCheckNodePort"]);
        Assert.Equal(201, (await api.SendAsync("POST", Services, taken)).Code);
    }

    [Fact]
    public async Task A_service_that_is_no_load_balancer_any_more_loses_what_only_those_have()
    {
        await using TestApi api = await TestApi.StartAsync();
        await api.SendAsync("POST", Services, Service("""{"type":"LoadBalancer","loadBalancerClass":"a/b","ports":[{"port":80}]}"""));
        (int code, JsonNode service) = await api.SendAsync("PATCH", $"{Services}/s", """{"spec":{"type":"ClusterIP"}}""", Merge);
        Assert.Equal(200, code);
        foreach (string field in (string[])["loadBalancerClass", "allocateLoadBalancerNodePorts", "externalTrafficPolicy"])
            Assert.Null(service["spec"]![field]);
        Assert.Null(service["spec"]!["ports"]![0]!["nodePort"]);
    }

    [Fact]
    public async Task Protocols_of_one_port_share_a_node_port_and_services_do_not()
    {
        await using TestApi api = await TestApi.StartAsync();
        (_, JsonNode service) = await api.SendAsync("POST", Services,
            Service("""{"type":"NodePort","ports":[{"name":"u","port":53,"protocol":"UDP"},{"name":"t","port":53},{"name":"o","port":54}]}"""));
        int[] ports = [.. service["spec"]!["ports"]!.AsArray().Select(p => (int)p!["nodePort"]!)];
        Assert.Equal(ports[0], ports[1]);
        Assert.NotEqual(ports[0], ports[2]);
        string other = $$$"""{"metadata":{"name":"t"},"spec":{"type":"NodePort","ports":[{"port":80,"protocol":"SCTP","nodePort":{{{ports[0]}}}}]}}""";
        Assert.Equal(422, (await api.SendAsync("POST", Services, other)).Code);
    }

    [Fact]
    public async Task Load_balancers_get_an_address_of_each_family_and_keep_it()
    {
        await using TestApi api = await WithPoolAsync();
        await api.SendAsync("POST", Services, Service("""{"type":"LoadBalancer","ipFamilyPolicy":"RequireDualStack","ports":[{"port":80}]}"""));
        JsonArray ingress = await IngressAsync(api, "s", i => i.Count == 2);
        Assert.Equal(["198.51.100.1", "2001:db8:51::1"], ingress.Select(i => (string)i!["ip"]!));
        Assert.All(ingress, i => Assert.Equal("VIP", (string)i!["ipMode"]!));
        await api.SendAsync("PATCH", $"{Services}/s/status", """
            {"status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.1","ipMode":"Proxy"}]}}}
            """, Merge);
        ingress = await IngressAsync(api, "s", i => i.Count == 2);
        Assert.Equal(["Proxy", "VIP"], ingress.Select(i => (string)i!["ipMode"]!));
        await api.SendAsync("PATCH", $"{Services}/s", """{"spec":{"type":"NodePort"}}""", Merge);
        Assert.Empty(await IngressAsync(api, "s", i => i.Count == 0));
    }

    [Fact]
    public async Task A_load_balancer_can_name_its_address_and_one_with_a_class_gets_none()
    {
        await using TestApi api = await WithPoolAsync();
        await api.SendAsync("POST", Services, """{"metadata":{"name":"c"},"spec":{"type":"LoadBalancer","loadBalancerClass":"a/b","ports":[{"port":80}]}}""");
        await api.SendAsync("POST", Services, """{"metadata":{"name":"n"},"spec":{"type":"LoadBalancer","loadBalancerIP":"198.51.100.77","ports":[{"port":80}]}}""");
        JsonArray ingress = await IngressAsync(api, "n", i => i.Count == 1);
        Assert.Equal("198.51.100.77", (string)ingress[0]!["ip"]!);
        Assert.Empty(await IngressAsync(api, "c", _ => true));
    }

    [Fact]
    public async Task An_ingress_without_an_address_has_no_mode()
    {
        await using TestApi api = await TestApi.StartAsync();
        await api.SendAsync("POST", Services, Service("""{"type":"LoadBalancer","ports":[{"port":80}]}"""));
        (int code, JsonNode status) = await api.SendAsync("PATCH", $"{Services}/s/status", """
            {"status":{"loadBalancer":{"ingress":[{"hostname":"lb.example","ipMode":"VIP"},{"ip":"1.2.3.4","ipMode":"Other"}]}}}
            """, Merge);
        Assert.Equal(422, code);
        Assert.Equal(["status.loadBalancer.ingress[0].ipMode", "status.loadBalancer.ingress[1].ipMode"],
            status["details"]!["causes"]!.AsArray().Select(c => (string)c!["field"]!));
    }

    [Fact]
    public async Task Endpoints_tell_their_zone_and_a_preference_becomes_hints()
    {
        await using TestApi api = await TestApi.StartAsync();
        foreach ((string node, string zone) in ((string, string)[])[("n1", "east"), ("n2", "west")])
        {
            JsonObject labels = new() { ["topology.kubernetes.io/zone"] = zone };
            api.Objects.Apply(new JsonObject
            {
                ["apiVersion"] = "v1",
                ["kind"] = "Node",
                ["metadata"] = new JsonObject { ["name"] = node, ["labels"] = labels },
            });
            api.Objects.Apply(RunningPod(node));
        }

        await api.SendAsync("POST", Services, Service("""{"selector":{"app":"web"},"trafficDistribution":"PreferClose","ports":[{"port":80}]}"""));
        JsonArray endpoints = await EndpointsAsync(api, e => e.Count == 2);
        Assert.Equal(["east", "west"], endpoints.Select(e => (string)e!["zone"]!));
        Assert.Equal(["east", "west"], endpoints.Select(e => (string)e!["hints"]!["forZones"]![0]!["name"]!));
        await api.SendAsync("PATCH", $"{Services}/s", """{"spec":{"trafficDistribution":null}}""", Merge);
        await EndpointsAsync(api, e => e.All(x => x!["hints"] is null));
    }

    [Fact]
    public async Task A_pod_that_ends_goes_on_serving_until_it_has_ended()
    {
        await using TestApi api = await TestApi.StartAsync();
        api.Objects.Apply(RunningPod("n1"));
        await api.SendAsync("POST", Services, Service("""{"selector":{"app":"web"},"ports":[{"port":80}]}"""));
        await EndpointsAsync(api, e => e.Count == 1);
        Assert.True(api.Objects.Delete("pods", "default", "web-n1"));
        JsonArray ending = await EndpointsAsync(api, e => e.Count == 1 && (bool)e[0]!["conditions"]!["terminating"]!);
        Assert.Equal((false, true), ((bool)ending[0]!["conditions"]!["ready"]!, (bool)ending[0]!["conditions"]!["serving"]!));
        Assert.True(api.Objects.Delete("pods", "default", "web-n1", graceSeconds: 0));
        await EndpointsAsync(api, e => e.Count == 0);
    }

    [Fact]
    public async Task More_endpoints_than_a_slice_holds_are_split()
    {
        await using TestApi api = await TestApi.StartAsync();
        await api.SendAsync("POST", Services, Service("""{"selector":{"app":"web"},"ports":[{"port":80}]}"""));
        for (int i = 0; i < 250; i++)
            api.Objects.Apply(RunningPod("n1", i));
        await EndpointsAsync(api, e => e.Count == 250);
        Assert.Equal([50, 100, 100], api.Objects.List("endpointslices.discovery.k8s.io", "default", "kubernetes.io/service-name=s")
            .Select(s => s["endpoints"]!.AsArray().Count).Order());
    }

    private static JsonObject RunningPod(string node, int index = 0) => (JsonObject)JsonNode.Parse($$$"""
        {"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-{{{(index == 0 ? node : $"{index}")}}}","namespace":"default","labels":{"app":"web"}},
         "spec":{"nodeName":"{{{node}}}","containers":[{"name":"c","image":"echo"}]},
         "status":{"phase":"Running","podIPs":[{"ip":"10.244.{{{node[1..]}}}.{{{index + 1}}}"}],"conditions":[{"type":"Ready","status":"True"}]}}
        """)!;

    private static Task<JsonArray> EndpointsAsync(TestApi api, Func<JsonArray, bool> holds) => TestApi.EventuallyAsync(() =>
    {
        JsonArray all = [.. api.Objects.List("endpointslices.discovery.k8s.io", "default", "kubernetes.io/service-name=s")
            .SelectMany(s => s["endpoints"] as JsonArray ?? []).OrderBy(e => (string)e!["addresses"]![0]!, StringComparer.Ordinal).Select(e => e!.DeepClone())];
        return holds(all) ? all : null;
    }, "endpoints");

    private static Task<JsonArray> IngressAsync(TestApi api, string name, Func<JsonArray, bool> holds) => TestApi.EventuallyAsync(() =>
    {
        JsonArray ingress = api.Objects.Get("services", "default", name)?["status"]?["loadBalancer"]?["ingress"] as JsonArray ?? [];
        return holds(ingress) ? ingress : null;
    }, "ingress addresses");
}
