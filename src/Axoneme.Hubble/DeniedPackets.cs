// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;
using Axoneme.Network;

namespace Axoneme.Hubble;

/// <summary>
/// The latest denied verdicts, so that the drop which follows can be told by whom. The kernel reports verdict and drop of a packet one
/// after the other into the same ring buffer, and only the verdict says which rules decided.
/// </summary>
internal sealed class DeniedPackets
{
    // Between the two events lie at most a few of interrupts' packets; a slot that was taken over costs the drop its explanation.
    private const int SlotCount = 256;

    // A program runs for microseconds; the limit only keeps a verdict from explaining another packet's drop much later.
    private const long MaximalDistanceNs = 100_000_000;

    private readonly Slot[] _slots = new Slot[SlotCount];

    private struct Slot
    {
        public UInt128 Source;
        public UInt128 Destination;
        public long TimestampNs;
        public FlowAttribution? Attribution;
        public ulong Transport;
        public TrafficDirection Direction;
        public byte Reason;
        public bool WasEstablished;
    }

    public void Note(in FlowRecord verdict, long timestampNs) => _slots[IndexOf(verdict)] = new Slot
    {
        Source = verdict.SourceAddress,
        Destination = verdict.DestinationAddress,
        TimestampNs = timestampNs,
        Attribution = verdict.Attribution,
        Transport = TransportOf(verdict),
        Direction = verdict.Direction,
        Reason = verdict.DropReason,
        WasEstablished = verdict.WasEstablished,
    };

    /// <summary>Fills in what the verdict of the same packet said; false when none is known.</summary>
    public bool TryExplain(ref FlowRecord drop, long timestampNs)
    {
        ref Slot slot = ref _slots[IndexOf(drop)];
        if (slot.Reason != drop.DropReason || slot.Transport != TransportOf(drop) || slot.Source != drop.SourceAddress
            || slot.Destination != drop.DestinationAddress || timestampNs - slot.TimestampNs is < 0 or > MaximalDistanceNs)
            return false;
        drop.Attribution = slot.Attribution;
        drop.Direction = slot.Direction;
        drop.WasEstablished = slot.WasEstablished;
        return true;
    }

    private static int IndexOf(in FlowRecord flow)
        => (int)((uint)HashCode.Combine(flow.SourceAddress, flow.DestinationAddress, TransportOf(flow)) % SlotCount);

    private static ulong TransportOf(in FlowRecord flow)
        => ((ulong)flow.Layer << 48) | ((ulong)flow.IcmpType << 40) | ((ulong)flow.SourcePort << 16) | flow.DestinationPort;
}
