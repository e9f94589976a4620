// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Axoneme.Bpf;

/// <summary>A map in which every processor has a value of its own for each key.</summary>
public sealed class BpfPerCpuMap<TKey, TValue> : IDisposable
    where TKey : unmanaged
    where TValue : unmanaged
{
    /// <summary>Takes ownership of <paramref name="map"/>.</summary>
    public BpfPerCpuMap(BpfMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        BpfMap<TKey, TValue>.RequireSizes(map);
        if (!map.Spec.IsPerCpu)
            throw new ArgumentException($"map {map.Name} has one value for all processors");
        Map = map;
    }

    public BpfMap Map { get; }

    private static int ValueCount => ProcessorSet.PossibleCount;

    /// <summary>Copies the values of a key, one a processor; false when there is none.</summary>
    /// <param name="values">At least <see cref="ProcessorSet.PossibleCount"/> long.</param>
    public bool TryLookup(in TKey key, Span<TValue> values)
    {
        Span<byte> raw = stackalloc byte[Map.ValueLength <= 1024 ? Map.ValueLength : 0];
        if (raw.IsEmpty)
            raw = new byte[Map.ValueLength];
        if (!Map.TryLookup(MemoryMarshal.AsBytes(new ReadOnlySpan<TKey>(in key)), raw))
            return false;
        Unpack(raw, values);
        return true;
    }

    /// <summary>Writes the values of all processors.</summary>
    public void Update(in TKey key, ReadOnlySpan<TValue> values)
    {
        if (values.Length != ValueCount)
            throw new ArgumentException($"map {Map.Name} needs {ValueCount} values, got {values.Length}");
        byte[] raw = new byte[Map.ValueLength];
        int stride = BpfMap.PerCpuStride(Unsafe.SizeOf<TValue>());
        for (int cpu = 0; cpu < values.Length; cpu++)
            MemoryMarshal.Write(raw.AsSpan(cpu * stride), in values[cpu]);
        Map.Update(MemoryMarshal.AsBytes(new ReadOnlySpan<TKey>(in key)), raw);
    }

    public bool TryDelete(in TKey key) => Map.TryDelete(MemoryMarshal.AsBytes(new ReadOnlySpan<TKey>(in key)));

    /// <summary>All entries with the guarantees of <see cref="BpfMapWalk"/>; each with an array of its own.</summary>
    public IEnumerable<KeyValuePair<TKey, TValue[]>> Entries()
    {
        using var walk = new BpfMapWalk(Map);
        while (walk.MoveNext())
        {
            for (int i = 0; i < walk.Count; i++)
            {
                var values = new TValue[ValueCount];
                Unpack(walk.Value(i), values);
                yield return new(MemoryMarshal.Read<TKey>(walk.Key(i)), values);
            }
        }
    }

    public void Dispose() => Map.Dispose();

    public override string ToString() => Map.ToString();

    private static void Unpack(ReadOnlySpan<byte> raw, Span<TValue> values)
    {
        int stride = BpfMap.PerCpuStride(Unsafe.SizeOf<TValue>());
        for (int cpu = 0; cpu < ValueCount; cpu++)
            values[cpu] = MemoryMarshal.Read<TValue>(raw[(cpu * stride)..]);
    }
}
