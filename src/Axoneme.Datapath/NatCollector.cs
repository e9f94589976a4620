// SPDX-License-Identifier: Apache-2.0
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
        await CollectAsync(maps.Nat4, new Pairs4(), isV6: false, cancellation);
        await CollectAsync(maps.Nat6, new Pairs6(), isV6: true, cancellation);
    }

    private async Task CollectAsync<TKey, TEntry>(
        BpfMap<TKey, TEntry> map, Pairs<TKey, TEntry> pairs, bool isV6, CancellationToken cancellation)
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
            bool goes = pairs.IsOver(in entry, now) ? !IsPartnerAlive(in key, in entry) && IsStillOver(in key) : IsOrphan(in key, in entry);
            tally.Count(pairs.IsInward(in key), goes);
            return goes;
        }

        bool IsPartnerAlive(in TKey key, in TEntry entry)
            => !pairs.IsSingle(in entry) && map.TryLookup(pairs.Partner(in key, in entry), out TEntry other) && !pairs.IsOver(in other, now);

        // A port that is claimed again at this moment is somebody else's.
        bool IsStillOver(in TKey key) => map.TryLookup(in key, out TEntry current) && pairs.IsOver(in current, now);

        bool IsOrphan(in TKey key, in TEntry entry)
            => pairs.IsInward(in key) && !pairs.IsSingle(in entry) && pairs.Created(in entry) + PairingSeconds < now
                && !map.TryLookup(pairs.Partner(in key, in entry), out _);
    }

    /// <summary>What is the same in both families but for the types.</summary>
    private abstract class Pairs<TKey, TEntry>
        where TKey : unmanaged
        where TEntry : unmanaged
    {
        // Those of services have no other half: conntrack remembers their outward side.
        protected const uint Single = (uint)(NatFlags.Service | NatFlags.Dsr);

        public abstract bool IsOver(in TEntry entry, uint now);

        public abstract bool IsInward(in TKey key);

        public abstract bool IsSingle(in TEntry entry);

        public abstract uint Created(in TEntry entry);

        /// <summary>
        /// Of "source becomes a" the partner is "what comes back to a, destination becomes the source", and the other way round.
        /// </summary>
        public abstract TKey Partner(in TKey key, in TEntry entry);
    }

    private sealed class Pairs4 : Pairs<Nat4Key, Nat4Entry>
    {
        public override bool IsOver(in Nat4Entry entry, uint now) => entry.LifetimeS < now;

        public override bool IsInward(in Nat4Key key) => key.Direction == (byte)NatDirection.In;

        public override bool IsSingle(in Nat4Entry entry) => (entry.Flags & Single) != 0;

        public override uint Created(in Nat4Entry entry) => entry.CreatedS;

        public override Nat4Key Partner(in Nat4Key key, in Nat4Entry entry) => IsInward(in key)
            ? key with
            {
                Source = entry.Addr,
                SourcePort = entry.Port,
                Destination = key.Source,
                DestinationPort = key.SourcePort,
                Direction = (byte)NatDirection.Out,
            }
            : key with
            {
                Source = key.Destination,
                SourcePort = key.DestinationPort,
                Destination = entry.Addr,
                DestinationPort = entry.Port,
                Direction = (byte)NatDirection.In,
            };
    }

    private sealed class Pairs6 : Pairs<Nat6Key, Nat6Entry>
    {
        public override bool IsOver(in Nat6Entry entry, uint now) => entry.LifetimeS < now;

        public override bool IsInward(in Nat6Key key) => key.Direction == (byte)NatDirection.In;

        public override bool IsSingle(in Nat6Entry entry) => (entry.Flags & Single) != 0;

        public override uint Created(in Nat6Entry entry) => entry.CreatedS;

        public override Nat6Key Partner(in Nat6Key key, in Nat6Entry entry) => IsInward(in key)
            ? key with
            {
                Source = entry.Addr,
                SourcePort = entry.Port,
                Destination = key.Source,
                DestinationPort = key.SourcePort,
                Direction = (byte)NatDirection.Out,
            }
            : key with
            {
                Source = key.Destination,
                SourcePort = key.DestinationPort,
                Destination = entry.Addr,
                DestinationPort = entry.Port,
                Direction = (byte)NatDirection.In,
            };
    }
}
