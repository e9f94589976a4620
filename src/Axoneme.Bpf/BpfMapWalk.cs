// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>
/// Reads all entries of a map in chunks. Entries that other threads or programs delete meanwhile cost no repetition and
/// no endless loop: hash maps are read bucket by bucket (batch operations, Linux 5.6), every other walk remembers what
/// it has seen, because the kernel starts over when the key that it should continue from is gone. An entry that exists
/// during the whole walk is seen exactly once.
/// </summary>
public sealed unsafe class BpfMapWalk : IDisposable
{
    private const int InitialChunk = 256;
    private readonly BpfMap _map;
    private readonly HashSet<byte[]>? _seen;
    private byte[] _keys;
    private byte[] _values;
    private byte[] _cursor;
    private int _capacity;
    private bool _started;
    private bool _batched;
    private bool _finished;
    private long _steps;

    public BpfMapWalk(BpfMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        _map = map;
        _batched = SupportsBatch(map.Spec.Type);
        // A bucket is handed out whole, so hash maps need no memory of what was seen.
        if (!_batched)
            _seen = new HashSet<byte[]>(ByteArrayComparer.Instance);
        _capacity = (int)Math.Clamp(map.Spec.MaxEntries, 1, InitialChunk);
        _cursor = new byte[Math.Max(sizeof(uint), map.Spec.KeySize)];
        _keys = _values = [];
        Resize(_capacity);
    }

    /// <summary>Entries in the current chunk.</summary>
    public int Count { get; private set; }

    public ReadOnlySpan<byte> Key(int index) => _keys.AsSpan(index * _map.Spec.KeySize, _map.Spec.KeySize);

    public ReadOnlySpan<byte> Value(int index) => _values.AsSpan(index * _map.ValueLength, _map.ValueLength);

    /// <summary>Reads the next chunk; false when nothing is left.</summary>
    public bool MoveNext()
    {
        Count = 0;
        while (!_finished && Count == 0)
        {
            if (_batched)
                ReadBatch();
            else
                ReadByKeys();
        }

        return Count > 0;
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_keys);
        ArrayPool<byte>.Shared.Return(_values);
        _keys = _values = [];
        _finished = true;
    }

    private static bool SupportsBatch(BpfMapType type)
        => type is BpfMapType.Hash or BpfMapType.LruHash or BpfMapType.PerCpuHash
        or BpfMapType.LruPerCpuHash or BpfMapType.HashOfMaps;

    private void ReadBatch()
    {
        using var use = _map.Handle.Use();
        fixed (byte* keys = _keys, values = _values, cursor = _cursor)
        {
            var attributes = new MapBatchAttributes
            {
                InBatch = _started ? (ulong)cursor : 0,
                OutBatch = (ulong)cursor,
                Keys = (ulong)keys,
                Values = (ulong)values,
                Count = (uint)_capacity,
                MapFd = (uint)use.Descriptor,
            };
            int errno = -BpfSystemCall.Try(BpfCommand.MapLookupBatch, ref attributes);
            switch (errno)
            {
                case Errno.ENOSPC:
                    // One bucket holds more than the whole buffer.
                    Resize(_capacity * 2);
                    return;
                case Errno.ENOENT:
                    _finished = true;
                    break;
                case > 0:
                    throw _map.Failure(BpfCommand.MapLookupBatch, errno);
            }

            _started = true;
            Count = (int)attributes.Count;
        }
    }

    private void ReadByKeys()
    {
        int keySize = _map.Spec.KeySize;
        Span<byte> next = stackalloc byte[keySize];
        // Every restart needs a deletion by somebody else; a map that is emptied and refilled all the time must not
        // hold us for ever.
        long limit = 64 + (16L * _map.Spec.MaxEntries);
        while (Count < _capacity)
        {
            ReadOnlySpan<byte> from = _started ? _cursor.AsSpan(0, keySize) : default;
            if (!_map.TryGetNextKey(from, next))
            {
                _finished = true;
                return;
            }

            if (++_steps > limit)
                throw _map.Failure(BpfCommand.MapGetNextKey, Errno.EAGAIN);
            _started = true;
            next.CopyTo(_cursor);
            if (!_seen!.Add(next.ToArray())
                || !_map.TryLookup(next, _values.AsSpan(Count * _map.ValueLength, _map.ValueLength)))
                continue;
            next.CopyTo(_keys.AsSpan(Count * keySize));
            Count++;
        }
    }

    private void Resize(int capacity)
    {
        ArrayPool<byte>.Shared.Return(_keys);
        ArrayPool<byte>.Shared.Return(_values);
        _capacity = capacity;
        _keys = ArrayPool<byte>.Shared.Rent(capacity * _map.Spec.KeySize);
        _values = ArrayPool<byte>.Shared.Rent(capacity * _map.ValueLength);
    }

    private sealed class ByteArrayComparer : IEqualityComparer<byte[]>
    {
        public static readonly ByteArrayComparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(byte[] obj)
        {
            var hash = default(HashCode);
            hash.AddBytes(obj);
            return hash.ToHashCode();
        }
    }
}
