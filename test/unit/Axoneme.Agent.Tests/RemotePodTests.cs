// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Text.Json;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Nodes;
using Axoneme.Datapath;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Axoneme.Tables.Tests;
using Microsoft.Extensions.Logging.Abstractions;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.Tests;

/// <summary>
/// From objects of pods and identities to a kernel that writes down what it is told, in which order. Endpoint 1 lets in everybody but "db", and
/// no API server is there.
/// </summary>
public sealed class RemotePodTests : IAsyncDisposable
{
    private const string Address = "10.244.1.7";
    private static readonly SecurityIdentity Web = new(300);
    private static readonly SecurityIdentity Db = new(700);
    private static readonly SecurityIdentity Job = new(800);
    private static readonly IpAddress Host = IpAddress.Parse("172.30.0.12");

    private readonly KubernetesClient _client = new(new KubernetesConfig { Servers = [new Uri("http://127.0.0.1:1")] }, new KubernetesClientOptions());
    private readonly CancellationTokenSource _stop = new();
    private readonly FakeTime _time = new();
    private readonly RecordingKernel _kernel = new();
    private readonly ControlPlane _control;
    private readonly RemotePods _pods;
    private Task _running = Task.CompletedTask;

    public RemotePodTests()
    {
        _control = new ControlPlane(
            new AgentOptions { NodeName = "one", Policies = new PolicySettings { EnableNodeSelectorLabels = true, NodeLabels = ["zone"] } },
            _client, NullLoggerFactory.Instance);
        // The kernel of these tests answers, but as late as they please.
        _control.Policies.KernelPatience = Timeout.InfiniteTimeSpan;
        _pods = new RemotePods(
            _control, new LocalNode { Name = "one", IPv4 = IpAddress.Parse("172.30.0.11") }, _time, NullLogger<RemotePods>.Instance);
        _ = _control.Policies.ChangeAsync(engine => engine.UpsertEndpoint(1, Web, Labels("web")));
        _ = _control.Policies.ChangeAsync(_ => _control.Repository.Upsert(DenyDb()));
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ContinueWith(_ => { }, TaskScheduler.Default);
        _control.Dispose();
        _client.Dispose();
        _stop.Dispose();
    }

    private static LabelSet Labels(string app) => LabelSet.From(
        [new Label("k8s", "app", app), new Label("k8s", PodLabels.Namespace, "blue"), new Label("k8s", PodLabels.Cluster, "default")]);

    private static CiliumNetworkPolicy DenyDb() => JsonSerializer.Deserialize(
        """
        {"metadata":{"namespace":"blue","name":"p","uid":"u"},
         "spec":{"endpointSelector":{},"ingress":[{"fromEntities":["all"]}],"ingressDeny":[{"fromEndpoints":[{"matchLabels":{"app":"db"}}]}]}}
        """,
        KubernetesJson.Default.CiliumNetworkPolicy)!;

    private static CiliumEndpoint Pod(SecurityIdentity identity, string address = Address, string name = "pod", string host = "172.30.0.12") => new()
    {
        Metadata = new ObjectMeta { Namespace = "blue", Name = name },
        Status = new Kubernetes.Resources.EndpointStatus
        {
            Identity = new EndpointIdentity { Id = identity.Value },
            Networking = new EndpointNetworking { Node = host, Addressing = [new AddressPair { Ipv4 = address }] },
        },
    };

    private void AddIdentity(SecurityIdentity id, string app) => _control.Cluster.CiliumIdentities.Upsert(new CiliumIdentity
    {
        Metadata = new ObjectMeta { Name = id.Value.ToString() },
        SecurityLabels = PodLabels.ToSecurityLabels(Labels(app)),
    });

