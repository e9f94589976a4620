// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>Which of its backends a service uses for whom, and who may ask.</summary>
[Collection(NativeCollection.Name)]
public sealed class TrafficPolicyTests(NativeLab lab)
{
    private static string Service(string name, string spec, string selector = "{app: echo}", string annotations = "{}") => $$"""
        {apiVersion: v1, kind: Service, metadata: {name: {{name}}, namespace: work, annotations: {{annotations}}}, spec: {selector: {{selector}}, {{spec}},
          ports: [{name: who, port: 1009, targetPort: 9}, {name: who-udp, port: 1009, targetPort: 9, protocol: UDP}]} }
        """;

    private Task<string[]> AddressesAsync(string name) => lab.ServiceAddressesAsync($"work/{name}", "{.spec.clusterIPs[*]}");

    private async Task<int> NodePortAsync(string name) => int.Parse((await lab.ServiceAddressesAsync($"work/{name}", "{.spec.ports[0].nodePort}"))[0]);

    private Task<string> LoadBalancerAsync(string name) => Eventually.IsAsync("the address",
        async () => string.Join(' ', await lab.ServiceAddressesAsync($"work/{name}", "{.status.loadBalancer.ingress[*].ip}")), a => a.Length > 0);

    [Theory]
    [InlineData("exec work/client")]
    [InlineData("node node1")]
    public async Task A_client_with_affinity_stays_with_its_backend(string from)
    {
        await using IAsyncDisposable service = await lab.WithAsync(Service("sticky", "sessionAffinity: ClientIP, ipFamilyPolicy: RequireDualStack"));
        foreach (string address in await AddressesAsync("sticky"))
        {
            await lab.ExpectAsync(from, [$"axl who {address} 1009"]);
            Assert.Single((await lab.WhoAsync(from, address, 1009, 20)).Select(w => w.Pod).Distinct());
        }
    }

    [Fact]
    public async Task Clients_from_outside_have_affinity_by_their_address()
    {
        await using IAsyncDisposable service = await lab.WithAsync(Service("sticky-out", "type: NodePort, sessionAffinity: ClientIP"));
        int port = await NodePortAsync("sticky-out");
        foreach (string from in (string[])["outside", "outside2"])
        {
            await lab.ExpectAsync(from, [$"axl who {LabCluster.NodeV4(1)} {port}"]);
            Assert.Single((await lab.WhoAsync(from, LabCluster.NodeV4(1), port, 20)).Select(w => w.Pod).Distinct());
        }
    }

    [Fact]
    public async Task With_the_external_policy_local_a_node_uses_its_own_backends_and_leaves_the_clients_address()
    {
        await using IAsyncDisposable service = await lab.WithAsync(Service("outer", "type: NodePort, externalTrafficPolicy: Local"));
        int port = await NodePortAsync("outer");
        foreach ((int node, string pod) in ((int, string)[])[(1, "near"), (2, "far")])
        {
            await lab.ExpectAsync("outside", [$"axl who {LabCluster.NodeV4(node)} {port}"]);
            Assert.All(await lab.WhoAsync("outside", LabCluster.NodeV4(node), port, 10), w => Assert.Equal((pod, LabCluster.OutsideV4), (w.Pod, w.Client)));
        }

        // Inside the cluster all of them serve.
        Assert.Equal(["far", "near"], (await lab.WhoAsync("exec work/client", LabCluster.NodeV4(1), port, 25)).Select(w => w.Pod).Distinct().Order());
    }

    [Fact]
    public async Task With_the_external_policy_local_a_node_without_backend_serves_nobody_and_says_so_in_its_health_check()
    {
        await using IAsyncDisposable service = await lab.WithAsync(
            Service("one-sided", "type: LoadBalancer, externalTrafficPolicy: Local", "{app: server}").Replace("namespace: work", "namespace: guarded"));
        string[] answer = await lab.ServiceAddressesAsync("guarded/one-sided", "{.spec.healthCheckNodePort} {.spec.ports[0].nodePort}");
        await lab.ExpectAsync("outside", [$"axl who {LabCluster.NodeV4(2)} {answer[1]}", $"curl -sf http://{LabCluster.NodeV4(2)}:{answer[0]}/"], [],
            [$"axl who {LabCluster.NodeV4(1)} {answer[1]}"]);
        CommandResult health = await lab.RunAsync("outside", "curl", "-s", "-w", "%{http_code}", $"http://{LabCluster.NodeV4(1)}:{answer[0]}/");
        Assert.Contains("\"localEndpoints\":0", health.Output.Replace(" ", ""));
        Assert.EndsWith("503", health.Output);
        // The router finds the node that has one, as a cloud's health check would.
        string balancer = await Eventually.IsAsync("the address", async () => string.Join(' ',
            await lab.ServiceAddressesAsync("guarded/one-sided", "{.status.loadBalancer.ingress[*].ip}")), a => a.Length > 0);
        await lab.ExpectAsync("outside", [$"axl who {balancer} 1009", $"axl who {balancer} 1009 1 udp"]);
    }

