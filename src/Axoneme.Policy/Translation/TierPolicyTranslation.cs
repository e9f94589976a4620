// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Dns;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// ClusterNetworkPolicy, and the kinds before it. Rules of one object come one after the other. What this version does not know fails closed, as
/// the API wants it: an accepting rule then accepts nothing, another one denies everything.
/// </summary>
internal static class TierPolicyTranslation
{
    private const int MaximalPriority = 1000;

    // Rules of a policy follow each other, and the next priority comes behind the last of them: (1000 + 1) * 64 fits into the order's 16 bits.
    private const int RulesOfPriority = 64;

    public static PolicyTranslation Translate(TranslationContext context, ClusterNetworkPolicySpec spec)
    {
        PolicyTier tier = spec.Tier switch
        {
            "Admin" => PolicyTier.Admin,
            "Baseline" => PolicyTier.Baseline,
            _ => PolicyTier.Default,
        };
        if (tier == PolicyTier.Default)
            context.Error("spec.tier", $"'{spec.Tier}' is not one of Admin, Baseline");
        if (spec.Priority is null)
            context.Error("spec.priority", "is missing");
        UnknownOf(context, "spec", spec);
        return Translate(context, tier, spec.Priority ?? 0, spec.Subject, [.. TierRule.Of(spec)]);
    }

    public static PolicyTranslation Translate(TranslationContext context, AdminNetworkPolicySpec spec)
    {
        bool isBaseline = context.Key.Kind == PolicyKind.BaselineAdminNetworkPolicy;
        if (isBaseline && context.Key.Name != "default")
            context.Error("metadata.name", $"'{context.Key.Name}': the one BaselineAdminNetworkPolicy of a cluster is called default");
        if (!isBaseline && spec.Priority is null)
            context.Error("spec.priority", "is missing");
        UnknownOf(context, "spec", spec);
        PolicyTier tier = isBaseline ? PolicyTier.Baseline : PolicyTier.Admin;
        return Translate(context, tier, isBaseline ? 0 : spec.Priority ?? 0, spec.Subject, [.. TierRule.Of(spec)]);
    }

    private static PolicyTranslation Translate(
        TranslationContext context, PolicyTier tier, int priority, TierSubject? subject, TierRule[] rules)
    {
        if (priority is < 0 or > MaximalPriority)
            context.Error("spec.priority", $"{priority} is not in the range 0 to {MaximalPriority}");
        IdentitySelector? pods = Subject(context, subject);
        foreach (IGrouping<TrafficDirection, TierRule> direction in rules.GroupBy(r => r.Direction))
        {
            if (direction.Count() > RulesOfPriority)
                context.Error($"spec.{direction.Key.ToString().ToLowerInvariant()}", $"has {direction.Count()} items, more than {RulesOfPriority}");
        }

        foreach (TierRule rule in rules)
        {
            if (Translate(context, rule, tier) is not { } effect || pods is null)
                continue;
            var translated = new NetworkRule
            {
                Subject = pods,
                Direction = rule.Direction,
                Action = effect.Action,
                Tier = tier,
                Order = (ushort)((priority * RulesOfPriority) + Math.Min(rule.Index, RulesOfPriority - 1)),
                DefaultDeny = false,
                Peers = effect.Peers,
                Ports = effect.Ports,
                Origin = context.Origin(rule.Path),
            };
            context.Rules.Add(translated);
            if (effect.Names.Count > 0)
                context.Rules.Add(NameQuestions(context, translated, effect.Names));
        }

        return context.Finish();
    }

    private static LabelsSelector? Subject(TranslationContext context, TierSubject? subject)
    {
        if (subject is null || subject.Namespaces is null == subject.Pods is null)
        {
            context.Error("spec.subject", "must have exactly one of namespaces, pods");
            return null;
        }

        return new LabelsSelector(Pods(context, "spec.subject", subject.Namespaces, subject.Pods));
    }

