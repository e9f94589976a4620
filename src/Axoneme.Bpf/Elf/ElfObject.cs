// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Text;

namespace Axoneme.Bpf.Elf;

/// <summary>A section of an object file; <see cref="IsCode"/> means that it holds instructions.</summary>
public sealed record ElfSection(int Index, string Name, ReadOnlyMemory<byte> Data, bool IsCode);

/// <summary>A named function or variable and the section that it lies in.</summary>
public sealed record ElfSymbol(string Name, int Section, ulong Offset, ulong Size, bool IsFunction, bool IsGlobal);

/// <summary>The sections and symbols of a 64-bit little-endian relocatable file, such as clang makes for BPF.</summary>
public sealed class ElfObject
{
    private const int SectionHeaderSize = 64;
    private const int SymbolSize = 24;
    private const uint SymbolTable = 2;
    private const uint NoBits = 8;
    private const ulong Executable = 4;

    private ElfObject(IReadOnlyList<ElfSection> sections, IReadOnlyList<ElfSymbol> symbols)
    {
        Sections = sections;
        Symbols = symbols;
    }

    public IReadOnlyList<ElfSection> Sections { get; }

    public IReadOnlyList<ElfSymbol> Symbols { get; }

    /// <exception cref="InvalidDataException">Not such a file, or cut off.</exception>
    public static ElfObject Parse(ReadOnlyMemory<byte> file)
    {
        try
        {
            return ParseSections(file);
        }
        catch (Exception e) when (e is ArgumentOutOfRangeException or OverflowException)
        {
            throw new InvalidDataException("ELF file: an offset points outside", e);
        }
    }

    public ElfSection? Find(string name) => Sections.FirstOrDefault(section => section.Name == name);

    private static ElfObject ParseSections(ReadOnlyMemory<byte> file)
    {
        ReadOnlySpan<byte> bytes = file.Span;
        ReadOnlySpan<byte> magic = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1];
        if (!bytes.StartsWith(magic))
            throw new InvalidDataException("not a 64-bit little-endian ELF file");
        long table = (long)BinaryPrimitives.ReadUInt64LittleEndian(bytes[40..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(bytes[60..]);
        int namesIndex = BinaryPrimitives.ReadUInt16LittleEndian(bytes[62..]);
        ReadOnlySpan<byte> Header(int index)
            => file.Span.Slice(checked((int)table + (index * SectionHeaderSize)), SectionHeaderSize);
        ReadOnlyMemory<byte> Data(int index)
        {
            ReadOnlySpan<byte> header = Header(index);
            if (BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) == NoBits)
                return default;
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(header[24..]);
            ulong size = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
            if (offset > (ulong)file.Length || size > (ulong)file.Length - offset)
                throw new InvalidDataException("ELF file: a section points outside");
            return file.Slice((int)offset, (int)size);
        }

        ReadOnlyMemory<byte> names = Data(namesIndex);
        var sections = new List<ElfSection>(count);
        var symbols = new List<ElfSymbol>();
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> header = Header(i);
            string name = ReadString(names.Span, BinaryPrimitives.ReadUInt32LittleEndian(header));
            bool isCode = (BinaryPrimitives.ReadUInt64LittleEndian(header[8..]) & Executable) != 0;
            ReadOnlyMemory<byte> data = Data(i);
            sections.Add(new ElfSection(i, name, data, isCode));
            if (BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) == SymbolTable)
                ReadSymbols(data.Span, Data((int)BinaryPrimitives.ReadUInt32LittleEndian(header[40..])).Span, symbols);
        }

        return new ElfObject(sections, symbols);
    }

    private static void ReadSymbols(ReadOnlySpan<byte> table, ReadOnlySpan<byte> names, List<ElfSymbol> symbols)
    {
        for (; table.Length >= SymbolSize; table = table[SymbolSize..])
        {
            const int Function = 2;
            symbols.Add(new ElfSymbol(
                ReadString(names, BinaryPrimitives.ReadUInt32LittleEndian(table)),
                BinaryPrimitives.ReadUInt16LittleEndian(table[6..]),
                BinaryPrimitives.ReadUInt64LittleEndian(table[8..]),
                BinaryPrimitives.ReadUInt64LittleEndian(table[16..]),
                IsFunction: (table[4] & 0xf) == Function,
                IsGlobal: table[4] >> 4 != 0));
        }
    }

    internal static string ReadString(ReadOnlySpan<byte> table, uint offset)
    {
        ReadOnlySpan<byte> rest = table[(int)offset..];
        int end = rest.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? rest : rest[..end]);
    }
}
