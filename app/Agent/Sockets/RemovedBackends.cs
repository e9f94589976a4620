// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Threading.Channels;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Sockets;

/// <summary>
/// Stands before the writer of the service maps and notes which backends the kernel stops giving to new connections of a frontend.
/// Only after the write may clients be told: one that connects again must not get the same backend. What an earlier run left in the
/// maps counts as written, so a backend that went away while no agent ran is noted as well.
/// </summary>
internal sealed class RemovedBackends(IReconcileTarget<ServiceMapKey, ServiceMapEntry> writer) : IReconcileTarget<ServiceMapKey, ServiceMapEntry>
{
    private const int FewBackends = 16;

    private readonly Lock _gate = new();
    private readonly Dictionary<ServiceMapKey, ServiceMapEntry> _written = [];
    private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private HashSet<L4Address> _removed = [];
    private bool _isRestored;

    public async ValueTask ApplyAsync(
        IReadOnlyList<ServiceMapEntry> values, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
    {
        await writer.ApplyAsync(values, failures, cancellationToken);
        lock (_gate)
        {
            foreach (ServiceMapEntry service in values)
            {
                if (failures.Find(service.Key) is null)
                    Replace(service.Key, service);
            }

            Announce();
        }
    }

    public async ValueTask DeleteAsync(
        IReadOnlyList<ServiceMapKey> keys, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
    {
        await writer.DeleteAsync(keys, failures, cancellationToken);
        lock (_gate)
        {
            foreach (ServiceMapKey key in keys)
            {
                if (failures.Find(key) is null)
                    Replace(key, null);
            }

            Announce();
        }
    }

    public async ValueTask<IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry>> ReadActualAsync(CancellationToken cancellationToken)
    {
        IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry> actual = await writer.ReadActualAsync(cancellationToken);
        lock (_gate)
        {
            if (!_isRestored)
            {
                foreach ((ServiceMapKey key, ServiceMapEntry service) in actual)
                    _written.TryAdd(key, service);
            }

            _isRestored = true;
        }

        return actual;
    }

    public bool IsSame(ServiceMapEntry desired, ServiceMapEntry actual) => writer.IsSame(desired, actual);

    /// <summary>Waits for backends that frontends have lost and takes them.</summary>
    public async Task<IReadOnlySet<L4Address>> TakeAsync(CancellationToken cancellation)
    {
        await _signal.Reader.ReadAsync(cancellation);
        lock (_gate)
        {
            HashSet<L4Address> taken = _removed;
            _removed = [];
            return taken;
        }
    }

    /// <summary>Whether the kernel still gives the backend to some connections that name the frontend.</summary>
    /// <param name="frontend">As a socket named it: for a node port, perhaps with another node's address.</param>
    public bool Serves(L4Address frontend, L4Address backend)
    {
        lock (_gate)
        {
            if (Holds(frontend, backend) is { } answer)
                return answer;
            IpAddress unspecified = frontend.Address.Mask(0);
            return Holds(frontend with { Address = unspecified }, backend) ?? false;
        }
    }

    // Null when there is no such frontend.
    private bool? Holds(L4Address frontend, L4Address backend)
    {
        bool? answer = null;
        foreach (LbScope scope in (ReadOnlySpan<LbScope>)[LbScope.External, LbScope.Internal])
        {
            if (!_written.TryGetValue(new ServiceMapKey(frontend, scope), out ServiceMapEntry? service))
                continue;
            if (Has(service.Backends, backend))
                return true;
            answer = false;
        }

        return answer;
    }

    private void Replace(ServiceMapKey key, ServiceMapEntry? next)
    {
        _written.TryGetValue(key, out ServiceMapEntry? previous);
        if (next is null)
            _written.Remove(key);
        else
            _written[key] = next;
        // A redirect policy is for new connections; those to the service's own backends, which live on, stay.
        if (previous is null || (IsRedirect(next) && !IsRedirect(previous)))
            return;
        ImmutableArray<BackendMapEntry> kept = next?.Backends ?? [];
        // Services with tens of thousands of backends must not compare each with each; most have a handful, which a set would only slow down.
        HashSet<L4Address>? many = kept.Length > FewBackends ? [.. kept.Select(backend => backend.Address)] : null;
        foreach (BackendMapEntry backend in previous.Backends)
        {
            if (!(many?.Contains(backend.Address) ?? Has(kept, backend.Address)))
                _removed.Add(backend.Address);
        }
    }

    private void Announce()
    {
        if (_removed.Count > 0)
            _signal.Writer.TryWrite(true);
    }

    private static bool IsRedirect(ServiceMapEntry? service) => service is not null && service.Flags2.HasFlag(LbFlags2.LocalRedirect);

    private static bool Has(ImmutableArray<BackendMapEntry> backends, L4Address address)
    {
        foreach (BackendMapEntry backend in backends)
        {
            if (backend.Address == address)
                return true;
        }

        return false;
    }
}
