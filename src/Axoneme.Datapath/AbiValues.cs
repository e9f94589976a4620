// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>Converts between the values of features and the layouts of maps.</summary>
internal static class AbiValues
{
    public static NetU32 ToV4(this IpAddress address) => (uint)address.Number;

    public static Ip6Addr ToV6(this IpAddress address)
    {
        Ip6Addr bytes = default;
        address.WriteBytes(MemoryMarshal.AsBytes(new Span<Ip6Addr>(ref bytes)));
        return bytes;
    }

    public static IpAddr ToEither(this IpAddress address)
    {
        IpAddr bytes = default;
        address.WriteBytes(MemoryMarshal.AsBytes(new Span<IpAddr>(ref bytes)));
        return bytes;
    }

    public static MacAddr ToAbi(this MacAddress address)
    {
        MacAddr bytes = default;
        address.WriteBytes(MemoryMarshal.AsBytes(new Span<MacAddr>(ref bytes)));
        return bytes;
    }

    public static IpAddress ToAddress(this NetU32 address) => IpAddress.FromV4(address.Value);

    public static IpAddress ToAddress(this Ip6Addr address)
        => IpAddress.FromBytes(MemoryMarshal.AsBytes(new ReadOnlySpan<Ip6Addr>(in address)));

    public static IpAddress ToAddress(this IpAddr address, bool isV6)
        => IpAddress.FromBytes(MemoryMarshal.AsBytes(new ReadOnlySpan<IpAddr>(in address))[..(isV6 ? 16 : 4)]);

    public static MacAddress ToMac(this MacAddr address)
        => MacAddress.FromBytes(MemoryMarshal.AsBytes(new ReadOnlySpan<MacAddr>(in address)));
}
