// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary><c>enum bpf_link_type</c>.</summary>
public enum BpfLinkType
{
    Unspecified = 0,
    RawTracepoint = 1,
    Tracing = 2,
    Cgroup = 3,
    Iterator = 4,
    NetworkNamespace = 5,
    Xdp = 6,
    PerfEvent = 7,
    KprobeMulti = 8,
    StructOps = 9,
    Netfilter = 10,
    Tcx = 11,
    UprobeMulti = 12,
    Netkit = 13,
}

/// <summary>
/// Side of a device that a tc program sees; <see cref="Ingress"/> of a veth's host end is what its peer sends.
/// </summary>
public enum TcDirection
{
    Ingress,
    Egress,
}

/// <summary>Where a program takes its place among those that are attached already.</summary>
public enum TcxPosition
{
    Last,
    First,
}

/// <summary><c>XDP_FLAGS_*</c>; exactly one mode.</summary>
public enum XdpMode : uint
{
    /// <summary>Works on every device, after the socket buffer was made.</summary>
    Generic = 1 << 1,
    Native = 1 << 2,
    Offload = 1 << 3,
}

/// <summary>What a link connects.</summary>
/// <param name="InterfaceIndex">Of tcx, netkit and XDP links; 0 when the device is gone.</param>
/// <param name="AttachType">Of tcx, netkit and cgroup links.</param>
/// <param name="CgroupId">Of cgroup links: the inode of the directory.</param>
public sealed record BpfLinkInfo(
    uint Id, BpfLinkType Type, uint ProgramId, int InterfaceIndex, BpfAttachType AttachType, ulong CgroupId);

/// <summary>
/// An attachment that lasts as long as the link: until the descriptor is disposed, and longer if it is pinned. Another
/// process adopts it with <see cref="OpenPinned"/> and replaces the program with <see cref="Update"/>, without a packet
/// that meets none.
/// </summary>
public sealed class BpfLink : IDisposable
{
    private BpfLink(BpfHandle handle, string target)
    {
        Handle = handle;
        Target = target;
    }

    public BpfHandle Handle { get; }

    /// <summary>What the link is attached to, or the pin it came from; for messages.</summary>
    public string Target { get; }

    /// <summary>Attaches a tc program to a device of the current network namespace (Linux 6.6).</summary>
    public static BpfLink AttachTcx(
        BpfProgram program, int interfaceIndex, TcDirection direction, TcxPosition position = TcxPosition.Last)
    {
        ArgumentNullException.ThrowIfNull(program);
        // BPF_F_BEFORE and BPF_F_AFTER without a relative program mean the head and the tail.
        var attributes = new LinkCreateAttributes
        {
            Target = (uint)interfaceIndex,
            AttachType = (uint)(direction == TcDirection.Ingress ? BpfAttachType.TcxIngress : BpfAttachType.TcxEgress),
            Flags = position == TcxPosition.First ? 1u << 3 : 1u << 4,
        };
        return Create(program, attributes, $"tcx {direction} of interface {interfaceIndex}");
    }

    /// <summary>Attaches to one end of a netkit pair, named by its primary device (Linux 6.7).</summary>
    public static BpfLink AttachNetkit(BpfProgram program, int primaryInterfaceIndex, bool peer)
    {
        ArgumentNullException.ThrowIfNull(program);
        var attributes = new LinkCreateAttributes
        {
            Target = (uint)primaryInterfaceIndex,
            AttachType = (uint)(peer ? BpfAttachType.NetkitPeer : BpfAttachType.NetkitPrimary),
        };
        return Create(program, attributes,
            $"netkit {(peer ? "peer" : "primary")} of interface {primaryInterfaceIndex}");
    }

    /// <summary>Attaches to a device's XDP hook; a device has one.</summary>
    public static BpfLink AttachXdp(BpfProgram program, int interfaceIndex, XdpMode mode)
    {
        ArgumentNullException.ThrowIfNull(program);
        var attributes = new LinkCreateAttributes
        {
            Target = (uint)interfaceIndex,
            AttachType = (uint)BpfAttachType.Xdp,
            Flags = (uint)mode,
        };
        return Create(program, attributes, $"XDP of interface {interfaceIndex}");
    }

