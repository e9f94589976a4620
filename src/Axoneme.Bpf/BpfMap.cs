// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>
/// A kernel map with keys and values as bytes. Safe for use by many threads: the kernel synchronises, entry by entry.
/// Disposing closes the descriptor; a pinned map lives on.
/// </summary>
public sealed class BpfMap : IDisposable
{
    private readonly BpfMapOperations _operations;

    private BpfMap(BpfHandle handle, BpfMapSpec spec, uint id)
    {
        Handle = handle;
        Spec = spec;
        Id = id;
        _operations = BpfMapOperations.Of(spec.Name);
        ValueLength = spec.IsPerCpu ? PerCpuStride(spec.ValueSize) * ProcessorSet.PossibleCount : spec.ValueSize;
    }

    public BpfHandle Handle { get; }

    /// <summary>Attributes as the kernel reports them, under the name that this process knows.</summary>
    public BpfMapSpec Spec { get; }

    /// <summary>The kernel's id, unique until the map is gone.</summary>
    public uint Id { get; }

    public string Name => Spec.Name;

    /// <summary>
    /// Bytes that a lookup returns: for a per-CPU map the values of all possible processors, each rounded up to 8.
    /// </summary>
    public int ValueLength { get; }

    internal int Descriptor => (int)Handle.DangerousGetHandle();

    /// <summary>For values of maps of maps, which name their maps so; valid while this is not disposed.</summary>
    public int DangerousDescriptor => Descriptor;

    /// <summary>Creates an unpinned map.</summary>
    /// <exception cref="SystemCallException">The kernel refused.</exception>
    public static BpfMap Create(BpfMapSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        if (spec.Inner is null)
            return Create(spec, innerDescriptor: 0);
        using BpfMap template = Create(spec.Inner);
        return Create(spec, template.Descriptor);
    }

    /// <summary>Opens a pinned map.</summary>
    /// <exception cref="SystemCallException">There is none (ENOENT), or it may not be opened.</exception>
    public static BpfMap OpenPinned(string path) => Open(BpfSystemCall.OpenPinned(path, "map"), Path.GetFileName(path));

    /// <summary>Opens a pinned map; null when nothing is pinned there.</summary>
    public static BpfMap? TryOpenPinned(string path)
        => BpfSystemCall.TryOpenPinned(path, "map") is { } handle ? Open(handle, Path.GetFileName(path)) : null;

    /// <summary>Opens the pinned map, or creates and pins it. Two processes that race here get the same map.</summary>
    /// <exception cref="BpfMapMismatchException">What is pinned differs from <paramref name="spec"/>.</exception>
    public static BpfMap OpenOrCreatePinned(BpfMapSpec spec, string path)
    {
        ArgumentNullException.ThrowIfNull(spec);
        while (true)
        {
            if (TryOpenPinned(path) is { } existing)
                return existing.RequireCompatible(spec, path);
            BpfMap created = Create(spec);
            try
            {
                created.Pin(path);
                return created;
            }
            catch (SystemCallException e) when (e.Errno == Errno.EEXIST)
            {
                created.Dispose();
            }
            catch
            {
                created.Dispose();
                throw;
            }
        }
    }

    /// <summary>Opens a map by its id.</summary>
    public static BpfMap OpenById(uint id)
        => Open(BpfSystemCall.OpenById(BpfCommand.MapGetFdById, id, "map"), name: null);

    /// <summary>Pins the map; the directory must exist on a bpffs.</summary>
    public void Pin(string path) => BpfSystemCall.Pin(Handle, path, $"map {Name}");

    /// <summary>Copies the value of a key; false when there is none.</summary>
    public bool TryLookup(ReadOnlySpan<byte> key, Span<byte> value)
        => ElementCommand(BpfCommand.MapLookup, key, CheckValue(value), 0, Errno.ENOENT);

    /// <summary>Writes an entry.</summary>
    /// <exception cref="SystemCallException">EEXIST or ENOENT by <paramref name="mode"/>, E2BIG when the map is
    /// full.</exception>
    public void Update(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, BpfUpdateMode mode = BpfUpdateMode.Any)
        => ElementCommand(BpfCommand.MapUpdate, key, CheckValue(value), (ulong)mode, toleratedErrno: 0);

    /// <summary>
    /// Writes an entry; false when <paramref name="mode"/> forbids it because the entry exists or does not.
    /// </summary>
    public bool TryUpdate(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, BpfUpdateMode mode)
        => ElementCommand(BpfCommand.MapUpdate, key, CheckValue(value), (ulong)mode,
            mode == BpfUpdateMode.NoExist ? Errno.EEXIST : Errno.ENOENT);

