// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Threading.Channels;
using Axoneme.Agent.Cluster;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Policy;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Policies;

/// <summary>What does not go well with a policy object on this node.</summary>
/// <param name="Reason">One word in CamelCase.</param>
/// <param name="Message">For people. The node need not be named: the condition's type does.</param>
internal sealed record NodeCondition(string Reason, string Message);

/// <summary>
/// Tells users at a policy object what goes wrong with it on single nodes: a condition of type <c>axoneme.io/TOPIC-NODE</c> with status False on
/// each node concerned, and none where all is well, so that a policy that works everywhere costs nothing. At most
/// <see cref="MaximalNodes"/> nodes speak of a topic at one object: a cluster whose nodes all fail would outgrow what an object may have. A node's
/// conditions go away when it is fine again, when its agent has started anew and they are no longer true, and, by any other agent, when there is no
/// such CiliumNode any more.
/// </summary>
internal sealed class NodeConditions
{
    public const string ModuleName = "node-conditions";

    public const int MaximalNodes = 10;

    private const string Prefix = "axoneme.io/";
    private const int MaximalMessageLength = 2000;

    // All nodes see the same change at the same time. Together they ask the API about a hundred times a second.
    private static readonly TimeSpan SpreadPerNode = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan MaximalSpread = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan FirstRetry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LastRetry = TimeSpan.FromMinutes(1);

    private readonly string _node;
    private readonly ClusterState _cluster;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly ILogger _log;
    private readonly Dictionary<PolicyKind, ObjectConditions> _kinds = [];

    // By topic; null: not heard of yet, so that what an earlier run wrote stays.
    private readonly ConcurrentDictionary<string, ImmutableDictionary<PolicyObjectKey, NodeCondition>?> _topics = new();

    // A key is in the channel once at most, so that there are not more of them than objects.
    private readonly ConcurrentDictionary<PolicyObjectKey, bool> _waiting = new();
    private readonly Channel<PolicyObjectKey> _queue = Channel.CreateUnbounded<PolicyObjectKey>(new UnboundedChannelOptions { SingleReader = true });

    /// <param name="client">Writes.</param>
    /// <param name="cluster">The objects, and which nodes there are.</param>
    /// <param name="node">This one.</param>
    /// <param name="random">Spreads the writes of many nodes.</param>
    /// <param name="log">Where failures of the API go.</param>
    public NodeConditions(KubernetesClient client, ClusterState cluster, string node, Random random, ILogger log)
    {
        (_node, _cluster, _random, _log, _time) = (node, cluster, random, log, client.Options.Time);
        Add(PolicyKind.CiliumNetworkPolicy, Kinds.CiliumNetworkPolicies, cluster.CiliumNetworkPolicies, p => p.Status?.Conditions);
        Add(
            PolicyKind.CiliumClusterwideNetworkPolicy, Kinds.CiliumClusterwideNetworkPolicies, cluster.CiliumClusterwideNetworkPolicies,
            p => p.Status?.Conditions);
        Add(PolicyKind.ClusterNetworkPolicy, Kinds.ClusterNetworkPolicies, cluster.ClusterNetworkPolicies, p => p.Status?.Conditions);
        Add(PolicyKind.AdminNetworkPolicy, Kinds.AdminNetworkPolicies, cluster.AdminNetworkPolicies, p => p.Status?.Conditions);
        Add(PolicyKind.BaselineAdminNetworkPolicy, Kinds.BaselineAdminNetworkPolicies, cluster.BaselineAdminNetworkPolicies, p => p.Status?.Conditions);

        void Add<T>(
            PolicyKind kind, ResourceKind<T> resources, Tables.Table<ResourceName, T>? table, Func<T, IReadOnlyList<Condition>?> conditions)
            where T : Resource
        {
            if (table is not null)
                _kinds[kind] = ObjectConditions.Of(kind, resources, table, client, conditions);
        }
    }

    /// <summary>Announces that somebody will speak of a topic. Before <see cref="RunAsync"/>, which takes away what nobody speaks of.</summary>
    /// <param name="topic">In CamelCase, such as HostFirewall.</param>
    public void Register(string topic)
    {
        if (topic.Length == 0 || !topic.All(char.IsAsciiLetterOrDigit))
            throw new ArgumentException($"\"{topic}\" cannot be part of a condition's type before a node's name", nameof(topic));
        _topics.TryAdd(topic, null);
    }

    /// <summary>All that is to be said of a topic now: objects that are not named are fine. NetworkPolicy objects have no conditions and are skipped.</summary>
    public void Publish(string topic, ImmutableDictionary<PolicyObjectKey, NodeCondition> conditions)
    {
        if (!_topics.TryGetValue(topic, out ImmutableDictionary<PolicyObjectKey, NodeCondition>? before))
            throw new InvalidOperationException($"nobody has registered the topic {topic}");
        _topics[topic] = conditions;
        if (before is null)
            EnqueueAll();
        else
            foreach (PolicyObjectKey key in before.Keys.Union(conditions.Keys).Where(key => before.GetValueOrDefault(key) != conditions.GetValueOrDefault(key)))
                Enqueue(key);
    }