    [Fact]
    public async Task With_the_internal_policy_local_pods_and_nodes_use_backends_of_their_node()
    {
        await using IAsyncDisposable service = await lab.WithAsync(
            Service("inner", "internalTrafficPolicy: Local") + "\n---\n"
            + Service("inner-far", "internalTrafficPolicy: Local", "{app: server}").Replace("namespace: work", "namespace: guarded"));
        string address = (await AddressesAsync("inner"))[0];
        foreach ((string from, string pod) in ((string, string)[])[("exec work/client", "near"), ("node node1", "near"), ("exec guarded/stranger", "far")])
        {
            await lab.ExpectAsync(from, [$"axl who {address} 1009"]);
            Assert.All(await lab.WhoAsync(from, address, 1009, 10), w => Assert.Equal(pod, w.Pod));
        }

        string far = (await lab.ServiceAddressesAsync("guarded/inner-far", "{.spec.clusterIP}"))[0];
        await lab.ExpectAsync("exec guarded/stranger", [$"axl who {far} 1009"]);
        await lab.ExpectAsync("exec guarded/friend", [], [], [$"axl who {far} 1009"]);
    }

    [Fact]
    public async Task Source_ranges_say_who_from_outside_may_ask()
    {
        await using IAsyncDisposable service = await lab.WithAsync(
            Service("ranged", $"type: LoadBalancer, ipFamilyPolicy: RequireDualStack, loadBalancerSourceRanges: [{LabCluster.OutsideV4}/32, '{LabCluster.OutsideV6}/128']"));
        string[] addresses = (await Eventually.IsAsync("both addresses", () => LoadBalancerAsync("ranged"), a => a.Contains(' '))).Split(' ');
        string[] commands = [.. addresses.SelectMany(a => (string[])[$"axl who {a} 1009", $"axl who {a} 1009 1 udp"])];
        await lab.ExpectAsync("outside", commands);
        await lab.ExpectAsync("outside2", [], commands);
        await lab.ExpectAsync("exec work/client", commands);
    }

    [Fact]
    public async Task Denied_source_ranges_leave_everybody_else_in()
    {
        await using IAsyncDisposable service = await lab.WithAsync(Service(
            "denied", $"type: LoadBalancer, loadBalancerSourceRanges: [{LabCluster.OutsideV4}/32]", annotations: "{service.cilium.io/src-ranges-policy: deny}"));
        string address = await LoadBalancerAsync("denied");
        await lab.ExpectAsync("outside2", [$"axl who {address} 1009"]);
        await lab.ExpectAsync("outside", [], [$"axl who {address} 1009"]);
    }

    [Fact]
    public async Task A_preferred_zone_serves_its_own_clients()
    {
        await using IAsyncDisposable service = await lab.WithAsync(Service("zoned", "trafficDistribution: PreferClose"));
        string address = (await AddressesAsync("zoned"))[0];
        foreach ((string from, string pod) in ((string, string)[])[("exec work/client", "near"), ("exec guarded/stranger", "far")])
        {
            await lab.ExpectAsync(from, [$"axl who {address} 1009"]);
            Assert.All(await lab.WhoAsync(from, address, 1009, 15), w => Assert.Equal(pod, w.Pod));
        }
    }

    [Fact]
    public async Task The_older_of_two_services_with_one_address_keeps_it_and_the_other_is_told()
    {
        const string older = "externalIPs: [192.88.99.20]";
        await using IAsyncDisposable first = await lab.WithAsync(Service("older", older));
        await lab.ExpectAsync("outside", ["axl who 192.88.99.20 1009"]);
        // The creation time has whole seconds, and the older one must be told by it.
        string created = (await lab.ServiceAddressesAsync("work/older", "{.metadata.creationTimestamp}"))[0];
        await Eventually.IsAsync("a later second", () => Task.FromResult(DateTimeOffset.UtcNow), now => now > DateTimeOffset.Parse(created).AddSeconds(1));
        await using IAsyncDisposable second = await lab.WithAsync(
            Service("younger", older, "{app: server}").Replace("namespace: work", "namespace: guarded"));
        await Eventually.IsAsync("an event of the younger one", async () => (await lab.KubectlAsync(
            "", "get", "events", "-n", "guarded", "-o", "jsonpath={.items[?(@.involvedObject.name==\"younger\")].message}")).Require(), m => m.Contains("192.88.99.20"));
        Assert.All(await lab.WhoAsync("outside", "192.88.99.20", 1009, 15), w => Assert.NotEqual("server", w.Pod));
    }

