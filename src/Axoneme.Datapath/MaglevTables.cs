// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>How Maglev tables are made.</summary>
/// <param name="Slots">Of each table, a prime; the same on all nodes.</param>
/// <param name="Seed">Any text that tells seeds apart: a table that was made with another one is made anew.</param>
public sealed record MaglevSettings(uint Slots, string Seed, MaglevFill Fill);

/// <summary>
/// Makes the kernel's tables. They have two slots an element and the number of slots is odd, so the last element has room for a signature of what
/// the table was made from: a restart sees from it which tables are still right, without computing any.
/// </summary>
internal sealed class MaglevTables(MaglevSettings settings)
{
    // FNV-1a: the value is kept in maps, so it must be the same in every process.
    private const ulong HashStart = 14695981039346656037;
    private const ulong HashPrime = 1099511628211;

    public uint Slots => settings.Slots;

    private static BpfMapSpec Declared => Maps.CiliumLb4Maglev.Spec.Inner!;

    /// <summary>Of the table that these backends would have; neither 0 nor the largest number, which stand for none and for unknown.</summary>
    public uint Signature(ReadOnlySpan<BackendMapEntry> backends, ReadOnlySpan<uint> ids)
    {
        // Independent of the order: sums of hashes.
        ulong sum = 0;
        for (int i = 0; i < backends.Length; i++)
        {
            L4Address address = backends[i].Address;
            ulong hash = Mix(Mix(Mix(HashStart, (ulong)address.Address.Number), (ulong)(address.Address.Number >> 64)), ids[i]);
            sum += Mix(hash, ((ulong)address.Port << 32) | ((ulong)address.Protocol << 16) | backends[i].Weight);
        }

        ulong all = Mix(Mix(HashStart, settings.Slots), sum);
        foreach (char c in settings.Seed)
            all = Mix(all, c);
        return Math.Clamp((uint)(all ^ (all >> 32)), 1, uint.MaxValue - 1);
    }

    /// <summary>A new table; the caller disposes it when it is in the outer map.</summary>
    public BpfMap Create(ReadOnlySpan<BackendMapEntry> backends, ReadOnlySpan<uint> ids, uint signature)
    {
        uint[] sortedIds = ids.ToArray();
        BackendMapEntry[] sorted = backends.ToArray();
        Array.Sort(sorted, sortedIds, Comparer<BackendMapEntry>.Create((a, b) => a.Address.CompareTo(b.Address)));
        ushort[] table = new ushort[settings.Slots];
        settings.Fill(sorted, table);
        uint[] elements = new uint[Elements(settings.Slots) * 2];
        for (int slot = 0; slot < table.Length; slot++)
            elements[slot] = sortedIds[table[slot]];
        elements[^1] = signature;
        return Create(elements);
    }

    /// <summary>The signature in a table; 0 when that is of another size.</summary>
    public uint ReadSignature(BpfMap table)
    {
        if (table.Spec.MaxEntries != Elements(settings.Slots))
            return 0;
        uint last = Elements(settings.Slots) - 1;
        LbMaglevPair pair = default;
        return table.TryLookup(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in last)), MemoryMarshal.AsBytes(new Span<LbMaglevPair>(ref pair)))
            ? pair.Slots[1]
            : 0;
    }

    /// <summary>Backend ids by slot.</summary>
    public static uint[] Read(BpfMap table)
    {
        uint[] ids = new uint[table.Spec.MaxEntries * 2];
        // The tables lie in maps of tables, so that this descriptor is ours alone.
        foreach ((uint index, LbMaglevPair pair) in table.As<uint, LbMaglevPair>().Entries())
            (ids[index * 2], ids[(index * 2) + 1]) = (pair.Slots[0], pair.Slots[1]);
        return ids[..^1];
    }

    private static uint Elements(uint slots) => (slots + 1) / 2;

    private static BpfMap Create(uint[] elements)
    {
        BpfMap created = BpfMap.Create(Declared with { Name = "cilium_maglev", MaxEntries = (uint)elements.Length / 2 });
        try
        {
            uint[] indexes = new uint[elements.Length / 2];
            for (uint i = 0; i < indexes.Length; i++)
                indexes[i] = i;
            created.As<uint, LbMaglevPair>().UpdateBatch(indexes, MemoryMarshal.Cast<uint, LbMaglevPair>(elements));
            return created;
        }
        catch
        {
            created.Dispose();
            throw;
        }
    }

    private static ulong Mix(ulong hash, ulong word)
    {
        for (int shift = 0; shift < 64; shift += 8)
            hash = (hash ^ ((word >> shift) & 0xff)) * HashPrime;
        return hash;
    }
}
