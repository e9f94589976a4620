// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>A rule in a few words.</summary>
public static class RuleText
{
    // A line of text; the object has all of them.
    private const int Named = 4;

    public static string PeersOf(NetworkRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        if (rule.Peers is not { } peers)
            return "anyone";
        if (peers.IsEmpty)
            return "nobody";
        return List(peers.Select(PeerOf), peers.Length);
    }

    public static string PortsOf(NetworkRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        return rule.Ports.IsEmpty ? "no port" : List(rule.Ports.Select(PortOf), rule.Ports.Length);
    }

    // The namespace and cluster are said in every selector; what is left tells them apart.
    private static string PeerOf(IdentitySelector selector)
    {
        switch (selector)
        {
            case LabelsSelector labels:
                string[] shown =
                [
                    .. labels.Requirements.Where(r => !(r.Key == PodLabels.Cluster && r.Operator == LabelOperator.In))
                        .Where(r => !IsNode(r)).Select(r => r.ToString()).Select(Shorten),
                ];
                if (labels.Requirements.Any(IsNode))
                    return shown.Length == 0 ? "every other node" : $"nodes with {string.Join(" and ", shown)}";
                return shown.Length == 0 ? "every endpoint" : string.Join(" and ", shown);
            case EntitySelector entity:
                return $"entity {entity.Name}";
            default:
                return selector.Text;
        }
    }

    private static bool IsNode(LabelRequirement requirement) => requirement is { Source: Label.Reserved, Key: ReservedIdentities.RemoteNode, Operator: LabelOperator.Exists };

    private static string Shorten(string requirement)
    {
        if (requirement == $"{Label.Kubernetes}:{PodLabels.Namespace}")
            return "any namespace";
        string text = requirement.Replace($"{Label.Kubernetes}:{PodLabels.Namespace}=", "namespace ", StringComparison.Ordinal)
            .Replace($"{Label.Kubernetes}:{PodLabels.NamespaceLabelPrefix}", "namespace label ", StringComparison.Ordinal);
        return text.StartsWith("any:", StringComparison.Ordinal) || text.StartsWith("k8s:", StringComparison.Ordinal) ? text[4..]
            : text.StartsWith($"{NodeLabels.Source}:", StringComparison.Ordinal) ? text[(NodeLabels.Source.Length + 1)..] : text;
    }

    private static string PortOf(L4Match match)
    {
        if (match.Name is { } name)
            return $"port {name}{(match.Protocol == L4Protocol.Any ? "" : $"/{PortText.NameOf(match.Protocol)}")}";
        if (match.Protocol == L4Protocol.Any)
            return "every port";
        if (match is { First: 0, Last: ushort.MaxValue })
            return $"every {PortText.NameOf(match.Protocol)} port";
        return match.First == match.Last ? PortText.Of(match.Protocol, match.First) : $"{match.First}-{match.Last}/{PortText.NameOf(match.Protocol)}";
    }

    private static string List(IEnumerable<string> items, int count)
    {
        string list = string.Join(", ", items.Take(Named));
        return count > Named ? $"{list} and {count - Named} more" : list;
    }
}
