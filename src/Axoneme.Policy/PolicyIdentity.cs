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
        Cidr = CidrLabels.Find(labels);
    }

    public SecurityIdentity Id { get; }

    public LabelSet Labels { get; }

    /// <summary>Container ports of all pods with the identity.</summary>
    public NamedPorts Ports { get; }

    /// <summary>The block of addresses outside the cluster that it stands for; null for everything else.</summary>
    public IpPrefix? Cidr { get; }

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
        => LabelSet.From([Of(prefix), new Label(Label.Reserved, dualStack ? (prefix.IsV6 ? WorldV6 : WorldV4) : World, "")]);

    /// <summary>The block that the labels name; the narrowest where they name several.</summary>
    public static IpPrefix? Find(LabelSet labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        IpPrefix? found = null;
        foreach (Label label in labels)
        {
            if (label.Source == Label.Cidr && IpPrefix.TryParse(label.Key.Replace('-', ':'), out IpPrefix prefix)
                && (found is null || prefix.Length > found.Value.Length))
                found = prefix;
        }

        return found;
    }
}
