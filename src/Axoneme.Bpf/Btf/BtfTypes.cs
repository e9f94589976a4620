// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using Axoneme.Bpf.Elf;

namespace Axoneme.Bpf.Btf;

/// <summary>
/// A set of type descriptions (BTF, Documentation/bpf/btf.rst), read from an object file or from the kernel.
/// </summary>
public sealed class BtfTypes
{
    private const ushort Magic = 0xeb9f;
    // A compiler writes a handful; only crafted types refer to themselves.
    private const int MaxDepth = 64;
    private readonly List<BtfType> _types = [new BtfType(0, BtfKind.Void, "void")];

    private BtfTypes()
    {
    }

    /// <summary>All types by id; 0 is <c>void</c>.</summary>
    public IReadOnlyList<BtfType> All => _types;

    public BtfType this[uint id]
        => id < _types.Count ? _types[(int)id] : throw new InvalidDataException($"BTF: there is no type {id}");

    /// <summary>
    /// The running kernel's own types. Reading takes some hundred milliseconds and as many megabytes as the kernel has.
    /// </summary>
    public static BtfTypes ReadKernel() => Parse(File.ReadAllBytes("/sys/kernel/btf/vmlinux"));

    /// <summary>The types of a compiled object.</summary>
    /// <exception cref="InvalidDataException">It has none (compiled without -g).</exception>
    public static BtfTypes FromObject(ElfObject file)
    {
        ArgumentNullException.ThrowIfNull(file);
        ElfSection section = file.Find(".BTF")
            ?? throw new InvalidDataException("the object has no BTF; compile it with -g");
        return Parse(section.Data.Span);
    }

    /// <exception cref="InvalidDataException">Not BTF, cut off, or of an unknown kind.</exception>
    public static BtfTypes Parse(ReadOnlySpan<byte> data)
    {
        var result = new BtfTypes();
        try
        {
            if (BinaryPrimitives.ReadUInt16LittleEndian(data) != Magic)
                throw new InvalidDataException("not BTF");
            int header = (int)Word(data, 4);
            var types = new Reader(data.Slice(header + (int)Word(data, 8), (int)Word(data, 12)));
            ReadOnlySpan<byte> strings = data.Slice(header + (int)Word(data, 16), (int)Word(data, 20));
            while (!types.AtEnd)
                result._types.Add(result.ReadType(ref types, strings));
        }
        catch (Exception e) when (e is ArgumentOutOfRangeException or OverflowException)
        {
            throw new InvalidDataException("BTF: cut off", e);
        }

        return result;
    }

    /// <summary>The first type of a kind with a name; null when there is none.</summary>
    public BtfType? Find(BtfKind kind, string name) => _types.Find(type => type.Kind == kind && type.Name == name);

    /// <summary>What is left when typedefs, qualifiers and type tags are taken off.</summary>
    public BtfType Resolve(uint id)
    {
        BtfType type = this[id];
        for (int depth = 0; IsAlias(type.Kind); depth++)
        {
            if (depth > MaxDepth)
                throw new InvalidDataException($"BTF: type {id} refers to itself");
            type = this[type.TargetId];
        }

        return type;
    }

    /// <summary>Size in bytes of a value of this type.</summary>
    public uint SizeOf(uint id) => SizeOf(id, depth: 0);

    private uint SizeOf(uint id, int depth)
    {
        if (depth > MaxDepth)
            throw new InvalidDataException($"BTF: type {id} contains itself");
        BtfType type = Resolve(id);
        return type.Kind switch
        {
            BtfKind.Pointer => 8,
            BtfKind.Array => Multiply(type.Count, SizeOf(type.TargetId, depth + 1)),
            BtfKind.Variable => SizeOf(type.TargetId, depth + 1),
            // clang describes a struct that is reached only through an inner map's declaration by its name alone.
            BtfKind.Forward => (Find(BtfKind.Struct, type.Name) ?? Find(BtfKind.Union, type.Name))?.Size
                ?? throw new InvalidDataException(
                    $"BTF: {type.Name} is declared but not defined; an inner map needs key_size and value_size"),
            _ => type.Size,
        };
    }

    /// <summary>Texts of the declaration tags on a type or variable, or on one of its members.</summary>
    public IEnumerable<string> TagsOf(uint id, int component = -1)
        => _types
            .Where(type => type.Kind == BtfKind.DeclarationTag && type.TargetId == id && type.Component == component)
            .Select(type => type.Name);

    private static uint Multiply(uint count, uint size)
        => (ulong)count * size <= int.MaxValue
            ? count * size
            : throw new InvalidDataException("BTF: an array is too large");

