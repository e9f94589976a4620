// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>An identity as selectors see it.</summary>
public sealed class PolicyIdentity
{
    public PolicyIdentity(SecurityIdentity id, LabelSet labels, NamedPorts? ports = null)
    {
        Id = id;
        Labels = labels;
        Ports = ports ?? NamedPorts.Empty;
        Cidrs = CidrLabels.All(labels);
    }

    public SecurityIdentity Id { get; }

    public LabelSet Labels { get; }

    /// <summary>Container ports of all pods with the identity.</summary>
    public NamedPorts Ports { get; }

    /// <summary>The narrowest block of addresses that it stands for; null for what has none.</summary>
    public IpPrefix? Cidr => Cidrs.IsEmpty ? null : Cidrs[0];

    /// <summary>
    /// Address blocks, narrowest first: one for a block outside the cluster; the addresses of a node, or the blocks around a pod, where
    /// blocks are to select those.
    /// </summary>
    public ImmutableArray<IpPrefix> Cidrs { get; }

    /// <summary>True for the identity of outside addresses that no block is known for; "world" alone is both families.</summary>
    internal bool IsWorldOf(bool v6)
        => Labels.Contains(Label.Reserved, CidrLabels.World) || Labels.Contains(Label.Reserved, v6 ? CidrLabels.WorldV6 : CidrLabels.WorldV4);
}

/// <summary>Address blocks as labels: <c>cidr:10.0.0.0/8</c>; in IPv6 '-' stands for ':', and no end is left open (<c>cidr:2001-db8--0/32</c>).</summary>
public static class CidrLabels
{
    internal const string World = "world";
    internal const string WorldV4 = "world-ipv4";
    internal const string WorldV6 = "world-ipv6";

    public static Label Of(IpPrefix prefix)
    {
        string address = prefix.Address.ToString();
        if (prefix.IsV6)
        {
            address = address.Replace(':', '-');
            address = (address.StartsWith('-') ? "0" : "") + address + (address.EndsWith('-') ? "0" : "");
        }

        return new Label(Label.Cidr, $"{address}/{prefix.Length}", "");
    }

    /// <summary>Labels of the identity of a block.</summary>
    public static LabelSet IdentityLabels(IpPrefix prefix, bool dualStack)
        => LabelSet.From([Of(prefix), WorldOf(prefix.IsV6, dualStack)]);

    internal static Label WorldOf(bool isV6, bool dualStack) => new(Label.Reserved, dualStack ? (isV6 ? WorldV6 : WorldV4) : World, "");

    /// <summary>The block that the labels name; the narrowest where they name several.</summary>
    public static IpPrefix? Find(LabelSet labels) => All(labels) is [var narrowest, ..] ? narrowest : null;

    /// <summary>The blocks that the labels name, narrowest first.</summary>
    public static ImmutableArray<IpPrefix> All(LabelSet labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ImmutableArray<IpPrefix> found = [];
        foreach (Label label in labels)
        {
            if (label.Source == Label.Cidr && IpPrefix.TryParse(label.Key.Replace('-', ':'), out IpPrefix prefix))
                found = found.Add(prefix);
        }

        return found.Length < 2 ? found : [.. found.OrderByDescending(p => p.Length).ThenBy(p => p)];
    }
}