    /// <summary>Attaches to a cgroup v2 directory, beside the programs that others attached there or above.</summary>
    public static BpfLink AttachCgroup(BpfProgram program, string cgroupPath, BpfAttachType type)
    {
        ArgumentNullException.ThrowIfNull(program);
        int fd = Libc.Open(cgroupPath, Libc.O_RDONLY | Libc.O_CLOEXEC);
        if (fd < 0)
            throw SystemCallException.FromLastError($"open cgroup {cgroupPath}");
        using BpfHandle cgroup = BpfHandle.Adopt(fd);
        return Create(program, new LinkCreateAttributes { Target = (uint)fd, AttachType = (uint)type },
            $"{type} of cgroup {cgroupPath}");
    }

    /// <summary>Attaches to a network namespace (<see cref="BpfAttachType.SkLookup"/>).</summary>
    public static BpfLink AttachNetworkNamespace(BpfProgram program, NetworkNamespace target, BpfAttachType type)
    {
        ArgumentNullException.ThrowIfNull(program);
        ArgumentNullException.ThrowIfNull(target);
        return Create(program, new LinkCreateAttributes { Target = (uint)target.Descriptor, AttachType = (uint)type },
            $"{type} of network namespace {target.Path}");
    }

    /// <summary>Adopts a link that this or another process pinned.</summary>
    public static BpfLink OpenPinned(string path) => new(BpfSystemCall.OpenPinned(path, "link"), path);

    /// <summary>As <see cref="OpenPinned"/>; null when nothing is pinned there.</summary>
    public static BpfLink? TryOpenPinned(string path)
        => BpfSystemCall.TryOpenPinned(path, "link") is { } handle ? new BpfLink(handle, path) : null;

    /// <summary>Keeps the attachment beyond this process; the directory must exist on a bpffs.</summary>
    public void Pin(string path) => BpfSystemCall.Pin(Handle, path, $"link on {Target}");

    /// <summary>Replaces the program atomically: every packet is seen by the old or by the new one.</summary>
    /// <exception cref="SystemCallException">ENOLINK (67) when the device or cgroup is gone.</exception>
    public void Update(BpfProgram program)
    {
        ArgumentNullException.ThrowIfNull(program);
        using var link = Handle.Use();
        using var use = program.Handle.Use();
        var attributes = new LinkUpdateAttributes
        {
            LinkFd = (uint)link.Descriptor,
            NewProgramFd = (uint)use.Descriptor,
        };
        int result = BpfSystemCall.Try(BpfCommand.LinkUpdate, ref attributes);
        if (result < 0)
            throw new SystemCallException($"replace the program of {Target} by {program.Name}", -result);
    }

    /// <summary>Detaches now, whoever else holds or pinned the link.</summary>
    public void Detach()
    {
        using var use = Handle.Use();
        var attributes = new LinkDetachAttributes { LinkFd = (uint)use.Descriptor };
        int result = BpfSystemCall.Try(BpfCommand.LinkDetach, ref attributes);
        if (result < 0)
            throw new SystemCallException($"detach the link on {Target}", -result);
    }

    public BpfLinkInfo GetInfo()
    {
        LinkInfo info = BpfSystemCall.GetInfo<LinkInfo>(Handle, $"link on {Target}");
        var type = (BpfLinkType)info.Type;
        bool onCgroup = type == BpfLinkType.Cgroup;
        bool onInterface = type is BpfLinkType.Tcx or BpfLinkType.Netkit or BpfLinkType.Xdp;
        uint attachType = type switch
        {
            BpfLinkType.Cgroup => info.CgroupAttachType,
            BpfLinkType.Xdp => (uint)BpfAttachType.Xdp,
            _ => info.InterfaceAttachType,
        };
        return new BpfLinkInfo(
            info.Id, type, info.ProgramId, onInterface ? (int)info.Interface : 0, (BpfAttachType)attachType,
            onCgroup ? info.CgroupId : 0);
    }

    public void Dispose() => Handle.Dispose();

    public override string ToString() => Target;

    private static BpfLink Create(BpfProgram program, LinkCreateAttributes attributes, string target)
    {
        using var use = program.Handle.Use();
        attributes.ProgramFd = (uint)use.Descriptor;
        int fd = BpfSystemCall.Try(BpfCommand.LinkCreate, ref attributes);
        return new BpfLink(BpfHandle.FromResult(fd, $"attach program {program.Name} to {target}"), target);
    }
}
