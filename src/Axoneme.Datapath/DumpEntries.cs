// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>What a service is known by to its clients.</summary>
/// <param name="Number">In events and connections.</param>
public sealed record ReverseNatEntry(ushort Number, IpAddress Address, ushort Port);

/// <summary>The backend that a client had.</summary>
/// <param name="Client">Null for clients inside, which <paramref name="NetworkNamespaceCookie"/> tells apart.</param>
/// <param name="SinceLastUse">At least 0.</param>
public sealed record AffinityEntry(
    IpAddress? Client, ulong NetworkNamespaceCookie, ushort Number, uint Backend, TimeSpan SinceLastUse, bool IsV6);

/// <summary>That a backend belongs to a service with session affinity.</summary>
public sealed record AffinityMatchEntry(ushort Number, uint Backend);

/// <summary>Who may connect to a service from outside, or may not.</summary>
public sealed record SourceRangeEntry(ushort Number, IpPrefix Range);

/// <summary>The table of a service.</summary>
/// <param name="Backends">Backend numbers by slot.</param>
public sealed record MaglevEntry(ushort Number, bool IsV6, ImmutableArray<uint> Backends);

/// <summary>A translation at the edge of the node: <paramref name="NewAddress"/> takes the place of the source, or of the destination.</summary>
/// <param name="Source">Of packets before.</param>
/// <param name="Destination">Of packets before.</param>
/// <param name="NewAddress">Of the source where <paramref name="Direction"/> is out, else of the destination.</param>
/// <param name="Remaining">Time until it may be removed; negative when it should be gone already.</param>
/// <param name="Age">Since its creation.</param>
public sealed record NatMapEntry(
    L4Address Source, L4Address Destination, NatDirection Direction, L4Address NewAddress, NatFlags Flags, TimeSpan Remaining, TimeSpan Age)
{
    /// <summary>Of the service whose address replies get; 0 none.</summary>
    public ushort ServiceNumber { get; init; }

    internal static NatMapEntry Decode(in Nat4Key key, in Nat4Entry entry, uint now)
    {
        var protocol = (L4Protocol)key.Protocol;
        return new NatMapEntry(
            new L4Address(key.Source.ToAddress(), key.SourcePort.Value, protocol),
            new L4Address(key.Destination.ToAddress(), key.DestinationPort.Value, protocol),
            (NatDirection)key.Direction,
            new L4Address(entry.Addr.ToAddress(), entry.Port.Value, protocol),
            (NatFlags)entry.Flags, Left(entry.LifetimeS, now), Left(now, entry.CreatedS))
        {
            ServiceNumber = entry.RevNat,
        };
    }

    internal static NatMapEntry Decode(in Nat6Key key, in Nat6Entry entry, uint now)
    {
        var protocol = (L4Protocol)key.Protocol;
        return new NatMapEntry(
            new L4Address(key.Source.ToAddress(), key.SourcePort.Value, protocol),
            new L4Address(key.Destination.ToAddress(), key.DestinationPort.Value, protocol),
            (NatDirection)key.Direction,
            new L4Address(entry.Addr.ToAddress(), entry.Port.Value, protocol),
            (NatFlags)entry.Flags, Left(entry.LifetimeS, now), Left(now, entry.CreatedS))
        {
            ServiceNumber = entry.RevNat,
        };
    }

    private static TimeSpan Left(uint until, uint from) => TimeSpan.FromSeconds((long)until - from);
}

/// <summary>How many translated connections needed so many more ports to be tried.</summary>
/// <param name="Tries">As many as can be made stands for the connections that got no port.</param>
public sealed record NatRetryEntry(bool IsV6, int Tries, long Connections);

/// <summary>How full a map is.</summary>
public readonly record struct MapFill(string Map, long Entries, uint Capacity)
{
    /// <summary>From 0 to 1; the kernel lets maps of some types grow beyond their capacity for a moment.</summary>
    public double Ratio => Capacity == 0 ? 0 : Math.Min(1, (double)Entries / Capacity);
}