    // Pods have a namespace, and nothing else does: nodes and the world are never meant.
    private static List<LabelRequirement> Pods(TranslationContext context, string path, LabelSelector? namespaces, TierPods? pods)
    {
        string field = namespaces is null ? $"{path}.pods.namespaceSelector" : $"{path}.namespaces";
        List<LabelRequirement> requirements = SelectorTranslation.Requirements(
            context, field, namespaces ?? pods!.NamespaceSelector, Label.Kubernetes, PodLabels.NamespaceLabelPrefix);
        if (pods is not null)
            requirements.AddRange(SelectorTranslation.Requirements(context, $"{path}.pods.podSelector", pods.PodSelector, Label.Kubernetes));
        requirements.Add(LabelRequirement.Exists(Label.Kubernetes, PodLabels.Namespace));
        return requirements;
    }

    // Null: the rule is wrong, which was reported.
    private static Effect? Translate(TranslationContext context, TierRule rule, PolicyTier tier)
    {
        RuleAction? action = rule.Action switch
        {
            "Deny" => RuleAction.Deny,
            "Pass" when !(tier == PolicyTier.Baseline && context.Key.Kind == PolicyKind.BaselineAdminNetworkPolicy) => RuleAction.Pass,
            { } word when word == rule.AllowWord => RuleAction.Allow,
            _ => null,
        };
        if (action is not { } known)
        {
            context.Error($"{rule.Path}.action", $"'{rule.Action}' is not one of {rule.AllowWord}, Deny, Pass");
            return null;
        }

        if (rule.Peers is not { Count: > 0 } peers)
        {
            context.Error(rule.PeersPath, "must have at least one peer");
            return null;
        }

        var names = new List<DnsPattern>();
        var selectors = new List<IdentitySelector>();
        bool failsClosed = false;
        for (int i = 0; i < peers.Count; i++)
            failsClosed |= !AddPeer(context, rule, $"{rule.PeersPath}[{i}]", peers[i], known, selectors, names);
        ImmutableArray<L4Match> ports = Ports(context, rule, ref failsClosed);
        if (!failsClosed)
            return new Effect(known, [.. selectors], ports, names);
        context.Warn(rule.Path, known == RuleAction.Allow
            ? "says something that this version does not know; the rule accepts nothing"
            : "says something that this version does not know; the rule denies everything");
        return known == RuleAction.Allow
            ? new Effect(known, [], ports, [])
            : new Effect(RuleAction.Deny, null, [L4Match.AllPorts(L4Protocol.Any)], []);
    }

    // False: a kind of peer that this version does not know.
    private static bool AddPeer(
        TranslationContext context, TierRule rule, string path, TierPeer peer, RuleAction action, List<IdentitySelector> selectors, List<DnsPattern> names)
    {
        int given = (peer.Namespaces is null ? 0 : 1) + (peer.Pods is null ? 0 : 1) + (peer.Nodes is null ? 0 : 1)
            + (peer.Networks is null ? 0 : 1) + (peer.DomainNames is null ? 0 : 1);
        if (given > 1)
            context.Error(path, "must have exactly one kind of peer");
        if (given == 0)
            return false;
        if (rule.Direction == TrafficDirection.Ingress && (peer.Nodes ?? (object?)peer.Networks ?? peer.DomainNames) is not null)
            context.Error(path, "nodes, networks and domainNames are for egress only");
        if (peer.Nodes is { } nodes)
            AddNodes(context, $"{path}.nodes", nodes, selectors);
        else if (peer.Networks is { } networks)
            selectors.AddRange(networks.Select((n, i) => context.Prefix($"{path}.networks[{i}]", n)).OfType<IpPrefix>().Select(p => new CidrSelector(p)));
        else if (peer.DomainNames is { } domains)
            AddNames(context, $"{path}.domainNames", domains, action, selectors, names);
        else
            selectors.Add(SelectorTranslation.InLocalCluster(context, Pods(context, path, peer.Namespaces, peer.Pods)));
        return peer.UnknownFields is not { Count: > 0 };
    }

    private static void AddNodes(TranslationContext context, string path, LabelSelector nodes, List<IdentitySelector> selectors)
    {
        if (!context.Options.EnableNodeSelectorLabels)
        {
            context.Error(path, "needs enable-node-selector-labels");
            return;
        }

        selectors.Add(SelectorTranslation.Nodes(context, path, nodes));
        // The own node's identity has the labels of its Node object as those of Kubernetes.
        List<LabelRequirement> own = SelectorTranslation.Requirements(context, path, nodes, Label.Kubernetes);
        own.Add(LabelRequirement.Exists(Label.Reserved, "host"));
        selectors.Add(new LabelsSelector(own));
    }

