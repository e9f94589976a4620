// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;
using Microsoft.Win32.SafeHandles;

namespace Axoneme.Bpf;

/// <summary>Owns the descriptor of a kernel BPF object (map, program, link).</summary>
public sealed partial class BpfHandle : SafeHandleMinusOneIsInvalid
{
    private const int FcntlDuplicateCloseOnExec = 1030;

    public BpfHandle()
        : base(ownsHandle: true)
    {
    }

    private BpfHandle(int descriptor)
        : base(ownsHandle: true) => SetHandle(descriptor);

    /// <summary>Takes ownership of a descriptor.</summary>
    public static BpfHandle Adopt(int descriptor)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(descriptor);
        return new BpfHandle(descriptor);
    }

    /// <summary>A descriptor of one's own for the object behind a descriptor that somebody else owns.</summary>
    internal static BpfHandle Duplicate(int descriptor, string what)
    {
        int copy = Fcntl(descriptor, FcntlDuplicateCloseOnExec, 3);
        return copy < 0 ? throw SystemCallException.FromLastError($"duplicate the descriptor of {what}") : Adopt(copy);
    }

    internal static BpfHandle FromResult(int result, string operation)
        => result >= 0 ? Adopt(result) : throw new SystemCallException(operation, -result);

    /// <summary>
    /// Keeps the descriptor open during a call, also when another thread disposes the handle meanwhile.
    /// </summary>
    internal Usage Use() => new(this);

    protected override bool ReleaseHandle() => Libc.Close((int)handle) == 0;

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Fcntl(int fd, int command, int argument);

    internal readonly ref struct Usage
    {
        private readonly BpfHandle _handle;

        public Usage(BpfHandle handle)
        {
            bool added = false;
            handle.DangerousAddRef(ref added);
            _handle = handle;
        }

        public int Descriptor => (int)_handle.DangerousGetHandle();

        public void Dispose() => _handle.DangerousRelease();
    }
}
