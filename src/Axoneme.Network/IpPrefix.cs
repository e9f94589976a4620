// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;

namespace Axoneme.Network;

/// <summary>An address block in canonical form: the bits after the prefix are zero.</summary>
public readonly record struct IpPrefix : IComparable<IpPrefix>
{
    public IpPrefix(IpAddress address, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, address.BitCount);
        Address = address.Mask(length);
        Length = length;
    }

    public IpAddress Address { get; }

    /// <summary>Number of leading bits that count.</summary>
    public int Length { get; }

    public bool IsV6 => Address.IsV6;

    /// <summary>The block that holds this one address (a /32 or /128).</summary>
    public static IpPrefix Single(IpAddress address) => new(address, address.BitCount);

    public bool IsSingle => Length == Address.BitCount;

    public bool Contains(IpAddress address) => address.IsV6 == IsV6 && address.Mask(Length) == Address;

    public bool Contains(IpPrefix other) => other.Length >= Length && Contains(other.Address);

    /// <summary>Parses "10.0.0.0/8"; host bits are masked off. A bare address is refused unless allowed.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out IpPrefix prefix, bool allowBareAddress = false)
    {
        prefix = default;
        if (text is null)
            return false;
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0)
        {
            if (!allowBareAddress || !IpAddress.TryParse(text, out IpAddress bare))
                return false;
            prefix = Single(bare);
            return true;
        }

        if (!IpAddress.TryParse(text[..slash], out IpAddress address))
            return false;
        ReadOnlySpan<char> digits = text.AsSpan(slash + 1);
        if (digits.Length is 0 or > 3 || digits.ContainsAnyExceptInRange('0', '9'))
            return false;
        int length = int.Parse(digits);
        if (length > address.BitCount)
            return false;
        prefix = new IpPrefix(address, length);
        return true;
    }

    /// <exception cref="FormatException">The text is not a prefix.</exception>
    public static IpPrefix Parse(string text)
        => TryParse(text, out IpPrefix prefix) ? prefix : throw new FormatException($"'{text}' is not a CIDR prefix such as 10.0.0.0/8.");

    public int CompareTo(IpPrefix other)
    {
        int byAddress = Address.CompareTo(other.Address);
        return byAddress != 0 ? byAddress : Length.CompareTo(other.Length);
    }

    public override string ToString() => $"{Address}/{Length}";

    public static bool operator <(IpPrefix left, IpPrefix right) => left.CompareTo(right) < 0;

    public static bool operator >(IpPrefix left, IpPrefix right) => left.CompareTo(right) > 0;

    public static bool operator <=(IpPrefix left, IpPrefix right) => left.CompareTo(right) <= 0;

    public static bool operator >=(IpPrefix left, IpPrefix right) => left.CompareTo(right) >= 0;
}
