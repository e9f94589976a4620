// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>A backend as the table sees it: who it is, and how much it is to get relative to the others.</summary>
public readonly record struct MaglevBackend(L4Address Address, ushort Weight = Backend.DefaultWeight);

/// <summary>
/// Fills tables for consistent hashing, a function of seed, table size and the set of backends with their weights, so that all nodes choose
/// alike without talking to each other.
/// <para>
/// As in Maglev, every backend goes through the slots in an order of its own, given by an offset and a stride from its hash. Maglev lets the
/// backends take turns, each until it finds a free slot; loads are even, but after one backend has left, those turns run differently to the
/// end, and up to 2.5 % of the table moves that need not. Here a slot goes to the backend that reaches it first, which moves nothing
/// needlessly, and backends that get too much or too little by that are slowed down or sped up one after the other, the most uneven one
/// first, until all are within 2 % of their share. The few slots that change hands by it are nearly the same with one backend more or less.
/// </para>
/// </summary>
public sealed class MaglevTable
{
    /// <summary>Of the seed, in bytes.</summary>
    public const int SeedBytes = 12;

    private readonly ulong _seedLow;
    private readonly ulong _seedHigh;

    /// <param name="seed"><see cref="SeedBytes"/> bytes, the same on all nodes.</param>
    public MaglevTable(ReadOnlySpan<byte> seed)
    {
        if (seed.Length != SeedBytes)
            throw new ArgumentException($"The seed has {SeedBytes} bytes, not {seed.Length}.", nameof(seed));
        _seedLow = BinaryPrimitives.ReadUInt64LittleEndian(seed);
        _seedHigh = BinaryPrimitives.ReadUInt32LittleEndian(seed[8..]);
    }

    /// <summary>Writes an index into <paramref name="backends"/> to every slot.</summary>
    /// <param name="backends">At least one and at most 65536, each once, in any order. Weight 0 gets nothing unless all have it.</param>
    /// <param name="slots">As many as the table has, a prime above 2.</param>
    public void Fill(ReadOnlySpan<MaglevBackend> backends, Span<ushort> slots)
    {
        if (backends.IsEmpty || backends.Length > ushort.MaxValue + 1)
            throw new ArgumentException($"A table has 1 to {ushort.MaxValue + 1} backends, not {backends.Length}.", nameof(backends));
        int[] order = Order(backends);
        if (order.Length == 1)
        {
            slots.Fill((ushort)order[0]);
            return;
        }

        var contest = new MaglevContest(Runners(backends, order, slots.Length), slots.Length);
        contest.Run();
        for (int slot = 0; slot < slots.Length; slot++)
            slots[slot] = (ushort)order[contest.Winners[slot]];
    }

    // The order of addresses decides where hashes leave a choice.
    private static int[] Order(ReadOnlySpan<MaglevBackend> backends)
    {
        bool anyWeight = false;
        foreach (MaglevBackend backend in backends)
            anyWeight |= backend.Weight > 0;
        var addresses = new List<L4Address>(backends.Length);
        var order = new List<int>(backends.Length);
        for (int i = 0; i < backends.Length; i++)
        {
            if (anyWeight && backends[i].Weight == 0)
                continue;
            order.Add(i);
            addresses.Add(backends[i].Address);
        }

        int[] sorted = [.. order];
        Array.Sort([.. addresses], sorted);
        return sorted;
    }

    private MaglevRunner[] Runners(ReadOnlySpan<MaglevBackend> backends, int[] order, int slots)
    {
        long total = 0;
        foreach (int index in order)
            total += Math.Max(backends[index].Weight, (ushort)1);
        var runners = new MaglevRunner[order.Length];
        for (int i = 0; i < order.Length; i++)
        {
            double share = (double)slots * Math.Max(backends[order[i]].Weight, (ushort)1) / total;
            ulong hash = Hash(backends[order[i]].Address);
            runners[i] = new MaglevRunner
            {
                Offset = (int)(hash % (ulong)slots),
                Stride = (int)(Scramble(hash + 1) % (ulong)(slots - 1)) + 1,
                Head = (float)(((Scramble(hash + 2) >> 41) + 0.5) / (1 << 23)),
                Hash = hash,
                Share = share,
                Price = slots / (order.Length * share),
            };
        }

        return runners;
    }

    private ulong Hash(L4Address address)
    {
        UInt128 number = address.Address.Number;
        ulong hash = Scramble(_seedLow ^ (ulong)number);
        hash = Scramble(hash ^ _seedHigh ^ (ulong)(number >> 64));
        return Scramble(hash ^ ((ulong)address.Port << 8) ^ (ulong)address.Protocol ^ (address.Address.IsV6 ? 1UL << 63 : 0));
    }

    /// <summary>The output function of SplitMix64 (Steele, Lea, Flood 2014): one bit more or less changes half of the result.</summary>
    internal static ulong Scramble(ulong x)
    {
        x += 0x9e3779b97f4a7c15;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
    }
}
