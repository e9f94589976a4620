// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using FqdnConfig = Axoneme.Kubernetes.Resources.FqdnSelector;

namespace Axoneme.Policy;

/// <summary>An ingress or egress entry of a CiliumNetworkPolicy, with the names that its fields have in that direction.</summary>
internal sealed record CiliumEntry(TrafficDirection Direction, bool Deny, string Path)
{
    public IReadOnlyList<LabelSelector>? Endpoints { get; init; }

    public IReadOnlyList<string>? Requires { get; init; }

    public IReadOnlyList<string>? Cidrs { get; init; }

    public IReadOnlyList<CIDRRule>? CidrSet { get; init; }

    public IReadOnlyList<string>? Entities { get; init; }

    public IReadOnlyList<PeerGroup>? Groups { get; init; }

    public IReadOnlyList<LabelSelector>? Nodes { get; init; }

    public IReadOnlyList<PeerService>? Services { get; init; }

    public IReadOnlyList<FqdnConfig>? Fqdns { get; init; }

    public IReadOnlyList<PortRule>? ToPorts { get; init; }

    public IReadOnlyList<IcmpRule>? Icmps { get; init; }

    public string? Authentication { get; init; }

    /// <summary>The entry as it came.</summary>
    public PolicyElement? Written { get; init; }

    /// <summary><c>spec.ingress[0].fromCIDR</c> for <c>CIDR</c>.</summary>
    public string PeerField(string name) => $"{Path}.{(Direction == TrafficDirection.Ingress ? "from" : "to")}{name}";

    public static CiliumEntry From(IngressRule rule, bool deny, string path) => new(TrafficDirection.Ingress, deny, path)
    {
        Endpoints = rule.FromEndpoints,
        Requires = rule.FromRequires,
        Cidrs = rule.FromCIDR,
        CidrSet = rule.FromCIDRSet,
        Entities = rule.FromEntities,
        Groups = rule.FromGroups,
        Nodes = rule.FromNodes,
        ToPorts = rule.ToPorts,
        Icmps = rule.Icmps,
        Authentication = rule.Authentication?.Mode,
        Written = rule,
    };

    public static CiliumEntry From(EgressRule rule, bool deny, string path) => new(TrafficDirection.Egress, deny, path)
    {
        Endpoints = rule.ToEndpoints,
        Requires = rule.ToRequires,
        Cidrs = rule.ToCIDR,
        CidrSet = rule.ToCIDRSet,
        Entities = rule.ToEntities,
        Groups = rule.ToGroups,
        Nodes = rule.ToNodes,
        Services = rule.ToServices,
        Fqdns = rule.ToFQDNs,
        ToPorts = rule.ToPorts,
        Icmps = rule.Icmps,
        Authentication = rule.Authentication?.Mode,
        Written = rule,
    };
}

/// <summary>The peer members of a CiliumNetworkPolicy entry.</summary>
internal static class CiliumPeers
{
    /// <summary>Null: anyone; empty: nobody.</summary>
    public static ImmutableArray<IdentitySelector>? Translate(
        TranslationContext context, CiliumEntry entry, bool subjectIsInit, CidrGroups groups)
    {
        CheckMembers(context, entry);
        bool restricts = entry.Endpoints is not null || entry.Cidrs is not null || entry.CidrSet is not null || entry.Entities is not null
            || entry.Nodes is not null || entry.Groups is { Count: > 0 } || entry.Services is { Count: > 0 } || entry.Fqdns is { Count: > 0 };
        if (!restricts)
            return entry.ToPorts is { Count: > 0 } || entry.Icmps is { Count: > 0 } ? null : [];

        var selectors = new List<IdentitySelector>();
        Each(entry.Endpoints, (i, s) => selectors.Add(
            SelectorTranslation.Peer(context, $"{entry.PeerField("Endpoints")}[{i}]", s, subjectIsInit)));
        Each(entry.Cidrs, (i, cidr) =>
        {
            if (context.Prefix($"{entry.PeerField("CIDR")}[{i}]", cidr) is { } prefix)
                selectors.Add(new CidrSelector(prefix));
        });
        Each(entry.CidrSet, (i, rule) => selectors.AddRange(CidrRule(context, $"{entry.PeerField("CIDRSet")}[{i}]", rule, groups)));
        Each(entry.Groups, (i, group) => selectors.AddRange(Group(context, $"{entry.PeerField("Groups")}[{i}]", group, groups)));
        Each(entry.Nodes, (i, s) => selectors.Add(SelectorTranslation.Nodes(context, $"{entry.PeerField("Nodes")}[{i}]", s)));
        Each(entry.Services, (i, service) => selectors.AddRange(
            ServicePeers.Translate(context, $"{entry.PeerField("Services")}[{i}]", service)));
        Each(entry.Fqdns, (i, name) =>
        {
            if (NameTranslation.Pattern(context, $"{entry.PeerField("FQDNs")}[{i}]", name) is { } pattern)
                selectors.Add(new FqdnSelector(pattern));
        });
        bool everyone = false;
        Each(entry.Entities, (i, name) =>
        {
            everyone |= name == "all";
            if (Entities.Find(name, context.Options.ClusterName) is { } found)
                selectors.AddRange(found);
            else if (name != "all")
                context.Error($"{entry.PeerField("Entities")}[{i}]", $"'{name}' is no entity");
        });
        return everyone ? null : [.. selectors];
    }

