// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

public enum PolicyKind : byte
{
    NetworkPolicy,
    CiliumNetworkPolicy,
    CiliumClusterwideNetworkPolicy,
    ClusterNetworkPolicy,
    AdminNetworkPolicy,
    BaselineAdminNetworkPolicy,
}

/// <summary>The object that a rule is from.</summary>
public sealed record PolicyObjectKey(PolicyKind Kind, string Namespace, string Name) : IComparable<PolicyObjectKey>
{
    public int CompareTo(PolicyObjectKey? other)
    {
        if (other is null)
            return 1;
        int order = Kind.CompareTo(other.Kind);
        if (order == 0)
            order = string.CompareOrdinal(Namespace, other.Namespace);
        return order != 0 ? order : string.CompareOrdinal(Name, other.Name);
    }

    public override string ToString() => Namespace.Length == 0 ? $"{Kind} {Name}" : $"{Kind} {Namespace}/{Name}";

    public static bool operator <(PolicyObjectKey left, PolicyObjectKey right) => left.CompareTo(right) < 0;

    public static bool operator >(PolicyObjectKey left, PolicyObjectKey right) => left.CompareTo(right) > 0;

    public static bool operator <=(PolicyObjectKey left, PolicyObjectKey right) => left.CompareTo(right) <= 0;

    public static bool operator >=(PolicyObjectKey left, PolicyObjectKey right) => left.CompareTo(right) >= 0;
}

/// <summary>One rule of an object. Compared by object, uid and path.</summary>
/// <param name="Policy">Object it is from.</param>
/// <param name="Uid">Of the object.</param>
/// <param name="Path">Field, such as <c>spec.ingress[0]</c>.</param>
/// <param name="Labels">Derived-from labels and those that the user gave.</param>
/// <param name="LogText">What the rule wants in the log of its verdicts; empty: nothing.</param>
public sealed record RuleOrigin(PolicyObjectKey Policy, string Uid, string Path, LabelSet Labels, string LogText = "") : IComparable<RuleOrigin>
{
    public bool Equals(RuleOrigin? other)
        => other is not null && Policy == other.Policy && Uid == other.Uid && Path == other.Path;

    public override int GetHashCode() => HashCode.Combine(Policy, Uid, Path);

    /// <summary>Also what is told about verdicts is the same.</summary>
    public bool SaysTheSameAs(RuleOrigin other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Equals(other) && Labels.Equals(other.Labels) && LogText == other.LogText;
    }

    public int CompareTo(RuleOrigin? other)
    {
        if (other is null)
            return 1;
        int order = Policy.CompareTo(other.Policy);
        if (order == 0)
            order = string.CompareOrdinal(Uid, other.Uid);
        return order != 0 ? order : string.CompareOrdinal(Path, other.Path);
    }

    public override string ToString() => $"{Policy} {Path}";

    public static bool operator <(RuleOrigin left, RuleOrigin right) => left.CompareTo(right) < 0;

    public static bool operator >(RuleOrigin left, RuleOrigin right) => left.CompareTo(right) > 0;

    public static bool operator <=(RuleOrigin left, RuleOrigin right) => left.CompareTo(right) <= 0;

    public static bool operator >=(RuleOrigin left, RuleOrigin right) => left.CompareTo(right) >= 0;
}

/// <summary>A set of rules in canonical order, with the number that stands for it in the map and in verdict events.</summary>
public sealed class RuleOrigins : IEquatable<RuleOrigins>
{
    /// <summary>Of entries that no policy asked for.</summary>
    public static readonly RuleOrigins None = new([]);

    private RuleOrigins(ImmutableArray<RuleOrigin> sorted)
    {
        Rules = sorted;
        Cookie = sorted.IsEmpty ? 0 : Hash(sorted);
    }

    public ImmutableArray<RuleOrigin> Rules { get; }

    /// <summary>
    /// A hash of the rules' names, so the same after a restart and on other nodes. Two sets may share one (a chance of 1 in 2^32 for a
    /// pair): it serves to explain verdicts, never to decide them. 0 for no rules.
    /// </summary>
    public uint Cookie { get; }

    public static RuleOrigins Of(RuleOrigin rule) => new([rule]);

    public RuleOrigins Union(RuleOrigins other)
    {
        if (Equals(other) || other.Rules.IsEmpty)
            return this;
        return Rules.IsEmpty ? other : new RuleOrigins([.. Rules.Concat(other.Rules).Distinct().Order()]);
    }

    /// <summary>The same rules with what is told about them now; this very set where none of them is among those.</summary>
    public RuleOrigins WithTexts(IReadOnlyDictionary<RuleOrigin, RuleOrigin> current)
    {
        ArgumentNullException.ThrowIfNull(current);
        return Rules.Any(current.ContainsKey) ? new RuleOrigins([.. Rules.Select(r => current.GetValueOrDefault(r, r))]) : this;
    }

    public bool Equals(RuleOrigins? other)
        => ReferenceEquals(this, other) || (other is not null && Cookie == other.Cookie && Rules.AsSpan().SequenceEqual(other.Rules.AsSpan()));

    public override bool Equals(object? obj) => Equals(obj as RuleOrigins);

    public override int GetHashCode() => (int)Cookie;

    public override string ToString() => string.Join(", ", Rules);

    // FNV-1a with 32 bits.
    private static uint Hash(ImmutableArray<RuleOrigin> rules)
    {
        uint hash = 2166136261;
        foreach (RuleOrigin rule in rules)
        {
            foreach (char c in $"{rule.Policy}/{rule.Uid}/{rule.Path}\n")
                hash = unchecked((hash ^ c) * 16777619);
        }

        return hash == 0 ? 1 : hash;
    }
}
