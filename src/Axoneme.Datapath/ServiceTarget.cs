// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Datapath;

/// <summary>
/// Keeps services, backends and reverse NAT. Writes go backends, reverse NAT, slots, then slot 0, which puts all of it into force at once;
/// removals go the other way. Numbers are restored from the maps, so a restart renumbers nothing.
/// </summary>
public sealed class ServiceTarget : IReconcileTarget<ServiceMapKey, ServiceMapEntry>
{
    private readonly Lock _lock = new();
    private readonly ServiceSlots _slots;
    private readonly LoadBalancerIds _ids;

    // Which services name a backend; one that nobody names is removed from its map.
    private readonly Dictionary<L4Address, HashSet<ServiceMapKey>> _users = [];
    private readonly Dictionary<L4Address, BackendMapEntry> _written = [];
    private readonly Dictionary<ServiceMapKey, ServiceMapEntry> _applied = [];

    public ServiceTarget(DatapathMaps maps)
    {
        _slots = new ServiceSlots(maps);
        _ids = new LoadBalancerIds(maps);
        foreach (ServiceMapEntry service in Read().Values)
            Remember(service);
        foreach (BackendMapEntry backend in _slots.ReadBackends().Values)
        {
            _written[backend.Address] = backend;
            // Without users it goes with the next change: an earlier run ended between two writes.
            _users.TryAdd(backend.Address, []);
        }
    }

    /// <summary>The number of a service in maps, events and the service list; null when it has none.</summary>
    public ushort? FindId(ServiceMapKey key)
    {
        lock (_lock)
            return _ids.FindService(key);
    }

    /// <summary>The number of a backend; null when no service uses it.</summary>
    public uint? FindBackendId(L4Address address)
    {
        lock (_lock)
            return _ids.FindBackend(address);
    }

    public ValueTask ApplyAsync(
        IReadOnlyList<ServiceMapEntry> values, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            foreach (ServiceMapEntry service in values)
            {
                try
                {
                    Apply(service);
                }
                catch (Exception e) when (e is SystemCallException or InvalidOperationException)
                {
                    string hint = e is SystemCallException { Errno: Errno.E2BIG } ? " (bpf-lb-map-max)" : "";
                    failures.Add(service.Key, e.Message + hint);
                }
            }
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask DeleteAsync(
        IReadOnlyList<ServiceMapKey> keys, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            foreach (ServiceMapKey key in keys)
                Delete(key);
            RemoveUnusedBackends();
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask<IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry>> ReadActualAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            // The check wants the truth: what others changed behind our back must be written again.
            _written.Clear();
            foreach (BackendMapEntry backend in _slots.ReadBackends().Values)
                _written[backend.Address] = backend;
            return ValueTask.FromResult<IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry>>(Read());
        }
    }

    /// <summary>The services as the kernel has them. One whose parts do not fit together is shown without backends.</summary>
    public Dictionary<ServiceMapKey, ServiceMapEntry> Read()
    {
        Dictionary<(uint Id, bool IsV6), BackendMapEntry> backends = _slots.ReadBackends();
        var services = new Dictionary<ServiceMapKey, ServiceMapEntry>();
        foreach (var group in _slots.ReadSlots().GroupBy(s => s.Key))
        {
            Dictionary<ushort, LbService> slots = group.ToDictionary(s => s.Slot, s => s.Value);
            slots.TryGetValue(0, out LbService master);
            services[group.Key] = new ServiceMapEntry(group.Key)
            {
                Flags = (LbFlags)master.Flags,
                Flags2 = (LbFlags2)master.Flags2,
                AffinityTimeoutSeconds = master.Backend,
                Backends = IsWhole(group.Key, master, slots) ? Decode(group.Key, master, slots, backends) : [],
            };
        }

        return services;
    }

    private bool IsWhole(ServiceMapKey key, in LbService master, Dictionary<ushort, LbService> slots)
        => slots.Count == 1 + master.Count + master.QuarantinedCount && _slots.HasReverse(master.RevNat, key.Frontend);