    /// <summary>Identities and endpoints that there are count as all that the API had at the start.</summary>
    private async Task StartAsync(bool release = true)
    {
        _control.Cluster.CiliumIdentities.MarkInitialized(_control.Cluster.CiliumIdentities.PendingInitializers[0]);
        _control.Cluster.CiliumEndpoints.MarkInitialized(_control.Cluster.CiliumEndpoints.PendingInitializers[0]);
        var maps = new Reconciler<ushort, EndpointPolicy>(_control.Policies.Table, _kernel.Policies);
        var ipcache = new Reconciler<IpPrefix, IpcacheEntry>(_control.Ipcache.Table, _kernel.Addresses);
        _control.Policies.WhenInKernelAsync = (id, revision, cancel) =>
        {
            Interlocked.Increment(ref _kernel.Questions);
            return maps.WaitAsync(id, revision, cancel);
        };
        _control.Policies.WhenAddressInKernelAsync = (prefix, cancel) => ipcache.WaitAsync(prefix, _control.Ipcache.Table.Revision, cancel);
        _running = Task.WhenAll(
            maps.RunAsync(_stop.Token), ipcache.RunAsync(_stop.Token), _control.Policies.RunAsync(_stop.Token),
            _control.IdentityFollower.RunAsync(_stop.Token), _pods.RunAsync(_stop.Token), _control.RemoteNodes.RunAsync(_stop.Token),
            _control.NodeAddresses.RunAsync(_stop.Token));
        await _control.IdentityFollower.WhenCompleteAsync(_stop.Token);
        if (release)
            await _control.Policies.ReleaseAsync();
    }

    private SecurityIdentity? IdentityOf(string address) => _control.Ipcache.Find(IpAddress.Parse(address))?.Identity;

    private bool IsDecided(SecurityIdentity id)
        => _control.Policies.Table.Snapshot().Find(1)?.Entries.Values.Any(e => e.Key.Identity == id && e.Deny) == true;

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
    public async Task Address_gets_its_identity_when_the_policy_maps_know_it(bool endpointComesFirst)
    {
        await StartAsync();
        await EventuallyAsync(() => _control.Ipcache.Table.PendingInitializers is { } pending && !pending.Contains("cilium-endpoints"));
        _kernel.Hold();
        if (endpointComesFirst)
        {
            _control.Cluster.CiliumEndpoints.Upsert(Pod(Db));
            await EventuallyAsync(() => IdentityOf(Address) == SecurityIdentity.Unmanaged);
            AddIdentity(Db, "db");
        }
        else
        {
            AddIdentity(Db, "db");
            await EventuallyAsync(() => IsDecided(Db));
            _control.Cluster.CiliumEndpoints.Upsert(Pod(Db));
        }

        await EventuallyAsync(() => IsDecided(Db) && _kernel.IsHolding && _kernel.Order.Contains($"{Address}/32 unmanaged"));
        Assert.Equal((SecurityIdentity.Unmanaged, Host), (IdentityOf(Address), _control.Ipcache.Find(IpAddress.Parse(Address))!.Node));
        _kernel.LetGo();
        await EventuallyAsync(() => _kernel.Order.Contains($"{Address}/32 700"));
        List<string> order = [.. _kernel.Order];
        Assert.InRange(order.IndexOf("map knows 700"), 0, order.IndexOf($"{Address}/32 700") - 1);
    }

