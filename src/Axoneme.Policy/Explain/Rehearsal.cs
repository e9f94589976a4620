// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

public enum RehearsedChange : byte
{
    /// <summary>Passes now, and would be dropped.</summary>
    Dropped,

    /// <summary>Passes, but questions for DNS names that are answered now would be refused.</summary>
    NamesRefused,

    /// <summary>Is dropped now, and would pass.</summary>
    Passed,
}

/// <summary>Connections between two workloads that a change of policy would treat differently.</summary>
public sealed record RehearsedGroup(
    RehearsedChange Change, string Source, string Destination, L4Protocol Protocol, ushort Port, TrafficDirection Direction)
{
    public int Connections { get; init; }

    public DateTimeOffset? First { get; init; }

    public DateTimeOffset? Last { get; init; }

    /// <summary>Of the end in <see cref="Direction"/>, with the present policies.</summary>
    public required Decision Before { get; init; }

    public required Decision After { get; init; }

    public ImmutableArray<string> Names { get; init; } = [];
}

/// <summary>What a change of policy would have done to recorded connections.</summary>
/// <param name="Groups">What would change, the worst first.</param>
/// <param name="Unchanged">Connections that would not.</param>
/// <param name="Differing">Connections that were recorded with another verdict than the present policies give: these are not those of then.</param>
/// <param name="Unrecorded">Workloads that changed policies select and of which nothing was recorded.</param>
public sealed record RehearsalReport(
    ImmutableArray<RehearsedGroup> Groups, int Unchanged, int Differing, ImmutableArray<string> Unrecorded)
{
    public int Count(RehearsedChange change) => Groups.Where(g => g.Change == change).Sum(g => g.Connections);
}

/// <summary>Replays recorded connections against two states of a cluster.</summary>
public sealed class Rehearsal(ClusterObjects before, ClusterObjects after)
{
    private readonly RecordedPaths _before = new(new ClusterModel(before));
    private readonly RecordedPaths _after = new(new ClusterModel(after));

    /// <summary>Policies of the changed state that are invalid or do less than they say.</summary>
    public IReadOnlyList<PolicyStatus> Findings => _after.Model.Findings;

    public RehearsalReport Run(FlowHistory history)
    {
        ArgumentNullException.ThrowIfNull(history);
        var groups = new List<RehearsedGroup>();
        int unchanged = 0;
        int differing = 0;
        foreach (RecordedConnections connections in history.Connections)
        {
            ConnectionPath now = _before.PathOf(connections);
            ConnectionPath then = _after.PathOf(connections);
            if ((connections.Passed > 0 && !now.Allowed) || (connections is { Denied: > 0, Passed: 0 } && now.Allowed))
                differing += connections.Count;
            if (Compare(connections, now, then) is { } group)
                groups.Add(group);
            else
                unchanged += connections.Count;
        }

        return new RehearsalReport([.. Merge(groups)], unchanged, differing, [.. Unrecorded(history)]);
    }

    private static RehearsedGroup? Compare(RecordedConnections connections, ConnectionPath now, ConnectionPath then)
    {
        if (now.Allowed != then.Allowed)
        {
            ConnectionPath denied = now.Allowed ? then : now;
            bool isEgress = !denied.Egress.Allows;
            return Group(connections, now.Allowed ? RehearsedChange.Dropped : RehearsedChange.Passed, isEgress, now, then);
        }

        if (!then.Allowed || then.Egress.Redirect is not DnsRedirect dns)
            return null;
        string[] refused = [.. connections.Questions.Where(q => !dns.Names.Any(n => n.Matches(q)))];
        if (now.Egress.Redirect is DnsRedirect present)
            refused = [.. refused.Where(q => present.Names.Any(n => n.Matches(q)))];
        return refused.Length == 0 ? null : Group(connections, RehearsedChange.NamesRefused, isEgress: true, now, then) with { Names = [.. refused] };
    }

