// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Dns;

namespace Axoneme.Policy;

/// <summary>
/// What a proxy has to make of allowed traffic. Two rules for one selector and port merge into one redirect that allows what either does.
/// </summary>
public abstract record Redirect
{
    /// <summary>Lowest byte of the precedence (2 to 254): among allows of one level the larger wins, a plain allow has 1.</summary>
    public abstract byte Rank { get; }

    /// <summary>Null: the two need different proxies, so that no single entry can say both.</summary>
    public abstract Redirect? Merge(Redirect other);

    /// <summary>The same proxy, which then lets everything pass: of a plain allow merged with this.</summary>
    public abstract Redirect Widened { get; }
}

/// <summary>Questions for these names are allowed, others refused; the answers give addresses to names.</summary>
/// <param name="Names">Sorted, without duplicates.</param>
public sealed record DnsRedirect(ImmutableArray<DnsPattern> Names) : Redirect
{
    public override byte Rank => 134;

    public override Redirect Widened => Names is [{ Text: "*" }] ? this : new DnsRedirect([DnsPattern.Everything]);

    public static DnsRedirect Of(params IEnumerable<DnsPattern> names)
    {
        ImmutableArray<DnsPattern> sorted = [.. names.Distinct().Order()];
        return new DnsRedirect(sorted.Contains(DnsPattern.Everything) ? [DnsPattern.Everything] : sorted);
    }

    public override Redirect? Merge(Redirect other) => other is DnsRedirect dns ? Of(Names.Concat(dns.Names)) : null;

    public bool Equals(DnsRedirect? other) => other is not null && Names.AsSpan().SequenceEqual(other.Names.AsSpan());

    public override int GetHashCode() => Names.Aggregate(0, (hash, name) => HashCode.Combine(hash, name));
}
