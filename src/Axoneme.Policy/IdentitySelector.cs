// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

public enum LabelOperator : byte
{
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// <summary>One condition on a label. Source <c>any</c> looks at every source. Values are sorted.</summary>
public sealed class LabelRequirement
{
    public LabelRequirement(string source, string key, LabelOperator comparison, params IEnumerable<string> values)
    {
        Source = source;
        Key = key;
        Operator = comparison;
        Values = [.. values.Distinct().Order(StringComparer.Ordinal)];
    }

    public string Source { get; }

    public string Key { get; }

    public LabelOperator Operator { get; }

    public ImmutableArray<string> Values { get; }

    public static LabelRequirement Equal(string source, string key, string value) => new(source, key, LabelOperator.In, value);

    public static LabelRequirement Exists(string source, string key) => new(source, key, LabelOperator.Exists);

    /// <summary>It holds where the label is missing.</summary>
    internal bool IsInverted => Operator is LabelOperator.NotIn or LabelOperator.DoesNotExist;

    public bool Matches(LabelSet labels)
    {
        bool inverted = IsInverted;
        foreach (Label label in labels)
        {
            if (label.Key != Key || (Source != Label.Any && label.Source != Source))
                continue;
            if (Operator is LabelOperator.Exists or LabelOperator.DoesNotExist || Values.Contains(label.Value))
                return !inverted;
        }

        return inverted;
    }

    public override string ToString() => Operator switch
    {
        LabelOperator.In when Values.Length == 1 => $"{Source}:{Key}={Values[0]}",
        LabelOperator.In => $"{Source}:{Key} in ({string.Join(',', Values)})",
        LabelOperator.NotIn => $"{Source}:{Key} notin ({string.Join(',', Values)})",
        LabelOperator.Exists => $"{Source}:{Key}",
        _ => $"!{Source}:{Key}",
    };
}

/// <summary>Selects identities by what they are. Selectors with the same text are the same selector.</summary>
public abstract class IdentitySelector : IEquatable<IdentitySelector>
{
    protected IdentitySelector(string text) => Text = text;

    public string Text { get; }

    public abstract bool Matches(PolicyIdentity identity);

    /// <summary>Sets of labels of which an identity must have one for a match; null: the labels do not narrow the search.</summary>
    internal virtual IReadOnlyList<(string Key, string Value)>? Hints => null;

    /// <summary>
    /// The classes that the selector selects whole by what it asks for, as long as their members have the labels that such members always
    /// have. It follows from the kind of the selector and never from which identities there happen to be: a policy map then has one entry
    /// for the class, which also holds for identities that are not known yet.
    /// </summary>
    internal virtual IReadOnlyList<SecurityIdentity> WholeClasses(PolicyOptions options) => [];

    /// <summary>True where a pod could be selected of which no labels are known: nothing that it asks for rules that out.</summary>
    internal virtual bool MayMeanUnknownPod => false;

    public bool Equals(IdentitySelector? other) => other is not null && Text == other.Text;

    public override bool Equals(object? obj) => Equals(obj as IdentitySelector);

    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Text;
}

/// <summary>All of the requirements hold. None at all selects every identity.</summary>
public sealed class LabelsSelector : IdentitySelector
{
    public LabelsSelector(params IEnumerable<LabelRequirement> requirements)
        : this([.. requirements.DistinctBy(r => r.ToString()).OrderBy(r => r.ToString(), StringComparer.Ordinal)])
    {
    }

    private LabelsSelector(ImmutableArray<LabelRequirement> requirements)
        : base($"{{{string.Join(" & ", requirements)}}}")
    {
        Requirements = requirements;
        LabelRequirement? best = requirements.Where(r => r.Operator == LabelOperator.In).MinBy(Commonness);
        Hints = best is null ? null : [.. best.Values.Select(v => (best.Key, v))];
    }

    public ImmutableArray<LabelRequirement> Requirements { get; }

    internal override IReadOnlyList<(string Key, string Value)>? Hints { get; }

    // A hint that many share is a poor one: all pods have the cluster, and all pods of a namespace the namespace.
    private static int Commonness(LabelRequirement requirement) => requirement.Key switch
    {
        PodLabels.Cluster => 3,
        PodLabels.ServiceAccount => 2,
        PodLabels.Namespace => 1,
        _ => 0,
    };

    internal override bool MayMeanUnknownPod
        => Requirements.All(r => r.Source is Label.Kubernetes or Label.Any || r.IsInverted);

    // What all pods of this cluster, or of all clusters, have in common: a namespace and a cluster.
    internal override IReadOnlyList<SecurityIdentity> WholeClasses(PolicyOptions options)
    {
        if (Requirements.IsEmpty)
            return SecurityIdentity.Aggregates;
        if (!Requirements.All(r => IsOfAllPods(r, options)))
            return [];
        bool isOwnClusterOnly = Requirements.Any(r => r.Operator == LabelOperator.In);
        return isOwnClusterOnly
            ? [SecurityIdentity.AggregateCluster] : [SecurityIdentity.AggregateCluster, SecurityIdentity.AggregateClusterMesh];
    }

