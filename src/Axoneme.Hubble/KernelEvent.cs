// SPDX-License-Identifier: Apache-2.0
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

public enum PolicyAction
{
    Allowed = 0,
    Denied = 1,
    Redirected = 2,
    Audited = 3,
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

    /// <summary>The service address that was asked for (requests), or that the answer will carry (replies).</summary>
    public L4Address? Frontend;

    public uint PolicyCookie;
    public ushort ProxyPort;
    public bool IsEgressPolicy;
    public byte PolicyMatch;
    public PolicyAction PolicyAction;

    /// <summary>The start of the packet.</summary>
    public ReadOnlySpan<byte> Packet;
}
