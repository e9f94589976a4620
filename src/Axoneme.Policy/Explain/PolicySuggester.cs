// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>Makes policies of recorded connections: one for each application of a namespace, and asks the engine whether they allow the record.</summary>
public sealed class PolicySuggester(ClusterObjects objects, SuggestionOptions options)
{
    private readonly ClusterModel _model = new(objects);

    public Suggestion Suggest(FlowHistory history)
    {
        ArgumentNullException.ThrowIfNull(history);
        RecordedConnections[] relevant = [.. history.Connections.Where(c => options.IncludeDenied || c.Denied == 0 || c.Passed > 0)];
        var subjects = new SortedDictionary<string, SuggestedSubject>(StringComparer.Ordinal);
        var leftOut = new List<string>();
        var used = new List<RecordedConnections>();
        foreach (RecordedConnections connections in relevant)
        {
            TrafficEnd source = _model.EndOf(connections.Source);
            TrafficEnd destination = _model.EndOf(connections.Destination);
            bool isUsed = Note(subjects, TrafficDirection.Egress, connections, source, destination, leftOut);
            isUsed |= Note(subjects, TrafficDirection.Ingress, connections, destination, source, leftOut);
            if (isUsed)
                used.Add(connections);
        }

        ImmutableArray<JsonObject> policies = [.. subjects.Values.Select(s => s.ToPolicy(options, history))];
        return new Suggestion(policies, [.. leftOut.Distinct()], [.. Refused(policies, used)], used.Sum(c => c.Count));
    }

    private bool Note(
        SortedDictionary<string, SuggestedSubject> subjects, TrafficDirection direction, RecordedConnections connections, TrafficEnd subject, TrafficEnd peer,
        List<string> leftOut)
    {
        if (subject.Pod is not { } pod || pod.Name.Namespace != options.Namespace || !IsWanted(pod, direction == TrafficDirection.Egress ? connections.Source : connections.Destination))
            return false;
        // The own node reaches its pods without a rule.
        if (direction == TrafficDirection.Ingress && peer.Identity == SecurityIdentity.Host && objects.Options.AllowLocalhost)
            return false;
        if (options.Kubernetes && Inexpressible(connections, peer) is { } reason)
        {
            leftOut.Add($"{connections.Source.Name} -> {connections.Destination.Name} port {PortText.Of(connections.Protocol, connections.Port)}: {reason}");
            return false;
        }

        IReadOnlyDictionary<string, string> selector = Workloads.SelectorLabels(pod.Own, objects.Filter);
        string key = string.Join(',', selector.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"));
        if (!subjects.TryGetValue(key, out SuggestedSubject? held))
            subjects[key] = held = new SuggestedSubject(Workloads.NameOf(pod), selector, objects.Filter);
        held.Add(direction, connections, peer);
        return true;
    }

    private bool IsWanted(ClusterPod pod, RecordedEnd recorded)
        => options.Workload.Length == 0 || options.Workload == recorded.Workload || options.Workload == Workloads.NameOf(pod) || options.Workload == pod.Name.Name;

    private static string? Inexpressible(RecordedConnections connections, TrafficEnd peer)
    {
        if (connections.Protocol is L4Protocol.Icmp or L4Protocol.IcmpV6)
            return "a NetworkPolicy cannot allow ICMP";
        return peer.Kind is TrafficEndKind.Entity or TrafficEndKind.Node ? $"a NetworkPolicy cannot name {peer}" : null;
    }

    // Without the present policies: what these suggestions refuse must not be hidden by an allow that may go one day.
    private IEnumerable<string> Refused(IEnumerable<JsonObject> policies, IEnumerable<RecordedConnections> used)
    {
        ClusterObjects alone = objects with { Items = [.. objects.Items.Where(i => PolicyNames.KeyOf(i) is null)] };
        IEnumerable<Resource> added = policies.Select(p => options.Kubernetes ? (Resource)PolicyManifest.ToKubernetes(p) : PolicyManifest.ToCilium(p));
        var model = new ClusterModel(alone.With(added));
        foreach (PolicyStatus finding in model.Findings.Where(f => !f.Valid))
            yield return $"{finding.Policy}: {finding.Message}";
        var paths = new RecordedPaths(model);
        foreach (RecordedConnections connections in used)
        {
            ConnectionPath path = paths.PathOf(connections);
            if (!path.Allowed)
                yield return $"{connections.Source.Name} -> {connections.Destination.Name} port {PortText.Of(connections.Protocol, connections.Port)}";
        }
    }
}