    /// <summary>
    /// Writes many entries, in one system call where the kernel can. Returns how many were written before one failed, and that one's error
    /// number, 0 when all were.
    /// </summary>
    public unsafe int TryUpdateBatch(ReadOnlySpan<byte> keys, ReadOnlySpan<byte> values, out int errno)
    {
        int count = keys.Length / Spec.KeySize;
        if (values.Length != (long)count * ValueLength || keys.Length % Spec.KeySize != 0)
            throw WrongSize("value", count * ValueLength, values.Length);
        errno = 0;
        if (count == 0)
            return 0;
        using var use = Handle.Use();
        fixed (byte* keyPointer = keys)
        fixed (byte* valuePointer = values)
        {
            var batch = new MapBatchAttributes { Keys = (ulong)keyPointer, Values = (ulong)valuePointer, Count = (uint)count, MapFd = (uint)use.Descriptor };
            errno = Math.Max(0, -BpfSystemCall.Try(BpfCommand.MapUpdateBatch, ref batch));
            // ENOTSUPP and, before 5.6, EINVAL come before the kernel has counted anything.
            int done = (int)Math.Min(batch.Count, (uint)count);
            if (errno is not (Errno.ENOTSUPP or Errno.EOPNOTSUPP or Errno.EINVAL))
            {
                NoteBatch(BpfCommand.MapUpdateBatch, done, failed: errno != 0);
                return done;
            }

            done = 0;
            for (errno = 0; done < count; done++)
            {
                var one = new MapElementAttributes(
                    use.Descriptor, keyPointer + ((nint)done * Spec.KeySize), valuePointer + ((nint)done * ValueLength));
                errno = Math.Max(0, -BpfSystemCall.Try(BpfCommand.MapUpdate, ref one));
                if (errno != 0)
                    break;
            }

            NoteBatch(BpfCommand.MapUpdateBatch, done, failed: errno != 0);
            return done;
        }
    }

    /// <summary>Removes an entry; false when there was none.</summary>
    public bool TryDelete(ReadOnlySpan<byte> key)
        => ElementCommand(BpfCommand.MapDelete, key, default, 0, Errno.ENOENT);

    /// <summary>
    /// The key after <paramref name="key"/>, or the first for an empty span; false at the end. A key that is gone makes
    /// the kernel start over, so walks belong to <see cref="BpfMapWalk"/>, which copes with that.
    /// </summary>
    public bool TryGetNextKey(ReadOnlySpan<byte> key, Span<byte> next)
    {
        if (next.Length != Spec.KeySize)
            throw WrongSize("key", Spec.KeySize, next.Length);
        return ElementCommand(BpfCommand.MapGetNextKey, key, next, 0, Errno.ENOENT, keyMayBeEmpty: true);
    }