    private static RehearsedGroup Group(RecordedConnections connections, RehearsedChange change, bool isEgress, ConnectionPath now, ConnectionPath then)
        => new(change, NameOf(then.Source), NameOf(then.Destination), connections.Protocol, connections.Port,
            isEgress ? TrafficDirection.Egress : TrafficDirection.Ingress)
        {
            Connections = connections.Count,
            First = connections.First,
            Last = connections.Last,
            Before = isEgress ? now.Egress : now.Ingress,
            After = isEgress ? then.Egress : then.Ingress,
        };

    private static IEnumerable<RehearsedGroup> Merge(IEnumerable<RehearsedGroup> groups)
        => groups.GroupBy(g => (g.Change, g.Source, g.Destination, g.Protocol, g.Port, g.Direction)).Select(same => same.First() with
        {
            Connections = same.Sum(g => g.Connections),
            First = same.Min(g => g.First),
            Last = same.Max(g => g.Last),
            Names = [.. same.SelectMany(g => g.Names).Distinct().Order(StringComparer.Ordinal)],
        }).OrderBy(g => g.Change).ThenByDescending(g => g.Connections).ThenBy(g => g.Source, StringComparer.Ordinal).ThenBy(g => g.Destination, StringComparer.Ordinal)
            .ThenBy(g => g.Port);

    private IEnumerable<string> Unrecorded(FlowHistory history)
    {
        HashSet<PolicyObjectKey> changed = [.. Changed(before, after).Concat(Changed(after, before))];
        HashSet<string> recorded =
            [.. history.Connections.SelectMany(c => new[] { c.Source, c.Destination }).Select(_after.EndOf).Select(e => e.Pod).OfType<ClusterPod>().Select(NameOf)];
        return new[] { _before.Model, _after.Model }
            .SelectMany(m => m.Pods.Values.Where(p => !p.HostNetwork && m.Engine.RulesOf(m.EndpointOf(p)).Any(r => changed.Contains(r.Origin.Policy))))
            .Select(NameOf).Where(name => !recorded.Contains(name)).Distinct().Order(StringComparer.Ordinal);
    }

    private static string NameOf(TrafficEnd end) => end.Pod is { } pod ? NameOf(pod) : end.Name;

    private static string NameOf(ClusterPod pod) => $"{pod.Name.Namespace}/{Workloads.NameOf(pod)}";

    private static IEnumerable<PolicyObjectKey> Changed(ClusterObjects from, ClusterObjects to)
    {
        var present = new HashSet<Resource>(from.Items, ReferenceEqualityComparer.Instance);
        return to.Items.Where(i => !present.Contains(i)).Select(PolicyNames.KeyOf).OfType<PolicyObjectKey>();
    }
}

/// <summary>Paths of recorded connections in one state of a cluster; each kind of connection is computed once.</summary>
internal sealed class RecordedPaths(ClusterModel model)
{
    private readonly FlowExplainer _explainer = new(model);
    private readonly EndResolver _resolver = new(model);
    private readonly Dictionary<string, TrafficEnd> _ends = [];

    public ClusterModel Model { get; } = model;

    public ConnectionPath PathOf(RecordedConnections connections)
    {
        TrafficEnd source = EndOf(connections.Source);
        TrafficEnd destination = EndOf(connections.Destination);
        return _explainer.PathBetween(
            Beside(source, destination, connections.Destination), Beside(destination, source, connections.Source), connections.Protocol, connections.Port);
    }

    // Who called the other end "host" was on that node, although nobody knows the pod any more.
    private static TrafficEnd Beside(TrafficEnd end, TrafficEnd other, RecordedEnd recorded)
        => end is { Kind: TrafficEndKind.Pod, Node: "" } && other.Kind == TrafficEndKind.Node && recorded.Identity == SecurityIdentity.Host
            ? end with { Node = other.Node } : end;

    public TrafficEnd EndOf(RecordedEnd end)
        => _ends.TryGetValue(end.Key, out TrafficEnd? known) ? known : _ends[end.Key] = NodeOf(end) ?? Model.EndOf(end);

    // Which node it was matters where nodes have policies of their own.
    private TrafficEnd? NodeOf(RecordedEnd end)
        => Model.Objects.Options.EnableHostFirewall && !end.IsPod && !end.IsOutside && end.Address is { } address && Model.FindNode(address) is { } node
            ? _resolver.OfNode(node, address) : null;
}
