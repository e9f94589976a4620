// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>Receives one record. The bytes are those of the ring itself and are overwritten after the call.</summary>
/// <param name="ring">Index of the ring among those that the reader was made for.</param>
public delegate void RingBufferHandler(int ring, ReadOnlySpan<byte> record);

/// <summary>
/// Reads BPF ring buffers, usually one for each processor. The kernel tells nobody how many records found no room: a
/// program that cannot reserve must count that itself; <see cref="GetBacklog"/> shows how close a ring is to that.
/// Dispose it after <see cref="Run"/> has returned.
/// </summary>
public sealed unsafe class RingBufferReader : IDisposable
{
    private const int EpollIn = 1;
    private const int StopToken = -1;
    private readonly Ring[] _rings;
    private readonly BpfHandle _epoll;
    private readonly BpfHandle _stop;

    /// <summary>
    /// Maps the rings into memory. The reader holds descriptors of its own, so the maps may be disposed.
    /// </summary>
    public RingBufferReader(params ReadOnlySpan<BpfMap> rings)
    {
        var opened = new List<Ring>(rings.Length);
        try
        {
            _epoll = BpfHandle.FromResult(Check(Native.EpollCreate(Native.CloseOnExec)), "create an epoll instance");
            _stop = BpfHandle.FromResult(
                Check(Native.EventFd(0, Native.CloseOnExec | Native.NonBlocking)), "create an event descriptor");
            Watch(_stop, StopToken);
            foreach (BpfMap map in rings)
            {
                var ring = new Ring(map);
                opened.Add(ring);
                Watch(ring.Handle, opened.Count - 1);
            }
        }
        catch
        {
            opened.ForEach(ring => ring.Dispose());
            _stop?.Dispose();
            _epoll?.Dispose();
            throw;
        }

        _rings = [.. opened];
    }

    public int RingCount => _rings.Length;

    /// <summary>Records that programs gave up after reserving them; they carry nothing.</summary>
    public long Discarded { get; private set; }

    /// <summary>Bytes in a ring that were not read yet, and its size.</summary>
    public (long Unread, long Size) GetBacklog(int ring) => _rings[ring].Backlog;

    /// <summary>
    /// Reads until cancelled, on the calling thread, which sleeps while all rings are empty. One thread at a time. An
    /// exception of the handler ends the run; the record counts as read.
    /// </summary>
    /// <param name="maximumDelay">How long a record may lie that was submitted without a wake-up; null when programs
    /// always wake us.</param>
    public void Run(RingBufferHandler handler, CancellationToken cancellation, TimeSpan? maximumDelay = null)
    {
        ArgumentNullException.ThrowIfNull(handler);
        int timeoutMs = maximumDelay is { } delay ? (int)delay.TotalMilliseconds : -1;
        using CancellationTokenRegistration registration = cancellation.Register(Wake);
        while (!cancellation.IsCancellationRequested)
        {
            // Programs may submit without a wake-up, so look before sleeping.
            Drain(handler);
            if (!cancellation.IsCancellationRequested)
                Wait(timeoutMs);
        }

        ulong drained;
        _ = Native.Read((int)_stop.DangerousGetHandle(), &drained, sizeof(ulong));
    }

    /// <summary>
    /// Waits until there is something or the time is over, reads what is there and returns the number of records.
    /// </summary>
    public int Poll(RingBufferHandler handler, TimeSpan timeout)
    {
        ArgumentNullException.ThrowIfNull(handler);
        int count = Drain(handler);
        if (count > 0)
            return count;
        Wait((int)Math.Min(timeout.TotalMilliseconds, int.MaxValue));
        return Drain(handler);
    }

    /// <summary>Reads what is there without waiting.</summary>
    public int Drain(RingBufferHandler handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        int count = 0;
        for (int i = 0; i < _rings.Length; i++)
            count += Drain(i, handler);
        return count;
    }

    public void Dispose()
    {
        _epoll.Dispose();
        _stop.Dispose();
        foreach (Ring ring in _rings)
            ring.Dispose();
    }

    private static int Check(int result) => result >= 0 ? result : -Marshal.GetLastPInvokeError();

    private int Drain(int index, RingBufferHandler handler)
    {
        Ring ring = _rings[index];
        int count = 0;
        // A busy processor could keep its ring non-empty for ever and starve the others.
        const int MaxRecords = 4096;
        while (count < MaxRecords && ring.TryPeek(out ReadOnlySpan<byte> record, out bool discarded))
        {
            try
            {
                if (discarded)
                    Discarded++;
                else
                    handler(index, record);
            }
            finally
            {
                ring.Advance();
            }

            count++;
        }

        if (count == MaxRecords)
            Wake();
        return count;
    }

