// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Axoneme.Network;

/// <summary>A 48-bit Ethernet address as a value; the first byte on the wire is the most significant one of <see cref="Number"/>.</summary>
public readonly record struct MacAddress(ulong Number)
{
    public const int ByteCount = 6;

    /// <exception cref="ArgumentException">The span has not 6 bytes.</exception>
    public static MacAddress FromBytes(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != ByteCount)
            throw new ArgumentException($"A MAC address has 6 bytes, not {bytes.Length}.", nameof(bytes));
        return new(((ulong)BinaryPrimitives.ReadUInt16BigEndian(bytes) << 32) | BinaryPrimitives.ReadUInt32BigEndian(bytes[2..]));
    }

    /// <summary>Makes 48 random bits a unicast, locally administered address.</summary>
    public static MacAddress LocallyAdministered(ulong bits) => new((bits & 0xFCFF_FFFF_FFFF) | 0x0200_0000_0000);

    /// <summary>Parses six two-digit groups that colons separate.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out MacAddress address)
    {
        address = default;
        if (text is null || text.Length != 17)
            return false;
        ulong number = 0;
        for (int i = 0; i < ByteCount; i++)
        {
            if (i > 0 && text[(3 * i) - 1] != ':')
                return false;
            if (!byte.TryParse(text.AsSpan(3 * i, 2), NumberStyles.AllowHexSpecifier, null, out byte part))
                return false;
            number = (number << 8) | part;
        }

        address = new MacAddress(number);
        return true;
    }

    /// <exception cref="FormatException">The text is not a MAC address.</exception>
    public static MacAddress Parse(string text)
        => TryParse(text, out MacAddress address) ? address : throw new FormatException($"'{text}' is not a MAC address.");

    public void WriteBytes(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt16BigEndian(destination, (ushort)(Number >> 32));
        BinaryPrimitives.WriteUInt32BigEndian(destination[2..], (uint)Number);
    }

    public override string ToString()
        => string.Create(17, Number, static (text, number) =>
        {
            for (int i = 0; i < ByteCount; i++)
            {
                ((byte)(number >> (40 - (8 * i)))).TryFormat(text[(3 * i)..], out _, "x2");
                if (i < ByteCount - 1)
                    text[(3 * i) + 2] = ':';
            }
        });
}
