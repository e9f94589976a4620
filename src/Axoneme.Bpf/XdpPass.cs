// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>
/// The XDP program that does nothing. A veth device takes frames that its peer's program sends back (XDP_TX) or redirects only if it
/// has a program of its own; receive offload alone makes it queue them, and nothing wakes it.
/// </summary>
public static unsafe class XdpPass
{
    // r0 = XDP_PASS; exit
    private static ReadOnlySpan<ulong> Instructions => [0x0000_0002_0000_00b7, 0x95];

    /// <exception cref="SystemCallException">The process lacks the privilege.</exception>
    public static BpfProgram Load()
    {
        fixed (ulong* instructions = Instructions)
        fixed (byte* license = "Dual BSD/GPL\0"u8)
        {
            var attributes = new ProgramLoadAttributes
            {
                Type = (uint)BpfProgramType.Xdp,
                InstructionCount = (uint)Instructions.Length,
                Instructions = (ulong)instructions,
                License = (ulong)license,
                Name = KernelName.From("pass"),
                Flags = AnyFragments,
            };
            int fd = BpfSystemCall.Try(BpfCommand.ProgramLoad, ref attributes);
            return new BpfProgram(BpfHandle.FromResult(fd, "load the XDP program that passes"), "pass");
        }
    }

    // BPF_F_XDP_HAS_FRAGS: else the peer could not send what is larger than a page.
    private const uint AnyFragments = 1 << 5;
}
