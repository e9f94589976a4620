// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Axoneme.Linux;

namespace Axoneme.Bpf.Kernel;

/// <summary>bpf(2), which glibc does not wrap.</summary>
internal static unsafe partial class BpfSystemCall
{
    private static readonly nint Number = RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => 321,
        Architecture.Arm64 => 280,
        var other => throw new PlatformNotSupportedException($"bpf(2) has no known number on {other}"),
    };

    /// <summary>Runs a command; 0 or a new descriptor, or the negative error number.</summary>
    public static int Try<T>(BpfCommand command, ref T attributes)
        where T : unmanaged
    {
        fixed (T* pointer = &attributes)
        {
            // The verifier gives up with EAGAIN when a signal is pending; the runtime uses signals.
            for (int attempt = 0; ; attempt++)
            {
                nint result = SysCall(Number, (nint)command, (nint)pointer, sizeof(T));
                if (result >= 0)
                    return (int)result;
                int errno = Marshal.GetLastPInvokeError();
                if (errno == Errno.EINTR || (errno == Errno.EAGAIN && command == BpfCommand.ProgramLoad && attempt < 5))
                    continue;
                return -errno;
            }
        }
    }

    /// <summary>Opens what is pinned at a path; null when there is nothing.</summary>
    public static BpfHandle? TryOpenPinned(string path, string kind)
    {
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');
        fixed (byte* pointer = name)
        {
            var attributes = new ObjectPathAttributes { Path = (ulong)pointer };
            int fd = Try(BpfCommand.ObjectGet, ref attributes);
            if (fd == -Errno.ENOENT)
                return null;
            return BpfHandle.FromResult(fd, $"open pinned {kind} {path}");
        }
    }

    /// <summary>Opens what is pinned at a path, which must exist.</summary>
    public static BpfHandle OpenPinned(string path, string kind)
        => TryOpenPinned(path, kind) ?? throw new SystemCallException($"open pinned {kind} {path}", Errno.ENOENT);

    public static void Pin(BpfHandle handle, string path, string what)
    {
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');
        using var use = handle.Use();
        fixed (byte* pointer = name)
        {
            var attributes = new ObjectPathAttributes { Path = (ulong)pointer, Fd = (uint)use.Descriptor };
            int result = Try(BpfCommand.ObjectPin, ref attributes);
            if (result < 0)
                throw new SystemCallException($"pin {what} at {path}", -result);
        }
    }

    public static BpfHandle OpenById(BpfCommand command, uint id, string kind)
    {
        var attributes = new ObjectIdAttributes { Id = id };
        return BpfHandle.FromResult(Try(command, ref attributes), $"open {kind} with id {id}");
    }

    public static T GetInfo<T>(BpfHandle handle, string what)
        where T : unmanaged
    {
        // A newer kernel fills only what it is asked for; an older one leaves the rest zero.
        T info = default;
        using var use = handle.Use();
        var attributes = new ObjectInfoAttributes
        {
            Fd = (uint)use.Descriptor,
            Length = (uint)sizeof(T),
            Info = (ulong)Unsafe.AsPointer(ref info),
        };
        int result = Try(BpfCommand.ObjectGetInfo, ref attributes);
        if (result < 0)
            throw new SystemCallException($"read the attributes of {what}", -result);
        return info;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SysCall(nint number, nint command, nint attributes, nint size);
}
