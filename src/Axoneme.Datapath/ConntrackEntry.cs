// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>A connection as conntrack has it, turned so that <see cref="Source"/> is the end that sent the first packet.</summary>
/// <param name="Remaining">Time until it may be removed; negative when it should be gone already.</param>
public sealed record ConntrackEntry(
    L4Address Source, L4Address Destination, CtScope Scope, CtFlags Flags, TimeSpan Remaining)
{
    public SecurityIdentity SourceIdentity { get; init; }

    /// <summary>Reverse NAT number of the service that the source addressed; 0 none.</summary>
    public ushort ReverseNat { get; init; }

    /// <summary>Chosen backend, in service scope.</summary>
    public uint Backend { get; init; }

    /// <summary>The second of CLOCK_MONOTONIC after which it may be removed.</summary>
    public uint Expires { get; init; }

    /// <summary>TCP flags that trace events have shown, by direction.</summary>
    public byte ForwardTcpFlags { get; init; }

    public byte ReplyTcpFlags { get; init; }

    /// <summary>The second of CLOCK_MONOTONIC of the last trace event, by direction; 0 none yet.</summary>
    public uint ForwardReport { get; init; }

    public uint ReplyReport { get; init; }

    public ulong ForwardPackets { get; init; }

    public ulong ForwardBytes { get; init; }

    public ulong ReplyPackets { get; init; }

    public ulong ReplyBytes { get; init; }

    /// <summary>Connections of both families, read as they are enumerated.</summary>
    public static IEnumerable<ConntrackEntry> ReadAll(DatapathMaps maps)
    {
        ArgumentNullException.ThrowIfNull(maps);
        uint now = KernelClock.NowSeconds();
        foreach ((Ct4Key key, CtEntry entry) in maps.Ct4.Entries())
            yield return Decode(key, entry, now);
        foreach ((Ct6Key key, CtEntry entry) in maps.Ct6.Entries())
            yield return Decode(key, entry, now);
    }

    internal static ConntrackEntry Decode(in Ct4Key key, in CtEntry entry, uint nowSeconds)
        => Decode(key.LowAddr.ToAddress(), key.LowPort.Value, key.HighAddr.ToAddress(), key.HighPort.Value,
            (L4Protocol)key.Protocol, (CtScope)key.Scope, entry, nowSeconds);

    internal static ConntrackEntry Decode(in Ct6Key key, in CtEntry entry, uint nowSeconds)
        => Decode(key.LowAddr.ToAddress(), key.LowPort.Value, key.HighAddr.ToAddress(), key.HighPort.Value,
            (L4Protocol)key.Protocol, (CtScope)key.Scope, entry, nowSeconds);

    private static ConntrackEntry Decode(
        IpAddress lowAddress, ushort lowPort, IpAddress highAddress, ushort highPort,
        L4Protocol protocol, CtScope scope, in CtEntry entry, uint nowSeconds)
    {
        var low = new L4Address(lowAddress, lowPort, protocol);
        var high = new L4Address(highAddress, highPort, protocol);
        var flags = (CtFlags)entry.Flags;
        (L4Address source, L4Address destination) = flags.HasFlag(CtFlags.LowInitiates) ? (low, high) : (high, low);
        return new ConntrackEntry(source, destination, scope, flags, TimeSpan.FromSeconds((long)entry.LifetimeS - nowSeconds))
        {
            SourceIdentity = new SecurityIdentity(entry.SourceIdentity),
            ReverseNat = entry.RevNat,
            Backend = entry.Backend,
            Expires = entry.LifetimeS,
            ForwardTcpFlags = entry.ForwardTcpFlags,
            ReplyTcpFlags = entry.ReplyTcpFlags,
            ForwardReport = entry.ForwardReportS,
            ReplyReport = entry.ReplyReportS,
            ForwardPackets = entry.ForwardPackets,
            ForwardBytes = entry.ForwardBytes,
            ReplyPackets = entry.ReplyPackets,
            ReplyBytes = entry.ReplyBytes,
        };
    }
}
