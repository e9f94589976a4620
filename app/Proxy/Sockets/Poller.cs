// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;

namespace Axoneme.Proxy.Sockets;

[Flags]
internal enum PollEvents : uint
{
    None = 0,
    Readable = 0x1,
    Writable = 0x4,
    Error = 0x8,
    HangUp = 0x10,
}

/// <summary>Something that a <see cref="Poller"/> watches. Called on the worker's thread only.</summary>
internal interface IPolled
{
    void OnReady(PollEvents events);
}

/// <summary>
/// epoll(7), level-triggered. What is removed while events are being delivered gets none any more, even if its descriptor has a new owner already.
/// </summary>
internal sealed unsafe partial class Poller : IDisposable
{
    private const int BatchSize = 64;

    // struct epoll_event is packed on x86-64 only.
    private static readonly int EventBytes = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    private readonly int _descriptor;
    private readonly byte[] _events = GC.AllocateArray<byte>(BatchSize * 16, pinned: true);
    private readonly List<(IPolled? Target, uint Generation)> _slots = [];
    private readonly Stack<int> _free = [];

    public Poller()
    {
        const int CloseOnExec = 0x80000;
        _descriptor = epoll_create1(CloseOnExec);
        if (_descriptor < 0)
            throw SystemCallException.FromLastError("create an epoll instance");
    }

    /// <summary>Watches a descriptor; the result is for <see cref="Change"/> and <see cref="Remove"/>.</summary>
    public int Add(int descriptor, PollEvents events, IPolled target)
    {
        if (!_free.TryPop(out int slot))
        {
            slot = _slots.Count;
            _slots.Add(default);
        }

        uint generation = _slots[slot].Generation + 1;
        _slots[slot] = (target, generation);
        Control(1, descriptor, events, slot);
        return slot;
    }

    public void Change(int slot, int descriptor, PollEvents events) => Control(3, descriptor, events, slot);

    /// <summary>To be called before the descriptor is closed.</summary>
    public void Remove(int slot, int descriptor)
    {
        Control(2, descriptor, PollEvents.None, slot);
        _slots[slot] = (null, _slots[slot].Generation + 1);
        _free.Push(slot);
    }

    /// <summary>Waits at most that long (-1: without end) and calls whatever is ready.</summary>
    public void Wait(int milliseconds)
    {
        int count;
        fixed (byte* events = _events)
            count = epoll_wait(_descriptor, events, BatchSize, milliseconds);
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = _events.AsSpan(i * EventBytes, EventBytes);
            uint slot = BitConverter.ToUInt32(entry[(EventBytes - 8)..]), generation = BitConverter.ToUInt32(entry[(EventBytes - 4)..]);
            if (_slots[(int)slot] is { Target: { } target } current && current.Generation == generation)
                target.OnReady((PollEvents)BitConverter.ToUInt32(entry));
        }
    }

    public void Dispose() => _ = Libc.Close(_descriptor);

    private void Control(int operation, int descriptor, PollEvents events, int slot)
    {
        byte* entry = stackalloc byte[16];
        *(uint*)entry = (uint)events;
        *(int*)(entry + EventBytes - 8) = slot;
        *(uint*)(entry + EventBytes - 4) = _slots[slot].Generation;
        if (epoll_ctl(_descriptor, operation, descriptor, entry) != 0)
            throw SystemCallException.FromLastError("watch a socket");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int epoll, int operation, int descriptor, byte* entry);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_wait(int epoll, byte* events, int count, int milliseconds);
}

/// <summary>Wakes a worker from another thread (eventfd(2)).</summary>
internal sealed unsafe partial class WakeUp : IDisposable
{
    public WakeUp()
    {
        const int CloseOnExecNonBlocking = 0x80800;
        Descriptor = eventfd(0, CloseOnExecNonBlocking);
        if (Descriptor < 0)
            throw SystemCallException.FromLastError("create an eventfd");
    }

    public int Descriptor { get; }

    public void Signal()
    {
        ulong one = 1;
        _ = Libc.Write(Descriptor, (byte*)&one, sizeof(ulong));
    }

    public void Clear()
    {
        ulong count;
        _ = read(Descriptor, (byte*)&count, sizeof(ulong));
    }

    public void Dispose() => _ = Libc.Close(Descriptor);

    [LibraryImport("libc")]
    private static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc")]
    private static partial nint read(int fd, byte* data, nuint length);
}
