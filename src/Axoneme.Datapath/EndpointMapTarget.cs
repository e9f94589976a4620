// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>Keeps cilium_lxc and cilium_lxc6: the addresses that live on this node.</summary>
public sealed class EndpointMapTarget : MapTarget<IpAddress, EndpointMapEntry>
{
    public EndpointMapTarget(DatapathMaps maps)
        : base(e => e.Address, V4(maps), V6(maps))
    {
    }

    private static MapView<IpAddress, EndpointMapEntry> V4(DatapathMaps maps)
        => new MapView<IpAddress, EndpointMapEntry, Endpoint4Key, EndpointInfo>(maps.Endpoints4)
        {
            OwnsKey = a => a.IsV4,
            EncodeKey = a => new Endpoint4Key { Addr = a.ToV4() },
            EncodeValue = Encode,
            Decode = (key, value) => Decode(key.Addr.ToAddress(), value),
        };

    private static MapView<IpAddress, EndpointMapEntry> V6(DatapathMaps maps)
        => new MapView<IpAddress, EndpointMapEntry, Endpoint6Key, EndpointInfo>(maps.Endpoints6)
        {
            OwnsKey = a => a.IsV6,
            EncodeKey = a => new Endpoint6Key { Addr = a.ToV6() },
            EncodeValue = Encode,
            Decode = (key, value) => Decode(key.Addr.ToAddress(), value),
        };

    private static EndpointInfo Encode(EndpointMapEntry entry) => new()
    {
        Ifindex = (uint)entry.Device,
        Identity = entry.Identity.Value,
        Id = entry.EndpointId,
        Flags = (ushort)(entry.IsHost ? EndpointFlags.Host : 0),
        Mac = entry.PodMac.ToAbi(),
        NodeMac = entry.HostMac.ToAbi(),
    };

    private static KeyValuePair<IpAddress, EndpointMapEntry> Decode(IpAddress address, EndpointInfo info)
        => new(address, new EndpointMapEntry(address)
        {
            EndpointId = info.Id,
            Identity = new SecurityIdentity(info.Identity),
            Device = (int)info.Ifindex,
            PodMac = info.Mac.ToMac(),
            HostMac = info.NodeMac.ToMac(),
            IsHost = ((EndpointFlags)info.Flags).HasFlag(EndpointFlags.Host),
        });
}
