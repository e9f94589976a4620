// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>
/// Something that a kernel may or may not offer. The answer comes from trying it, once: distributions carry features to
/// older versions, and configurations leave them out of newer ones.
/// </summary>
public sealed class BpfFeature
{
    private readonly Lazy<bool> _probe;

    internal BpfFeature(string name, string minimumKernel, Func<bool> probe, string? configuration = null)
    {
        Name = name;
        MinimumKernel = Version.Parse(minimumKernel);
        Configuration = configuration;
        _probe = new Lazy<bool>(probe);
    }

    public string Name { get; }

    /// <summary>The first release of Linux that has it.</summary>
    public Version MinimumKernel { get; }

    /// <summary>The kernel option that it needs besides BPF itself, if any.</summary>
    public string? Configuration { get; }

    /// <exception cref="SystemCallException">The kernel gave no answer; mostly EPERM, without the privilege to use
    /// bpf(2).</exception>
    public bool IsSupported => _probe.Value;

    public override string ToString() => $"{Name} (Linux {MinimumKernel})";
}

/// <summary>What this kernel offers.</summary>
public static unsafe class BpfFeatures
{
    private const int HelperRedirectPeer = 155;
    private const int HelperJiffies64 = 118;
    private const int HelperRedirectNeighbour = 152;
    private const int HelperLoop = 181;

    /// <summary>tc programs as links.</summary>
    public static BpfFeature Tcx { get; } = new("tcx", "6.6", ()
        => CanLink(BpfAttachType.TcxIngress), "CONFIG_NET_XGRESS");

    /// <summary>netkit devices.</summary>
    public static BpfFeature Netkit { get; } = new("netkit", "6.7", ()
        => CanLink(BpfAttachType.NetkitPrimary), "CONFIG_NETKIT");

    /// <summary>Batch operations on hash maps.</summary>
    public static BpfFeature MapBatch { get; } = new("map batch operations", "5.6", CanBatch);

    public static BpfFeature RingBuffer { get; } = new("ring buffer", "5.8",
        () => CanCreate(new BpfMapSpec("probe", BpfMapType.RingBuffer, 0, 0, (uint)Environment.SystemPageSize)));

    /// <summary>LRU hash maps with a list for each processor.</summary>
    public static BpfFeature NoCommonLru { get; } = new("BPF_F_NO_COMMON_LRU", "4.10",
        () => CanCreate(new BpfMapSpec("probe", BpfMapType.LruHash, 4, 4, 1024, BpfMapFlags.NoCommonLru)));

    public static BpfFeature RedirectPeer { get; } = new("bpf_redirect_peer", "5.10", ()
        => HasHelper(HelperRedirectPeer, 2));

    public static BpfFeature RedirectNeighbour { get; } = new("bpf_redirect_neigh", "5.10", ()
        => HasHelper(HelperRedirectNeighbour, 4));

    public static BpfFeature Jiffies64 { get; } = new("bpf_jiffies64", "5.5", () => HasHelper(HelperJiffies64, 0));

    /// <summary>Helper number bound of 5.17, by which bpf_loop is known.</summary>
    public static BpfFeature Loop { get; } = new("bpf_loop", "5.17", () => KnowsHelper(HelperLoop));

    public static BpfFeature CgroupConnect { get; } = new("cgroup connect hooks", "4.17",
        () => CanLoad(BpfProgramType.CgroupSocketAddress, BpfAttachType.CgroupInet4Connect, ReturnOne),
        "CONFIG_CGROUP_BPF");

    public static BpfFeature CgroupReceiveMessage { get; } = new("cgroup recvmsg hooks", "5.2",
        () => CanLoad(BpfProgramType.CgroupSocketAddress, BpfAttachType.CgroupUdp4ReceiveMessage, ReturnOne),
        "CONFIG_CGROUP_BPF");

    public static BpfFeature CgroupGetPeerName { get; } = new("cgroup getpeername hooks", "5.8",
        () => CanLoad(BpfProgramType.CgroupSocketAddress, BpfAttachType.CgroupInet4GetPeerName, ReturnOne),
        "CONFIG_CGROUP_BPF");

    public static BpfFeature CgroupSocketRelease { get; } = new("cgroup socket release hook", "5.9",
        () => CanLoad(BpfProgramType.CgroupSocket, BpfAttachType.CgroupInetSocketRelease, ReturnOne),
        "CONFIG_CGROUP_BPF");

    public static BpfFeature SkLookup { get; } = new("sk_lookup", "5.9",
        () => CanLoad(BpfProgramType.SkLookup, BpfAttachType.SkLookup, ReturnOne));

    /// <summary>Whether the kernel has its own type information, for relocations.</summary>
    public static BpfFeature KernelBtf { get; } = new("kernel BTF", "5.4", ()
        => File.Exists("/sys/kernel/btf/vmlinux"), "CONFIG_DEBUG_INFO_BTF");

