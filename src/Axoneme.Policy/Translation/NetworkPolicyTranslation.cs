// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>The Kubernetes NetworkPolicy: allow rules only, each closing its direction.</summary>
internal static class NetworkPolicyTranslation
{
    public static PolicyTranslation Translate(NetworkPolicy policy, PolicyOptions options)
    {
        var key = new PolicyObjectKey(PolicyKind.NetworkPolicy, policy.Metadata.Namespace, policy.Metadata.Name);
        var context = new TranslationContext(key, policy.Metadata, options);
        NetworkPolicySpec spec = policy.Spec;
        IdentitySelector subject = SelectorTranslation.NamespacedSubject(
            context, "spec.podSelector", spec.PodSelector ?? LabelSelector.Everything, Label.Kubernetes);
        IReadOnlyList<string> types = spec.PolicyTypes ?? [];
        for (int i = 0; i < types.Count; i++)
        {
            if (types[i] is not ("Ingress" or "Egress"))
                context.Error($"spec.policyTypes[{i}]", $"'{types[i]}' is not one of Ingress, Egress");
        }

        bool egress = types.Contains("Egress") || spec.Egress is { Count: > 0 };
        bool ingress = types.Contains("Ingress") || !types.Contains("Egress");
        for (int i = 0; i < (spec.Ingress?.Count ?? 0); i++)
        {
            NetworkPolicyIngressRule rule = spec.Ingress![i];
            AddRule(context, subject, TrafficDirection.Ingress, $"spec.ingress[{i}]", "from", rule.From, rule.Ports);
        }

        for (int i = 0; i < (spec.Egress?.Count ?? 0); i++)
        {
            NetworkPolicyEgressRule rule = spec.Egress![i];
            AddRule(context, subject, TrafficDirection.Egress, $"spec.egress[{i}]", "to", rule.To, rule.Ports);
        }

        // A direction that is isolated without a rule is closed by a rule that allows nobody.
        if (ingress && spec.Ingress is null or { Count: 0 })
            AddIsolation(context, subject, TrafficDirection.Ingress);
        if (egress && spec.Egress is null or { Count: 0 })
            AddIsolation(context, subject, TrafficDirection.Egress);
        return context.Finish();
    }

    private static void AddIsolation(TranslationContext context, IdentitySelector subject, TrafficDirection direction)
        => context.Rules.Add(new NetworkRule
        {
            Subject = subject,
            Direction = direction,
            Peers = [],
            Origin = context.Origin($"spec.policyTypes ({direction})"),
        });

    private static void AddRule(
        TranslationContext context, IdentitySelector subject, TrafficDirection direction, string path, string peersField,
        IReadOnlyList<NetworkPolicyPeer>? peers, IReadOnlyList<NetworkPolicyPort>? ports)
    {
        ImmutableArray<L4Match> matches = [L4Match.AllPorts(L4Protocol.Any)];
        if (ports is { Count: > 0 })
            matches = [.. ports.SelectMany((p, i) => PortTranslation.Port(context, $"{path}.ports[{i}]", p))];
        ImmutableArray<IdentitySelector>? selectors = null;
        if (peers is { Count: > 0 })
            selectors = [.. peers.Select((p, i) => Peer(context, $"{path}.{peersField}[{i}]", p)).OfType<IdentitySelector>()];
        context.Rules.Add(new NetworkRule
        {
            Subject = subject,
            Direction = direction,
            Peers = selectors,
            Ports = matches,
            Origin = context.Origin(path),
        });
    }

    private static IdentitySelector? Peer(TranslationContext context, string path, NetworkPolicyPeer peer)
    {
        if (peer.IpBlock is not { } block)
        {
            if (peer.PodSelector is not null || peer.NamespaceSelector is not null)
                return SelectorTranslation.KubernetesPeer(context, path, peer.PodSelector, peer.NamespaceSelector);
            context.Error(path, "must have one of podSelector, namespaceSelector, ipBlock");
            return null;
        }

        if (peer.PodSelector is not null || peer.NamespaceSelector is not null)
            context.Error(path, "ipBlock excludes podSelector and namespaceSelector");
        IpPrefix? prefix = context.Prefix($"{path}.ipBlock.cidr", block.Cidr);
        List<IpPrefix> except = context.Exceptions($"{path}.ipBlock.except", block.Except, prefix);
        return prefix is { } valid ? new CidrSelector(valid, except) : null;
    }
}
