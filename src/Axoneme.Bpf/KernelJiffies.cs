// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>The kernel's count of ticks, which only programs can read.</summary>
public static unsafe class KernelJiffies
{
    // r6 = r1; call bpf_jiffies64; *(u64 *)(r6 + offsetof(struct __sk_buff, cb)) = r0; r0 = 0; exit
    private static ReadOnlySpan<ulong> Instructions =>
        [0x0000_0000_0000_16bf, 0x0000_0076_0000_0085, 0x0000_0000_0030_067b, 0x0000_0000_0000_00b7, 0x95];

    /// <exception cref="SystemCallException">The kernel has no bpf_jiffies64 (before 5.5), or the process lacks the privilege.</exception>
    public static ulong Read()
    {
        using BpfProgram program = Load();
        var context = default(SkBuffContext);
        Span<byte> packet = stackalloc byte[64];
        packet.Clear();
        program.TestRun(packet, default, ref context);
        return context.ControlBlock[0] | ((ulong)context.ControlBlock[1] << 32);
    }

    private static BpfProgram Load()
    {
        fixed (ulong* instructions = Instructions)
        fixed (byte* license = "Dual BSD/GPL\0"u8)
        {
            var attributes = new ProgramLoadAttributes
            {
                Type = (uint)BpfProgramType.SchedulerClassifier,
                InstructionCount = (uint)Instructions.Length,
                Instructions = (ulong)instructions,
                License = (ulong)license,
                Name = KernelName.From("jiffies"),
            };
            int fd = BpfSystemCall.Try(BpfCommand.ProgramLoad, ref attributes);
            return new BpfProgram(BpfHandle.FromResult(fd, "load the program that reads jiffies"), "jiffies");
        }
    }
}
