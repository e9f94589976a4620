// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.</summary>
internal static class CiliumPolicyTranslation
{
    private const int MaximalLogLength = 32;

    public static PolicyTranslation Translate(
        TranslationContext context, PolicyRule? spec, IReadOnlyList<PolicyRule>? specs, CidrGroups groups)
    {
        if (spec is null && specs is null or { Count: 0 })
            context.Error("spec", "must have spec or specs");
        if (spec is not null)
            Translate(context, "spec", spec, groups);
        for (int i = 0; i < (specs?.Count ?? 0); i++)
            Translate(context, $"specs[{i}]", specs![i], groups);
        return context.Finish();
    }

    private static void Translate(TranslationContext context, string path, PolicyRule rule, CidrGroups groups)
    {
        IEnumerable<CiliumEntry> entries =
        [
            .. (rule.Ingress ?? []).Select((r, i) => CiliumEntry.From(r, false, $"{path}.ingress[{i}]")),
            .. (rule.IngressDeny ?? []).Select((r, i) => CiliumEntry.From(r, true, $"{path}.ingressDeny[{i}]")),
            .. (rule.Egress ?? []).Select((r, i) => CiliumEntry.From(r, false, $"{path}.egress[{i}]")),
            .. (rule.EgressDeny ?? []).Select((r, i) => CiliumEntry.From(r, true, $"{path}.egressDeny[{i}]")),
        ];
        if (!entries.Any())
            context.Error(path, "must have at least one of ingress, ingressDeny, egress, egressDeny");
        if (rule.Log?.Value is { Length: > MaximalLogLength })
            context.Error($"{path}.log.value", $"is longer than {MaximalLogLength} characters");
        UnknownFields.ReportRule(context, path, rule);
        (IdentitySelector? subject, bool isInit) = Subject(context, path, rule);
        Label[] labels = [.. (rule.Labels ?? []).Select(l => new Label(l.Source is { Length: > 0 } s ? s : Label.Unspecified, l.Key, l.Value ?? ""))];
        foreach (CiliumEntry entry in entries)
        {
            bool? written = entry.Direction == TrafficDirection.Ingress ? rule.EnableDefaultDeny?.Ingress : rule.EnableDefaultDeny?.Egress;
            ImmutableArray<IdentitySelector>? peers = CiliumPeers.Translate(context, entry, isInit, groups);
            IReadOnlyList<(ImmutableArray<L4Match> Ports, Redirect? Redirect)> ports =
                CiliumPorts.Translate(context, rule.NodeSelector is null ? entry : HostEntries.WithoutNames(context, entry));
            if (UnknownFields.ReportEntry(context, entry) && !entry.Deny)
                ports = [];
            if (subject is null)
                continue;
            context.Rules.AddRange(ports.Select(p => new NetworkRule
            {
                Subject = subject,
                Direction = entry.Direction,
                Action = entry.Deny ? RuleAction.Deny : RuleAction.Allow,
                DefaultDeny = written ?? true,
                Peers = peers,
                Ports = p.Ports,
                Redirect = p.Redirect,
                Origin = context.Origin(entry.Path, labels, rule.Log?.Value ?? ""),
            }));
        }
    }

    // Null: the rule is for nobody here, which was reported.
    private static (IdentitySelector? Selector, bool IsInit) Subject(TranslationContext context, string path, PolicyRule rule)
    {
        bool clusterwide = context.Key.Namespace.Length == 0;
        if (rule.EndpointSelector is null == rule.NodeSelector is null)
        {
            context.Error(path, "must have exactly one of endpointSelector and nodeSelector");
            return default;
        }

        if (rule.NodeSelector is { } nodes)
        {
            List<LabelRequirement> labels = SelectorTranslation.Requirements(context, $"{path}.nodeSelector", nodes, Label.Any);
            if (!clusterwide)
                context.Error($"{path}.nodeSelector", "is for CiliumClusterwideNetworkPolicy only");
            else if (context.Options.EnableHostFirewall)
                return (SelectorTranslation.NodeSubject(labels), false);
            else
                context.Warn($"{path}.nodeSelector", "has no effect: the host firewall is off (enable-host-firewall)");
            return default;
        }

        if (!clusterwide)
            return (SelectorTranslation.NamespacedSubject(context, $"{path}.endpointSelector", rule.EndpointSelector!, Label.Any), false);
        List<LabelRequirement> requirements =
            SelectorTranslation.Requirements(context, $"{path}.endpointSelector", rule.EndpointSelector!, Label.Any);
        bool isInit = requirements.Exists(r => r is { Source: Label.Reserved, Key: "init" });
        return (SelectorTranslation.ClusterwideSubject(requirements), isInit);
    }
}

