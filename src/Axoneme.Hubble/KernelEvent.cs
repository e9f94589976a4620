// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Hubble;

/// <summary>Event types as <c>flow.CiliumEventType.type</c> numbers them.</summary>
public enum MonitorEvent
{
    Drop = 1,
    Debug = 2,
    Capture = 3,
    Trace = 4,
    PolicyVerdict = 5,
    TraceSock = 7,
    AccessLog = 129,
    Agent = 130,
}

/// <summary>What the policy says of a packet, as the kernel numbers it (<see cref="VerdictAction"/>).</summary>
public enum PolicyAction
{
    Allowed = 0,
    Denied = 1,
    Redirected = 2,
    Audited = 3,

    /// <summary>It passes, but the rules on trial (shadow) would deny it; <see cref="KernelEvent.PolicyCookie"/> is of those.</summary>
    WouldDeny = 4,

    /// <summary>It is denied, but the rules on trial would let it pass.</summary>
    WouldAllow = 5,
}

/// <summary>What a kernel program reports of one packet; numbers in host order. Members that do not apply are zero.</summary>
public ref struct KernelEvent
{
    public MonitorEvent Type;

    /// <summary>CLOCK_MONOTONIC, nanoseconds.</summary>
    public long TimestampNs;

    public SecurityIdentity SourceIdentity;
    public SecurityIdentity DestinationIdentity;

    /// <summary>Whose policy or delivery this is about; 0 is the host.</summary>
    public ushort EndpointId;

    public uint InterfaceIndex;

    /// <summary>Drops and denied verdicts: flow.DropReason.</summary>
    public byte DropReason;

    /// <summary>Traces: flow.TraceObservationPoint.</summary>
    public byte ObservationPoint;

    /// <summary>Traces: flow.TraceReason, 0 when conntrack was not asked.</summary>
    public byte TraceReason;

    /// <summary>From the end that did not open the connection; null when nobody knows.</summary>
    public bool? IsReply;

    /// <summary>The captured bytes start with the IP header.</summary>
    public bool StartsAtIp;

    public byte SourceFile;
    public ushort SourceLine;

    /// <summary>The service address that was asked for (requests), or that the answer will carry (replies); the protocol is the packet's.</summary>
    public L4Address? Frontend;

    public uint PolicyCookie;
    public ushort ProxyPort;
    public bool IsEgressPolicy;
    public byte PolicyMatch;
    public PolicyAction PolicyAction;

    /// <summary>The start of the packet.</summary>
    public ReadOnlySpan<byte> Packet;

    /// <summary>Reads a <c>struct event</c>; false when the bytes are too few to be one. <see cref="Packet"/> refers to the sample.</summary>
    public static bool TryRead(ReadOnlySpan<byte> sample, out KernelEvent kernel)
    {
        kernel = default;
        int packetOffset = Unsafe.SizeOf<Event>() - Unsafe.SizeOf<ByteArray128>();
        if (sample.Length < packetOffset)
            return false;
        var raw = default(Event);
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<Event>(ref raw));
        sample[..packetOffset].CopyTo(bytes);
        var flags = (EventFlags)raw.Flags;
        kernel.Type = (MonitorEvent)raw.Type;
        kernel.TimestampNs = (long)raw.TimestampNs;
        kernel.SourceIdentity = new SecurityIdentity(raw.SourceIdentity);
        kernel.DestinationIdentity = new SecurityIdentity(raw.DestinationIdentity);
        kernel.EndpointId = raw.EndpointId;
        kernel.InterfaceIndex = raw.Ifindex;
        kernel.DropReason = raw.Reason;
        kernel.ObservationPoint = raw.Point;
        kernel.TraceReason = raw.CtState;
        kernel.IsReply = flags.HasFlag(EventFlags.ReplyKnown) ? flags.HasFlag(EventFlags.Reply) : null;
        kernel.StartsAtIp = flags.HasFlag(EventFlags.L3Device);
        kernel.SourceFile = raw.SourceFile;
        kernel.SourceLine = raw.SourceLine;
        if (flags.HasFlag(EventFlags.HasOriginal))
        {
            ReadOnlySpan<byte> address = raw.OriginalAddr.Bytes;
            kernel.Frontend = new L4Address(
                IpAddress.FromBytes(flags.HasFlag(EventFlags.Ipv6) ? address : address[..4]), raw.OriginalPort.Value, L4Protocol.Any);
        }

        kernel.PolicyCookie = raw.PolicyCookie;
        kernel.ProxyPort = raw.PolicyProxyPort.Value;
        kernel.IsEgressPolicy = (Axoneme.Datapath.Abi.TrafficDirection)raw.PolicyDirection == Axoneme.Datapath.Abi.TrafficDirection.Egress;
        kernel.PolicyMatch = raw.PolicyMatch;
        kernel.PolicyAction = (PolicyAction)raw.PolicyAction;
        kernel.Packet = sample.Slice(packetOffset, Math.Min(raw.CapturedLen, sample.Length - packetOffset));
        return true;
    }
}
