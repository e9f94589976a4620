// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>Walks over the attributes of a message or of a nested attribute; stops at the first one that does not fit.</summary>
internal ref struct AttributeReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public ushort Type { get; private set; }

    public ReadOnlySpan<byte> Value { get; private set; }

    public bool Next()
    {
        if (_rest.Length < 4)
            return false;
        int length = MemoryMarshal.Read<ushort>(_rest);
        if (length < 4 || length > _rest.Length)
            return false;
        Type = (ushort)(MemoryMarshal.Read<ushort>(_rest[2..]) & AttributeFlags.NLA_TYPE_MASK);
        Value = _rest[4..length];
        _rest = _rest[Math.Min((length + 3) & ~3, _rest.Length)..];
        return true;
    }

    public readonly byte AsByte() => Value.Length >= 1 ? Value[0] : (byte)0;

    public readonly ushort AsUInt16BigEndian() => Value.Length >= 2 ? BinaryPrimitives.ReadUInt16BigEndian(Value) : (ushort)0;

    public readonly int AsInt32() => Value.Length >= 4 ? MemoryMarshal.Read<int>(Value) : 0;

    public readonly uint AsUInt32() => Value.Length >= 4 ? MemoryMarshal.Read<uint>(Value) : 0;

    public readonly string AsString() => Encoding.UTF8.GetString(Value.TrimEnd((byte)0));

    /// <summary>Null for lengths that are neither IPv4 nor IPv6.</summary>
    public readonly IpAddress? AsAddress() => Value.Length is 4 or 16 ? IpAddress.FromBytes(Value) : null;

    /// <summary>Null when the value is no address or the length does not fit it.</summary>
    public readonly IpPrefix? AsPrefix(int length)
        => AsAddress() is { } address && length <= address.BitCount ? new IpPrefix(address, length) : null;

    /// <summary>Null for devices without Ethernet addresses.</summary>
    public readonly MacAddress? AsMac() => Value.Length == MacAddress.ByteCount ? MacAddress.FromBytes(Value) : null;

    public readonly AttributeReader Nested() => new(Value);
}
