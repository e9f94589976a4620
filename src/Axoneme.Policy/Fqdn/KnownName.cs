// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>One address of a name, as answers gave it.</summary>
/// <param name="LookedUp">Time of the last answer.</param>
/// <param name="Ttl">Of the last answer.</param>
/// <param name="Expires">The latest end that an answer gave.</param>
/// <param name="Endpoints">Who asked, in order.</param>
/// <param name="IsZombie">Expired, and kept for connections.</param>
public sealed record NameLease(
    DateTimeOffset LookedUp, TimeSpan Ttl, DateTimeOffset Expires, ImmutableSortedSet<ushort> Endpoints, bool IsZombie = false);

/// <summary>A lease with the name and the address that it is of.</summary>
public readonly record struct NameEntry(string Name, IpAddress Address, NameLease Lease);

/// <summary>A name and its addresses.</summary>
internal sealed class KnownName(string name)
{
    public string Name { get; } = name;

    public Dictionary<IpAddress, NameLease> Leases { get; } = [];

    public HashSet<NamePattern> Patterns { get; } = [];
}

/// <summary>An address and the names that have it.</summary>
internal sealed class KnownAddress
{
    public HashSet<KnownName> Names { get; } = [];

    /// <summary>Patterns with the number of names by which the address has them.</summary>
    public Dictionary<NamePattern, int> Patterns { get; } = [];
}