    /// <summary>Puts a map into a map of maps.</summary>
    public void SetInner(ReadOnlySpan<byte> key, BpfMap inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        using var use = inner.Handle.Use();
        int fd = use.Descriptor;
        Update(key, System.Runtime.InteropServices.MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in fd)));
    }

    /// <summary>
    /// Puts maps into a map of maps, in one system call where the kernel can: each call waits until no program uses what was there, which
    /// takes tens of milliseconds.
    /// </summary>
    public void SetInner<TKey>(ReadOnlySpan<TKey> keys, IReadOnlyList<BpfMap> inners)
        where TKey : unmanaged
    {
        ArgumentNullException.ThrowIfNull(inners);
        var descriptors = new int[inners.Count];
        int held = 0;
        try
        {
            for (; held < descriptors.Length; held++)
            {
                bool added = false;
                inners[held].Handle.DangerousAddRef(ref added);
                descriptors[held] = (int)inners[held].Handle.DangerousGetHandle();
            }

            As<TKey, int>().UpdateBatch(keys, descriptors);
        }
        finally
        {
            while (held-- > 0)
                inners[held].Handle.DangerousRelease();
        }
    }

    /// <summary>Opens the map behind a key of a map of maps; null when the slot is empty.</summary>
    public BpfMap? TryOpenInner(ReadOnlySpan<byte> key)
    {
        Span<byte> id = stackalloc byte[sizeof(uint)];
        return TryLookup(key, id) ? OpenById(BitConverter.ToUInt32(id)) : null;
    }

    /// <summary>Makes the map read-only for system calls, for ever.</summary>
    public void Freeze()
    {
        using var use = Handle.Use();
        var attributes = new LinkDetachAttributes { LinkFd = (uint)use.Descriptor };
        int result = BpfSystemCall.Try(BpfCommand.MapFreeze, ref attributes);
        if (result < 0)
            throw new SystemCallException($"freeze map {Name}", -result);
    }

    /// <summary>
    /// Hands this map over to a view with typed keys and values, which owns it from then on; on failure it is disposed.
    /// </summary>
    /// <exception cref="ArgumentException">A size differs.</exception>
    public BpfMap<TKey, TValue> As<TKey, TValue>()
        where TKey : unmanaged
        where TValue : unmanaged
        => HandOver(static map => new BpfMap<TKey, TValue>(map));

    /// <inheritdoc cref="As"/>
    public BpfPerCpuMap<TKey, TValue> AsPerCpu<TKey, TValue>()
        where TKey : unmanaged
        where TValue : unmanaged
        => HandOver(static map => new BpfPerCpuMap<TKey, TValue>(map));

    public void Dispose() => Handle.Dispose();

    public override string ToString() => $"{Name} ({Spec.Type}, id {Id})";

    internal static int PerCpuStride(int valueSize) => (valueSize + 7) & ~7;

    internal static BpfMap Open(BpfHandle handle, string? name)
    {
        try
        {
            MapInfo info = BpfSystemCall.GetInfo<MapInfo>(handle, $"map {name}");
            BpfMapSpec spec = BpfMapSpec.FromInfo(info);
            return new BpfMap(handle, name is null ? spec : spec with { Name = name }, info.Id);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    internal BpfMap RequireCompatible(BpfMapSpec declared, string path)
    {
        IReadOnlyList<string> differences = declared.DifferencesFrom(Spec);
        if (differences.Count == 0 && declared.Inner is not null)
            differences = InnerDifferences(declared.Inner);
        if (differences.Count == 0)
            return this;
        Dispose();
        throw new BpfMapMismatchException(path, declared, differences);
    }

    /// <summary>
    /// The kernel does not tell what a map of maps is made for, so the first map in it has to. An old layout would
    /// otherwise show only when a new map does not fit in.
    /// </summary>
    private List<string> InnerDifferences(BpfMapSpec declared)
    {
        Span<byte> key = stackalloc byte[Spec.KeySize];
        Span<byte> id = stackalloc byte[sizeof(uint)];
        for (bool more = TryGetNextKey(default, key); more; more = TryGetNextKey(key, key))
        {
            if (!TryLookup(key, id))
                continue;
            using BpfMap inner = OpenById(BitConverter.ToUInt32(id));
            // Maps in a map may differ in size (Linux 5.10), except arrays that programs do not look up through a helper.
            bool sizeCounts = declared.Type is BpfMapType.Array or BpfMapType.PerCpuArray
                && !declared.Flags.HasFlag(BpfMapFlags.InnerMap);
            BpfMapSpec actual = sizeCounts ? inner.Spec : inner.Spec with { MaxEntries = declared.MaxEntries };
            return [.. declared.DifferencesFrom(actual).Select(difference => $"inner {difference}")];
        }

        return [];
    }

    private T HandOver<T>(Func<BpfMap, T> view)
    {
        try
        {
            return view(this);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private static BpfMap Create(BpfMapSpec spec, int innerDescriptor)
    {
        var attributes = new MapCreateAttributes
        {
            Type = (uint)spec.Type,
            KeySize = (uint)spec.KeySize,
            ValueSize = (uint)spec.ValueSize,
            MaxEntries = spec.MaxEntries,
            Flags = (uint)spec.Flags,
            InnerMapFd = (uint)innerDescriptor,
            Name = KernelName.From(spec.Name),
        };
        int fd = BpfSystemCall.Try(BpfCommand.MapCreate, ref attributes);
        return Open(BpfHandle.FromResult(fd, $"create {spec.Type} map {spec.Name}"), spec.Name);
    }

    private unsafe bool ElementCommand(
        BpfCommand command, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong flags, int toleratedErrno,
        bool keyMayBeEmpty = false)
    {
        if (key.Length != Spec.KeySize && !(keyMayBeEmpty && key.IsEmpty))
            throw WrongSize("key", Spec.KeySize, key.Length);
        using var use = Handle.Use();
        fixed (byte* keyPointer = key)
        fixed (byte* valuePointer = value)
        {
            var attributes = new MapElementAttributes(use.Descriptor, keyPointer, valuePointer, flags);
            int result = BpfSystemCall.Try(command, ref attributes);
            _operations.Note(command, result >= 0 ? 1 : 0, failed: result < 0 && -result != toleratedErrno);
            if (result >= 0)
                return true;
            return -result == toleratedErrno ? false : throw Failure(command, -result);
        }
    }

    private ReadOnlySpan<byte> CheckValue(ReadOnlySpan<byte> value)
        => value.Length == ValueLength ? value : throw WrongSize("value", ValueLength, value.Length);

    private ArgumentException WrongSize(string what, int expected, int actual)
        => new($"map {Name} has a {what} of {expected} bytes, got {actual}");

    internal void NoteBatch(BpfCommand command, int done, bool failed) => _operations.Note(command, done, failed);

    [MethodImpl(MethodImplOptions.NoInlining)]
    internal SystemCallException Failure(BpfCommand command, int errno)
        => new($"{command} on map {Name}", errno);
}
