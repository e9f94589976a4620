// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>Numbers are those of the backend maps.</summary>
public enum BackendState : byte
{
    Active = 0,

    /// <summary>Keeps its connections; gets new ones only where nothing is active.</summary>
    Terminating = 1,
    Quarantined = 2,

    /// <summary>Not ready, or of weight 0: keeps its connections and gets no new ones.</summary>
    Maintenance = 3,
}

/// <summary>One place that connections go to.</summary>
/// <param name="Address">Where.</param>
/// <param name="State">What its slices say of it, whether or not it gets new connections (<see cref="BackendSet.UsableCount"/>).</param>
/// <param name="NodeName">Empty when the slice does not say.</param>
/// <param name="Zone">Empty when the slice does not say.</param>
/// <param name="Weight">For weighted selection; 100 unless set.</param>
public sealed record Backend(
    L4Address Address, BackendState State, string NodeName, string Zone, ushort Weight = Backend.DefaultWeight)
{
    public const ushort DefaultWeight = 100;
}

/// <summary>Where connections go. Compared by value.</summary>
/// <param name="Backends">
/// In the order of the map: <see cref="UsableCount"/> that get new connections, then those that are only kept for theirs: terminating ones,
/// then those in maintenance. Each group in the order of addresses.
/// </param>
/// <param name="UsableCount">How many of <see cref="Backends"/> new connections may choose from.</param>
public sealed record BackendSet(ImmutableArray<Backend> Backends, int UsableCount)
{
    /// <summary>Slots of a service are numbered with 16 bits.</summary>
    public const int MaximalCount = ushort.MaxValue;

    public static BackendSet Empty { get; } = new([], 0);

    public bool Equals(BackendSet? other)
        => ReferenceEquals(this, other)
            || (other is not null && UsableCount == other.UsableCount && Backends.AsSpan().SequenceEqual(other.Backends.AsSpan()));

    public override int GetHashCode() => HashCode.Combine(UsableCount, Backends.Length);

    public override string ToString() => $"{UsableCount} of {string.Join(' ', Backends.Select(b => b.Address))}";
}
