// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>
/// The numbers of backends and of reverse-NAT entries. They are in conntrack entries and sockets, so a restart must not change them: they are
/// restored from the pinned maps. Not thread-safe.
/// </summary>
internal sealed class LoadBalancerIds
{
    private readonly Dictionary<L4Address, uint> _backends = [];
    private readonly HashSet<uint> _usedBackends = [];
    private readonly Dictionary<ServiceMapKey, ushort> _services = [];
    private readonly HashSet<ushort> _usedServices = [];
    private uint _lastBackend;
    private ushort _lastService;

    public LoadBalancerIds(DatapathMaps maps)
    {
        foreach ((LbBackendKey key, Lb4Backend backend) in maps.Backends4.Entries())
            Restore(key.Id, new L4Address(backend.Addr.ToAddress(), backend.Port.Value, (L4Protocol)backend.Protocol));
        foreach ((LbBackendKey key, Lb6Backend backend) in maps.Backends6.Entries())
            Restore(key.Id, new L4Address(backend.Addr.ToAddress(), backend.Port.Value, (L4Protocol)backend.Protocol));
        foreach ((Lb4Key key, LbService service) in maps.Services4.Entries().Where(e => e.Key.Slot == 0))
            Restore(service.RevNat, ServiceSlots.Decode(key));
        foreach ((Lb6Key key, LbService service) in maps.Services6.Entries().Where(e => e.Key.Slot == 0))
            Restore(service.RevNat, ServiceSlots.Decode(key));
    }

    public uint Backend(L4Address address)
    {
        if (_backends.TryGetValue(address, out uint id))
            return id;
        // Counting on before reuse keeps a number from naming another backend while old connections still carry it.
        do
            _lastBackend = _lastBackend == uint.MaxValue ? 1 : _lastBackend + 1;
        while (!_usedBackends.Add(_lastBackend));
        return _backends[address] = _lastBackend;
    }

    public uint? FindBackend(L4Address address) => _backends.TryGetValue(address, out uint id) ? id : null;

    /// <exception cref="InvalidOperationException">All 65535 numbers are taken.</exception>
    public ushort Service(ServiceMapKey key)
    {
        if (_services.TryGetValue(key, out ushort id))
            return id;
        if (_usedServices.Count == ushort.MaxValue)
            throw new InvalidOperationException($"service {key} gets no number: all {ushort.MaxValue} are in use");
        do
            _lastService = _lastService == ushort.MaxValue ? (ushort)1 : (ushort)(_lastService + 1);
        while (!_usedServices.Add(_lastService));
        return _services[key] = _lastService;
    }

    public ushort? FindService(ServiceMapKey key) => _services.TryGetValue(key, out ushort id) ? id : null;

    public void ReleaseBackend(L4Address address)
    {
        if (_backends.Remove(address, out uint id))
            _usedBackends.Remove(id);
    }

    public void ReleaseService(ServiceMapKey key)
    {
        if (_services.Remove(key, out ushort id))
            _usedServices.Remove(id);
    }

    private void Restore(uint id, L4Address address)
    {
        _backends.TryAdd(address, id);
        _usedBackends.Add(id);
        _lastBackend = Math.Max(_lastBackend, id);
    }

    private void Restore(ushort id, ServiceMapKey key)
    {
        if (id == 0)
            return;
        _services.TryAdd(key, id);
        _usedServices.Add(id);
        _lastService = Math.Max(_lastService, id);
    }
}
