// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;

namespace Axoneme.Network;

/// <summary>
/// An IPv4 or IPv6 address as a value: comparable, hashable and without allocation, unlike <see cref="IPAddress"/>.
/// IPv4 sorts before IPv6; within a family, by numeric value.
/// </summary>
public readonly struct IpAddress : IEquatable<IpAddress>, IComparable<IpAddress>, ISpanFormattable
{
    // Host-order number; IPv4 occupies the low 32 bits.
    private readonly UInt128 _value;

    private IpAddress(UInt128 value, bool isV6)
    {
        _value = value;
        IsV6 = isV6;
    }

    public bool IsV6 { get; }

    public bool IsV4 => !IsV6;

    /// <summary>32 or 128.</summary>
    public int BitCount => IsV6 ? 128 : 32;

    /// <summary>4 or 16.</summary>
    public int ByteCount => IsV6 ? 16 : 4;

    /// <summary>The address as a number (most significant byte first on the wire).</summary>
    public UInt128 Number => _value;

    public static IpAddress FromV4(uint hostOrder) => new(hostOrder, isV6: false);

    public static IpAddress FromV6(UInt128 hostOrder) => new(hostOrder, isV6: true);

    /// <summary>Reads 4 or 16 bytes in network order.</summary>
    /// <exception cref="ArgumentException">The span has another length.</exception>
    public static IpAddress FromBytes(ReadOnlySpan<byte> networkOrder) => networkOrder.Length switch
    {
        4 => FromV4(BinaryPrimitives.ReadUInt32BigEndian(networkOrder)),
        16 => FromV6(BinaryPrimitives.ReadUInt128BigEndian(networkOrder)),
        _ => throw new ArgumentException($"An IP address has 4 or 16 bytes, not {networkOrder.Length}.", nameof(networkOrder)),
    };

    /// <summary>Converts; an IPv4-mapped IPv6 address becomes IPv4.</summary>
    public static IpAddress From(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out int written);
        return FromBytes(bytes[..written]);
    }

    public static bool TryParse([NotNullWhen(true)] string? text, out IpAddress address)
    {
        address = default;
        // IPAddress.Parse takes "10.1" and "1" as shortened IPv4 forms, and scope ids; Kubernetes takes neither.
        if (text is null || text.Contains('%', StringComparison.Ordinal) || !IPAddress.TryParse(text, out IPAddress? parsed))
            return false;
        if (parsed.AddressFamily == AddressFamily.InterNetwork && text.AsSpan().Count('.') != 3)
            return false;
        address = From(parsed);
        return true;
    }

    /// <exception cref="FormatException">The text is not an address.</exception>
    public static IpAddress Parse(string text)
        => TryParse(text, out IpAddress address) ? address : throw new FormatException($"'{text}' is not an IP address.");

    /// <summary>Writes 4 or 16 bytes in network order and returns how many.</summary>
    public int WriteBytes(Span<byte> destination)
    {
        if (IsV6)
            BinaryPrimitives.WriteUInt128BigEndian(destination, _value);
        else
            BinaryPrimitives.WriteUInt32BigEndian(destination, (uint)_value);
        return ByteCount;
    }

    public IPAddress ToIPAddress()
    {
        Span<byte> bytes = stackalloc byte[16];
        return new IPAddress(bytes[..WriteBytes(bytes)]);
    }

    /// <summary>The address with all bits after the first <paramref name="prefixLength"/> cleared.</summary>
    public IpAddress Mask(int prefixLength)
    {
        int hostBits = BitCount - prefixLength;
        if (hostBits <= 0)
            return this;
        UInt128 kept = hostBits >= 128 ? UInt128.Zero : UInt128.MaxValue << hostBits;
        return new IpAddress(_value & kept, IsV6);
    }

    /// <summary>The address <paramref name="offset"/> further on; wraps at the end of the family's space.</summary>
    public IpAddress Add(UInt128 offset)
        => IsV6 ? FromV6(unchecked(_value + offset)) : FromV4(unchecked((uint)(_value + offset)));

    public bool Equals(IpAddress other) => _value == other._value && IsV6 == other.IsV6;

    public override bool Equals(object? obj) => obj is IpAddress other && Equals(other);

    public override int GetHashCode() => HashCode.Combine(_value, IsV6);

    public int CompareTo(IpAddress other) => IsV6 != other.IsV6 ? IsV6.CompareTo(other.IsV6) : _value.CompareTo(other._value);

    public override string ToString() => ToIPAddress().ToString();

    public string ToString(string? format, IFormatProvider? formatProvider) => ToString();

    public bool TryFormat(Span<char> destination, out int charsWritten, ReadOnlySpan<char> format, IFormatProvider? provider)
        => ToIPAddress().TryFormat(destination, out charsWritten);

    public static bool operator ==(IpAddress left, IpAddress right) => left.Equals(right);

    public static bool operator !=(IpAddress left, IpAddress right) => !left.Equals(right);

    public static bool operator <(IpAddress left, IpAddress right) => left.CompareTo(right) < 0;

    public static bool operator >(IpAddress left, IpAddress right) => left.CompareTo(right) > 0;

    public static bool operator <=(IpAddress left, IpAddress right) => left.CompareTo(right) <= 0;

    public static bool operator >=(IpAddress left, IpAddress right) => left.CompareTo(right) >= 0;
}