    private static bool IsAlias(BtfKind kind)
        => kind is BtfKind.Typedef or BtfKind.Const or BtfKind.Volatile or BtfKind.Restrict or BtfKind.TypeTag;

    private BtfType ReadType(ref Reader reader, ReadOnlySpan<byte> strings)
    {
        string name = ElfObject.ReadString(strings, reader.Next());
        uint info = reader.Next();
        uint sizeOrType = reader.Next();
        int count = (int)(info & 0xffff);
        bool flag = info >> 31 != 0;
        var type = new BtfType((uint)_types.Count, (BtfKind)((info >> 24) & 0x1f), name);
        return type.Kind switch
        {
            BtfKind.Integer => ReadInteger(type, sizeOrType, reader.Next()),
            BtfKind.Array => type with { TargetId = reader.Next(), Count = reader.SkipAndNext() },
            BtfKind.Struct or BtfKind.Union
                => type with { Size = sizeOrType, Members = ReadMembers(ref reader, strings, count, flag) },
            BtfKind.Enum or BtfKind.Enum64 => type with
            {
                Size = sizeOrType,
                IsSigned = flag,
                Enumerators = ReadEnumerators(ref reader, strings, count, type.Kind == BtfKind.Enum64, flag),
            },
            BtfKind.FunctionPrototype => SkipParameters(ref reader, type with { TargetId = sizeOrType }, count),
            BtfKind.Variable => SkipParameters(ref reader, type with { TargetId = sizeOrType }, words: 1, wordSize: 1),
            BtfKind.DataSection => type with { Size = sizeOrType, Variables = ReadVariables(ref reader, count) },
            BtfKind.Float => type with { Size = sizeOrType },
            BtfKind.DeclarationTag => type with { TargetId = sizeOrType, Component = (int)reader.Next() },
            BtfKind.Pointer or BtfKind.Typedef or BtfKind.Volatile or BtfKind.Const or BtfKind.Restrict
                or BtfKind.Function or BtfKind.TypeTag => type with { TargetId = sizeOrType },
            BtfKind.Forward => type,
            _ => throw new InvalidDataException($"BTF: unknown kind {(int)type.Kind}"),
        };
    }

    private static BtfType ReadInteger(BtfType type, uint size, uint encoding)
        => type with { Size = size, IsSigned = (encoding >> 24 & 1) != 0, IsBoolean = (encoding >> 24 & 4) != 0 };

    private static BtfType SkipParameters(ref Reader reader, BtfType type, int words, int wordSize = 2)
    {
        for (int i = 0; i < words * wordSize; i++)
            reader.Next();
        return type;
    }

    private static BtfMember[] ReadMembers(ref Reader reader, ReadOnlySpan<byte> strings, int count, bool bitFields)
    {
        var members = new BtfMember[count];
        for (int i = 0; i < count; i++)
        {
            string name = ElfObject.ReadString(strings, reader.Next());
            uint type = reader.Next();
            uint offset = reader.Next();
            members[i] = bitFields
                ? new BtfMember(name, type, offset & 0xffffff, offset >> 24)
                : new BtfMember(name, type, offset, 0);
        }

        return members;
    }

    private static BtfEnumerator[] ReadEnumerators(
        ref Reader reader, ReadOnlySpan<byte> strings, int count, bool wide, bool signed)
    {
        var values = new BtfEnumerator[count];
        for (int i = 0; i < count; i++)
        {
            string name = ElfObject.ReadString(strings, reader.Next());
            uint low = reader.Next();
            long value = wide ? low | ((long)reader.Next() << 32) : signed ? (int)low : low;
            values[i] = new BtfEnumerator(name, value);
        }

        return values;
    }

    private static BtfSectionVariable[] ReadVariables(ref Reader reader, int count)
    {
        var variables = new BtfSectionVariable[count];
        for (int i = 0; i < count; i++)
            variables[i] = new BtfSectionVariable(reader.Next(), reader.Next(), reader.Next());
        return variables;
    }

    private static uint Word(ReadOnlySpan<byte> data, int offset)
        => BinaryPrimitives.ReadUInt32LittleEndian(data[offset..]);

    private ref struct Reader(ReadOnlySpan<byte> data)
    {
        private ReadOnlySpan<byte> _rest = data;

        public readonly bool AtEnd => _rest.IsEmpty;

        public uint Next()
        {
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(_rest);
            _rest = _rest[4..];
            return word;
        }

        public uint SkipAndNext()
        {
            Next();
            return Next();
        }
    }
}
