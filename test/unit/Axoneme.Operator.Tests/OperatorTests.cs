// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.EmbeddedApi;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Operator.Tests;

/// <summary>The whole operator against the embedded API.</summary>
public sealed class OperatorTests : IAsyncLifetime
{
    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
    private EmbeddedApiHost _api = null!;
    private KubernetesClient _client = null!;
    private string _kubeconfig = "";

    private ResourceClient<CiliumIdentity> Identities => _client.Of(Kinds.CiliumIdentities);

    private ResourceClient<CiliumEndpoint> Endpoints => _client.Of(Kinds.CiliumEndpoints);

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
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _client.Dispose();
        await _api.DisposeAsync();
        File.Delete(_kubeconfig);
        _stop.Dispose();
    }

    [Fact]
    public async Task Identities_and_endpoints_that_nobody_has_go_and_the_others_stay()
    {
        await CreateIdentityAsync(1000, "used");
        await CreateIdentityAsync(1001, "unused");
        _api.Objects.ApplyManifests("{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: default}, spec: {containers: [{name: c, image: i}]}}");
        string uid = (await _client.Of(Kinds.Pods).GetAsync(new ResourceName("default", "web"), _stop.Token)).Metadata.Uid!;
        await CreateEndpointAsync("web", 1000, uid);
        await CreateEndpointAsync("left-behind", 1001, "u-of-nobody");
        OperatorProcess one = NewOperator();
        Task running = one.RunAsync(_stop.Token);
        await Until(async () => await Endpoints.FindAsync(new ResourceName("default", "left-behind"), _stop.Token) is null);
        await Until(async () => await Identities.FindAsync(new ResourceName("1001"), _stop.Token) is null);
        Assert.NotNull(await Endpoints.FindAsync(new ResourceName("default", "web"), _stop.Token));
        CiliumIdentity used = await Identities.GetAsync(new ResourceName("1000"), _stop.Token);
        Assert.Null(used.Metadata.Annotation("io.cilium.heartbeat"));
        Lease lease = await _client.Of(Kinds.Leases).GetAsync(new ResourceName("kube-system", OperatorProcess.LeaseName), _stop.Token);
        Assert.StartsWith("test-", lease.Spec.HolderIdentity, StringComparison.Ordinal);
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    [Fact]
    public async Task One_of_two_operators_works_and_both_serve_their_pages()
    {
        OperatorOptions first = Options() with { ApiAddress = FreeAddress(), MetricsAddress = FreeAddress() }, second = Options() with { ApiAddress = FreeAddress() };
        Task[] running = [new OperatorProcess(first, _client, NullLoggerFactory.Instance).RunAsync(_stop.Token), new OperatorProcess(second, _client, NullLoggerFactory.Instance).RunAsync(_stop.Token)];
        using var http = new HttpClient();
        foreach (OperatorOptions options in (OperatorOptions[])[first, second])
            Assert.Equal("ok", await http.GetStringAsync(new Uri($"http://{options.ApiAddress}/healthz"), _stop.Token));
        await CreateIdentityAsync(1001, "unused");
        await Until(async () => await Identities.FindAsync(new ResourceName("1001"), _stop.Token) is null);
        string page = await http.GetStringAsync(new Uri($"http://{first.MetricsAddress}/metrics"), _stop.Token);
        Assert.Contains("cilium_operator_process_resident_memory_bytes ", page, StringComparison.Ordinal);
        await _stop.CancelAsync();
        foreach (Task one in running)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => one);
    }

    [Fact]
    public void Settings_that_cannot_be_used_are_named()
    {
        RawConfig raw = RawConfig.Load(["--identity-gc-interval=often", "--leader-election-renew-deadline=20s"]);
        ConfigException wrong = Assert.Throws<ConfigException>(() => OperatorOptions.Bind(raw, "host", null));
        Assert.Contains("identity-gc-interval", wrong.Message);
        Assert.Contains("leader-election-renew-deadline", wrong.Message);
    }

    private static OperatorOptions Options() => new()
    {
        Namespace = "kube-system",
        Identity = $"test-{Guid.NewGuid():N}",
        IdentityInterval = TimeSpan.FromMilliseconds(50),
        IdentityTimeout = TimeSpan.FromMilliseconds(200),
        EndpointInterval = TimeSpan.FromMilliseconds(50),
        RetryPeriod = TimeSpan.FromMilliseconds(50),
    };

    private OperatorProcess NewOperator() => new(Options(), _client, NullLoggerFactory.Instance);

    private Task CreateIdentityAsync(int number, string app) => Identities.CreateAsync(new CiliumIdentity
    {
        Metadata = new ObjectMeta { Name = $"{number}" },
        SecurityLabels = new Dictionary<string, string> { ["k8s:app"] = app },
    });

    private Task CreateEndpointAsync(string name, int identity, string podUid) => Endpoints.CreateAsync(new CiliumEndpoint
    {
        Metadata = new ObjectMeta
        {
            Name = name,
            Namespace = "default",
            OwnerReferences = [new OwnerReference { ApiVersion = "v1", Kind = "Pod", Name = name, Uid = podUid }],
        },
        Status = new EndpointStatus { Identity = new EndpointIdentity { Id = identity } },
    });

    private async Task Until(Func<Task<bool>> holds)
    {
        while (!await holds())
            await Task.Delay(20, _stop.Token);
    }

    private static ListenAddress FreeAddress()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return new ListenAddress(IpAddress.Parse("127.0.0.1"), (ushort)((IPEndPoint)socket.LocalEndPoint!).Port);
    }
}
