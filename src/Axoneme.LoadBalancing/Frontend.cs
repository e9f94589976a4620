// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

public enum FrontendType : byte
{
    ClusterIP,
    NodePort,
    LoadBalancer,
    ExternalIPs,
    HostPort,
    LocalRedirect,
}

public enum TrafficPolicy : byte
{
    Cluster,
    Local,
}

/// <summary>Numbers are those of the backend maps.</summary>
public enum BackendState : byte
{
    Active = 0,

    /// <summary>Keeps its connections; gets new ones only where nothing is active.</summary>
    Terminating = 1,
    Quarantined = 2,
    Maintenance = 3,
}

/// <summary>One place that connections go to.</summary>
/// <param name="Address">Where.</param>
/// <param name="State">As the map has it.</param>
/// <param name="NodeName">Empty when the slice does not say.</param>
/// <param name="Zone">Empty when the slice does not say.</param>
/// <param name="Weight">For weighted selection; 100 unless set.</param>
public sealed record Backend(L4Address Address, BackendState State, string NodeName, string Zone, ushort Weight = 100);

public enum BackendSelection : byte
{
    Random,
    Maglev,
}

/// <summary>How packets from outside reach a backend on another node.</summary>
public enum ForwardingMode : byte
{
    /// <summary>With the address of the node that got them, and so back through it.</summary>
    Snat,

    /// <summary>With the client's address; the backend's node answers the client itself.</summary>
    Dsr,
}

/// <summary>Where connections go. Compared by value.</summary>
/// <param name="Backends">
/// In the order of the map: <see cref="UsableCount"/> that get new connections, then those that are only kept for theirs. Ordered by
/// state and address.
/// </param>
/// <param name="UsableCount">How many of <see cref="Backends"/> new connections may choose from.</param>
public sealed record BackendSet(ImmutableArray<Backend> Backends, int UsableCount)
{
    public static BackendSet Empty { get; } = new([], 0);

    public bool Equals(BackendSet? other)
        => other is not null && UsableCount == other.UsableCount && Backends.AsSpan().SequenceEqual(other.Backends.AsSpan());

    public override int GetHashCode() => HashCode.Combine(UsableCount, Backends.Length);
}

/// <summary>An address that clients use, and where its connections go. Compared by value.</summary>
public sealed record Frontend
{
    public required L4Address Address { get; init; }

    public required FrontendType Type { get; init; }

    public required ResourceName Service { get; init; }

    /// <summary>Empty for a single unnamed port.</summary>
    public string PortName { get; init; } = "";

    public TrafficPolicy InternalTrafficPolicy { get; init; }

    public TrafficPolicy ExternalTrafficPolicy { get; init; }

    /// <summary>Seconds that a client stays with its backend; null: no affinity.</summary>
    public uint? AffinityTimeoutSeconds { get; init; }

    /// <summary>Who may connect from outside; empty: everybody.</summary>
    public ImmutableArray<IpPrefix> SourceRanges { get; init; } = [];

    /// <summary>
    /// In the order of the map: <see cref="UsableCount"/> that get new connections, then those that are only kept for theirs. Ordered by
    /// state and address, and of this node only where the traffic policy says so.
    /// </summary>
    public ImmutableArray<Backend> Backends { get; init; } = [];

    /// <summary>How many of <see cref="Backends"/> new connections may choose from.</summary>
    public int UsableCount { get; init; }

    public bool Equals(Frontend? other)
        => other is not null && Address == other.Address && Type == other.Type && Service == other.Service
            && PortName == other.PortName && InternalTrafficPolicy == other.InternalTrafficPolicy
            && ExternalTrafficPolicy == other.ExternalTrafficPolicy && AffinityTimeoutSeconds == other.AffinityTimeoutSeconds
            && UsableCount == other.UsableCount && SourceRanges.AsSpan().SequenceEqual(other.SourceRanges.AsSpan())
            && Backends.AsSpan().SequenceEqual(other.Backends.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Address, Backends.Length);
}

/// <summary>What one event changed.</summary>
/// <param name="Upserts">New and changed frontends, by address.</param>
/// <param name="Deletes">Frontends that are gone, as they were.</param>
public sealed record CatalogChange(ImmutableArray<Frontend> Upserts, ImmutableArray<Frontend> Deletes)
{
    /// <summary>Services that want one of the addresses that the event is about: their problems may have changed.</summary>
    public ImmutableArray<ResourceName> Concerned { get; init; } = [];

    public bool IsEmpty => Upserts.IsEmpty && Deletes.IsEmpty;
}
