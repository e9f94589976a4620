// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>
/// A map with keys and values as blittable structs. The sizes must be those of the kernel's map. Keys are compared as
/// bytes, so a struct must have no padding, and an unused part of a union must be zero.
/// </summary>
public sealed class BpfMap<TKey, TValue> : IDisposable
    where TKey : unmanaged
    where TValue : unmanaged
{
    /// <summary>Takes ownership of <paramref name="map"/>.</summary>
    /// <exception cref="ArgumentException">A size differs, or values are per CPU (see <see
    /// cref="BpfPerCpuMap{TKey,TValue}"/>).</exception>
    public BpfMap(BpfMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        RequireSizes(map);
        if (map.Spec.IsPerCpu)
            throw new ArgumentException($"map {map.Name} has a value for every processor");
        Map = map;
    }

    public BpfMap Map { get; }

    /// <summary>Copies the value of a key; false when there is none.</summary>
    public bool TryLookup(in TKey key, out TValue value)
    {
        value = default;
        return Map.TryLookup(BytesOf(in key), MemoryMarshal.AsBytes(new Span<TValue>(ref value)));
    }

    /// <inheritdoc cref="BpfMap.Update"/>
    public void Update(in TKey key, in TValue value, BpfUpdateMode mode = BpfUpdateMode.Any)
        => Map.Update(BytesOf(in key), MemoryMarshal.AsBytes(new ReadOnlySpan<TValue>(in value)), mode);

    /// <inheritdoc cref="BpfMap.TryUpdate"/>
    public bool TryUpdate(in TKey key, in TValue value, BpfUpdateMode mode)
        => Map.TryUpdate(BytesOf(in key), MemoryMarshal.AsBytes(new ReadOnlySpan<TValue>(in value)), mode);

    /// <summary>Removes an entry; false when there was none.</summary>
    public bool TryDelete(in TKey key) => Map.TryDelete(BytesOf(in key));

    /// <summary>
    /// Writes many entries in few system calls. On failure the entries before the one that failed are written.
    /// </summary>
    /// <exception cref="SystemCallException">E2BIG when the map is full.</exception>
    public void UpdateBatch(ReadOnlySpan<TKey> keys, ReadOnlySpan<TValue> values)
    {
        if (keys.Length != values.Length)
            throw new ArgumentException($"{keys.Length} keys for {values.Length} values");
        int done = 0;
        if (keys.Length > 1 && TryBatch(BpfCommand.MapUpdateBatch, keys, values, out done))
            return;
        for (; done < keys.Length; done++)
            Update(in keys[done], in values[done]);
    }

    /// <summary>
    /// As <see cref="UpdateBatch"/>, but tells of a failure: how many entries were written before the one that failed, and its error number, 0
    /// when all were.
    /// </summary>
    public int TryUpdateBatch(ReadOnlySpan<TKey> keys, ReadOnlySpan<TValue> values, out int errno)
    {
        if (keys.Length != values.Length)
            throw new ArgumentException($"{keys.Length} keys for {values.Length} values");
        return Map.TryUpdateBatch(MemoryMarshal.AsBytes(keys), MemoryMarshal.AsBytes(values), out errno);
    }

    /// <summary>Removes many entries in few system calls; keys without an entry are passed over.</summary>
    public void DeleteBatch(ReadOnlySpan<TKey> keys)
    {
        for (int start = 0; start < keys.Length;)
        {
            // The kernel stops at the first key that has no entry; that one is done, the rest is tried again.
            if (TryBatch(BpfCommand.MapDeleteBatch, keys[start..], default, out int done))
                return;
            start += done;
            if (start < keys.Length)
                TryDelete(in keys[start++]);
        }
    }

    /// <summary>
    /// All entries, in the kernel's order, with the guarantees of <see cref="BpfMapWalk"/>. The map may change
    /// meanwhile.
    /// </summary>
    public IEnumerable<KeyValuePair<TKey, TValue>> Entries()
    {
        using var walk = new BpfMapWalk(Map);
        while (walk.MoveNext())
        {
            for (int i = 0; i < walk.Count; i++)
                yield return new(MemoryMarshal.Read<TKey>(walk.Key(i)), MemoryMarshal.Read<TValue>(walk.Value(i)));
        }
    }

    public void Dispose() => Map.Dispose();

    public override string ToString() => Map.ToString();

    internal static void RequireSizes(BpfMap map)
    {
        if (map.Spec.KeySize != Unsafe.SizeOf<TKey>() || map.Spec.ValueSize != Unsafe.SizeOf<TValue>())
            throw new ArgumentException(
                $"map {map.Name} has keys of {map.Spec.KeySize} and values of {map.Spec.ValueSize} bytes; "
                + $"{typeof(TKey).Name} has {Unsafe.SizeOf<TKey>()}, "
                + $"{typeof(TValue).Name} {Unsafe.SizeOf<TValue>()}");
    }

    private static ReadOnlySpan<byte> BytesOf(in TKey key) => MemoryMarshal.AsBytes(new ReadOnlySpan<TKey>(in key));

    /// <summary>
    /// False when the kernel has no batch operation for this type, or stopped at entry <paramref name="done"/>.
    /// </summary>
    private bool TryBatch(BpfCommand command, ReadOnlySpan<TKey> keys, ReadOnlySpan<TValue> values, out int done)
    {
        int errno = Batch(command, keys, values, out done);
        if (errno == 0)
            return true;
        bool mayContinue = IsUnsupported(errno) || (errno == Errno.ENOENT && command == BpfCommand.MapDeleteBatch);
        return mayContinue ? false : throw Map.Failure(command, errno);
    }

    // ENOTSUPP and, before 5.6, EINVAL come before the kernel has counted anything.
    private static bool IsUnsupported(int errno) => errno is Errno.ENOTSUPP or Errno.EOPNOTSUPP or Errno.EINVAL;

    private unsafe int Batch(BpfCommand command, ReadOnlySpan<TKey> keys, ReadOnlySpan<TValue> values, out int done)
    {
        using var use = Map.Handle.Use();
        fixed (TKey* keyPointer = keys)
        fixed (TValue* valuePointer = values)
        {
            var attributes = new MapBatchAttributes
            {
                Keys = (ulong)keyPointer,
                Values = (ulong)valuePointer,
                Count = (uint)keys.Length,
                MapFd = (uint)use.Descriptor,
            };
            int errno = Math.Max(0, -BpfSystemCall.Try(command, ref attributes));
            done = IsUnsupported(errno) ? 0 : (int)Math.Min(attributes.Count, (uint)keys.Length);
            // Without batches, or at a key without an entry, the caller goes on entry by entry.
            Map.NoteBatch(command, done, failed: errno > 0 && !IsUnsupported(errno) && errno != Errno.ENOENT);
            return errno;
        }
    }
}
