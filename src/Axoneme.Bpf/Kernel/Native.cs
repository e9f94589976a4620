// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace Axoneme.Bpf.Kernel;

/// <summary>The calls of libc that reading ring buffers needs.</summary>
internal static unsafe partial class Native
{
    public const int CloseOnExec = 0x80000;
    public const int NonBlocking = 0x800;
    public const int Add = 1;
    public const int ProtectRead = 1;
    public const int ProtectWrite = 2;
    public const int Shared = 1;

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    public static partial int EpollCreate(int flags);

    /// <summary><c>struct epoll_event</c> is packed on x86-64 only, so the two layouts have a type each.</summary>
    public static int EpollControl(nint epoll, int operation, nint fd, ref EpollEvent interest)
    {
        if (RuntimeInformation.ProcessArchitecture == Architecture.X64)
        {
            fixed (EpollEvent* packed = &interest)
                return EpollControlRaw((int)epoll, operation, (int)fd, packed);
        }

        var aligned = new AlignedEpollEvent { Events = interest.Events, Data = interest.Data };
        return EpollControlRaw((int)epoll, operation, (int)fd, (EpollEvent*)&aligned);
    }

    public static int EpollWait(int epoll, EpollEvent* events, int capacity, int timeoutMs)
    {
        if (RuntimeInformation.ProcessArchitecture == Architecture.X64)
            return EpollWaitRaw(epoll, events, capacity, timeoutMs);
        AlignedEpollEvent* aligned = stackalloc AlignedEpollEvent[capacity];
        int count = EpollWaitRaw(epoll, (EpollEvent*)aligned, capacity, timeoutMs);
        for (int i = 0; i < count; i++)
            events[i] = new EpollEvent { Events = aligned[i].Events, Data = aligned[i].Data };
        return count;
    }

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int fd, void* buffer, nuint length);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(int fd, void* buffer, nuint length);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint Map(nint address, nuint length, int protection, int flags, int fd, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static partial int Unmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static partial int EpollControlRaw(int epoll, int operation, int fd, EpollEvent* interest);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    private static partial int EpollWaitRaw(int epoll, EpollEvent* events, int capacity, int timeoutMs);

    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    internal struct EpollEvent
    {
        public uint Events;
        public long Data;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct AlignedEpollEvent
    {
        public uint Events;
        public long Data;
    }
}
