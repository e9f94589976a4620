// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Addresses outside the cluster that answers gave for names of the pattern. An identity stands for all addresses with the same set of such
/// patterns and says so in its labels.
/// </summary>
public sealed class FqdnSelector : IdentitySelector
{
    /// <summary>Source of the labels.</summary>
    public const string LabelSource = "fqdn";

    public FqdnSelector(DnsPattern pattern)
        : base($"fqdn {pattern}")
    {
        Pattern = pattern;
        Hints = [(pattern.Text, "")];
    }

    public DnsPattern Pattern { get; }

    internal override IReadOnlyList<(string Key, string Value)>? Hints { get; }

    public override bool Matches(PolicyIdentity identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        return identity.Labels.Contains(LabelSource, Pattern.Text);
    }

    /// <summary>Labels of the identity of addresses that have these patterns and lie in that narrowest block of a policy.</summary>
    /// <param name="patterns">Texts of the patterns.</param>
    /// <param name="around">Null: no policy mentions a block around the addresses.</param>
    /// <param name="isV6">Family of the addresses; counts where both are on.</param>
    /// <param name="dualStack">Both families are on.</param>
    internal static LabelSet IdentityLabels(IEnumerable<string> patterns, IpPrefix? around, bool isV6, bool dualStack)
    {
        IEnumerable<Label> labels = patterns.Select(p => new Label(LabelSource, p, "")).Append(CidrLabels.WorldOf(isV6, dualStack));
        return LabelSet.From(around is { } block ? labels.Append(CidrLabels.Of(block)) : labels);
    }
}
