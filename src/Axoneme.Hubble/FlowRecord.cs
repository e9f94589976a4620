// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Hubble.Api;
using Axoneme.Network;
using Google.Protobuf;

namespace Axoneme.Hubble;

/// <summary>
/// One entry of the ring: numbers of the event and references to what was known about them at that time. It lives in the ring's array
/// and nowhere else, so a flow costs no allocation until somebody reads it.
/// </summary>
internal struct FlowRecord
{
    /// <summary>Nanoseconds since 1970, UTC.</summary>
    public long TimeNs;

    /// <summary>Position in the stream of events since start.</summary>
    public long Number;

    public UInt128 SourceAddress;
    public UInt128 DestinationAddress;
    public ulong SourceMac;
    public ulong DestinationMac;

    // What was known, or null. For other records than flows, Message holds the whole event.
    public FlowEndpoint? Source;
    public FlowEndpoint? Destination;
    public LabelSet? SourceLabels;
    public LabelSet? DestinationLabels;
    public FlowService? SourceService;
    public FlowService? DestinationService;
    public ImmutableArray<string> SourceNames;
    public ImmutableArray<string> DestinationNames;
    public FlowAttribution? Attribution;
    public string? InterfaceName;
    public IMessage? Message;
    public DnsExchange? Dns;

    public SecurityIdentity SourceIdentity;
    public SecurityIdentity DestinationIdentity;
    public uint InterfaceIndex;
    public ushort SourcePort;
    public ushort DestinationPort;
    public ushort TcpFlags;
    public ushort ProxyPort;
    public ushort SourceLine;
    public PacketLayer Layer;
    public MonitorEvent Type;
    public Verdict Verdict;
    public TrafficDirection Direction;
    public byte IcmpType;
    public byte IcmpCode;
    public byte DropReason;
    public byte ObservationPoint;
    public byte TraceReason;
    public byte SourceFile;
    public byte PolicyMatch;
    public bool HasEthernet;
    public bool IsV6;
    public bool IsReply;
    public bool IsReplyKnown;

    /// <summary>Verdicts: the packet belongs to a connection that policy let pass before.</summary>
    public bool WasEstablished;

    /// <summary>Verdicts: said of what would happen.</summary>
    public VerdictHypothesis Hypothesis;

    public readonly bool IsFlow => Message is null;

    public readonly bool HasIp => Layer >= PacketLayer.IPv4;

    public readonly IpAddress SourceIp => IsV6 ? IpAddress.FromV6(SourceAddress) : IpAddress.FromV4((uint)SourceAddress);

    public readonly IpAddress DestinationIp => IsV6 ? IpAddress.FromV6(DestinationAddress) : IpAddress.FromV4((uint)DestinationAddress);
}

/// <summary>What makes a verdict one that was not carried out.</summary>
internal enum VerdictHypothesis : byte
{
    None,

    /// <summary>The endpoint is in audit mode.</summary>
    Audit,

    /// <summary>Rules that are not enforced (shadow) would have denied what passed.</summary>
    WouldDeny,

    /// <summary>Rules that are not enforced would have let pass what was denied.</summary>
    WouldAllow,
}
