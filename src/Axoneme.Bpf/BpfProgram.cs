// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>
/// A loaded program. Links and program arrays hold it in the kernel, so disposing after attaching is right.
/// </summary>
public sealed class BpfProgram : IDisposable
{
    internal BpfProgram(BpfHandle handle, string name)
    {
        Handle = handle;
        Name = name;
    }

    public BpfHandle Handle { get; }

    /// <summary>
    /// The function's name; of a program that was not loaded by this process, the first 15 characters.
    /// </summary>
    public string Name { get; }

    /// <summary>Opens a program by its id.</summary>
    public static BpfProgram OpenById(uint id)
        => Open(BpfSystemCall.OpenById(BpfCommand.ProgramGetFdById, id, "program"));

    public static BpfProgram OpenPinned(string path) => Open(BpfSystemCall.OpenPinned(path, "program"));

    public void Pin(string path) => BpfSystemCall.Pin(Handle, path, $"program {Name}");

    public BpfProgramInfo GetInfo()
    {
        ProgramInfo info = BpfSystemCall.GetInfo<ProgramInfo>(Handle, $"program {Name}");
        // The kernel stores the tag as bytes, and tools print them in that order.
        string tag = Convert.ToHexStringLower(BitConverter.GetBytes(info.Tag));
        return new BpfProgramInfo(info.Id, Name, (BpfProgramType)info.Type, tag, info.VerifiedInstructions,
            (int)info.TranslatedLength, TimeSpan.FromTicks((long)(info.RunTimeNanoseconds / 100)), info.RunCount);
    }

    /// <summary>Puts this program into a program array (tail calls).</summary>
    public void SetTailCall(BpfMap programArray, uint index)
    {
        ArgumentNullException.ThrowIfNull(programArray);
        using var use = Handle.Use();
        uint fd = (uint)use.Descriptor;
        programArray.Update(
            MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in index)),
            MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in fd)));
    }

    /// <summary>
    /// Runs the program on a packet without attaching it (BPF_PROG_TEST_RUN). For tc the packet starts with its
    /// Ethernet header.
    /// </summary>
    /// <param name="packet">At least 14 bytes.</param>
    /// <param name="output">Receives the packet as the program left it; may be empty.</param>
    /// <param name="repeat">Runs; the duration is the average of one.</param>
    public BpfTestRunResult TestRun(ReadOnlySpan<byte> packet, Span<byte> output = default, int repeat = 1)
        => TestRun<byte>(packet, output, ref Unsafe.NullRef<byte>(), repeat);

    /// <summary>
    /// As above, with a context (such as <see cref="SkBuffContext"/>) that the program sees and may change.
    /// </summary>
    public unsafe BpfTestRunResult TestRun<TContext>(
        ReadOnlySpan<byte> packet, Span<byte> output, ref TContext context, int repeat = 1)
        where TContext : unmanaged
    {
        using var use = Handle.Use();
        bool hasContext = !Unsafe.IsNullRef(ref context);
        fixed (byte* dataIn = packet)
        fixed (byte* dataOut = output)
        fixed (TContext* contextPointer = &context)
        {
            var attributes = new TestRunAttributes
            {
                ProgramFd = (uint)use.Descriptor,
                DataIn = (ulong)dataIn,
                DataSizeIn = (uint)packet.Length,
                DataOut = (ulong)dataOut,
                DataSizeOut = (uint)output.Length,
                Repeat = (uint)repeat,
                ContextIn = hasContext ? (ulong)contextPointer : 0,
                ContextOut = hasContext ? (ulong)contextPointer : 0,
                ContextSizeIn = hasContext ? (uint)sizeof(TContext) : 0,
                ContextSizeOut = hasContext ? (uint)sizeof(TContext) : 0,
            };
            int errno = -BpfSystemCall.Try(BpfCommand.ProgramTestRun, ref attributes);
            // ENOSPC says that the packet grew beyond the output; the program has run and the size is what it would
            // need.
            if (errno > 0 && !(errno == Errno.ENOSPC && output.IsEmpty))
                throw new SystemCallException($"test run of program {Name}", errno);
            return new BpfTestRunResult((int)attributes.ReturnValue, (int)attributes.DataSizeOut, attributes.Duration);
        }
    }

    public void Dispose() => Handle.Dispose();

    public override string ToString() => Name;

    private static BpfProgram Open(BpfHandle handle)
    {
        try
        {
            return new BpfProgram(handle, BpfSystemCall.GetInfo<ProgramInfo>(handle, "program").Name.ToString());
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }
}

/// <summary>Outcome of a test run.</summary>
/// <param name="ReturnValue">What the program returned: a <see cref="TcVerdict"/>, an XDP action ...</param>
/// <param name="OutputLength">Length of the packet afterwards, in bytes.</param>
/// <param name="Nanoseconds">Mean time of one run; a <see cref="TimeSpan"/> would round it to 100.</param>
public readonly record struct BpfTestRunResult(int ReturnValue, int OutputLength, uint Nanoseconds);

/// <summary>
/// <c>struct __sk_buff</c>. A test run takes <see cref="Mark"/>, <see cref="Priority"/>, <see
/// cref="IngressInterface"/>, <see cref="Interface"/>, <see cref="ControlBlock"/>, <see cref="WireLength"/> and the
/// segment fields; others must be zero.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 192)]
public struct SkBuffContext
{
    [FieldOffset(0)] public uint Length;
    [FieldOffset(4)] public uint PacketType;
    [FieldOffset(8)] public uint Mark;
    [FieldOffset(12)] public uint QueueMapping;
    /// <summary>EtherType in network byte order.</summary>
    [FieldOffset(16)] public uint Protocol;
    [FieldOffset(32)] public uint Priority;
    [FieldOffset(36)] public uint IngressInterface;
    [FieldOffset(40)] public uint Interface;
    [FieldOffset(44)] public uint TcIndex;
    [FieldOffset(48)] public SkBuffControlBlock ControlBlock;
    [FieldOffset(68)] public uint Hash;
    [FieldOffset(72)] public uint TcClassId;
    [FieldOffset(152)] public ulong Timestamp;
    [FieldOffset(160)] public uint WireLength;
    [FieldOffset(164)] public uint SegmentCount;
    [FieldOffset(176)] public uint SegmentSize;
}

/// <summary>
/// <c>struct xdp_md</c>. A test run takes <see cref="DataEnd"/>, the length of the frame, and <see cref="IngressInterface"/>, a
/// device of the calling thread's network namespace whose driver has set its XDP up, which veth does when a program is attached.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct XdpContext
{
    /// <summary>Offsets into the frame; after a run, <see cref="Data"/> is the length of the metadata.</summary>
    public uint Data;
    public uint DataEnd;
    public uint DataMeta;
    public uint IngressInterface;
    public uint ReceiveQueue;
    public uint EgressInterface;
}

/// <summary>The five words of <c>__sk_buff.cb</c>.</summary>
[InlineArray(5)]
public struct SkBuffControlBlock
{
    private uint _first;
}
