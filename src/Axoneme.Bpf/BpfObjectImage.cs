// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Axoneme.Bpf.Btf;
using Axoneme.Bpf.Elf;

namespace Axoneme.Bpf;

/// <summary>A load-time constant of an object: its place in the constants' section in bytes.</summary>
/// <param name="SourceFile">Name of the file that declares it, if the declaration tells (<c>file:</c> tag).</param>
public sealed record BpfConstant(string Name, int Offset, int Size, uint TypeId, string? Documentation, string? SourceFile = null);

/// <summary>A program of an object and the ELF section that tells its type.</summary>
public sealed record BpfProgramSpec(string Name, string Section);

/// <summary>
/// The constants of one object as a blittable struct (generated). Its fields must lie where the compiled object has
/// them, which is checked when they are first used.
/// </summary>
public interface IBpfConstants
{
    /// <summary>Name, offset and size of each constant, sorted by offset.</summary>
    static abstract ReadOnlySpan<(string Name, int Offset, int Size)> Layout { get; }
}

/// <summary>
/// A compiled object file, parsed once and loaded as often as needed, by many threads at once. It holds no kernel
/// resource.
/// </summary>
public sealed class BpfObjectImage
{
    /// <summary>
    /// The section of the variables that user space sets before a load; the verifier then knows them as constants.
    /// </summary>
    public const string ConstantsSection = ".rodata.config";

    private const string FileTag = "file:";

    private readonly byte[] _bytes;
    private readonly byte[] _constants;
    private Type? _checkedConstants;

    private BpfObjectImage(string name, byte[] bytes)
    {
        Name = name;
        _bytes = bytes;
        ElfObject file = ElfObject.Parse(bytes);
        Types = BtfTypes.FromObject(file);
        Maps = ReadMaps(name, Types);
        Programs = file.Symbols
            .Where(symbol => symbol.IsFunction && symbol.IsGlobal && symbol.Section < file.Sections.Count
                && file.Sections[symbol.Section] is { IsCode: true, Name: not ".text" })
            .Select(symbol => new BpfProgramSpec(symbol.Name, file.Sections[symbol.Section].Name))
            .OrderBy(program => program.Name, StringComparer.Ordinal)
            .ToArray();
        ElfSection? section = file.Find(ConstantsSection);
        _constants = section?.Data.ToArray() ?? [];
        Constants = section is null ? [] : ReadConstants(file, section, Types);
    }

    /// <summary>Name for messages and for the kernel's names of anonymous maps.</summary>
    public string Name { get; }

    /// <summary>The file as it was compiled.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    public BtfTypes Types { get; }

    /// <summary>The declared maps by name.</summary>
    public IReadOnlyDictionary<string, BpfMapSpec> Maps { get; }

    /// <summary>The programs, sorted by name.</summary>
    public IReadOnlyList<BpfProgramSpec> Programs { get; }

    /// <summary>The load-time constants, sorted by offset.</summary>
    public IReadOnlyList<BpfConstant> Constants { get; }

    /// <summary>Bytes of the section that holds the constants.</summary>
    public int ConstantsSize => _constants.Length;

    /// <exception cref="InvalidDataException">Not an object file with BTF.</exception>
    public static BpfObjectImage Parse(string name, ReadOnlySpan<byte> file)
    {
        // libbpf reads the bytes in place; an array that never moves saves a copy for each load.
        byte[] bytes = GC.AllocateUninitializedArray<byte>(file.Length, pinned: true);
        file.CopyTo(bytes);
        return new BpfObjectImage(name, bytes);
    }

    /// <summary>Reads the object that the build embedded as <c>bpf/NAME.o</c>.</summary>
    public static BpfObjectImage FromResource(Assembly assembly, string name)
    {
        ArgumentNullException.ThrowIfNull(assembly);
        using Stream stream = assembly.GetManifestResourceStream($"bpf/{name}.o")
            ?? throw new ArgumentException($"{assembly.GetName().Name} embeds no object bpf/{name}.o");
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return Parse(name, bytes);
    }

    /// <summary>A loader of this image: set constants and maps on it, then <see cref="BpfObject.Load"/>.</summary>
    public BpfObject Open() => new(this);

    /// <summary>The constants with the values that the source gives them.</summary>
    public T DefaultConstants<T>()
        where T : unmanaged, IBpfConstants
    {
        RequireLayout<T>();
        return MemoryMarshal.Read<T>(_constants);
    }

    /// <exception cref="InvalidOperationException">The generated struct is not of this object.</exception>
    internal void RequireLayout<T>()
        where T : unmanaged, IBpfConstants
    {
        if (_checkedConstants == typeof(T))
            return;
        ReadOnlySpan<(string Name, int Offset, int Size)> layout = T.Layout;
        bool same = layout.Length == Constants.Count && Unsafe.SizeOf<T>() == _constants.Length;
        for (int i = 0; same && i < layout.Length; i++)
            same = layout[i] == (Constants[i].Name, Constants[i].Offset, Constants[i].Size);
        if (!same)
            throw new InvalidOperationException(
                $"{typeof(T).Name} does not have the layout of the constants of object {Name}; run tools/AbiGen");
        _checkedConstants = typeof(T);
    }

    private static Dictionary<string, BpfMapSpec> ReadMaps(string name, BtfTypes types)
    {
        try
        {
            return MapDeclarations.Read(types).DistinctBy(map => map.Name).ToDictionary(map => map.Name);
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"object {name}: {e.Message}", e);
        }
    }

    private static bool IsFileTag(string tag) => tag.StartsWith(FileTag, StringComparison.Ordinal);

    private static BpfConstant[] ReadConstants(ElfObject file, ElfSection section, BtfTypes types)
    {
        // The compiler leaves the offsets in the BTF of a data section to the linker; the symbols have them.
        return file.Symbols
            .Where(symbol => symbol.Section == section.Index && symbol.Size > 0)
            .Select(symbol =>
            {
                BtfType variable = types.Find(BtfKind.Variable, symbol.Name)
                    ?? throw new InvalidDataException($"constant {symbol.Name} has no BTF");
                ILookup<bool, string> tags = types.TagsOf(variable.Id).ToLookup(IsFileTag);
                return new BpfConstant(symbol.Name, (int)symbol.Offset, (int)symbol.Size, variable.TargetId,
                    tags[false].Any() ? string.Join(' ', tags[false]) : null, tags[true].FirstOrDefault()?[FileTag.Length..]);
            })
            .OrderBy(constant => constant.Offset)
            .ToArray();
    }
}
