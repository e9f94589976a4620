// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Policies;
using Axoneme.EmbeddedApi;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

/// <summary>What agents of several nodes say at one policy object, before a real API.</summary>
public sealed class NodeConditionTests : IAsyncLifetime
{
    private const string Topic = "HostFirewall";
    private static readonly PolicyObjectKey Nodes = new(PolicyKind.CiliumClusterwideNetworkPolicy, "", "nodes");
    private static readonly Condition Valid = new() { Type = "Valid", Status = "True", Reason = "Valid", Message = "Policy validation succeeded" };

    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _running = [];
    private EmbeddedApiHost _api = null!;
    private KubernetesClient _client = null!;
    private string _kubeconfig = "";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _api = new EmbeddedApiHost(new EmbeddedApiOptions
        {
            Listeners = [ApiListener.On(new IPEndPoint(IPAddress.Loopback, 0))],
            Tokens = new Dictionary<string, ApiUser> { ["t"] = new("agent", "system:masters") },
        });
        await _api.StartAsync();
        foreach (string kind in new[] { "ciliumclusterwidenetworkpolicies", "ciliumnodes" })
            _api.Objects.ApplyManifests(await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "crds", kind + ".yaml")));
        _kubeconfig = Path.GetTempFileName();
        EmbeddedApiHost.WriteKubeconfig(_kubeconfig, _api.KubeconfigForToken(_api.Addresses[0], "t"));
        _client = new KubernetesClient(KubernetesConfig.Load(_kubeconfig), new KubernetesClientOptions { Qps = 0 });
        await CreateAsync("nodes");
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running).ContinueWith(_ => { }, TaskScheduler.Default);
        _client.Dispose();
        await _api.DisposeAsync();
        File.Delete(_kubeconfig);
        _stop.Dispose();
    }

    private async Task CreateAsync(string name)
    {
        ResourceClient<CiliumClusterwideNetworkPolicy> policies = _client.Of(Kinds.CiliumClusterwideNetworkPolicies);
        CiliumClusterwideNetworkPolicy created = await policies.CreateAsync(
            JsonSerializer.Deserialize(
                $$$"""{"apiVersion":"cilium.io/v2","kind":"CiliumClusterwideNetworkPolicy","metadata":{"name":"{{{name}}}"},"spec":{"nodeSelector":{},"ingress":[{}]}}""",
                KubernetesJson.Default.CiliumClusterwideNetworkPolicy)!,
            null,
            Cancelled);
        Assert.True(await ObjectConditions.TryWriteAsync(policies, created, [Valid], Cancelled));
    }

    private async Task RegisterAsync(params string[] nodes)
    {
        foreach (string node in nodes)
            await _client.Of(Kinds.CiliumNodes).CreateAsync(new CiliumNode { Metadata = new ObjectMeta { Name = node } }, null, Cancelled);
    }

    /// <param name="node">Whose agent it is.</param>
    /// <param name="topics">That somebody there speaks of.</param>
    private (NodeConditions Conditions, ClusterState Cluster, CancellationTokenSource Stop) Start(string node, params string[] topics)
    {
        var cluster = new ClusterState(_client, new AgentOptions { NodeName = node }, new TableCatalog(), NullLogger<ClusterState>.Instance);
        var conditions = new NodeConditions(_client, cluster, node, new Random(1), NullLogger.Instance);
        foreach (string topic in topics)
            conditions.Register(topic);
        var stop = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        _running.Add(cluster.RunAsync(stop.Token));
        _running.Add(conditions.RunAsync(stop.Token));
        return (conditions, cluster, stop);
    }

    private static ImmutableDictionary<PolicyObjectKey, NodeCondition> Fails(string message = "it was rolled back")
        => ImmutableDictionary<PolicyObjectKey, NodeCondition>.Empty.Add(Nodes, new NodeCondition("RolledBack", message));

    private async Task<IReadOnlyList<Condition>> ConditionsAsync()
        => (await _client.Of(Kinds.CiliumClusterwideNetworkPolicies).GetAsync(new ResourceName(Nodes.Name), Cancelled)).Status?.Conditions ?? [];

    /// <summary>Waits until these nodes, and no others, speak of a topic at the object.</summary>
    private async Task<IReadOnlyList<Condition>> SpeakersAsync(params string[] types)
    {
        var limit = TimeSpan.FromSeconds(30);
        long start = TimeProvider.System.GetTimestamp();
        while (true)
        {
            IReadOnlyList<Condition> conditions = await ConditionsAsync();
            Assert.Contains(conditions, c => c is { Type: "Valid", Status: "True" });
            string[] present = [.. conditions.Select(c => c.Type).Where(t => t != "Valid").Order(StringComparer.Ordinal)];
            if (present.SequenceEqual(types.Order(StringComparer.Ordinal)))
                return conditions;
            Assert.True(TimeProvider.System.GetElapsedTime(start) < limit, $"there are {string.Join(' ', present)}");
            await Task.Delay(10, Cancelled);
        }
    }

    [Fact]
    public async Task Nodes_that_fail_speak_at_the_object_until_they_are_fine_again()
    {
        await RegisterAsync("one", "two");
        NodeConditions one = Start("one", Topic).Conditions;
        NodeConditions two = Start("two", Topic).Conditions;
        one.Publish(Topic, Fails());
        two.Publish(Topic, Fails("port 22 was closed"));
        Condition said = Assert.Single(
            await SpeakersAsync("axoneme.io/HostFirewall-one", "axoneme.io/HostFirewall-two"), c => c.Type == "axoneme.io/HostFirewall-two");
        Assert.Equal(("False", "RolledBack", "port 22 was closed"), (said.Status, said.Reason, said.Message));
        Assert.NotNull(said.LastTransitionTime);

        one.Publish(Topic, ImmutableDictionary<PolicyObjectKey, NodeCondition>.Empty);
        await SpeakersAsync("axoneme.io/HostFirewall-two");
    }

    [Fact]
    public async Task What_is_said_again_in_other_words_is_written_over()
    {
        NodeConditions one = Start("one", Topic).Conditions;
        one.Publish(Topic, Fails("first"));
        await SpeakersAsync("axoneme.io/HostFirewall-one");
        one.Publish(Topic, Fails("second"));
        while (!(await ConditionsAsync()).Any(c => c.Message == "second"))
            await Task.Delay(10, Cancelled);
        await SpeakersAsync("axoneme.io/HostFirewall-one");
    }

    [Fact]
    public async Task An_agent_that_starts_keeps_what_its_topics_have_not_spoken_of_and_removes_the_rest()
    {
        (NodeConditions first, _, CancellationTokenSource stop) = Start("one", Topic, "Gone");
        first.Publish(Topic, Fails());
        first.Publish("Gone", Fails());
        await SpeakersAsync("axoneme.io/HostFirewall-one", "axoneme.io/Gone-one");
        await stop.CancelAsync();

        NodeConditions second = Start("one", Topic).Conditions;
        await SpeakersAsync("axoneme.io/HostFirewall-one");
        second.Publish(Topic, ImmutableDictionary<PolicyObjectKey, NodeCondition>.Empty);
        await SpeakersAsync();
    }

    [Fact]
    public async Task Conditions_of_a_node_that_is_gone_are_removed_by_others()
    {
        await RegisterAsync("one", "two-b");
        (NodeConditions leaving, _, CancellationTokenSource stop) = Start("two-b", Topic);
        leaving.Publish(Topic, Fails());
        await SpeakersAsync("axoneme.io/HostFirewall-two-b");
        await stop.CancelAsync();

        ClusterState cluster = Start("one", Topic).Cluster;
        await cluster.CiliumNodes.WhenInitializedAsync(Cancelled);
        await cluster.CiliumClusterwideNetworkPolicies.WhenInitializedAsync(Cancelled);
        await SpeakersAsync("axoneme.io/HostFirewall-two-b");
        await _client.Of(Kinds.CiliumNodes).DeleteAsync(new ResourceName("two-b"), null, Cancelled);
        await SpeakersAsync();
    }

    [Fact]
    public async Task However_many_nodes_fail_an_object_has_room_for_some_and_the_next_gets_the_place_of_one_that_recovers()
    {
        string[] names = [.. Enumerable.Range(0, NodeConditions.MaximalNodes + 2).Select(i => $"n{i}")];
        await RegisterAsync(names);
        var agents = names.ToDictionary(name => name, name => Start(name, Topic).Conditions);
        foreach (NodeConditions agent in agents.Values)
            agent.Publish(Topic, Fails());
        var silent = names.ToHashSet();
        while (silent.Count > 2)
        {
            silent = [.. names.Except((await ConditionsAsync()).Select(c => c.Type.Split('-')[^1]))];
            Assert.True(silent.Count >= 2);
            await Task.Delay(10, Cancelled);
        }

        IReadOnlyList<Condition> full = await ConditionsAsync();
        Assert.All(silent, name => Assert.Null(agents[name].Next(full, Nodes)));
        foreach (string name in names.Except(silent))
            agents[name].Publish(Topic, ImmutableDictionary<PolicyObjectKey, NodeCondition>.Empty);
        await SpeakersAsync([.. silent.Select(name => $"axoneme.io/HostFirewall-{name}")]);
    }

    [Fact]
    public async Task The_verdict_about_an_object_leaves_what_nodes_say_of_it()
    {
        (NodeConditions one, _, CancellationTokenSource stop) = Start("one", Topic);
        one.Publish(Topic, Fails());
        await SpeakersAsync("axoneme.io/HostFirewall-one");
        await stop.CancelAsync();
        ResourceClient<CiliumClusterwideNetworkPolicy> policies = _client.Of(Kinds.CiliumClusterwideNetworkPolicies);
        CiliumClusterwideNetworkPolicy present = await policies.GetAsync(new ResourceName(Nodes.Name), Cancelled);
        var reports = new PolicyReports(_client, new EventRecorder(_client, "test", "one"), NullLogger.Instance);
        _running.Add(reports.RunAsync(_stop.Token));
        reports.Report(
            Kinds.CiliumClusterwideNetworkPolicies, present, present.Status?.Conditions,
            new PolicyStatus(Nodes, present.Metadata.Generation ?? 0, true, "Policy validation succeeded, with a warning"));
        while (!(await ConditionsAsync()).Any(c => c.Message?.EndsWith("with a warning", StringComparison.Ordinal) == true))
            await Task.Delay(10, Cancelled);
        await SpeakersAsync("axoneme.io/HostFirewall-one");
    }
}