    private void Wake()
    {
        ulong one = 1;
        _ = Native.Write((int)_stop.DangerousGetHandle(), &one, sizeof(ulong));
    }

    private void Watch(BpfHandle handle, int token)
    {
        var interest = new Native.EpollEvent { Events = EpollIn, Data = token };
        int result = Check(Native.EpollControl(
            _epoll.DangerousGetHandle(), Native.Add, handle.DangerousGetHandle(), ref interest));
        if (result < 0)
            throw new SystemCallException("watch a ring buffer", -result);
    }

    private void Wait(int timeoutMs)
    {
        const int Capacity = 16;
        Native.EpollEvent* events = stackalloc Native.EpollEvent[Capacity];
        int count = Check(Native.EpollWait((int)_epoll.DangerousGetHandle(), events, Capacity, timeoutMs));
        if (count < 0 && -count != Errno.EINTR)
            throw new SystemCallException("wait for ring buffers", -count);
        for (int i = 0; i < count; i++)
        {
            ulong counter;
            if (events[i].Data == StopToken)
                _ = Native.Read((int)_stop.DangerousGetHandle(), &counter, sizeof(ulong));
        }
    }

    /// <summary>
    /// One ring in memory: a page with the consumer's position that we write, then pages that only the kernel writes:
    /// the producer's position and the data, mapped twice in a row so that no record wraps.
    /// </summary>
    private sealed class Ring : IDisposable
    {
        private const uint BusyBit = 1u << 31;
        private const uint DiscardBit = 1u << 30;
        private const int HeaderSize = 8;
        private readonly nint _consumerPage;
        private readonly nint _producerPages;
        private readonly nuint _producerLength;
        private readonly byte* _data;
        private readonly ulong _mask;
        private ulong _next;

        public Ring(BpfMap map)
        {
            if (map.Spec.Type != BpfMapType.RingBuffer)
                throw new ArgumentException($"map {map.Name} is a {map.Spec.Type}, not a ring buffer");
            nuint page = (nuint)Environment.SystemPageSize;
            _mask = map.Spec.MaxEntries - 1;
            _producerLength = page + (2 * (nuint)map.Spec.MaxEntries);
            using var use = map.Handle.Use();
            Handle = BpfHandle.Duplicate(use.Descriptor, $"map {map.Name}");
            int fd = (int)Handle.DangerousGetHandle();
            _consumerPage = Native.Map(0, page, Native.ProtectRead | Native.ProtectWrite, Native.Shared, fd, 0);
            _producerPages = _consumerPage == -1
                ? -1
                : Native.Map(0, _producerLength, Native.ProtectRead, Native.Shared, fd, (nint)page);
            if (_producerPages == -1)
            {
                int errno = Marshal.GetLastPInvokeError();
                Dispose();
                throw new SystemCallException($"map ring buffer {map.Name} into memory", errno);
            }

            _data = (byte*)_producerPages + page;
            _next = Volatile.Read(ref *(ulong*)_consumerPage);
        }

        public BpfHandle Handle { get; }

        public (long Unread, long Size) Backlog
        {
            get
            {
                ulong consumer = Volatile.Read(ref *(ulong*)_consumerPage);
                return ((long)(Volatile.Read(ref *(ulong*)_producerPages) - consumer), (long)_mask + 1);
            }
        }

        public bool TryPeek(out ReadOnlySpan<byte> record, out bool discarded)
        {
            record = default;
            discarded = false;
            ulong consumer = Volatile.Read(ref *(ulong*)_consumerPage);
            if (consumer >= Volatile.Read(ref *(ulong*)_producerPages))
                return false;
            byte* header = _data + (consumer & _mask);
            uint length = Volatile.Read(ref *(uint*)header);
            if ((length & BusyBit) != 0)
                return false;
            discarded = (length & DiscardBit) != 0;
            length &= ~(BusyBit | DiscardBit);
            record = new ReadOnlySpan<byte>(header + HeaderSize, (int)length);
            _next = consumer + ((length + HeaderSize + 7) & ~7u);
            return true;
        }

        public void Advance()
        {
            // The kernel decides by this position whether to wake us, and reads it after writing the producer's: both
            // need a full barrier.
            Interlocked.Exchange(ref *(ulong*)_consumerPage, _next);
        }

        public void Dispose()
        {
            if (_consumerPage is not (0 or -1))
                _ = Native.Unmap(_consumerPage, (nuint)Environment.SystemPageSize);
            if (_producerPages is not (0 or -1))
                _ = Native.Unmap(_producerPages, _producerLength);
            Handle.Dispose();
        }
    }
}
