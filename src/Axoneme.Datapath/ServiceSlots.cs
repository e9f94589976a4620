// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>The service maps of both families behind one face.</summary>
internal sealed class ServiceSlots(DatapathMaps maps)
{
    public static ServiceMapKey Decode(Lb4Key key)
        => new(new L4Address(key.Addr.ToAddress(), key.Port.Value, (L4Protocol)key.Protocol), (LbScope)key.Scope);

    public static ServiceMapKey Decode(Lb6Key key)
        => new(new L4Address(key.Addr.ToAddress(), key.Port.Value, (L4Protocol)key.Protocol), (LbScope)key.Scope);

    public bool TryRead(ServiceMapKey key, ushort slot, out LbService value)
        => key.Frontend.Address.IsV6
            ? maps.Services6.TryLookup(Key6(key, slot), out value)
            : maps.Services4.TryLookup(Key4(key, slot), out value);

    /// <summary>Writes the slot unless it has this content; returns whether it had to.</summary>
    public bool Write(ServiceMapKey key, ushort slot, in LbService value)
    {
        if (TryRead(key, slot, out LbService present) && present == value)
            return false;
        if (key.Frontend.Address.IsV6)
            maps.Services6.Update(Key6(key, slot), in value);
        else
            maps.Services4.Update(Key4(key, slot), in value);
        return true;
    }

    public void Delete(ServiceMapKey key, ushort slot)
    {
        if (key.Frontend.Address.IsV6)
            maps.Services6.TryDelete(Key6(key, slot));
        else
            maps.Services4.TryDelete(Key4(key, slot));
    }

    public void WriteBackend(uint id, BackendMapEntry backend)
    {
        var key = new LbBackendKey { Id = id };
        L4Address address = backend.Address;
        if (address.Address.IsV6)
        {
            maps.Backends6.Update(key, new Lb6Backend
            {
                Addr = address.Address.ToV6(),
                Port = address.Port,
                Protocol = (byte)address.Protocol,
                State = (byte)backend.State,
                Zone = backend.Zone,
            });
            return;
        }

        maps.Backends4.Update(key, new Lb4Backend
        {
            Addr = address.Address.ToV4(),
            Port = address.Port,
            Protocol = (byte)address.Protocol,
            State = (byte)backend.State,
            Zone = backend.Zone,
        });
    }

    public void DeleteBackend(uint id, bool isV6)
    {
        var key = new LbBackendKey { Id = id };
        if (isV6)
            maps.Backends6.TryDelete(key);
        else
            maps.Backends4.TryDelete(key);
    }

    public void WriteReverse(ushort index, L4Address frontend)
    {
        var key = new LbRevNatKey { Index = index };
        if (frontend.Address.IsV6)
            maps.ReverseNat6.Update(key, new Lb6RevNat { Addr = frontend.Address.ToV6(), Port = frontend.Port });
        else
            maps.ReverseNat4.Update(key, new Lb4RevNat { Addr = frontend.Address.ToV4(), Port = frontend.Port });
    }

    public bool HasReverse(ushort index, L4Address frontend)
    {
        var key = new LbRevNatKey { Index = index };
        return frontend.Address.IsV6
            ? maps.ReverseNat6.TryLookup(key, out Lb6RevNat v6) && v6.Addr.ToAddress() == frontend.Address && v6.Port.Value == frontend.Port
            : maps.ReverseNat4.TryLookup(key, out Lb4RevNat v4) && v4.Addr.ToAddress() == frontend.Address && v4.Port.Value == frontend.Port;
    }

    public void DeleteReverse(ushort index, bool isV6)
    {
        var key = new LbRevNatKey { Index = index };
        if (isV6)
            maps.ReverseNat6.TryDelete(key);
        else
            maps.ReverseNat4.TryDelete(key);
    }

    /// <summary>All backends by id, as both maps have them.</summary>
    public Dictionary<(uint Id, bool IsV6), BackendMapEntry> ReadBackends()
    {
        var found = new Dictionary<(uint, bool), BackendMapEntry>();
        foreach ((LbBackendKey key, Lb4Backend b) in maps.Backends4.Entries())
            found[(key.Id, false)] = Backend(b.Addr.ToAddress(), b.Port.Value, b.Protocol, b.State, b.Zone);
        foreach ((LbBackendKey key, Lb6Backend b) in maps.Backends6.Entries())
            found[(key.Id, true)] = Backend(b.Addr.ToAddress(), b.Port.Value, b.Protocol, b.State, b.Zone);
        return found;
    }

    /// <summary>All slots of all services.</summary>
    public IEnumerable<(ServiceMapKey Key, ushort Slot, LbService Value)> ReadSlots()
        => maps.Services4.Entries().Select(e => (Decode(e.Key), e.Key.Slot, e.Value))
            .Concat(maps.Services6.Entries().Select(e => (Decode(e.Key), e.Key.Slot, e.Value)));

    private static BackendMapEntry Backend(IpAddress address, ushort port, byte protocol, byte state, byte zone)
        => new(new L4Address(address, port, (L4Protocol)protocol)) { State = (LbBackendState)state, Zone = zone };

    private static Lb4Key Key4(ServiceMapKey key, ushort slot) => new()
    {
        Addr = key.Frontend.Address.ToV4(),
        Port = key.Frontend.Port,
        Slot = slot,
        Protocol = (byte)key.Frontend.Protocol,
        Scope = (byte)key.Scope,
    };

    private static Lb6Key Key6(ServiceMapKey key, ushort slot) => new()
    {
        Addr = key.Frontend.Address.ToV6(),
        Port = key.Frontend.Port,
        Slot = slot,
        Protocol = (byte)key.Frontend.Protocol,
        Scope = (byte)key.Scope,
    };
}