    private static ImmutableArray<BackendMapEntry> Decode(
        ServiceMapKey key, in LbService master, Dictionary<ushort, LbService> slots, Dictionary<(uint Id, bool IsV6), BackendMapEntry> backends)
    {
        var result = ImmutableArray.CreateBuilder<BackendMapEntry>();
        for (int slot = 1; slot <= master.Count + master.QuarantinedCount; slot++)
        {
            if (!slots.TryGetValue((ushort)slot, out LbService value)
                || !backends.TryGetValue((value.Backend, key.Frontend.Address.IsV6), out BackendMapEntry? backend))
                return [];
            result.Add(backend);
        }

        return result.ToImmutable();
    }

    private void Apply(ServiceMapEntry service)
    {
        ServiceMapKey key = service.Key;
        ushort index = _ids.Service(key);
        foreach (BackendMapEntry backend in service.Backends)
        {
            if (backend.Address.Address.IsV6 != key.Frontend.Address.IsV6)
                throw new InvalidOperationException($"service {key}: backend {backend.Address} is of the other family");
            uint id = _ids.Backend(backend.Address);
            if (!_written.TryGetValue(backend.Address, out BackendMapEntry? present) || present != backend)
                _slots.WriteBackend(id, backend);
            _written[backend.Address] = backend;
        }

        if (!_slots.HasReverse(index, key.Frontend))
            _slots.WriteReverse(index, key.Frontend);
        _slots.TryRead(key, 0, out LbService before);
        ushort slot = 0;
        foreach (BackendMapEntry backend in service.Backends)
            _slots.Write(key, ++slot, new LbService { Backend = _ids.Backend(backend.Address) });
        int active = service.Backends.Count(b => b.State == LbBackendState.Active);
        // With no active backend the terminating ones serve on, rather than nobody.
        if (active == 0)
            active = service.Backends.Count(b => b.State == LbBackendState.Terminating);
        _slots.Write(key, 0, new LbService
        {
            Backend = service.AffinityTimeoutSeconds,
            Count = (ushort)active,
            RevNat = index,
            Flags = (byte)service.Flags,
            Flags2 = (byte)service.Flags2,
            QuarantinedCount = (ushort)(service.Backends.Length - active),
        });
        for (int surplus = before.Count + before.QuarantinedCount; surplus > slot; surplus--)
            _slots.Delete(key, (ushort)surplus);
        Remember(service);
        RemoveUnusedBackends();
    }

    private void Delete(ServiceMapKey key)
    {
        _slots.TryRead(key, 0, out LbService master);
        _slots.Delete(key, 0);
        for (int slot = master.Count + master.QuarantinedCount; slot > 0; slot--)
            _slots.Delete(key, (ushort)slot);
        if (_ids.FindService(key) is { } index)
            _slots.DeleteReverse(index, key.Frontend.Address.IsV6);
        _ids.ReleaseService(key);
        Forget(key);
    }

    private void Remember(ServiceMapEntry service)
    {
        Forget(service.Key);
        _applied[service.Key] = service;
        foreach (BackendMapEntry backend in service.Backends)
        {
            if (!_users.TryGetValue(backend.Address, out HashSet<ServiceMapKey>? users))
                _users[backend.Address] = users = [];
            users.Add(service.Key);
        }
    }

    private void Forget(ServiceMapKey key)
    {
        if (!_applied.Remove(key, out ServiceMapEntry? service))
            return;
        foreach (BackendMapEntry backend in service.Backends)
        {
            if (_users.TryGetValue(backend.Address, out HashSet<ServiceMapKey>? users))
                users.Remove(key);
        }
    }

    private void RemoveUnusedBackends()
    {
        foreach (L4Address address in _users.Where(u => u.Value.Count == 0).Select(u => u.Key).ToArray())
        {
            _users.Remove(address);
            _written.Remove(address);
            if (_ids.FindBackend(address) is { } id)
                _slots.DeleteBackend(id, address.Address.IsV6);
            _ids.ReleaseBackend(address);
        }
    }
}
