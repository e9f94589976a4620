// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Text;
using System.Text.Json;
using Axoneme.Agent.Api;
using Axoneme.AgentApi;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.LoadBalancing;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using EndpointHealth = Axoneme.AgentApi.EndpointHealth;
using EndpointStatus = Axoneme.AgentApi.EndpointStatus;

namespace Axoneme.Agent.Tests;

public sealed class ApiTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_status_is_complete_and_names_a_failing_api_server()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        StatusResponse status = await agent.Client.GetStatusAsync(cancellation: Cancelled);
        Assert.Equal(ComponentStatus.Disabled, status.Kvstore!.State);
        Assert.Equal(ComponentStatus.Ok, status.Cilium!.State);
        Assert.Equal(StatusReport.ProductVersion, status.Cilium.Msg);
        Assert.Equal(ComponentStatus.Failure, status.Kubernetes!.State);
        Assert.Contains("127.0.0.1:1", status.Kubernetes.Msg, StringComparison.Ordinal);
        Assert.Contains("cilium.io/v2::CiliumNode", status.Kubernetes.ApiVersions!);
        Assert.Contains("core/v1::Pod", status.Kubernetes.ApiVersions!);
        Assert.Equal("IPv4: 2/254 allocated from 10.244.1.0/24, IPv6: 2/18446744073709551614 allocated from fd00:244:1::/64", status.Ipam!.Status);
        Assert.Equal("shop/web-0", status.Ipam.Allocations!["10.244.1.2"]);
        Assert.Equal(new RoutingStatus("Tunnel", "BPF", "vxlan"), status.Routing);
        Assert.Equal("False", status.KubeProxyReplacement!.Mode);
        Assert.Equal(new IdentityRange(256, 65535), status.IdentityRange);
        Assert.Equal("default/worker-1", status.Cluster!.Self);
        Assert.Equal(2, status.Cluster.Nodes!.Count);
        ModuleHealth configuration = Assert.Single(status.Modules!, module => module.Name == "configuration");
        Assert.Equal(("Degraded", "unknown-key: no such setting"), (configuration.Level, configuration.Message));
    }

    [Fact]
    public async Task An_agent_that_waits_says_for_what()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync(isRunning: false, prepare: a => a.NotReadyReason = "there is no Node worker-1");
        StatusResponse status = await agent.Client.GetStatusAsync(isBrief: true, Cancelled);
        Assert.Equal(ComponentStatus.Failure, status.Cilium!.State);
        Assert.EndsWith(": there is no Node worker-1", status.Cilium.Msg, StringComparison.Ordinal);
        Assert.Null(status.Ipam);
        Assert.Empty(await agent.Client.GetEndpointsAsync(Cancelled));
        Assert.Empty((await agent.Client.GetNodesAsync(Cancelled)).Nodes);
    }

    [Fact]
    public async Task An_object_that_cannot_be_written_degrades_the_agent_and_its_endpoint()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        agent.Reconcilers.Add(new ReconcilerView("policies", () => 2, () => [("872", "map is full")]));
        StatusResponse status = await agent.Client.GetStatusAsync(cancellation: Cancelled);
        Assert.Equal(ComponentStatus.Warning, status.Cilium!.State);
        Assert.Contains("reconcile-policies: 872: map is full", status.Cilium.Msg, StringComparison.Ordinal);
        ControllerStatus controller = Assert.Single(status.Controllers!);
        Assert.Equal(("reconcile-policies", 1L), (controller.Name, controller.Status.ConsecutiveFailureCount));
        EndpointStatus endpoint = (await agent.Client.GetEndpointAsync("872", Cancelled)).Status!;
        EndpointHealth health = endpoint.Health!;
        Assert.Equal(("Failure", "Failure", "OK"), (health.OverallHealth, health.Policy, health.Bpf));
        Assert.Equal(("not-ready", "map is full"), (endpoint.State, Assert.Single(endpoint.Log!).Message));

        agent.Reconcilers.Clear();
        Assert.Equal(ComponentStatus.Ok, (await agent.Client.GetStatusAsync(cancellation: Cancelled)).Cilium!.State);
        endpoint = (await agent.Client.GetEndpointAsync("872", Cancelled)).Status!;
        Assert.Equal(("OK", "ready", null), (endpoint.Health!.OverallHealth, endpoint.State, endpoint.Log));
    }

    [Theory]
    [InlineData("872")]
    [InlineData("cilium-local:872")]
    [InlineData("container-id:c0ffee")]
    [InlineData("pod-name:shop/web-0")]
    [InlineData("cep-name:shop/web-0")]
    [InlineData("cni-attachment-id:c0ffee:eth0")]
    [InlineData("ipv4:10.244.1.2")]
    [InlineData("ipv6:fd00:244:1::2")]
    public async Task An_endpoint_is_found_by_every_form_of_id(string id)
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        EndpointModel endpoint = await agent.Client.GetEndpointAsync(id, Cancelled);
        Assert.Equal(872, endpoint.Id);
        EndpointStatus status = endpoint.Status!;
        Assert.Equal("ready", status.State);
        Assert.Equal(27191, status.Identity!.Id);
        Assert.Equal(["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"], status.Identity.Labels);
        Assert.Equal(new EndpointAddressPair("10.244.1.2", "fd00:244:1::2"), Assert.Single(status.Networking!.Addressing!));
        Assert.Equal((14L, "lxc0123456789ab"), (status.Networking.InterfaceIndex, status.Networking.InterfaceName));
        Assert.Equal(("ingress", 7L), (status.Policy!.Realized!.PolicyEnabled, status.Policy.Realized.PolicyRevision));
        Assert.Equal(("shop", "web-0"), (status.ExternalIdentifiers!.Namespace, status.ExternalIdentifiers.PodName));
    }

    [Theory]
    [InlineData("0", HttpStatusCode.BadRequest, "'0' is not a number from 1 to 65535")]
    [InlineData("web", HttpStatusCode.BadRequest, "'web' is not a number")]
    [InlineData("70000", HttpStatusCode.BadRequest, "'70000' is not a number")]
    [InlineData("docker:1", HttpStatusCode.BadRequest, "prefix 'docker' is unknown")]
    [InlineData("pod-name:web-0", HttpStatusCode.BadRequest, "NAMESPACE/NAME")]
    [InlineData("pod-name:", HttpStatusCode.BadRequest, "nothing follows")]
    [InlineData("cni-attachment-id:c0ffee", HttpStatusCode.BadRequest, "CONTAINER:INTERFACE")]
    [InlineData("ipv4:fd00::1", HttpStatusCode.BadRequest, "'fd00::1' is not an IPv4 address")]
    [InlineData("873", HttpStatusCode.NotFound, "no endpoint 873")]
    [InlineData("container-name:web", HttpStatusCode.NotFound, "no endpoint container-name:web")]
    public async Task An_id_of_no_endpoint_is_answered_with_what_is_wrong(string id, HttpStatusCode code, string mention)
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        var failure = await Assert.ThrowsAsync<AgentException>(() => agent.Client.GetEndpointAsync(id, Cancelled));
        Assert.Equal(code, failure.Status);
        Assert.Contains(mention, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_endpoint_has_health_and_labels_of_its_own_also_under_an_id_that_was_not_escaped()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        Assert.Contains("\"overallHealth\":\"OK\"", await agent.RequestAsync("GET", "/v1/endpoint/872/healthz"), StringComparison.Ordinal);
        string labels = await agent.RequestAsync("GET", "/v1/endpoint/pod-name:shop/web-0/labels");
        Assert.Contains("{\"status\":{\"security-relevant\":[\"k8s:app=web\"", labels, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_policy_is_computed_from_is_handed_out()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync(prepare: a =>
        {
            a.Control.Cluster.Namespaces.Upsert(new Kubernetes.Resources.Namespace { Metadata = new Kubernetes.Resources.ObjectMeta { Name = "shop" } });
            a.Control.Ipcache.Set(new Ipcache.IpcacheRecord(
                IpPrefix.Parse("203.0.113.0/24"), new SecurityIdentity(0x0100_0001), Node: null, Ipcache.IpcacheSource.Cidr, ""));
        });
        PolicyInputs inputs = await agent.Client.GetPolicyInputsAsync(Cancelled);
        Assert.Equal(("default", "true"), (inputs.Options["enable-policy"], inputs.Options["enable-ipv6"]));
        Assert.Equal(("Namespace", "shop"), (inputs.Items[0].GetProperty("kind").GetString(), inputs.Items[0].GetProperty("metadata").GetProperty("name").GetString()));
        Assert.Equal(("22", "", ""), (inputs.Options["host-firewall-management-ports"], inputs.Options["policy-cidr-match-mode"], inputs.Options["node-labels"]));
        LocalAddress block = Assert.Single(inputs.Addresses);
        Assert.Equal(("203.0.113.0/24", 0x0100_0001u), (block.Prefix, block.Identity));
    }

    [Fact]
    public async Task Identities_are_listed_looked_up_and_counted()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        IReadOnlyList<IdentityModel> all = await agent.Client.GetIdentitiesAsync(Cancelled);
        Assert.Equal(["reserved:host"], all.Single(i => i.Id == 1).Labels);
        IdentityModel web = all.Single(i => i.Id == 27191);
        Assert.Equal(64, web.LabelsSha256!.Length);
        Assert.Equal(web.Labels, (await agent.Client.GetIdentityAsync("27191", Cancelled)).Labels);
        Assert.Equal(all.Count, all.Select(i => i.LabelsSha256).Distinct().Count());
        IdentityInUse used = Assert.Single(await agent.Client.GetEndpointIdentitiesAsync(Cancelled));
        Assert.Equal((27191L, 1L), (used.Identity.Id, used.RefCount));

        Assert.Equal(HttpStatusCode.BadRequest, (await Assert.ThrowsAsync<AgentException>(() => agent.Client.GetIdentityAsync("web", Cancelled))).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await Assert.ThrowsAsync<AgentException>(() => agent.Client.GetIdentityAsync("300", Cancelled))).Status);
    }

    [Fact]
    public async Task Addresses_come_with_identity_host_and_pod()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        IReadOnlyList<IpEntry> addresses = await agent.Client.GetIpsAsync(Cancelled);
        IpEntry pod = addresses.Single(a => a.Cidr == "10.244.1.2/32" && a.Identity == 27191);
        Assert.Equal("172.30.0.11", pod.HostIp);
        Assert.Equal(new IpMetadata("local", "shop", "web-0"), pod.Metadata);
        Assert.Equal(1, addresses.Single(a => a.Cidr == "172.30.0.11/32").Identity);
        Assert.Contains(" 400 ", await agent.RequestAsync("GET", "/v1/ip?cidr=web"), StringComparison.Ordinal);
        Assert.Contains(" 404 ", await agent.RequestAsync("GET", "/v1/ip?cidr=192.0.2.1"), StringComparison.Ordinal);
        Assert.DoesNotContain("172.30.0.11/32", await agent.RequestAsync("GET", "/v1/ip?cidr=10.244.1.2/32"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nodes_have_their_ranges_and_the_own_one_is_local()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        ClusterNodes cluster = await agent.Client.GetNodesAsync(Cancelled);
        Assert.Equal("default/worker-1", cluster.Self);
        Assert.Equal([("default/worker-1", "local"), ("default/worker-2", "custom-resource")], cluster.Nodes.Select(n => (n.Name, n.Source)));
        Assert.Equal(("172.30.0.12", "10.244.2.0/24"), (cluster.Nodes[1].PrimaryAddress!.Ipv4!.Ip, cluster.Nodes[1].PrimaryAddress!.Ipv4!.AllocRange));
        Assert.Null(cluster.Nodes[1].PrimaryAddress!.Ipv6);
        Assert.Contains("[{\"id\":0,\"ips\":[\"172.30.0.11\",", await agent.RequestAsync("GET", "/v1/node/ids"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_services_that_the_node_translates_are_listed()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        var address = new L4Address(IpAddress.Parse("10.96.0.10"), 53, L4Protocol.Udp);
        var backend = new L4Address(IpAddress.Parse("10.244.1.20"), 53, L4Protocol.Udp);
        var set = new BackendSet([new Backend(backend, BackendState.Terminating, "worker-2", "")], 0);
        agent.Control.Services.Frontends.Upsert(new Frontend
        {
            Address = address,
            Type = FrontendType.ClusterIP,
            Service = new ResourceName("kube-system", "kube-dns"),
            Inside = set,
            Outside = set,
        });
        Assert.Empty(await agent.Client.GetServicesAsync(Cancelled));

        agent.Control.Services.Maps.Upsert(new ServiceMapEntry(new ServiceMapKey(address)));
        ServiceModel service = Assert.Single(await agent.Client.GetServicesAsync(Cancelled));
        Assert.Equal(new FrontendAddress("10.96.0.10", 53, "UDP", "external"), service.Spec.FrontendAddress);
        Assert.Equal(("ClusterIP", "kube-dns", "Cluster"), (service.Spec.Flags!.Type, service.Spec.Flags.Name, service.Spec.Flags.IntTrafficPolicy));
        Assert.Equal(("10.244.1.20", "terminating", "worker-2"), Describe(Assert.Single(service.Spec.BackendAddresses!)));
        Assert.Null(service.Status);
    }

    [Fact]
    public async Task The_policy_in_force_and_its_selectors_are_shown()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        long before = (await agent.Client.GetPolicyAsync(Cancelled)).Revision;
        var key = new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "shop", "db");
        var origin = new RuleOrigin(key, "uid", "spec.ingress[0]", LabelSet.Parse("k8s:io.cilium.k8s.policy.name=db"));
        agent.Control.Policies.Read(engine =>
        {
            engine.UpsertPolicy(new PolicyDocument(key,
            [
                new NetworkRule
                {
                    Subject = new LabelsSelector(LabelRequirement.Equal("k8s", "app", "db")),
                    Direction = TrafficDirection.Ingress,
                    Peers = [new LabelsSelector(LabelRequirement.Equal("k8s", "app", "web"))],
                    Ports = [L4Match.Single(L4Protocol.Tcp, 5432)],
                    Origin = origin,
                },
            ]));
            return engine.Commit();
        });

        PolicyModel policy = await agent.Client.GetPolicyAsync(Cancelled);
        Assert.True(policy.Revision >= before);
        using JsonDocument json = JsonDocument.Parse(policy.Policy);
        JsonElement document = Assert.Single(json.RootElement.EnumerateArray());
        Assert.Equal("db", document.GetProperty("name").GetString());
        JsonElement rule = Assert.Single(document.GetProperty("rules").EnumerateArray());
        Assert.Equal("{k8s:app=db}", rule.GetProperty("endpointSelector").GetString());
        Assert.Equal("5432/TCP", Assert.Single(rule.GetProperty("toPorts").EnumerateArray()).GetString());

        SelectorModel selector = Assert.Single(await agent.Client.GetSelectorsAsync(Cancelled));
        Assert.Equal(("{k8s:app=web}", 1L), (selector.Selector, selector.Users));
        Assert.Equal([27191L], selector.Identities!);
        Assert.Equal(["k8s:io.cilium.k8s.policy.name=db"], selector.Labels!);
        Assert.Contains("{k8s:app=db}", await agent.RequestAsync("GET", "/v1/policy/subject-selectors"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Settings_and_tables_can_be_read()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        DaemonConfig config = await agent.Client.GetConfigAsync(Cancelled);
        Assert.Equal("tunnel", config.Status.DaemonConfigurationMap!["routing-mode"]);
        Assert.Equal("10.244.1.0/24", config.Status.Addressing!.Ipv4!.AllocRange);
        Assert.Equal("default", config.Spec.PolicyEnforcement);

        IReadOnlyList<TableSummary> tables = await agent.Client.GetTablesAsync(Cancelled);
        Assert.Equal(1, tables.Single(t => t.Name == "endpoints").Objects);
        Assert.Equal(["endpoints"], tables.Single(t => t.Name == "endpoints").Pending!);
        TableContents contents = await agent.Client.GetTableAsync("nodes", Cancelled);
        Assert.Equal("Name", contents.Columns[0]);
        Assert.Equal("worker-2", Assert.Single(contents.Rows)[0]);
        Assert.Equal(HttpStatusCode.NotFound, (await Assert.ThrowsAsync<AgentException>(() => agent.Client.GetTableAsync("nothing", Cancelled))).Status);
    }

    [Fact]
    public async Task Without_pinned_maps_there_are_none_and_no_name_leaves_the_folder()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        Assert.Empty((await agent.Client.GetMapsAsync(Cancelled)).Maps);
        Assert.Equal(HttpStatusCode.NotFound, (await Assert.ThrowsAsync<AgentException>(() => agent.Client.GetMapAsync("cilium_lxc", Cancelled))).Status);
        var failure = await Assert.ThrowsAsync<AgentException>(() => agent.Client.GetMapAsync("../../secret", Cancelled));
        Assert.Equal(HttpStatusCode.BadRequest, failure.Status);
    }

    private static (string Ip, string? State, string? Node) Describe(BackendAddress backend) => (backend.Ip, backend.State, backend.NodeName);
}