    [Fact]
    public async Task Unknown_pod_is_denied_what_some_pods_are_denied()
    {
        await StartAsync();
        PolicyVerdict VerdictOf(SecurityIdentity peer) => _control.Policies.Read(
            engine => PolicyEvaluator.Evaluate(engine.FindEndpoint(1)!, Policy.TrafficDirection.Ingress, peer, L4Protocol.Tcp, 80));
        Assert.False(VerdictOf(SecurityIdentity.Unmanaged).Allowed);
        Assert.True(VerdictOf(SecurityIdentity.World).Allowed);
        await _control.Policies.ChangeAsync(_ => _control.Repository.Delete(
            new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "blue", "p")));
        Assert.True(VerdictOf(SecurityIdentity.Unmanaged).Allowed);
    }

    [Fact]
    public async Task Pod_with_another_identity_keeps_the_old_one_until_the_new_one_is_known_or_patience_ends()
    {
        AddIdentity(Job, "job");
        _control.Cluster.CiliumEndpoints.Upsert(Pod(Job));
        await StartAsync();
        await EventuallyAsync(() => IdentityOf(Address) == Job);
        // The other node shows that the change has been seen.
        _control.Cluster.CiliumEndpoints.Upsert(Pod(Db, host: "172.30.0.13"));
        await EventuallyAsync(() => _control.Ipcache.Find(IpAddress.Parse(Address))!.Node == IpAddress.Parse("172.30.0.13"));
        Assert.Equal(Job, IdentityOf(Address));
        await EventuallyAsync(() =>
        {
            _time.Advance(RemotePods.Patience);
            return IdentityOf(Address) == SecurityIdentity.Unmanaged;
        });
        AddIdentity(Db, "db");
        await EventuallyAsync(() => IdentityOf(Address) == Db);
    }

    [Fact]
    public async Task Address_loses_an_identity_before_the_maps_forget_it()
    {
        AddIdentity(Db, "db");
        _control.Cluster.CiliumEndpoints.Upsert(Pod(Db));
        await StartAsync();
        await EventuallyAsync(() => _kernel.Order.Contains($"{Address}/32 700"));
        _kernel.Clear();
        _kernel.Hold(addresses: true);
        _control.Cluster.CiliumIdentities.Remove(new ResourceName("700"));
        await EventuallyAsync(() => _kernel.IsHolding);
        await _control.Policies.WhenDecisionsInKernelAsync(_stop.Token);
        Assert.True(IsDecided(Db));
        _kernel.LetGo();
        await EventuallyAsync(() => _kernel.Order.Contains("map knows nobody"));
        List<string> order = [.. _kernel.Order];
        Assert.InRange(order.IndexOf($"{Address}/32 unmanaged"), 0, order.IndexOf("map knows nobody") - 1);
    }

    [Fact]
    public async Task Nothing_is_said_of_pods_and_nothing_may_go_before_policies_are_released()
    {
        AddIdentity(Db, "db");
        _control.Cluster.CiliumEndpoints.Upsert(Pod(Db));
        await StartAsync(release: false);
        Assert.Null(IdentityOf(Address));
        Assert.Contains("cilium-endpoints", _control.Ipcache.Table.PendingInitializers);
        await _control.Policies.ReleaseAsync();
        await EventuallyAsync(() => !_control.Ipcache.Table.PendingInitializers.Contains("cilium-endpoints"));
        Assert.Equal(Db, IdentityOf(Address));
        Assert.DoesNotContain($"{Address}/32 unmanaged", _kernel.Order);
    }

    [Fact]
    public async Task Many_pods_do_not_wait_for_maps_one_by_one()
    {
        const int Pods = 2000;
        for (uint i = 0; i < 100; i++)
            AddIdentity(new SecurityIdentity(1000 + i), $"app-{i}");
        for (uint i = 0; i < Pods; i++)
            _control.Cluster.CiliumEndpoints.Upsert(Pod(new SecurityIdentity(1000 + (i % 100)), $"10.1.{i / 250}.{i % 250}", $"pod-{i}"));
        await StartAsync();
        await EventuallyAsync(() => !_control.Ipcache.Table.PendingInitializers.Contains("cilium-endpoints"));
        Assert.Equal(Pods, _control.Ipcache.Table.Snapshot().Values.Count(e => e.Identity.Value is >= 1000 and < 1100));
        Assert.InRange(_kernel.Questions, 1, 3);
    }

    [Fact]
    public async Task Ports_of_pods_that_came_before_their_identity_are_known_with_it()
    {
        await StartAsync();
        CiliumEndpoint pod = Pod(Db);
        _control.Cluster.CiliumEndpoints.Upsert(pod with
        {
            Status = pod.Status! with { NamedPorts = [new EndpointNamedPort { Name = "sql", Port = 5432, Protocol = "TCP" }] },
        });
        await EventuallyAsync(() => IdentityOf(Address) == SecurityIdentity.Unmanaged);
        AddIdentity(Db, "db");
        await EventuallyAsync(() => IdentityOf(Address) == Db);
        Assert.Equal([new NamedPort("sql", L4Protocol.Tcp, 5432)], _control.Policies.Read(engine => engine.FindIdentity(Db)!.Ports.Ports));
    }

    [Fact]
    public async Task Node_gets_an_identity_of_its_own_when_the_policy_maps_know_it()
    {
        await StartAsync();
        await _control.Policies.ChangeAsync(_ => _control.Repository.Upsert(JsonSerializer.Deserialize(
            """
            {"metadata":{"namespace":"blue","name":"n","uid":"v"},
             "spec":{"endpointSelector":{},"ingressDeny":[{"fromNodes":[{"matchLabels":{"zone":"a"}}]}]}}
            """,
            KubernetesJson.Default.CiliumNetworkPolicy)!));
        _kernel.Hold();
        _control.Cluster.CiliumNodes.Upsert(new CiliumNode
        {
            Metadata = new ObjectMeta { Name = "two", Labels = new Dictionary<string, string> { ["zone"] = "a" } },
            Spec = new CiliumNodeSpec { Addresses = [new CiliumNodeAddress { Type = "InternalIP", Ip = "172.30.0.12" }] },
        });
        await EventuallyAsync(() => _kernel.IsHolding && _control.Policies.Table.Snapshot().Find(1)!.Entries.Values.Any(e => IsOfNode(e.Key.Identity)));
        Assert.Null(IdentityOf("172.30.0.12"));
        _kernel.LetGo();
        await EventuallyAsync(() => IdentityOf("172.30.0.12") is { } id && IsOfNode(id));
    }

    private static bool IsOfNode(SecurityIdentity id) => id.Value >= SecurityIdentity.RemoteNodeScope;

    /// <summary>Both kinds of maps, with one list of what was written.</summary>
    private sealed class RecordingKernel
    {
        private readonly ConcurrentQueue<string> _order = new();
        private volatile TaskCompletionSource _open = Opened();
        private volatile bool _holdsAddresses;
        private int _waiting;

        public int Questions;

        public RecordingKernel()
        {
            Policies = new Target<ushort, EndpointPolicy>(async policies =>
            {
                await PassAsync(isAddress: false);
                foreach (EndpointPolicy policy in policies)
                {
                    string[] denied = [.. policy.Entries.Values.Where(e => e.Deny && e.Key.Identity.Value > 255).Select(e => e.Key.Identity.ToString())];
                    _order.Enqueue($"map knows {(denied.Length == 0 ? "nobody" : string.Join(' ', denied))}");
                }
            });
            Addresses = new Target<IpPrefix, IpcacheEntry>(async entries =>
            {
                await PassAsync(isAddress: true);
                foreach (IpcacheEntry entry in entries)
                    _order.Enqueue($"{entry.Prefix} {entry.Identity}");
            });
        }

        public IReconcileTarget<ushort, EndpointPolicy> Policies { get; }

        public IReconcileTarget<IpPrefix, IpcacheEntry> Addresses { get; }

        public IReadOnlyCollection<string> Order => _order;

        /// <summary>A map is being written, and cannot be.</summary>
        public bool IsHolding => Volatile.Read(ref _waiting) > 0;

        public void Clear() => _order.Clear();

        /// <summary>Lets nothing be written to policy maps, or to those of addresses.</summary>
        public void Hold(bool addresses = false)
        {
            _holdsAddresses = addresses;
            _open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        public void LetGo() => _open.SetResult();

        private async Task PassAsync(bool isAddress)
        {
            if (isAddress != _holdsAddresses)
                return;
            Interlocked.Increment(ref _waiting);
            await _open.Task;
            Interlocked.Decrement(ref _waiting);
        }

        private static TaskCompletionSource Opened()
        {
            var opened = new TaskCompletionSource();
            opened.SetResult();
            return opened;
        }

        private sealed class Target<TKey, TValue>(Func<IReadOnlyList<TValue>, Task> apply) : IReconcileTarget<TKey, TValue>
            where TKey : notnull
            where TValue : notnull
        {
            public async ValueTask ApplyAsync(IReadOnlyList<TValue> values, ReconcileFailures<TKey> failures, CancellationToken cancellationToken)
                => await apply(values).WaitAsync(cancellationToken);

            public ValueTask DeleteAsync(IReadOnlyList<TKey> keys, ReconcileFailures<TKey> failures, CancellationToken cancellationToken)
                => ValueTask.CompletedTask;

            public ValueTask<IReadOnlyDictionary<TKey, TValue>> ReadActualAsync(CancellationToken cancellationToken)
                => ValueTask.FromResult<IReadOnlyDictionary<TKey, TValue>>(new Dictionary<TKey, TValue>());
        }
    }
}