    /// <summary>Writes conditions until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellation) => Task.WhenAll(
    [
        .. _kinds.Values.Select(kind => kind.FollowAsync(name => Enqueue(KeyOf(kind, name)), _log, cancellation)),
        _cluster.CiliumNodes.FollowAsync(
            change =>
            {
                if (change.IsDelete)
                    EnqueueAll();
            },
            _log,
            cancellation),
        WriteAsync(cancellation),
    ]);

    /// <summary>What an object's conditions should be; null: what they are.</summary>
    /// <param name="present">As the API has them.</param>
    /// <param name="key">Of the object.</param>
    internal IReadOnlyList<Condition>? Next(IReadOnlyList<Condition> present, PolicyObjectKey key)
    {
        var next = new List<Condition>(present.Count + 1);
        bool isChanged = false;
        foreach (Condition condition in present)
        {
            Condition? kept = !TryParse(condition.Type, out string topic, out string node) ? condition
                : node != _node ? (Exists(node) ? condition : null)
                : Own(condition, topic, key);
            if (kept is not null)
                next.Add(kept);
            isChanged |= !ReferenceEquals(kept, condition);
        }

        foreach ((string topic, ImmutableDictionary<PolicyObjectKey, NodeCondition>? said) in _topics)
        {
            string type = $"{Prefix}{topic}-{_node}";
            if (said?.GetValueOrDefault(key) is not { } wanted || present.Any(c => c.Type == type) || IsFull(next, topic))
                continue;
            next.Add(ConditionOf(type, wanted, _time.GetUtcNow()));
            isChanged = true;
        }

        return isChanged ? next : null;
    }

    private static bool IsFull(IEnumerable<Condition> conditions, string topic)
        => conditions.Count(c => TryParse(c.Type, out string of, out _) && of == topic) >= MaximalNodes;

    private static bool TryParse(string type, out string topic, out string node)
    {
        (topic, node) = ("", "");
        int dash = type.IndexOf('-', StringComparison.Ordinal);
        if (!type.StartsWith(Prefix, StringComparison.Ordinal) || dash < 0)
            return false;
        (topic, node) = (type[Prefix.Length..dash], type[(dash + 1)..]);
        return true;
    }

    private static Condition ConditionOf(string type, NodeCondition wanted, DateTimeOffset since) => new()
    {
        Type = type,
        Status = "False",
        Reason = wanted.Reason,
        Message = MessageOf(wanted),
        LastTransitionTime = since,
    };

    private static string MessageOf(NodeCondition wanted)
        => wanted.Message.Length <= MaximalMessageLength ? wanted.Message : wanted.Message[..MaximalMessageLength] + "...";

    private static PolicyObjectKey KeyOf(ObjectConditions kind, ResourceName name) => new(kind.Kind, name.Namespace, name.Name);

    // A topic that nobody has registered is of another version of the agent, or switched off.
    private Condition? Own(Condition present, string topic, PolicyObjectKey key)
    {
        if (_topics.TryGetValue(topic, out ImmutableDictionary<PolicyObjectKey, NodeCondition>? said) && said is null)
            return present;
        if (said?.GetValueOrDefault(key) is not { } wanted)
            return null;
        return present.Status == "False" && present.Reason == wanted.Reason && present.Message == MessageOf(wanted)
            ? present
            : ConditionOf(present.Type, wanted, present.LastTransitionTime ?? _time.GetUtcNow());
    }

    private bool Exists(string node)
        => !_cluster.CiliumNodes.IsInitialized || _cluster.CiliumNodes.Snapshot() is var nodes
            && (nodes.Contains(new ResourceName(node)) || !nodes.Contains(new ResourceName(_node)));

    private void EnqueueAll()
    {
        foreach (ObjectConditions kind in _kinds.Values)
        {
            foreach (ResourceName name in kind.Names)
                Enqueue(KeyOf(kind, name));
        }
    }

    // Most changes of an object are of no interest.
    private void Enqueue(PolicyObjectKey key)
    {
        if (IsDue(key) && _waiting.TryAdd(key, true))
            _queue.Writer.TryWrite(key);
    }

    private bool IsDue(PolicyObjectKey key)
        => _kinds.GetValueOrDefault(key.Kind)?.Find(new ResourceName(key.Namespace, key.Name)) is { } present && Next(present, key) is not null;

    private async Task WriteAsync(CancellationToken cancellation)
    {
        TimeSpan retry = FirstRetry;
        await foreach (PolicyObjectKey key in _queue.Reader.ReadAllAsync(cancellation))
        {
            TimeSpan spread = SpreadPerNode * _cluster.CiliumNodes.Count;
            await Task.Delay((spread < MaximalSpread ? spread : MaximalSpread) * _random.NextDouble(), _time, cancellation);
            _waiting.TryRemove(key, out _);
            try
            {
                await _kinds[key.Kind].TryChangeAsync(new ResourceName(key.Namespace, key.Name), present => Next(present, key), cancellation);
                retry = FirstRetry;
            }
            catch (Exception e) when (e is KubernetesException or HttpRequestException or TimeoutException or IOException)
            {
                _log.LogWarning("The conditions of {Policy} cannot be written, next attempt in {Delay}: {Reason}", key, retry, e.Message);
                await Task.Delay(retry, _time, cancellation);
                retry = retry * 2 < LastRetry ? retry * 2 : LastRetry;
                Enqueue(key);
            }
        }
    }
}
