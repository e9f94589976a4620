// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;

namespace Axoneme.Datapath.Abi;

/// <summary>The C type, member or constant that a generated one mirrors, as it is spelled in <c>bpf/abi</c>.</summary>
[AttributeUsage(AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Field)]
public sealed class CTypeAttribute(string name) : Attribute
{
    public string Name { get; } = name;
}

/// <summary>
/// A 16-bit number that is kept in network byte order (<c>__be16</c>); <see cref="Value"/> is the number.
/// </summary>
public readonly record struct NetU16 : ISpanFormattable
{
    private readonly ushort _raw;

    public NetU16(ushort value)
        => _raw = BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;

    /// <summary>In host order.</summary>
    public ushort Value => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(_raw) : _raw;

    public static implicit operator NetU16(ushort value) => new(value);

    public override string ToString() => Value.ToString();

    public string ToString(string? format, IFormatProvider? formatProvider) => Value.ToString(format, formatProvider);

    public bool TryFormat(
        Span<char> destination, out int charsWritten, ReadOnlySpan<char> format, IFormatProvider? provider)
        => Value.TryFormat(destination, out charsWritten, format, provider);
}

/// <summary>
/// A 32-bit number that is kept in network byte order (<c>__be32</c>); <see cref="Value"/> is the number.
/// </summary>
public readonly record struct NetU32 : ISpanFormattable
{
    private readonly uint _raw;

    public NetU32(uint value) => _raw = BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;

    /// <summary>In host order.</summary>
    public uint Value => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(_raw) : _raw;

    public static implicit operator NetU32(uint value) => new(value);

    public override string ToString() => Value.ToString();

    public string ToString(string? format, IFormatProvider? formatProvider) => Value.ToString(format, formatProvider);

    public bool TryFormat(
        Span<char> destination, out int charsWritten, ReadOnlySpan<char> format, IFormatProvider? provider)
        => Value.TryFormat(destination, out charsWritten, format, provider);
}

/// <summary>
/// A 64-bit number that is kept in network byte order (<c>__be64</c>); <see cref="Value"/> is the number.
/// </summary>
public readonly record struct NetU64
{
    private readonly ulong _raw;

    public NetU64(ulong value)
        => _raw = BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;

    /// <summary>In host order.</summary>
    public ulong Value => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(_raw) : _raw;

    public static implicit operator NetU64(ulong value) => new(value);

    public override string ToString() => Value.ToString();
}