    private static void AddNames(
        TranslationContext context, string path, IReadOnlyList<string> domains, RuleAction action, List<IdentitySelector> selectors, List<DnsPattern> names)
    {
        if (action != RuleAction.Allow)
            context.Error(path, "is for rules that accept only");
        for (int i = 0; i < domains.Count; i++)
        {
            // One star in front stands for any number of labels here, and for one in other policies.
            string written = domains[i].StartsWith("*.", StringComparison.Ordinal) ? "*" + domains[i] : domains[i];
            bool valid = written.Contains('*')
                ? DnsPattern.TryParsePattern(written, out DnsPattern pattern, out string problem)
                : DnsPattern.TryParseName(written, out pattern, out problem);
            if (!valid)
            {
                context.Error($"{path}[{i}]", problem);
                continue;
            }

            names.Add(pattern);
            selectors.Add(new FqdnSelector(pattern));
        }
    }

    /// <summary>Names have addresses only when somebody sees them asked for: the questions to the cluster's own servers are allowed and read.</summary>
    private static NetworkRule NameQuestions(TranslationContext context, NetworkRule rule, List<DnsPattern> names)
    {
        List<LabelRequirement> servers =
        [
            LabelRequirement.Equal(Label.Kubernetes, PodLabels.Namespace, "kube-system"), LabelRequirement.Equal(Label.Kubernetes, "k8s-app", "kube-dns"),
        ];
        return rule with
        {
            Action = RuleAction.Allow,
            Peers = [SelectorTranslation.InLocalCluster(context, servers)],
            Ports = [L4Match.Named(L4Protocol.Udp, "dns"), L4Match.Named(L4Protocol.Tcp, "dns-tcp")],
            Redirect = DnsRedirect.Of(names),
        };
    }

    private static ImmutableArray<L4Match> Ports(TranslationContext context, TierRule rule, ref bool failsClosed)
    {
        if (rule.Ports is not { } items)
            return [L4Match.AllPorts(L4Protocol.Any)];
        var ports = ImmutableArray.CreateBuilder<L4Match>();
        foreach (TierPortMatch item in items)
        {
            if (item.Given > 1)
                context.Error(item.Path, "must have exactly one field");
            failsClosed |= item.Given == 0 || item.IsUnknown;
            if (item.Given == 1 && Port(context, item) is { } match)
                ports.Add(match);
        }

        return ports.ToImmutable();
    }

    private static L4Match? Port(TranslationContext context, TierPortMatch item)
    {
        if (item.Name is { } name)
            return L4Match.Named(L4Protocol.Any, name.ToLowerInvariant());
        L4Protocol protocol = item.Protocol;
        if (item.ProtocolText is { } text
            && !(text is "TCP" or "UDP" or "SCTP" && Enum.TryParse(text, ignoreCase: true, out protocol)))
        {
            context.Error($"{item.Path}.protocol", $"'{text}' is not one of TCP, UDP, SCTP");
            return null;
        }

        if (protocol == L4Protocol.Sctp && !context.Options.EnableSctp)
        {
            context.Warn(item.Path, "SCTP is not enabled (enable-sctp); the item has no effect");
            return null;
        }

        if (item.First is not { } first)
            return L4Match.AllPorts(protocol);
        if (first is >= 1 and <= ushort.MaxValue && item.Last is { } last && last >= first && last <= ushort.MaxValue)
            return new L4Match(protocol, (ushort)first, (ushort)last);
        context.Error(item.Path, $"{first} to {item.Last} is no range of ports from 1 to 65535");
        return null;
    }

    private static void UnknownOf(TranslationContext context, string path, PolicyElement element)
    {
        foreach (string field in (element.UnknownFields?.Keys ?? []).Order(StringComparer.Ordinal))
            context.Warn($"{path}.{field}", "is no field that this version knows; it has no effect");
    }

    private sealed record Effect(RuleAction Action, ImmutableArray<IdentitySelector>? Peers, ImmutableArray<L4Match> Ports, List<DnsPattern> Names);
}
