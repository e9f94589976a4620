// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>
/// A tc program on a clsact qdisc, for kernels without tcx (before 6.6). The filter belongs to the device: it lasts
/// until it is removed, without a pin. Attaching again under the same priority and handle replaces the program
/// atomically. Works in the current network namespace.
/// </summary>
public static class TcFilter
{
    // From <bpf/libbpf.h>: enum bpf_tc_attach_point and enum bpf_tc_flags.
    private const uint IngressPoint = 1;
    private const uint EgressPoint = 2;
    private const uint ReplaceFlag = 1;

    /// <summary>Attaches or replaces; creates the clsact qdisc when the device has none.</summary>
    public static void Attach(
        BpfProgram program, int interfaceIndex, TcDirection direction, uint priority = 1, uint handle = 1)
    {
        ArgumentNullException.ThrowIfNull(program);
        var hook = TcHook.For(interfaceIndex, direction);
        int result = Libbpf.TcHookCreate(ref hook);
        if (result < 0 && -result != Errno.EEXIST)
            throw new SystemCallException($"create clsact on interface {interfaceIndex}", -result);
        using var use = program.Handle.Use();
        var options = TcOptions.For(priority, handle);
        options.ProgramFd = use.Descriptor;
        options.Flags = ReplaceFlag;
        result = Libbpf.TcAttach(ref hook, ref options);
        if (result < 0)
            throw new SystemCallException(
                $"attach program {program.Name} to tc {direction} of interface {interfaceIndex}", -result);
    }

    /// <summary>The id of the attached program; 0 when there is none.</summary>
    public static uint Query(int interfaceIndex, TcDirection direction, uint priority = 1, uint handle = 1)
    {
        var hook = TcHook.For(interfaceIndex, direction);
        var options = TcOptions.For(priority, handle);
        int result = Libbpf.TcQuery(ref hook, ref options);
        return result switch
        {
            0 => options.ProgramId,
            // Without a clsact qdisc the kernel answers EINVAL.
            -Errno.ENOENT or -Errno.EINVAL => 0,
            _ => throw new SystemCallException($"query tc {direction} of interface {interfaceIndex}", -result),
        };
    }

    /// <summary>Removes the filter; false when there was none. The qdisc stays: others may use it.</summary>
    public static bool Detach(int interfaceIndex, TcDirection direction, uint priority = 1, uint handle = 1)
    {
        var hook = TcHook.For(interfaceIndex, direction);
        var options = TcOptions.For(priority, handle);
        int result = Libbpf.TcDetach(ref hook, ref options);
        return result switch
        {
            0 => true,
            -Errno.ENOENT or -Errno.EINVAL => false,
            _ => throw new SystemCallException($"detach tc {direction} of interface {interfaceIndex}", -result),
        };
    }

    /// <summary><c>struct bpf_tc_hook</c>.</summary>
    [System.Runtime.InteropServices.StructLayout(System.Runtime.InteropServices.LayoutKind.Sequential)]
    internal struct TcHook
    {
        public nuint Size;
        public int InterfaceIndex;
        public uint AttachPoint;
        public uint Parent;
        private readonly uint _padding;

        public static unsafe TcHook For(int interfaceIndex, TcDirection direction) => new()
        {
            Size = (nuint)sizeof(TcHook),
            InterfaceIndex = interfaceIndex,
            AttachPoint = direction == TcDirection.Ingress ? IngressPoint : EgressPoint,
        };
    }

    /// <summary><c>struct bpf_tc_opts</c>.</summary>
    [System.Runtime.InteropServices.StructLayout(System.Runtime.InteropServices.LayoutKind.Sequential)]
    internal struct TcOptions
    {
        public nuint Size;
        public int ProgramFd;
        public uint Flags;
        public uint ProgramId;
        public uint Handle;
        public uint Priority;
        private readonly uint _padding;

        public static unsafe TcOptions For(uint priority, uint handle) => new()
        {
            Size = (nuint)sizeof(TcOptions),
            Priority = priority,
            Handle = handle,
        };
    }
}