    private static bool IsOfAllPods(LabelRequirement requirement, PolicyOptions options)
        => requirement.Source is Label.Kubernetes or Label.Any && (requirement.Key, requirement.Operator) switch
        {
            (PodLabels.Namespace or PodLabels.Cluster, LabelOperator.Exists) => true,
            (PodLabels.Cluster, LabelOperator.In) => requirement.Values.Contains(options.ClusterName),
            _ => false,
        };

    // What labels an unknown pod lacks nobody knows.
    public override bool Matches(PolicyIdentity identity)
    {
        bool isUnknownPod = identity.Id == SecurityIdentity.Unmanaged;
        foreach (LabelRequirement requirement in Requirements)
        {
            if (!requirement.Matches(identity.Labels) || (isUnknownPod && requirement.IsInverted))
                return false;
        }

        return true;
    }
}

/// <summary>A named class of peers: an identity that has one of the labels. No labels: nobody.</summary>
public sealed class EntitySelector : IdentitySelector
{
    private readonly ImmutableArray<Label> _alternatives;

    public EntitySelector(string name, params IEnumerable<Label> alternatives)
        : this(name, [.. alternatives.Order()])
    {
    }

    private EntitySelector(string name, ImmutableArray<Label> alternatives)
        : base($"entity {name} ({string.Join(" | ", alternatives)})")
    {
        Name = name;
        _alternatives = alternatives;
        Hints = [.. alternatives.Select(l => (l.Key, l.Value))];
    }

    public string Name { get; }

    internal override IReadOnlyList<(string Key, string Value)>? Hints { get; }

    internal override IReadOnlyList<SecurityIdentity> WholeClasses(PolicyOptions options)
    {
        var classes = new List<SecurityIdentity>();
        string[] world = options.DualStack ? [CidrLabels.WorldV4, CidrLabels.WorldV6] : [CidrLabels.World];
        if (world.All(HasReserved))
            classes.Add(SecurityIdentity.AggregateWorld);
        if (HasReserved(ReservedIdentities.RemoteNode))
            classes.Add(SecurityIdentity.AggregateRemoteNode);
        if (_alternatives.Contains(new Label(Label.Kubernetes, PodLabels.Cluster, options.ClusterName)))
            classes.Add(SecurityIdentity.AggregateCluster);
        return classes;
    }

    // Its named ports are not known either, so that a pod that is selected for sure is among these too.
    internal override bool MayMeanUnknownPod => _alternatives.Any(l => l.Source == Label.Kubernetes);

    private bool HasReserved(string name) => _alternatives.Contains(new Label(Label.Reserved, name, ""));

    public override bool Matches(PolicyIdentity identity)
    {
        foreach (Label label in identity.Labels)
        {
            if (_alternatives.Contains(label))
                return true;
        }

        return false;
    }
}

/// <summary>
/// Addresses outside the cluster inside one block and outside its exceptions. Pods and nodes are selected, whatever their address, only where
/// options give their identities address blocks (<c>policy-cidr-match-mode</c>). A block of length 0 also selects the world identity of its family.
/// </summary>
public sealed class CidrSelector : IdentitySelector
{
    public CidrSelector(IpPrefix prefix, params IEnumerable<IpPrefix> except)
        : this(prefix, [.. except.Distinct().Order()])
    {
    }

    private CidrSelector(IpPrefix prefix, ImmutableArray<IpPrefix> except)
        : base(except.IsEmpty ? $"cidr {prefix}" : $"cidr {prefix} except {string.Join(' ', except)}")
    {
        Prefix = prefix;
        Except = except;
    }

    public IpPrefix Prefix { get; }

    public ImmutableArray<IpPrefix> Except { get; }

    // With both families on, neither one's "everything" is all of the world.
    internal override IReadOnlyList<SecurityIdentity> WholeClasses(PolicyOptions options)
        => !options.DualStack && Prefix.Length == 0 && Except.IsEmpty ? [SecurityIdentity.AggregateWorld] : [];

    public override bool Matches(PolicyIdentity identity)
    {
        if (identity.Cidrs.IsEmpty)
            return Prefix.Length == 0 && identity.IsWorldOf(Prefix.IsV6);
        foreach (IpPrefix cidr in identity.Cidrs)
        {
            if (Prefix.Contains(cidr) && !IsExcepted(cidr))
                return true;
        }

        return false;
    }

    private bool IsExcepted(IpPrefix cidr)
    {
        foreach (IpPrefix excluded in Except)
        {
            if (excluded.Contains(cidr))
                return true;
        }

        return false;
    }
}