/// <summary>The port, ICMP and protocol parts of a CiliumNetworkPolicy entry.</summary>
internal static class CiliumPorts
{
    /// <summary>Ports that go to a proxy are apart from those that do not. Never empty: also a rule for nothing closes its direction.</summary>
    public static IReadOnlyList<(ImmutableArray<L4Match> Ports, Redirect? Redirect)> Translate(TranslationContext context, CiliumEntry entry)
    {
        bool ports = entry.ToPorts is { Count: > 0 };
        bool icmps = entry.Icmps is { Count: > 0 };
        if (ports && icmps)
            context.Error($"{entry.Path}.icmps", "cannot be combined with toPorts");
        if (icmps && !context.Options.EnableIcmpRules)
            context.Error($"{entry.Path}.icmps", "needs enable-icmp-rules");
        List<(List<L4Match> Ports, Redirect? Redirect)> parts =
            ports ? [.. entry.ToPorts!.Select((r, i) => PortRule(context, entry, $"{entry.Path}.toPorts[{i}]", r))]
            : icmps ? [([.. entry.Icmps!.SelectMany((r, i) => IcmpRule(context, $"{entry.Path}.icmps[{i}]", r))], null)]
            : [([L4Match.AllPorts(L4Protocol.Any)], null)];
        if (Authenticates(context, entry))
            return [([], null)];
        return
        [
            .. parts.GroupBy(p => p.Redirect).Select(g => (g.SelectMany(p => p.Ports).ToImmutableArray(), g.Key)),
        ];
    }

    // Without mutual authentication nobody ever is authenticated, so what demands it lets nobody in.
    private static bool Authenticates(TranslationContext context, CiliumEntry entry)
    {
        string path = $"{entry.Path}.authentication.mode";
        switch (entry.Authentication)
        {
            case null or "disabled":
                return false;
            case "required" or "test-always-fail" when !entry.Deny:
                context.Warn(path, $"mutual authentication is {TranslationContext.NotAvailable}; the entry allows nothing");
                return true;
            case "required" or "test-always-fail":
                context.Error(path, "has no meaning in a deny rule");
                return false;
            default:
                context.Error(path, $"'{entry.Authentication}' is not one of disabled, required, test-always-fail");
                return false;
        }
    }

    private static (List<L4Match> Ports, Redirect? Redirect) PortRule(TranslationContext context, CiliumEntry entry, string path, PortRule rule)
    {
        IReadOnlyList<PortProtocol> ports = rule.Ports ?? [];
        if (ports.Count > PortTranslation.MaximalCount)
            context.Error($"{path}.ports", $"has {ports.Count} items, more than {PortTranslation.MaximalCount}");
        List<L4Match> matches = [.. ports.SelectMany((p, i) => PortTranslation.Port(context, $"{path}.ports[{i}]", p))];
        L7Validation.Check(context, entry, path, rule);
        DnsRedirect? names = NameTranslation.Redirect(context, entry, path, rule);
        if (ProxyField(rule) is not { } field)
            return ([.. matches.Where(m => names is null || m.Protocol != L4Protocol.Sctp)], names);

        // Letting the traffic pass unfiltered would allow more than the rule does.
        if (entry.Deny)
            context.Error($"{path}.{field}", "has no meaning in a deny rule");
        else
            context.Warn($"{path}.{field}", $"the proxy is {TranslationContext.NotAvailable}; the entry allows nothing");
        return ([], null);
    }

    /// <summary>The field that only a proxy can enforce that is not there; null where there is none.</summary>
    private static string? ProxyField(PortRule rule)
    {
        if (rule.TerminatingTLS is not null)
            return "terminatingTLS";
        if (rule.OriginatingTLS is not null)
            return "originatingTLS";
        if (rule.ServerNames is { Count: > 0 })
            return "serverNames";
        if (rule.Listener is not null)
            return "listener";
        if (rule.Rules is not { } l7)
            return null;
        if (l7.Http is { ValueKind: JsonValueKind.Array } http && http.GetArrayLength() > 0)
            return "rules.http";
        if (l7.Kafka is { ValueKind: JsonValueKind.Array } kafka && kafka.GetArrayLength() > 0)
            return "rules.kafka";
        if (l7.L7proto is { Length: > 0 })
            return "rules.l7proto";
        return null;
    }

    private static IEnumerable<L4Match> IcmpRule(TranslationContext context, string path, IcmpRule rule)
    {
        IReadOnlyList<IcmpField> fields = rule.Fields ?? [];
        if (fields.Count > PortTranslation.MaximalCount)
            context.Error($"{path}.fields", $"has {fields.Count} items, more than {PortTranslation.MaximalCount}");
        for (int i = 0; i < fields.Count; i++)
        {
            if (PortTranslation.Icmp(context, $"{path}.fields[{i}]", fields[i]) is { } match)
                yield return match;
        }
    }
}