    private static void CheckMembers(TranslationContext context, CiliumEntry entry)
    {
        (string Name, int Count)[] members =
        [
            ("Endpoints", entry.Endpoints?.Count ?? 0), ("CIDR", entry.Cidrs?.Count ?? 0), ("CIDRSet", entry.CidrSet?.Count ?? 0),
            ("Entities", entry.Entities?.Count ?? 0), ("Groups", entry.Groups?.Count ?? 0), ("Nodes", entry.Nodes?.Count ?? 0),
            ("Services", entry.Services?.Count ?? 0), ("FQDNs", entry.Fqdns?.Count ?? 0),
        ];
        string[] used = [.. members.Where(m => m.Count > 0).Select(m => entry.PeerField(m.Name)[(entry.Path.Length + 1)..])];
        if (used.Length > 1)
            context.Error(entry.Path, $"combining {string.Join(" and ", used)} is not supported");
        if (entry.Requires is { Count: > 0 })
            context.Error(entry.PeerField("Requires"), "has been removed; select the peers in one list");
        if (entry.Nodes is not null && !context.Options.EnableNodeSelectorLabels)
            context.Error(entry.PeerField("Nodes"), "needs enable-node-selector-labels");
        if (entry.Fqdns is { Count: > 0 } && entry.Deny)
            context.Error(entry.PeerField("FQDNs"), "is for allow rules only: a name's addresses are not all known");
    }

    private static IEnumerable<IdentitySelector> CidrRule(TranslationContext context, string path, CIDRRule rule, CidrGroups groups)
    {
        int kinds = (rule.Cidr is null ? 0 : 1) + (rule.CidrGroupRef is null ? 0 : 1) + (rule.CidrGroupSelector is null ? 0 : 1);
        if (kinds != 1)
        {
            context.Error(path, "must have exactly one of cidr, cidrGroupRef, cidrGroupSelector");
            return [];
        }

        IpPrefix? prefix = rule.Cidr is null ? null : context.Prefix($"{path}.cidr", rule.Cidr);
        List<IpPrefix> except = context.Exceptions($"{path}.except", rule.Except, prefix);
        if (rule.Cidr is not null)
            return prefix is { } valid ? [new CidrSelector(valid, except)] : [];
        if (rule.CidrGroupSelector is { } selector)
            SelectorTranslation.Requirements(context, $"{path}.cidrGroupSelector", selector, Label.Any);
        context.References.CidrGroups = true;
        IEnumerable<IpPrefix> members = rule.CidrGroupRef is { } name ? groups.Find(name) : groups.Select(rule.CidrGroupSelector!);
        return members.Select(m => new CidrSelector(m, except.Where(m.Contains)));
    }

    private static IEnumerable<IdentitySelector> Group(TranslationContext context, string path, PeerGroup group, CidrGroups groups)
    {
        if (group.Aws is null)
        {
            context.Error(path, "must have aws");
            return [];
        }

        context.References.CidrGroups = true;
        return groups.WithLabel(ExternalGroups.LabelOf(group)).Distinct().Select(prefix => new CidrSelector(prefix));
    }

    private static void Each<T>(IReadOnlyList<T>? items, Action<int, T> action)
    {
        for (int i = 0; i < (items?.Count ?? 0); i++)
            action(i, items![i]);
    }
}