    public static IReadOnlyList<BpfFeature> All { get; } =
    [
        Tcx, Netkit, MapBatch, RingBuffer, NoCommonLru, RedirectPeer, RedirectNeighbour, Jiffies64, Loop, CgroupConnect,
        CgroupReceiveMessage, CgroupGetPeerName, CgroupSocketRelease, SkLookup, KernelBtf,
    ];

    // r0 = 1; exit
    private static ReadOnlySpan<ulong> ReturnOne => [0x00000001_0000_00_b7, 0x95];

    private static bool CanCreate(BpfMapSpec spec)
    {
        try
        {
            BpfMap.Create(spec).Dispose();
            return true;
        }
        catch (SystemCallException e) when (e.Errno == Errno.EINVAL)
        {
            return false;
        }
    }

    private static bool CanBatch()
    {
        using var map = BpfMap.Create(new BpfMapSpec("probe", BpfMapType.Hash, 4, 4, 4)).As<uint, uint>();
        using var use = map.Map.Handle.Use();
        uint key = 1, value = 1;
        var attributes = new MapBatchAttributes
        {
            Keys = (ulong)(&key),
            Values = (ulong)(&value),
            Count = 1,
            MapFd = (uint)use.Descriptor,
        };
        return Answer(BpfSystemCall.Try(BpfCommand.MapUpdateBatch, ref attributes), "probe map batch operations");
    }

    /// <summary>
    /// Linking to a device that cannot exist fails with ENODEV where the attach type is known, with EINVAL where it is
    /// not.
    /// </summary>
    private static bool CanLink(BpfAttachType type)
    {
        using BpfHandle program = Load(BpfProgramType.SchedulerClassifier, 0, ReturnOne, out int errno)
            ?? throw new SystemCallException("load a tc program", errno);
        using var use = program.Use();
        var attributes = new LinkCreateAttributes
        {
            ProgramFd = (uint)use.Descriptor,
            Target = int.MaxValue,
            AttachType = (uint)type,
        };
        int result = BpfSystemCall.Try(BpfCommand.LinkCreate, ref attributes);
        return result == -Errno.ENODEV || Answer(result, $"probe {type}");
    }

    private static bool HasHelper(int helper, int arguments)
    {
        Span<ulong> program = stackalloc ulong[arguments + 3];
        int length = 0;
        // r1 .. rN = 0; call helper; r0 = 0; exit
        for (int register = 1; register <= arguments; register++)
            program[length++] = 0xb7 | ((ulong)register << 8);
        program[length++] = 0x85 | ((ulong)(uint)helper << 32);
        program[length++] = 0xb7;
        program[length++] = 0x95;
        return CanLoad(BpfProgramType.SchedulerClassifier, 0, program);
    }

    /// <summary>
    /// For helpers whose arguments a probe cannot make: the verifier names an unknown helper before it looks at them.
    /// </summary>
    private static bool KnowsHelper(int helper)
    {
        byte[] log = new byte[4096];
        Span<ulong> program = [0x85 | ((ulong)(uint)helper << 32), 0xb7, 0x95];
        using BpfHandle? loaded = Load(BpfProgramType.SchedulerClassifier, 0, program, out int errno, log);
        if (errno == Errno.EPERM)
            throw new SystemCallException($"probe helper {helper}", errno);
        string text = System.Text.Encoding.ASCII.GetString(log);
        return loaded is not null || !(text.Contains("invalid func", StringComparison.Ordinal)
            || text.Contains("unknown func", StringComparison.Ordinal));
    }

    private static bool CanLoad(BpfProgramType type, BpfAttachType attachType, ReadOnlySpan<ulong> instructions)
    {
        using BpfHandle? program = Load(type, attachType, instructions, out int errno);
        return Answer(-errno, $"probe {type} programs");
    }

    private static bool Answer(int result, string operation) => -result switch
    {
        <= 0 => true,
        Errno.EPERM or Errno.ENOMEM or Errno.EAGAIN => throw new SystemCallException(operation, -result),
        _ => false,
    };

    private static BpfHandle? Load(
        BpfProgramType type, BpfAttachType attachType, ReadOnlySpan<ulong> instructions, out int errno,
        byte[]? log = null)
    {
        fixed (ulong* pointer = instructions)
        fixed (byte* license = "Dual BSD/GPL\0"u8)
        fixed (byte* logPointer = log)
        {
            var attributes = new ProgramLoadAttributes
            {
                Type = (uint)type,
                ExpectedAttachType = (uint)attachType,
                InstructionCount = (uint)instructions.Length,
                Instructions = (ulong)pointer,
                License = (ulong)license,
                LogLevel = log is null ? 0u : 1,
                LogSize = (uint)(log?.Length ?? 0),
                LogBuffer = (ulong)logPointer,
                Name = KernelName.From("probe"),
            };
            int fd = BpfSystemCall.Try(BpfCommand.ProgramLoad, ref attributes);
            errno = fd < 0 ? -fd : 0;
            return fd < 0 ? null : BpfHandle.Adopt(fd);
        }
    }
}
