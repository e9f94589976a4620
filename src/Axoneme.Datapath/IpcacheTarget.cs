// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>Keeps the ipcache: whole addresses in hash maps, shorter prefixes in tries.</summary>
public sealed class IpcacheTarget : MapTarget<IpPrefix, IpcacheEntry>
{
    public IpcacheTarget(DatapathMaps maps)
        : base(e => e.Prefix, Exact4(maps), Exact6(maps), Prefixes4(maps), Prefixes6(maps))
    {
    }

    private static MapView<IpPrefix, IpcacheEntry> Exact4(DatapathMaps maps)
        => new MapView<IpPrefix, IpcacheEntry, Ipcache4Key, IpcacheInfo>(maps.Ipcache4)
        {
            OwnsKey = p => !p.IsV6 && p.IsSingle,
            EncodeKey = p => new Ipcache4Key { Addr = p.Address.ToV4() },
            EncodeValue = Encode,
            Decode = (key, value) => Decode(IpPrefix.Single(key.Addr.ToAddress()), value),
        };

    private static MapView<IpPrefix, IpcacheEntry> Exact6(DatapathMaps maps)
        => new MapView<IpPrefix, IpcacheEntry, Ipcache6Key, IpcacheInfo>(maps.Ipcache6)
        {
            OwnsKey = p => p.IsV6 && p.IsSingle,
            EncodeKey = p => new Ipcache6Key { Addr = p.Address.ToV6() },
            EncodeValue = Encode,
            Decode = (key, value) => Decode(IpPrefix.Single(key.Addr.ToAddress()), value),
        };

    private static MapView<IpPrefix, IpcacheEntry> Prefixes4(DatapathMaps maps)
        => new MapView<IpPrefix, IpcacheEntry, Ipcache4Prefix, IpcacheInfo>(maps.IpcachePrefixes4)
        {
            OwnsKey = p => !p.IsV6 && !p.IsSingle,
            EncodeKey = p => new Ipcache4Prefix { PrefixLen = (uint)p.Length, Addr = p.Address.ToV4() },
            EncodeValue = Encode,
            Decode = (key, value) => Decode(new IpPrefix(key.Addr.ToAddress(), (int)key.PrefixLen), value),
        };

    private static MapView<IpPrefix, IpcacheEntry> Prefixes6(DatapathMaps maps)
        => new MapView<IpPrefix, IpcacheEntry, Ipcache6Prefix, IpcacheInfo>(maps.IpcachePrefixes6)
        {
            OwnsKey = p => p.IsV6 && !p.IsSingle,
            EncodeKey = p => new Ipcache6Prefix { PrefixLen = (uint)p.Length, Addr = p.Address.ToV6() },
            EncodeValue = Encode,
            Decode = (key, value) => Decode(new IpPrefix(key.Addr.ToAddress(), (int)key.PrefixLen), value),
        };

    private static IpcacheInfo Encode(IpcacheEntry entry)
    {
        IpcacheFlags flags = entry.SkipTunnel ? IpcacheFlags.SkipTunnel : 0;
        if (entry.Node is { } node)
            flags |= IpcacheFlags.Remote | (node.IsV6 ? IpcacheFlags.NodeIpv6 : 0);
        return new IpcacheInfo { Identity = entry.Identity.Value, Flags = (uint)flags, NodeAddr = entry.Node?.ToEither() ?? default };
    }

    private static KeyValuePair<IpPrefix, IpcacheEntry> Decode(IpPrefix prefix, IpcacheInfo info)
    {
        var flags = (IpcacheFlags)info.Flags;
        IpAddress? node = flags.HasFlag(IpcacheFlags.Remote) ? info.NodeAddr.ToAddress(flags.HasFlag(IpcacheFlags.NodeIpv6)) : null;
        return new(prefix, new IpcacheEntry(prefix, new SecurityIdentity(info.Identity), node)
        {
            SkipTunnel = flags.HasFlag(IpcacheFlags.SkipTunnel),
        });
    }
}
