// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Agent.Configuration;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

/// <summary>From tables of API objects to the policy of an endpoint, with what policies refer to. No API server is there.</summary>
public sealed class PolicyObjectTests : IAsyncDisposable
{
    private static readonly LabelSet Web = LabelSet.From(
        [new Label("k8s", "app", "web"), new Label("k8s", PodLabels.Namespace, "blue"), new Label("k8s", PodLabels.Cluster, "default")]);

    private readonly KubernetesClient _client = new(new KubernetesConfig { Servers = [new Uri("http://127.0.0.1:1")] }, new KubernetesClientOptions());
    private readonly CancellationTokenSource _stop = new();
    private ControlPlane? _control;
    private Task _running = Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ContinueWith(_ => { }, TaskScheduler.Default);
        _control?.Dispose();
        _client.Dispose();
        _stop.Dispose();
    }

    private ControlPlane Start(PolicySettings? settings = null)
    {
        var options = new AgentOptions { NodeName = "one", EnableIPv6 = true, Policies = settings ?? new PolicySettings() };
        _control = new ControlPlane(options, _client, NullLoggerFactory.Instance);
        _ = _control.Policies.ChangeAsync(engine => engine.UpsertEndpoint(1, new SecurityIdentity(300), Web));
        _ = _control.Policies.ReleaseAsync();
        _running = Task.WhenAll(
            _control.Policies.RunAsync(_stop.Token), _control.PolicyObjects.RunAsync(_stop.Token), _control.RemoteNodes.RunAsync(_stop.Token),
            _control.NodeAddresses.RunAsync(_stop.Token),
            _control.ApiServers.RunAsync(_stop.Token));
        return _control;
    }

    private static CiliumNetworkPolicy Policy(string egress, int generation = 1) => JsonSerializer.Deserialize(
        "{\"metadata\":{\"namespace\":\"blue\",\"name\":\"p\",\"uid\":\"u\",\"generation\":" + generation + ",\"resourceVersion\":\"" + generation
        + "\"},\"spec\":{\"endpointSelector\":{},\"egress\":[" + egress + "]}}",
        KubernetesJson.Default.CiliumNetworkPolicy)!;

    private static EndpointSlice Slice(string ns, string service, params string[] addresses) => new()
    {
        Metadata = new ObjectMeta
        {
            Namespace = ns,
            Name = $"{service}-1",
            Labels = new Dictionary<string, string> { ["kubernetes.io/service-name"] = service },
        },
        AddressType = "IPv4",
        Endpoints = [new SliceEndpoint { Addresses = addresses }],
    };

    private static Service Service(string ns, string name, string? app) => new()
    {
        Metadata = new ObjectMeta { Namespace = ns, Name = name },
        Spec = new ServiceSpec { Selector = app is null ? null : new Dictionary<string, string> { ["app"] = app } },
    };

    private bool Allows(SecurityIdentity peer) => _control!.Policies.Read(
        engine => PolicyEvaluator.Evaluate(engine.FindEndpoint(1)!, TrafficDirection.Egress, peer, L4Protocol.Tcp, 80).Allowed);

    private SecurityIdentity? IdentityOf(string address) => _control!.Ipcache.Find(IpAddress.Parse(address))?.Identity;

    private static async Task EventuallyAsync(Func<bool> condition)
    {
        var limit = TimeSpan.FromSeconds(30);
        long start = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(start) < limit, "the condition never held");
            await Task.Delay(5);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Audit_mode_is_what_the_settings_say_from_the_first_policy_on(bool audits)
    {
        ControlPlane control = Start(new PolicySettings { AuditMode = audits });
        await EventuallyAsync(() => control.Policies.Table.Count > 0);
        Assert.Equal(audits, control.Policies.Table.Snapshot().Find(1)!.Audit);
        await control.Policies.SetAuditAsync(!audits);
        Assert.Equal(!audits, control.Policies.Table.Snapshot().Find(1)!.Audit);
    }

    [Fact]
    public async Task Services_are_followed_when_they_begin_and_cease_to_select_pods()
    {
        ControlPlane control = Start();
        var db = new SecurityIdentity(5000);
        _ = control.Policies.ChangeAsync(engine => engine.UpsertIdentity(
            db, LabelSet.From([new Label("k8s", "app", "db"), new Label("k8s", PodLabels.Namespace, "green"), new Label("k8s", PodLabels.Cluster, "default")])));
        control.Cluster.CiliumNetworkPolicies.Upsert(Policy("""{"toServices":[{"k8sService":{"serviceName":"db","namespace":"green"}}]}"""));
        control.Cluster.EndpointSlices.Upsert(Slice("green", "db", "192.0.2.1"));
        control.Cluster.Services.Upsert(Service("green", "db", null));
        await EventuallyAsync(() => IdentityOf("192.0.2.1") is { } outside && Allows(outside));
        Assert.False(Allows(db));

        control.Cluster.Services.Upsert(Service("green", "db", "db"));
        await EventuallyAsync(() => Allows(db));
        await EventuallyAsync(() => IdentityOf("192.0.2.1") is null);

        // Its slices were not kept meanwhile.
        control.Cluster.Services.Upsert(Service("green", "db", null));
        await EventuallyAsync(() => IdentityOf("192.0.2.1") is { } outside && Allows(outside));
        control.Cluster.EndpointSlices.Upsert(Slice("green", "db", "192.0.2.2"));
        await EventuallyAsync(() => IdentityOf("192.0.2.1") is null && IdentityOf("192.0.2.2") is { } outside && Allows(outside));
        control.Cluster.Services.Remove(new ResourceName("green", "db"));
        await EventuallyAsync(() => IdentityOf("192.0.2.2") is null);
    }

    [Fact]
    public async Task Nodes_get_identities_with_their_labels_and_addresses_where_rules_may_tell_them_apart()
    {
        ControlPlane control = Start(new PolicySettings { EnableNodeSelectorLabels = true, CidrMatchesNodes = true, NodeLabels = ["zone"] });
        control.Cluster.CiliumNodes.Upsert(Node("two", "172.30.0.12", "a"));
        control.Cluster.CiliumNodes.Upsert(Node("three", "172.30.0.13", "b"));
        await EventuallyAsync(() => IdentityOf("172.30.0.12") is not null && IdentityOf("172.30.0.13") is not null);
        SecurityIdentity two = IdentityOf("172.30.0.12")!.Value;
        SecurityIdentity three = IdentityOf("172.30.0.13")!.Value;
        Assert.NotEqual(two, three);
        Assert.Equal(
            "cidr:172.30.0.12/32,k8s:io.cilium.k8s.policy.cluster=default,node:zone=a,reserved:remote-node",
            control.Policies.Read(engine => engine.FindIdentity(two)!.Labels.ToString()));
        control.Cluster.CiliumNetworkPolicies.Upsert(Policy("""{"toNodes":[{"matchLabels":{"zone":"a"}}]}"""));
        await EventuallyAsync(() => Allows(two) && !Allows(three));
        control.Cluster.CiliumNetworkPolicies.Upsert(Policy("""{"toCIDR":["172.30.0.13/32"]}""", 2));
        await EventuallyAsync(() => !Allows(two) && Allows(three));

        control.Cluster.CiliumNodes.Upsert(Node("two", "172.30.0.12", "b"));
        await EventuallyAsync(() => IdentityOf("172.30.0.12") != two);
        await EventuallyAsync(() => control.Policies.Read(engine => engine.FindIdentity(two)) is null);
    }

    [Fact]
    public async Task Node_with_the_api_server_has_its_identity_for_as_long_as_it_has_the_server()
    {
        ControlPlane control = Start();
        control.Cluster.CiliumNodes.Upsert(Node("two", "172.30.0.12", "a"));
        await EventuallyAsync(() => IdentityOf("172.30.0.12") == SecurityIdentity.RemoteNode);
        control.Cluster.EndpointSlices.Upsert(Slice("default", "kubernetes", "172.30.0.12"));
        await EventuallyAsync(() => IdentityOf("172.30.0.12") == SecurityIdentity.KubeApiServer);
        control.Cluster.EndpointSlices.Remove(new ResourceName("default", "kubernetes-1"));
        await EventuallyAsync(() => IdentityOf("172.30.0.12") == SecurityIdentity.RemoteNode);
    }

    [Fact]
    public async Task Status_names_the_generation_in_force()
    {
        ControlPlane control = Start();
        control.Cluster.CiliumNetworkPolicies.Upsert(Policy("""{"toEntities":["health"]}"""));
        var key = new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "blue", "p");
        await EventuallyAsync(() => control.PolicyObjects.Statuses.Snapshot().Find(key)?.Generation == 1);
        control.Cluster.CiliumNetworkPolicies.Upsert(Policy("""{"toEntities":["moon"]}""", 2));
        await EventuallyAsync(() => control.PolicyObjects.Statuses.Snapshot().Find(key)?.Generation == 2);
        PolicyStatus status = control.PolicyObjects.Statuses.Snapshot().Find(key)!;
        Assert.Equal((false, 1L, "spec.egress[0].toEntities[0]: 'moon' is no entity"), (status.Valid, status.GenerationInForce, status.Message));
        Assert.True(Allows(SecurityIdentity.Health));
    }

    private static CiliumNode Node(string name, string address, string zone) => new()
    {
        Metadata = new ObjectMeta { Name = name, Labels = new Dictionary<string, string> { ["zone"] = zone, ["other"] = "x" } },
        Spec = new CiliumNodeSpec { Addresses = [new CiliumNodeAddress { Type = "InternalIP", Ip = address }] },
    };
}
