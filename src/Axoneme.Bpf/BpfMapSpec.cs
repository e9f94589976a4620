// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf.Kernel;

namespace Axoneme.Bpf;

/// <summary><c>enum bpf_map_type</c>.</summary>
public enum BpfMapType
{
    Unspecified = 0,
    Hash = 1,
    Array = 2,
    ProgramArray = 3,
    PerfEventArray = 4,
    PerCpuHash = 5,
    PerCpuArray = 6,
    StackTrace = 7,
    CgroupArray = 8,
    LruHash = 9,
    LruPerCpuHash = 10,
    LpmTrie = 11,
    ArrayOfMaps = 12,
    HashOfMaps = 13,
    DeviceMap = 14,
    SocketMap = 15,
    CpuMap = 16,
    XskMap = 17,
    SocketHash = 18,
    CgroupStorage = 19,
    ReusePortSocketArray = 20,
    PerCpuCgroupStorage = 21,
    Queue = 22,
    Stack = 23,
    SocketStorage = 24,
    DeviceHash = 25,
    StructOps = 26,
    RingBuffer = 27,
    InodeStorage = 28,
    TaskStorage = 29,
    BloomFilter = 30,
    UserRingBuffer = 31,
    CgroupLocalStorage = 32,
    Arena = 33,
}

/// <summary>Flags of map creation (<c>BPF_F_*</c>).</summary>
[Flags]
public enum BpfMapFlags : uint
{
    None = 0,
    NoPreallocation = 1 << 0,
    NoCommonLru = 1 << 1,
    NumaNode = 1 << 2,
    ReadOnly = 1 << 3,
    WriteOnly = 1 << 4,
    StackBuildId = 1 << 5,
    ZeroSeed = 1 << 6,
    ReadOnlyForPrograms = 1 << 7,
    WriteOnlyForPrograms = 1 << 8,
    Clone = 1 << 9,
    Mmapable = 1 << 10,
    PreserveElements = 1 << 11,
    InnerMap = 1 << 12,
}

/// <summary>How an update treats an entry that exists or not.</summary>
public enum BpfUpdateMode : uint
{
    Any = 0,
    NoExist = 1,
    Exist = 2,
}

/// <summary>What a map is made of. <see cref="MaxEntries"/> of a ring buffer is its size in bytes.</summary>
/// <param name="Name">The full name; the kernel keeps the first 15 characters.</param>
/// <param name="KeySize">Bytes.</param>
/// <param name="ValueSize">Bytes; of one processor's value for per-CPU maps.</param>
public sealed record BpfMapSpec(
    string Name, BpfMapType Type, int KeySize, int ValueSize, uint MaxEntries, BpfMapFlags Flags = BpfMapFlags.None)
{
    /// <summary>What a map of maps holds; null for every other type.</summary>
    public BpfMapSpec? Inner { get; init; }

    /// <summary>Whether the program's declaration asks for a pin under its name.</summary>
    public bool PinByName { get; init; }

    /// <summary>Whether each processor has a value of its own.</summary>
    public bool IsPerCpu => Type is BpfMapType.PerCpuArray or BpfMapType.PerCpuHash or BpfMapType.LruPerCpuHash
        or BpfMapType.PerCpuCgroupStorage;

    internal static BpfMapSpec FromInfo(in MapInfo info) => new(
        info.Name.ToString(), (BpfMapType)info.Type, (int)info.KeySize, (int)info.ValueSize, info.MaxEntries,
        (BpfMapFlags)info.Flags);

    /// <summary>
    /// Entries that the kernel reports for a map made from this: LRU lists for each processor get equal shares, so it
    /// rounds up (or down, where that would overflow).
    /// </summary>
    private uint EntriesAsCreated()
    {
        if (Type is not (BpfMapType.LruHash or BpfMapType.LruPerCpuHash) || !Flags.HasFlag(BpfMapFlags.NoCommonLru))
            return MaxEntries;
        uint processors = (uint)ProcessorSet.PossibleCount;
        ulong up = ((ulong)MaxEntries + processors - 1) / processors * processors;
        return up <= uint.MaxValue ? (uint)up : MaxEntries / processors * processors;
    }

    /// <summary>
    /// Every attribute in which a map that exists differs from this declaration, in words. The name does not count: the
    /// kernel shortens it.
    /// </summary>
    public IReadOnlyList<string> DifferencesFrom(BpfMapSpec actual)
    {
        ArgumentNullException.ThrowIfNull(actual);
        var differences = new List<string>();
        void Compare<T>(string attribute, T want, T have)
        {
            if (!EqualityComparer<T>.Default.Equals(want, have))
                differences.Add($"{attribute}: declared {want}, pinned {have}");
        }

        Compare("type", Type, actual.Type);
        Compare("key size", KeySize, actual.KeySize);
        Compare("value size", ValueSize, actual.ValueSize);
        Compare("max entries", EntriesAsCreated(), actual.MaxEntries);
        // Cloned and read-only descriptors carry flags that are not of the map.
        const BpfMapFlags OfDescriptor = BpfMapFlags.ReadOnly | BpfMapFlags.WriteOnly;
        Compare("flags", Flags & ~OfDescriptor, actual.Flags & ~OfDescriptor);
        return differences;
    }
}

/// <summary>
/// A pinned map cannot stand in for the declared one; <see cref="Differences"/> lists every attribute that is not the
/// same.
/// </summary>
public sealed class BpfMapMismatchException : Exception
{
    public BpfMapMismatchException(string path, BpfMapSpec declared, IReadOnlyList<string> differences)
        : base($"map {declared.Name} cannot reuse {path}: {string.Join("; ", differences)}")
    {
        Path = path;
        Declared = declared;
        Differences = differences;
    }

    public string Path { get; }

    public BpfMapSpec Declared { get; }

    public IReadOnlyList<string> Differences { get; }
}
