// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath;

/// <summary>
/// Removes translations whose time is over. Those of masqueraded connections are pairs, of which each half knows the other's key: half a pair
/// whose time is over stays while the other is in use, since the programs would only make it again, and an inward half that nobody sends through
/// any more gives its port back.
/// </summary>
internal sealed class NatCollector(DatapathMaps maps, TimeProvider time)
{
    // The programs claim a port, which makes the inward half, before they write the outward one.
    private const uint PairingSeconds = 60;

    /// <summary>Ingress are the inward halves, which translate answers.</summary>
    public CollectionStatistics Statistics { get; } = new("ingress", "egress");

    public async Task CollectAsync(CancellationToken cancellation)
    {
        await CollectAsync(maps.Nat4, isV6: false, cancellation);
        await CollectAsync(maps.Nat6, isV6: true, cancellation);
    }

    private async Task CollectAsync<TKey, TEntry>(BpfMap<TKey, TEntry> map, bool isV6, CancellationToken cancellation)
        where TKey : unmanaged
        where TEntry : unmanaged
    {
        uint now = KernelClock.NowSeconds();
        long start = time.GetTimestamp();
        var tally = default(CollectionTally);
        bool isCompleted = false;
        try
        {
            await MapSweep.RunAsync(map, Pick, isHurried: false, cancellation);
            isCompleted = true;
        }
        finally
        {
            Statistics.Add(isV6, tally, time.GetElapsedTime(start), isCompleted);
        }

        bool Pick(in TKey key, in TEntry entry)
        {
            bool goes = Pairs<TKey, TEntry>.IsOver(in entry, now) ? !IsPartnerAlive(in key, in entry) && IsStillOver(in key) : IsOrphan(in key, in entry);
            tally.Count(Pairs<TKey, TEntry>.IsInward(in key), goes);
            return goes;
        }

        bool IsPartnerAlive(in TKey key, in TEntry entry)
            => !Pairs<TKey, TEntry>.IsSingle(in entry) && map.TryLookup(Pairs<TKey, TEntry>.Partner(in key, in entry), out TEntry other) && !Pairs<TKey, TEntry>.IsOver(in other, now);

        // A port that is claimed again at this moment is somebody else's.
        bool IsStillOver(in TKey key) => map.TryLookup(in key, out TEntry current) && Pairs<TKey, TEntry>.IsOver(in current, now);

        bool IsOrphan(in TKey key, in TEntry entry)
            => Pairs<TKey, TEntry>.IsInward(in key) && !Pairs<TKey, TEntry>.IsSingle(in entry) && Pairs<TKey, TEntry>.Created(in entry) + PairingSeconds < now
                && !map.TryLookup(Pairs<TKey, TEntry>.Partner(in key, in entry), out _);
    }

    /// <summary>
    /// The entries of either family: they differ in the length of addresses only, which stand first in keys and entries.
    /// </summary>
    private static class Pairs<TKey, TEntry>
        where TKey : unmanaged
        where TEntry : unmanaged
    {
        // Those of services have no other half: conntrack remembers their outward side.
        private const uint SingleFlags = (uint)(NatFlags.Service | NatFlags.Dsr);

        private static readonly int s_address = Unsafe.SizeOf<TEntry>() - Unsafe.SizeOf<EntryRest>();

        [StructLayout(LayoutKind.Sequential)]
        private struct KeyRest
        {
            public NetU16 SourcePort;
            public NetU16 DestinationPort;
            public byte Protocol;
            public byte Direction;
            public ushort Reserved;
        }

        [StructLayout(LayoutKind.Sequential)]
        private struct EntryRest
        {
            public NetU16 Port;
            public ushort RevNat;
            public uint LifetimeS;
            public uint CreatedS;
            public uint Flags;
        }

        public static bool IsOver(in TEntry entry, uint now) => Rest(in entry).LifetimeS < now;

        public static bool IsInward(in TKey key) => Rest(ref Unsafe.AsRef(in key)).Direction == (byte)NatDirection.In;

        public static bool IsSingle(in TEntry entry) => (Rest(in entry).Flags & SingleFlags) != 0;

        public static uint Created(in TEntry entry) => Rest(in entry).CreatedS;

        /// <summary>
        /// Of "source becomes a" the partner is "what comes back to a, destination becomes the source", and the other way round.
        /// </summary>
        public static TKey Partner(in TKey key, in TEntry entry)
        {
            TKey partner = key;
            ReadOnlySpan<byte> ends = MemoryMarshal.AsBytes(new ReadOnlySpan<TKey>(in key));
            ReadOnlySpan<byte> becomes = MemoryMarshal.AsBytes(new ReadOnlySpan<TEntry>(in entry))[..s_address];
            Span<byte> next = MemoryMarshal.AsBytes(new Span<TKey>(ref partner));
            KeyRest ports = Rest(ref Unsafe.AsRef(in key));
            ref KeyRest rest = ref Rest(ref partner);
            if (IsInward(in key))
            {
                becomes.CopyTo(next);
                ends[..s_address].CopyTo(next[s_address..]);
                (rest.SourcePort, rest.DestinationPort, rest.Direction) = (Rest(in entry).Port, ports.SourcePort, (byte)NatDirection.Out);
            }
            else
            {
                ends.Slice(s_address, s_address).CopyTo(next);
                becomes.CopyTo(next[s_address..]);
                (rest.SourcePort, rest.DestinationPort, rest.Direction) = (ports.DestinationPort, Rest(in entry).Port, (byte)NatDirection.In);
            }

            return partner;
        }

        private static ref KeyRest Rest(ref TKey key)
            => ref MemoryMarshal.AsRef<KeyRest>(MemoryMarshal.AsBytes(new Span<TKey>(ref key))[(2 * s_address)..]);

        private static ref readonly EntryRest Rest(in TEntry entry)
            => ref MemoryMarshal.AsRef<EntryRest>(MemoryMarshal.AsBytes(new ReadOnlySpan<TEntry>(in entry))[s_address..]);
    }
}
