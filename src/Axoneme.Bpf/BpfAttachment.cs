// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>A program on a hook, as the kernel reports it, whoever attached it.</summary>
/// <param name="LinkId">0 when it was attached without a link; cgroups do not tell.</param>
public readonly record struct BpfAttachment(uint ProgramId, uint LinkId)
{
    // BPF_MPROG_MAX and BPF_CGROUP_MAX_PROGS are 64.
    private const int MaxPrograms = 64;

    /// <summary>The tcx programs of a device in the current network namespace, in the order they run.</summary>
    /// <exception cref="SystemCallException">ENODEV when the device is gone.</exception>
    public static IReadOnlyList<BpfAttachment> QueryTcx(int interfaceIndex, TcDirection direction)
    {
        BpfAttachType type = direction == TcDirection.Ingress ? BpfAttachType.TcxIngress : BpfAttachType.TcxEgress;
        return Query((uint)interfaceIndex, type, withLinks: true, $"tcx {direction} of interface {interfaceIndex}");
    }

    /// <summary>
    /// The programs that are attached to this cgroup itself; those of its ancestors, which run as well, are not listed.
    /// </summary>
    public static IReadOnlyList<BpfAttachment> QueryCgroup(string cgroupPath, BpfAttachType type)
    {
        int fd = Libc.Open(cgroupPath, Libc.O_RDONLY | Libc.O_CLOEXEC);
        if (fd < 0)
            throw SystemCallException.FromLastError($"open cgroup {cgroupPath}");
        using BpfHandle cgroup = BpfHandle.Adopt(fd);
        return Query((uint)fd, type, withLinks: false, $"{type} of cgroup {cgroupPath}");
    }

    private static unsafe BpfAttachment[] Query(uint target, BpfAttachType type, bool withLinks, string what)
    {
        uint* programs = stackalloc uint[MaxPrograms];
        uint* links = stackalloc uint[MaxPrograms];
        var attributes = new ProgramQueryAttributes
        {
            Target = target,
            AttachType = (uint)type,
            ProgramIds = (ulong)programs,
            Count = MaxPrograms,
            LinkIds = withLinks ? (ulong)links : 0,
        };
        int errno = -BpfSystemCall.Try(BpfCommand.ProgramQuery, ref attributes);
        // A device that never had a program has no list.
        if (errno == Errno.ENOENT)
            return [];
        if (errno > 0)
            throw new SystemCallException($"list the programs on {what}", errno);
        var result = new BpfAttachment[attributes.Count];
        for (int i = 0; i < result.Length; i++)
            result[i] = new BpfAttachment(programs[i], withLinks ? links[i] : 0);
        return result;
    }
}
