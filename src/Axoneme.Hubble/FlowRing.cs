// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Hubble;

/// <summary>
/// The most recent records, overwritten in order. Writers take a lock, readers never do: each slot has a version that is odd while the
/// slot is written, and a reader that sees the version change has read a mixture and knows it.
/// </summary>
internal sealed class FlowRing
{
    private readonly FlowRecord[] _slots;
    private readonly long[] _versions;
    private readonly int _mask;
    private readonly Lock _lock = new();
    private long _written;
    private TaskCompletionSource? _signal;

    /// <param name="capacity">2^n - 1: one more slot exists, for the record that is being written.</param>
    public FlowRing(int capacity)
    {
        if (capacity < 1 || !System.Numerics.BitOperations.IsPow2(capacity + 1))
            throw new ArgumentOutOfRangeException(nameof(capacity), capacity, "The capacity is one less than a power of two.");
        _slots = new FlowRecord[capacity + 1];
        _versions = new long[capacity + 1];
        _mask = capacity;
    }

    public int Capacity => _mask;

    /// <summary>Number of the next record to be written.</summary>
    public long End => Volatile.Read(ref _written);

    /// <summary>Number of the oldest record that is still there.</summary>
    public long Start => Math.Max(0, End - Capacity);

    /// <summary>Appends; the record's number is set.</summary>
    public void Write(ref FlowRecord record)
    {
        TaskCompletionSource? waiting;
        lock (_lock)
        {
            long number = _written;
            record.Number = number;
            int slot = (int)number & _mask;
            Volatile.Write(ref _versions[slot], VersionOf(number) - 1);
            // Neither the compiler nor the processor may move the record's stores before the odd version.
            Interlocked.MemoryBarrier();
            _slots[slot] = record;
            Volatile.Write(ref _versions[slot], VersionOf(number));
            Volatile.Write(ref _written, number + 1);
            waiting = _signal;
            _signal = null;
        }

        waiting?.SetResult();
    }

    /// <summary>Copies a record; false when it was overwritten, or is not there yet.</summary>
    public bool TryRead(long number, out FlowRecord record)
    {
        int slot = (int)number & _mask;
        long expected = VersionOf(number);
        if (Volatile.Read(ref _versions[slot]) != expected)
        {
            record = default;
            return false;
        }

        record = _slots[slot];
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _versions[slot]) == expected)
            return true;
        record = default;
        return false;
    }

    /// <summary>Completes when the record with this number has been written.</summary>
    public Task WaitAsync(long number, CancellationToken cancellation)
    {
        Task signal;
        lock (_lock)
        {
            if (_written > number)
                return Task.CompletedTask;
            _signal ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            signal = _signal.Task;
        }

        return signal.WaitAsync(cancellation);
    }

    private static long VersionOf(long number) => (number + 1) * 2;
}
