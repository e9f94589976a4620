// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Bpf;

/// <summary><c>enum bpf_prog_type</c>, as far as a network needs it.</summary>
public enum BpfProgramType
{
    Unspecified = 0,
    SocketFilter = 1,
    SchedulerClassifier = 3,
    Xdp = 6,
    CgroupSkb = 8,
    CgroupSocket = 9,
    SocketOperations = 13,
    SkSkb = 14,
    CgroupDevice = 15,
    SkMessage = 16,
    CgroupSocketAddress = 18,
    SkReusePort = 21,
    FlowDissector = 22,
    CgroupSysctl = 23,
    CgroupSocketOption = 25,
    SkLookup = 30,
}

/// <summary><c>enum bpf_attach_type</c>, as far as a network needs it.</summary>
public enum BpfAttachType
{
    CgroupInetIngress = 0,
    CgroupInetEgress = 1,
    CgroupInetSocketCreate = 2,
    CgroupSocketOperations = 3,
    CgroupInet4Bind = 8,
    CgroupInet6Bind = 9,
    CgroupInet4Connect = 10,
    CgroupInet6Connect = 11,
    CgroupInet4PostBind = 12,
    CgroupInet6PostBind = 13,
    CgroupUdp4SendMessage = 14,
    CgroupUdp6SendMessage = 15,
    CgroupUdp4ReceiveMessage = 19,
    CgroupUdp6ReceiveMessage = 20,
    CgroupGetSocketOption = 21,
    CgroupSetSocketOption = 22,
    CgroupInet4GetPeerName = 29,
    CgroupInet6GetPeerName = 30,
    CgroupInet4GetSocketName = 31,
    CgroupInet6GetSocketName = 32,
    CgroupInetSocketRelease = 34,
    SkLookup = 36,
    Xdp = 37,
    TcxIngress = 46,
    TcxEgress = 47,
    NetkitPrimary = 54,
    NetkitPeer = 55,
}

/// <summary>What the kernel knows of a loaded program.</summary>
/// <param name="Tag">Hash of the instructions; equal programs have equal tags.</param>
/// <param name="VerifiedInstructions">Instructions that the verifier walked (Linux 5.16; else 0).</param>
/// <param name="RunTime">Sum over all runs, while <c>kernel.bpf_stats_enabled</c> is set.</param>
public sealed record BpfProgramInfo(
    uint Id, string Name, BpfProgramType Type, string Tag, uint VerifiedInstructions, int TranslatedLength,
    TimeSpan RunTime, ulong RunCount);

/// <summary>The verdicts of XDP programs (<c>enum xdp_action</c>).</summary>
public enum XdpVerdict
{
    /// <summary>The program failed; the packet is dropped.</summary>
    Aborted = 0,
    Drop = 1,
    Pass = 2,

    /// <summary>Out again by the device that it came in by.</summary>
    Transmit = 3,
    Redirect = 4,
}

/// <summary>The verdicts of tc programs on tcx and clsact.</summary>
public enum TcVerdict
{
    /// <summary>tcx: the next program decides; clsact: the next filter.</summary>
    Next = -1,
    Pass = 0,
    Drop = 2,
    Redirect = 7,
}