    [Fact]
    public async Task A_local_redirect_takes_what_is_for_an_address_to_a_pod_of_the_node()
    {
        await using IAsyncDisposable policy = await lab.WithAsync("""
            {apiVersion: cilium.io/v2, kind: CiliumLocalRedirectPolicy, metadata: {name: near, namespace: work}, spec: {
              redirectFrontend: {addressMatcher: {ip: 169.254.169.254, toPorts: [{port: '1009', protocol: TCP}]}},
              redirectBackend: {localEndpointSelector: {matchLabels: {app: echo}}, toPorts: [{port: '9', protocol: TCP}]}}}
            """);
        foreach ((string from, string pod) in ((string, string)[])[("exec work/client", "near"), ("exec guarded/stranger", "far")])
        {
            await lab.ExpectAsync(from, ["axl who 169.254.169.254 1009"]);
            Assert.All(await lab.WhoAsync(from, "169.254.169.254", 1009, 5), w => Assert.Equal(pod, w.Pod));
        }
    }

    [Fact]
    public async Task A_local_redirect_that_skips_its_backends_lets_them_through_to_what_it_stands_before()
    {
        await using IAsyncDisposable policy = await lab.WithAsync($$$"""
            {apiVersion: cilium.io/v2, kind: CiliumLocalRedirectPolicy, metadata: {name: skipping, namespace: work}, spec: {skipRedirectFromBackend: true,
              redirectFrontend: {addressMatcher: {ip: {{{LabCluster.OutsideV4}}}, toPorts: [{port: '9', protocol: UDP}]} },
              redirectBackend: {localEndpointSelector: {matchLabels: {app: echo}}, toPorts: [{port: '9', protocol: UDP}]} } }
            """);
        await Eventually.IsAsync("the redirect", () => lab.WhoAsync("exec work/client", LabCluster.OutsideV4, 9, 1, "udp"), w => w[0].Pod == "near");
        await Eventually.IsAsync("no redirect of its backend", () => lab.WhoAsync("exec work/near", LabCluster.OutsideV4, 9, 1, "udp"), w => w[0].Pod is not ("near" or "far"));
    }

    [Fact]
    public async Task A_local_redirect_of_a_service_takes_its_place()
    {
        await using IAsyncDisposable service = await lab.WithAsync(
            Service("redirected", "clusterIP: 10.96.77.9", "{app: server}").Replace("namespace: work", "namespace: guarded"));
        await lab.ExpectAsync("exec guarded/stranger", ["axl who 10.96.77.9 1009"]);
        const string cache = """
            {apiVersion: cilium.io/v2, kind: CiliumLocalRedirectPolicy, metadata: {name: service, namespace: guarded}, spec: {
              redirectFrontend: {serviceMatcher: {serviceName: redirected, namespace: guarded, toPorts: [{name: who, port: '1009', protocol: TCP}]}},
              redirectBackend: {localEndpointSelector: {matchLabels: {app: cache}}, toPorts: [{name: who, port: '9', protocol: TCP}]}}}
            ---
            {apiVersion: v1, kind: Pod, metadata: {name: cache, namespace: guarded, labels: {app: cache}}, spec: {nodeName: node2, terminationGracePeriodSeconds: 0,
              containers: [{name: c, image: axoneme.io/echo, readinessProbe: {tcpSocket: {port: 7}, periodSeconds: 1}}]}}
            """;
        await using (await lab.WithAsync(cache))
            await Eventually.IsAsync("the redirect", () => lab.WhoAsync("exec guarded/stranger", "10.96.77.9", 1009), w => w[0].Pod == "cache");
        await Eventually.IsAsync("no redirect", () => lab.WhoAsync("exec guarded/stranger", "10.96.77.9", 1009), w => w[0].Pod == "server");
    }

    [Fact]
    public async Task Unready_pods_serve_where_the_service_says_so()
    {
        const string pod = """
            {apiVersion: v1, kind: Pod, metadata: {name: unready, namespace: work, labels: {app: unready}}, spec: {nodeName: node1, terminationGracePeriodSeconds: 0,
              containers: [{name: c, image: axoneme.io/echo, readinessProbe: {exec: {command: ['false']}, periodSeconds: 1}}]}}
            """;
        await using IAsyncDisposable applied = await lab.WithAsync(pod + "\n---\n"
            + Service("strict", "clusterIP: 10.96.77.10", "{app: unready}") + "\n---\n"
            + Service("loose", "clusterIP: 10.96.77.11, publishNotReadyAddresses: true", "{app: unready}"));
        await lab.ExpectAsync("exec work/client", ["axl who 10.96.77.11 1009"], [], ["axl who 10.96.77.10 1009"]);
    }
}
