// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>A destination whose packets keep the pod's address (a nonMasqueradeCIDR of ip-masq-agent).</summary>
public sealed record MasqueradeException(IpPrefix Destination);

/// <summary>Keeps the destinations that are not masqueraded.</summary>
public sealed class MasqueradeExceptionTarget : MapTarget<IpPrefix, MasqueradeException>
{
    public MasqueradeExceptionTarget(DatapathMaps maps)
        : base(e => e.Destination, V4(maps), V6(maps))
    {
    }

    private static MapView<IpPrefix, MasqueradeException, Masq4Prefix, byte> V4(DatapathMaps maps) => new(maps.MasqueradeExceptions4)
    {
        OwnsKey = p => !p.IsV6,
        EncodeKey = p => new Masq4Prefix { PrefixLen = (uint)p.Length, Addr = p.Address.ToV4() },
        EncodeValue = _ => 0,
        Decode = (key, _) => Entry(new IpPrefix(key.Addr.ToAddress(), (int)key.PrefixLen)),
    };

    private static MapView<IpPrefix, MasqueradeException, Masq6Prefix, byte> V6(DatapathMaps maps) => new(maps.MasqueradeExceptions6)
    {
        OwnsKey = p => p.IsV6,
        EncodeKey = p => new Masq6Prefix { PrefixLen = (uint)p.Length, Addr = p.Address.ToV6() },
        EncodeValue = _ => 0,
        Decode = (key, _) => Entry(new IpPrefix(key.Addr.ToAddress(), (int)key.PrefixLen)),
    };

    private static KeyValuePair<IpPrefix, MasqueradeException> Entry(IpPrefix prefix) => new(prefix, new MasqueradeException(prefix));
}
