// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.EmbeddedApi;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Operator.Endpoints;
using Axoneme.Operator.Identities;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Operator.Tests;

/// <summary>What the collections do when their watches are behind the API: what somebody has touched since stays.</summary>
public sealed class CollectionTests : IAsyncLifetime
{
    private static readonly OperatorOptions Options = new()
    {
        Namespace = "kube-system",
        Identity = "test",
        IdentityTimeout = TimeSpan.Zero,
        IdentityRateLimit = 2,
        IdentityRateInterval = TimeSpan.FromMinutes(1),
    };

    private EmbeddedApiHost _api = null!;
    private KubernetesClient _client = null!;
    private ClusterObjects _cluster = null!;
    private string _kubeconfig = "";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private ResourceClient<CiliumIdentity> Identities => _client.Of(Kinds.CiliumIdentities);

    public async ValueTask InitializeAsync()
    {
        _api = new EmbeddedApiHost(new EmbeddedApiOptions
        {
            Listeners = [ApiListener.On(new IPEndPoint(IPAddress.Loopback, 0))],
            Tokens = new Dictionary<string, ApiUser> { ["t"] = new("operator", "system:masters") },
        });
        await _api.StartAsync();
        foreach (string crd in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "crds")))
            _api.Objects.ApplyManifests(await File.ReadAllTextAsync(crd));
        _kubeconfig = Path.GetTempFileName();
        EmbeddedApiHost.WriteKubeconfig(_kubeconfig, _api.KubeconfigForToken(_api.Addresses[0], "t"));
        _client = new KubernetesClient(KubernetesConfig.Load(_kubeconfig), new KubernetesClientOptions { Qps = 0 });
        // Its watches do not run: it knows what a test tells it.
        _cluster = new ClusterObjects(_client, NullLogger<ClusterObjects>.Instance);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _api.DisposeAsync();
        File.Delete(_kubeconfig);
    }

    [Fact]
    public async Task Marked_identity_that_an_agent_took_again_is_not_deleted()
    {
        CiliumIdentity marked = await CreateAsync("1000", marked: true);
        _cluster.Identities.Upsert(marked);
        await Identities.PatchAsync(marked.ResourceName, PatchKind.Merge, """{"metadata":{"annotations":{"io.cilium.heartbeat":null}}}""", null, Cancelled);
        await Collection(TimeProvider.System).PassAsync(Cancelled);
        Assert.NotNull(await Identities.FindAsync(marked.ResourceName, Cancelled));

        _cluster.Identities.Upsert(await Identities.PatchAsync(
            marked.ResourceName, PatchKind.Merge, """{"metadata":{"annotations":{"io.cilium.heartbeat":"2026-01-01T00:00:00Z"}}}""", null, Cancelled));
        await Collection(TimeProvider.System).PassAsync(Cancelled);
        Assert.Null(await Identities.FindAsync(marked.ResourceName, Cancelled));
    }

    [Fact]
    public async Task Endpoint_whose_pod_the_watch_has_not_brought_yet_stays()
    {
        _api.Objects.ApplyManifests("{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: default}, spec: {containers: [{name: c, image: i}]}}");
        string uid = (await _client.Of(Kinds.Pods).GetAsync(new ResourceName("default", "web"), Cancelled)).Metadata.Uid!;
        ResourceClient<CiliumEndpoint> endpoints = _client.Of(Kinds.CiliumEndpoints);
        foreach (string name in (string[])["web", "gone"])
        {
            _cluster.Endpoints.Upsert(await endpoints.CreateAsync(
                new CiliumEndpoint
                {
                    Metadata = new ObjectMeta
                    {
                        Name = name,
                        Namespace = "default",
                        OwnerReferences = [new OwnerReference { ApiVersion = "v1", Kind = "Pod", Name = name, Uid = uid }],
                    },
                },
                null,
                Cancelled));
        }

        var collection = new EndpointCollection(
            _client, _cluster, Options, new OperatorMetrics(), TimeProvider.System, NullLogger<EndpointCollection>.Instance);
        await collection.PassAsync(Cancelled);
        Assert.NotNull(await endpoints.FindAsync(new ResourceName("default", "web"), Cancelled));
        Assert.Null(await endpoints.FindAsync(new ResourceName("default", "gone"), Cancelled));
    }

    [Fact]
    public void Endpoint_of_an_earlier_pod_of_the_same_name_is_an_orphan()
    {
        CiliumEndpoint[] endpoints = [Of("same", "u1"), Of("earlier", "u2"), Of("gone", "u3"), Of("unowned", null)];
        Assert.Equal(
            ["earlier", "gone"],
            EndpointCollection.FindOrphans(endpoints, name => name.Name switch { "gone" => null, "same" => "u1", _ => "u9" }).Select(e => e.Metadata.Name));

        static CiliumEndpoint Of(string name, string? pod) => new()
        {
            Metadata = new ObjectMeta { Name = name, OwnerReferences = pod is null ? null : [new OwnerReference { ApiVersion = "v1", Kind = "Pod", Name = name, Uid = pod }] },
        };
    }

    [Fact]
    public async Task No_more_identities_go_at_once_than_allowed()
    {
        foreach (string number in (string[])["1000", "1001", "1002"])
            _cluster.Identities.Upsert(await CreateAsync(number, marked: true, app: number));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var time = new PausedTime(stop.Cancel);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Collection(time).PassAsync(stop.Token));
        Assert.Single((await Identities.ListAsync(null, Cancelled)).Items);
    }

    private IdentityCollection Collection(TimeProvider time)
        => new(_client, _cluster, Options, new OperatorMetrics(), time, NullLogger<IdentityCollection>.Instance);

    private async Task<CiliumIdentity> CreateAsync(string number, bool marked, string app = "web") => await Identities.CreateAsync(
        new CiliumIdentity
        {
            Metadata = new ObjectMeta
            {
                Name = number,
                Annotations = marked ? new Dictionary<string, string> { ["io.cilium.heartbeat"] = "2026-01-01T00:00:00Z" } : null,
            },
            SecurityLabels = new Dictionary<string, string> { ["k8s:app"] = app },
        },
        null,
        Cancelled);

    /// <summary>Tells when somebody begins to wait.</summary>
    private sealed class PausedTime(Action waits) : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            waits();
            return base.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }
}
