// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Linux;

namespace Axoneme.Datapath;

/// <summary>In whose name a write is: it fails when the map refuses the write.</summary>
internal abstract class WriteOwner
{
    /// <summary>Why the last round failed; null when it did not.</summary>
    public string? Failure { get; private set; }

    public bool HasFailed => Failure is not null;

    /// <summary>The first reason stays.</summary>
    public void Fail(string reason) => Failure ??= reason;

    public void ClearFailure() => Failure = null;
}

/// <summary>
/// Writes to one map that are made together, in few system calls. What the map refuses fails its owner, whose other writes are left out from
/// then on; the rest goes on.
/// </summary>
/// <param name="sizeOption">The option that sizes the map, for messages.</param>
internal sealed class StagedWrites<TKey, TValue>(BpfMap<TKey, TValue> map, string sizeOption)
    where TKey : unmanaged
    where TValue : unmanaged
{
    private readonly List<TKey> _keys = [];
    private readonly List<TValue> _values = [];
    private readonly List<WriteOwner> _owners = [];

    /// <summary>Entries refused because the map was full, since the start.</summary>
    public long Refused { get; private set; }

    /// <summary>Entries handed to the kernel since the start.</summary>
    public long Count { get; private set; }

    public string Map => map.Map.Name;

    public void Add(in TKey key, in TValue value, WriteOwner owner)
    {
        _keys.Add(key);
        _values.Add(value);
        _owners.Add(owner);
    }

    public void Flush()
    {
        Count += _keys.Count;
        ReadOnlySpan<TKey> keys = CollectionsMarshal.AsSpan(_keys);
        ReadOnlySpan<TValue> values = CollectionsMarshal.AsSpan(_values);
        for (int start = 0; start < keys.Length;)
        {
            int end = start;
            while (end < keys.Length && !_owners[end].HasFailed)
                end++;
            start += map.TryUpdateBatch(keys[start..end], values[start..end], out int errno);
            if (errno != 0)
                _owners[start].Fail(Refuse(errno));
            while (start < keys.Length && _owners[start].HasFailed)
                start++;
        }

        _keys.Clear();
        _values.Clear();
        _owners.Clear();
    }

    // Hash maps say E2BIG when they are full, tries ENOSPC.
    private string Refuse(int errno)
    {
        if (errno is not (Errno.E2BIG or Errno.ENOSPC))
            return new SystemCallException($"write to map {map.Map.Name}", errno).Message;
        Refused++;
        return $"map {map.Map.Name} is full with {map.Map.Spec.MaxEntries} entries (option {sizeOption})";
    }
}

/// <summary>Removals from one map that are made together.</summary>
internal sealed class StagedRemovals<TKey, TValue>(BpfMap<TKey, TValue> map)
    where TKey : unmanaged
    where TValue : unmanaged
{
    private readonly List<TKey> _keys = [];

    /// <summary>Entries taken from the kernel since the start.</summary>
    public long Count { get; private set; }

    public void Add(in TKey key) => _keys.Add(key);

    public void Flush()
    {
        Count += _keys.Count;
        map.DeleteBatch(CollectionsMarshal.AsSpan(_keys));
        _keys.Clear();
    }
}
