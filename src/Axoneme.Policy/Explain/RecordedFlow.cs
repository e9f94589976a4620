// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>One end of a flow as it was recorded.</summary>
/// <param name="Namespace">Empty for what is no pod.</param>
/// <param name="Pod">Empty when it is not known.</param>
/// <param name="Workload">What made the pod; empty when it is not known.</param>
/// <param name="Address">As the packet had it.</param>
/// <param name="Identity">Number on the node that recorded it; those of address blocks mean nothing elsewhere.</param>
/// <param name="Labels">Of the identity.</param>
/// <param name="Names">DNS names by which the other end knew the address.</param>
public sealed record RecordedEnd(
    string Namespace, string Pod, string Workload, IpAddress? Address, SecurityIdentity Identity, LabelSet Labels, ImmutableArray<string> Names)
{
    public bool IsPod => Namespace.Length > 0;

    public bool IsOutside => Labels.Any(l => l.Source == Label.Cidr || l.Source == FqdnSelector.LabelSource
        || (l.Source == Label.Reserved && l.Key is "world" or "world-ipv4" or "world-ipv6"));

    /// <summary>As people call it.</summary>
    public string Name
    {
        get
        {
            if (IsPod)
                return $"{Namespace}/{(Workload.Length > 0 ? Workload : Pod.Length > 0 ? Pod : "?")}";
            if (IsOutside || Identity == SecurityIdentity.Unknown)
                return Names.IsEmpty ? Address?.ToString() ?? "world" : Names[0];
            return SecurityIdentity.ReservedNames.GetValueOrDefault(Identity.Value, Labels.FirstOrDefault(l => l.Source == Label.Reserved).Key ?? $"identity {Identity.Value}");
        }
    }

    /// <summary>Ends with the same key are the same to policy. What made a pod is known to its own node's recorder only.</summary>
    internal string Key => IsPod ? $"{Namespace}/{Labels}" : IsOutside ? $"{Address} {string.Join(' ', Names)}" : $"{Name} {Address}";
}

public enum RecordedVerdict : byte
{
    /// <summary>The record does not say what became of the packet.</summary>
    Unknown,
    Passed,
    DeniedByPolicy,
}

/// <summary>A record of one packet of the end that opened the connection.</summary>
public sealed record RecordedFlow(RecordedEnd Source, RecordedEnd Destination, L4Protocol Protocol, ushort Port)
{
    public DateTimeOffset? Time { get; init; }

    public ushort SourcePort { get; init; }

    public RecordedVerdict Verdict { get; init; }

    /// <summary>Name that was asked for; empty for everything but DNS.</summary>
    public string Question { get; init; } = "";
}

/// <summary>Recorded connections between two ends on one port.</summary>
public sealed class RecordedConnections(RecordedEnd source, RecordedEnd destination, L4Protocol protocol, ushort port)
{
    public RecordedEnd Source { get; } = source;

    public RecordedEnd Destination { get; } = destination;

    public L4Protocol Protocol { get; } = protocol;

    public ushort Port { get; } = port;

    /// <summary>Different ones, told apart by addresses and source port.</summary>
    public int Count { get; internal set; }

    public DateTimeOffset? First { get; internal set; }

    public DateTimeOffset? Last { get; internal set; }

    /// <summary>Records that say that policy let it pass, and that it did not.</summary>
    public int Passed { get; internal set; }

    public int Denied { get; internal set; }

    /// <summary>Names that were asked for over them.</summary>
    public SortedSet<string> Questions { get; } = new(StringComparer.OrdinalIgnoreCase);
}

/// <summary>What was recorded, put together, with what is missing in it.</summary>
public sealed class FlowHistory
{
    // An hour of a busy cluster; beyond it connections are counted once more, which only the counts show.
    private const int MaximalDistinct = 4_000_000;

    private readonly Dictionary<(string, string, L4Protocol, ushort), RecordedConnections> _connections = [];
    private readonly HashSet<(IpAddress?, IpAddress?, L4Protocol, ushort, ushort)> _distinct = [];
    private readonly SortedDictionary<string, int> _left = new(StringComparer.Ordinal);

    public IReadOnlyCollection<RecordedConnections> Connections => _connections.Values;

    /// <summary>Of everything, used or not.</summary>
    public int Records { get; private set; }

    public DateTimeOffset? First { get; private set; }

    public DateTimeOffset? Last { get; private set; }

    public SortedSet<string> Nodes { get; } = new(StringComparer.Ordinal);

    /// <summary>Events that the recorder lost.</summary>
    public ulong Lost { get; private set; }

    /// <summary>Records that say nothing about policy, by the reason.</summary>
    public IReadOnlyDictionary<string, int> LeftOut => _left;

    /// <summary>The cluster whose pods were recorded, as their labels say; empty when they do not.</summary>
    public string ClusterName { get; private set; } = "";

    public void Add(RecordedFlow flow)
    {
        ArgumentNullException.ThrowIfNull(flow);
        Note(flow.Time);
        if (ClusterName.Length == 0)
        {
            ClusterName = flow.Source.Labels.Find(Label.Kubernetes, PodLabels.Cluster)
                ?? flow.Destination.Labels.Find(Label.Kubernetes, PodLabels.Cluster) ?? "";
        }

        (string, string, L4Protocol, ushort) key = (flow.Source.Key, flow.Destination.Key, flow.Protocol, flow.Port);
        if (!_connections.TryGetValue(key, out RecordedConnections? held))
            _connections[key] = held = new RecordedConnections(flow.Source, flow.Destination, flow.Protocol, flow.Port);
        if (_distinct.Count >= MaximalDistinct)
            _distinct.Clear();
        if (_distinct.Add((flow.Source.Address, flow.Destination.Address, flow.Protocol, flow.SourcePort, flow.Port)))
            held.Count++;
        held.First = Earlier(held.First, flow.Time);
        held.Last = Later(held.Last, flow.Time);
        held.Passed += flow.Verdict == RecordedVerdict.Passed ? 1 : 0;
        held.Denied += flow.Verdict == RecordedVerdict.DeniedByPolicy ? 1 : 0;
        if (flow.Question.Length > 0)
            held.Questions.Add(flow.Question.TrimEnd('.'));
    }

    /// <summary>Notes a record that cannot be replayed, or needs not.</summary>
    public void LeaveOut(string reason, DateTimeOffset? time)
    {
        Note(time);
        _left[reason] = _left.GetValueOrDefault(reason) + 1;
    }

    public void AddLost(ulong count) => Lost += count;

    private void Note(DateTimeOffset? time)
    {
        Records++;
        First = Earlier(First, time);
        Last = Later(Last, time);
    }

    private static DateTimeOffset? Earlier(DateTimeOffset? a, DateTimeOffset? b) => a is null || b < a ? b ?? a : a;

    private static DateTimeOffset? Later(DateTimeOffset? a, DateTimeOffset? b) => a is null || b > a ? b ?? a : a;
}
