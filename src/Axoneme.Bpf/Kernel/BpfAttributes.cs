// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Axoneme.Bpf.Kernel;

/// <summary>Commands of bpf(2) (<c>enum bpf_cmd</c>).</summary>
internal enum BpfCommand
{
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    MapGetNextKey = 4,
    ProgramLoad = 5,
    ObjectPin = 6,
    ObjectGet = 7,
    ProgramTestRun = 10,
    ProgramGetFdById = 13,
    MapGetFdById = 14,
    ObjectGetInfo = 15,
    ProgramQuery = 16,
    MapLookupAndDelete = 21,
    MapFreeze = 22,
    MapLookupBatch = 24,
    MapLookupAndDeleteBatch = 25,
    MapUpdateBatch = 26,
    MapDeleteBatch = 27,
    LinkCreate = 28,
    LinkUpdate = 29,
    LinkGetFdById = 30,
    LinkDetach = 34,
}

/// <summary>A kernel object name: 15 bytes and a zero.</summary>
[InlineArray(16)]
internal struct KernelName
{
    private byte _first;

    /// <summary>
    /// Cuts to what the kernel takes and replaces what it rejects (only letters, digits, '_' and '.').
    /// </summary>
    public static KernelName From(string name)
    {
        KernelName result = default;
        for (int i = 0; i < Math.Min(name.Length, 15); i++)
            result[i] = char.IsAsciiLetterOrDigit(name[i]) || name[i] is '_' or '.' ? (byte)name[i] : (byte)'_';
        return result;
    }

    public readonly override string ToString()
    {
        ReadOnlySpan<byte> bytes = this;
        int end = bytes.IndexOf((byte)0);
        return System.Text.Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
    }
}

// The structs below are the members of union bpf_attr that each command reads, in the order and with the padding of
// <linux/bpf.h>.

[StructLayout(LayoutKind.Sequential)]
internal struct MapCreateAttributes
{
    public uint Type, KeySize, ValueSize, MaxEntries, Flags, InnerMapFd, NumaNode;
    public KernelName Name;
    public uint InterfaceIndex, BtfFd, BtfKeyTypeId, BtfValueTypeId, BtfVmlinuxValueTypeId;
    public ulong Extra;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MapElementAttributes
{
    public uint MapFd;
    public ulong Key;
    public ulong ValueOrNextKey;
    public ulong Flags;

    public MapElementAttributes(int map, byte* key, byte* value, ulong flags = 0)
    {
        MapFd = (uint)map;
        Key = (ulong)key;
        ValueOrNextKey = (ulong)value;
        Flags = flags;
    }
}

[StructLayout(LayoutKind.Sequential)]
internal struct MapBatchAttributes
{
    public ulong InBatch, OutBatch, Keys, Values;
    public uint Count, MapFd;
    public ulong ElementFlags, Flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ProgramLoadAttributes
{
    public uint Type, InstructionCount;
    public ulong Instructions, License;
    public uint LogLevel, LogSize;
    public ulong LogBuffer;
    public uint KernelVersion, Flags;
    public KernelName Name;
    public uint InterfaceIndex, ExpectedAttachType;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ObjectPathAttributes
{
    public ulong Path;
    public uint Fd, FileFlags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ObjectIdAttributes
{
    public uint Id, NextId, OpenFlags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ObjectInfoAttributes
{
    public uint Fd, Length;
    public ulong Info;
}

[StructLayout(LayoutKind.Sequential)]
internal struct TestRunAttributes
{
    public uint ProgramFd, ReturnValue, DataSizeIn, DataSizeOut;
    public ulong DataIn, DataOut;
    public uint Repeat, Duration, ContextSizeIn, ContextSizeOut;
    public ulong ContextIn, ContextOut;
    public uint Flags, Cpu, BatchSize;
}

[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct LinkCreateAttributes
{
    [FieldOffset(0)] public uint ProgramFd;
    [FieldOffset(4)] public uint Target;
    [FieldOffset(8)] public uint AttachType;
    [FieldOffset(12)] public uint Flags;
    [FieldOffset(16)] public uint RelativeFdOrId;
    [FieldOffset(24)] public ulong ExpectedRevision;
}

[StructLayout(LayoutKind.Sequential)]
internal struct LinkUpdateAttributes
{
    public uint LinkFd, NewProgramFd, Flags, OldProgramFd;
}

[StructLayout(LayoutKind.Sequential)]
internal struct LinkDetachAttributes
{
    public uint LinkFd;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ProgramQueryAttributes
{
    public uint Target, AttachType, QueryFlags, AttachFlags;
    public ulong ProgramIds;
    public uint Count;
    public ulong ProgramAttachFlags, LinkIds, LinkAttachFlags, Revision;
}

[StructLayout(LayoutKind.Sequential)]
internal struct MapInfo
{
    public uint Type, Id, KeySize, ValueSize, MaxEntries, Flags;
    public KernelName Name;
    public uint InterfaceIndex, BtfVmlinuxValueTypeId;
    public ulong NetnsDevice, NetnsInode;
    public uint BtfId, BtfKeyTypeId, BtfValueTypeId, BtfVmlinuxId;
    public ulong Extra;
}

[StructLayout(LayoutKind.Explicit, Size = 232)]
internal struct ProgramInfo
{
    [FieldOffset(0)] public uint Type;
    [FieldOffset(4)] public uint Id;
    [FieldOffset(8)] public ulong Tag;
    [FieldOffset(16)] public uint JitedLength;
    [FieldOffset(20)] public uint TranslatedLength;
    [FieldOffset(40)] public ulong LoadTime;
    [FieldOffset(64)] public KernelName Name;
    [FieldOffset(192)] public ulong RunTimeNanoseconds;
    [FieldOffset(200)] public ulong RunCount;
    [FieldOffset(216)] public uint VerifiedInstructions;
}

[StructLayout(LayoutKind.Explicit, Size = 64)]
internal struct LinkInfo
{
    [FieldOffset(0)] public uint Type;
    [FieldOffset(4)] public uint Id;
    [FieldOffset(8)] public uint ProgramId;
    // tcx, netkit and xdp start with the interface, netns with the inode, cgroup with the 64-bit cgroup id.
    [FieldOffset(16)] public uint Interface;
    [FieldOffset(16)] public ulong CgroupId;
    [FieldOffset(20)] public uint InterfaceAttachType;
    [FieldOffset(24)] public uint CgroupAttachType;
}
