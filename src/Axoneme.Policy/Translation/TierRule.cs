// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>A rule of a policy with a tier, whichever kind it came by.</summary>
internal sealed record TierRule(TrafficDirection Direction, string Path, int Index)
{
    public string? Action { get; init; }

    /// <summary>The word for allowing: Accept or Allow.</summary>
    public required string AllowWord { get; init; }

    public IReadOnlyList<TierPeer>? Peers { get; init; }

    /// <summary>Null: every port of every protocol.</summary>
    public IReadOnlyList<TierPortMatch>? Ports { get; init; }

    public string PeersPath => $"{Path}.{(Direction == TrafficDirection.Ingress ? "from" : "to")}";

    public static IEnumerable<TierRule> Of(ClusterNetworkPolicySpec spec)
        => Each(spec.Ingress, TrafficDirection.Ingress, Of).Concat(Each(spec.Egress, TrafficDirection.Egress, Of));

    public static IEnumerable<TierRule> Of(AdminNetworkPolicySpec spec)
        => Each(spec.Ingress, TrafficDirection.Ingress, Of).Concat(Each(spec.Egress, TrafficDirection.Egress, Of));

    private static TierRule Of(ClusterNetworkPolicyRule rule, TrafficDirection direction, string path, int index) => new(direction, path, index)
    {
        Action = rule.Action,
        AllowWord = "Accept",
        Peers = direction == TrafficDirection.Ingress ? rule.From : rule.To,
        Ports = rule.Protocols?.Select((p, i) => Of(p, $"{path}.protocols[{i}]")).ToArray(),
    };

    private static TierRule Of(AdminNetworkPolicyRule rule, TrafficDirection direction, string path, int index) => new(direction, path, index)
    {
        Action = rule.Action,
        AllowWord = "Allow",
        Peers = direction == TrafficDirection.Ingress ? rule.From : rule.To,
        Ports = rule.Ports?.Select((p, i) => Of(p, $"{path}.ports[{i}]")).ToArray(),
    };

    private static TierPortMatch Of(TierProtocol written, string path)
    {
        (string Name, L4Protocol Protocol, TierProtocolPorts? Ports)[] known =
            [("tcp", L4Protocol.Tcp, written.Tcp), ("udp", L4Protocol.Udp, written.Udp), ("sctp", L4Protocol.Sctp, written.Sctp)];
        bool isUnknown = written.UnknownFields is { Count: > 0 } || Array.Exists(known, k => IsUnknown(k.Ports));
        (string name, L4Protocol protocol, TierProtocolPorts? ports) = Array.Find(known, k => k.Ports is not null);
        int given = known.Count(k => k.Ports is not null) + (written.DestinationNamedPort is null ? 0 : 1);
        if (written.DestinationNamedPort is { } named)
            return new TierPortMatch(path, given, isUnknown) { Name = named };
        TierPort? port = ports?.DestinationPort;
        return new TierPortMatch($"{path}{(name is null ? "" : "." + name)}", given, isUnknown)
        {
            Protocol = protocol,
            First = port?.Number ?? port?.Range?.Start,
            Last = port?.Number ?? port?.Range?.End,
        };
    }

    private static TierPortMatch Of(AdminNetworkPolicyPort written, string path)
    {
        bool isUnknown = written.UnknownFields is { Count: > 0 };
        int given = (written.PortNumber is null ? 0 : 1) + (written.PortRange is null ? 0 : 1) + (written.NamedPort is null ? 0 : 1);
        if (written.NamedPort is { } named)
            return new TierPortMatch(path, given, isUnknown) { Name = named };
        return new TierPortMatch($"{path}.{(written.PortRange is null ? "portNumber" : "portRange")}", given, isUnknown)
        {
            ProtocolText = written.PortNumber?.Protocol ?? written.PortRange?.Protocol ?? "TCP",
            First = written.PortNumber?.Port ?? written.PortRange?.Start,
            Last = written.PortNumber?.Port ?? written.PortRange?.End,
        };
    }

    private static bool IsUnknown(TierProtocolPorts? ports)
        => ports?.UnknownFields is { Count: > 0 } || ports?.DestinationPort?.UnknownFields is { Count: > 0 };

    private static IEnumerable<TierRule> Each<T>(
        IReadOnlyList<T>? rules, TrafficDirection direction, Func<T, TrafficDirection, string, int, TierRule> translate)
        => (rules ?? []).Select((rule, i) => translate(rule, direction, $"spec.{direction.ToString().ToLowerInvariant()}[{i}]", i));
}

/// <summary>One item of a rule's ports or protocols.</summary>
/// <param name="Path">Field.</param>
/// <param name="Given">How many of the fields are there of which one must be; 0: a kind that this version does not know.</param>
/// <param name="IsUnknown">Something inside is not known.</param>
internal sealed record TierPortMatch(string Path, int Given, bool IsUnknown)
{
    public string? Name { get; init; }

    public L4Protocol Protocol { get; init; }

    /// <summary>As written; null where the field's name says it.</summary>
    public string? ProtocolText { get; init; }

    /// <summary>Null: every port.</summary>
    public int? First { get; init; }

    public int? Last { get; init; }
}
