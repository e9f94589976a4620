// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Threading.Channels;
using Axoneme.Agent.Ipcache;
using Axoneme.Datapath;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.Policies;

/// <summary>
/// Owns the policy engine. Everything that can change a verdict (policy objects, identities, local endpoints) comes through
/// here in order, and leaves in the same order as rows of <see cref="Table"/> and prefixes of the ipcache.
/// </summary>
/// <remarks>
/// Nothing is published before <see cref="Release"/>: with half of the rules or identities the verdicts would be wrong, and the
/// kernel still has the right ones from before the restart.
/// </remarks>
internal sealed class PolicyController
{
    private const string CidrOwner = "policy";
    private const string Initializer = "policy-engine";

    private readonly PolicyEngine _engine;
    private readonly Ipcache.Ipcache _ipcache;
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<(QueuedChange Change, TaskCompletionSource Done)> _updates =
        Channel.CreateUnbounded<(QueuedChange, TaskCompletionSource)>(new UnboundedChannelOptions { SingleReader = true });

    private readonly ConcurrentDictionary<ushort, bool> _audit = new();
    private readonly PolicyMapTranslation _translation = new();

    // Endpoints whose rows have changed since somebody last asked for the kernel to follow, and what those who asked wait for.
    private readonly HashSet<ushort> _written = [];
    private Task _followed = Task.CompletedTask;
    private volatile bool _auditsAll;

    /// <param name="engine">Its changes come through here from now on.</param>
    /// <param name="ipcache">Gets the address blocks that rules mention.</param>
    /// <param name="auditsAll">What <see cref="AuditsAll"/> begins with.</param>
    public PolicyController(PolicyEngine engine, Ipcache.Ipcache ipcache, bool auditsAll = false)
    {
        _engine = engine;
        _ipcache = ipcache;
        _auditsAll = auditsAll;
        Table.RegisterInitializer(Initializer);
        ipcache.Table.RegisterInitializer(Initializer);
    }

    /// <summary>What each endpoint's map has to hold.</summary>
    public Table<ushort, EndpointPolicy> Table { get; } = new(
        "policies",
        policy => policy.EndpointId,
        columns:
        [
            new("Endpoint", p => p.EndpointId.ToString()),
            new("Ingress", p => p.IngressEnforced ? "enforced" : "open"),
            new("Egress", p => p.EgressEnforced ? "enforced" : "open"),
            new("Audit", p => p.Audit ? "on" : "off"),
            new("Entries", p => p.Entries.Count.ToString()),
            new("Shadow", p => p.Shadow?.Entries.Count.ToString() ?? ""),
            new("Revision", p => p.Revision.ToString()),
        ]);

    /// <summary>What the rules behind a verdict's cookie are; for flows.</summary>
    public CookieIndex Cookies { get; } = new();

    /// <summary>Which rules close an endpoint for what no rule allows; for flows.</summary>
    public DefaultDenyIndex DefaultDenies { get; } = new();

    /// <summary>Completes when the first policies are published: from then on cookies and endpoints can be explained.</summary>
    public Task WhenReleased => _released.Task;

    /// <summary>Completes when the endpoint's map is as the table's revision says. Set by whoever runs the reconciler.</summary>
    public Func<ushort, long, CancellationToken, Task<ReconcileStatus<ushort>?>> WhenInKernelAsync { get; set; } =
        static (_, _, _) => Task.FromResult<ReconcileStatus<ushort>?>(null);

    /// <summary>How long a map that cannot be written holds up the order of things; it is not to hold up the rest of the agent.</summary>
    public TimeSpan KernelPatience { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Completes when the prefix is in the kernel's ipcache. Set by whoever runs the reconciler.</summary>
    public Func<IpPrefix, CancellationToken, Task> WhenAddressInKernelAsync { get; set; } = static (_, _) => Task.CompletedTask;

    /// <summary>Called with what is about to be written to the kernel: who enforces a part of it has to know before packets come.</summary>
    public Func<PolicyUpdate, CancellationToken, Task> BeforeKernelAsync { get; set; } = static (_, _) => Task.CompletedTask;

    /// <summary>The last revision that an earlier run left in the kernel. Set before <see cref="ReleaseAsync"/>.</summary>
    public uint RevisionBase { get; set; }

    /// <summary>
    /// Whether this node runs a proxy, which <see cref="SetProxyPortAsync"/> tells where to find: 0, nobody knows, until then. Without one,
    /// what it would have to examine is denied. Set before <see cref="ReleaseAsync"/>.
    /// </summary>
    public bool HasProxy
    {
        get => _translation.HasProxy;
        set => _translation.HasProxy = value;
    }

    /// <summary>True once rules and identities are complete.</summary>
    public bool IsReleased => _released.Task.IsCompleted;

    /// <summary>Runs the change and publishes what follows from it. The task completes when that is in the table, and addresses are in the kernel.</summary>
    public Task ChangeAsync(Action<PolicyEngine> change)
    {
        lock (_gate)
        {
            change(_engine);
            return IsReleased ? Commit() : _released.Task;
        }
    }

    /// <summary>Rules, identities and endpoints are complete: publishes everything held back so far.</summary>
    public async Task ReleaseAsync()
    {
        Task published;
        lock (_gate)
        {
            published = Commit();
            _released.TrySetResult();
        }

        await published;
        Table.MarkInitialized(Initializer);
        _ipcache.Table.MarkInitialized(Initializer);
    }

    /// <summary>
    /// Completes when the kernel's policy maps say all that has been decided until now. A map that cannot be written holds nobody up for longer
    /// than about a second: the reconciler reports it. It waits for maps that have changed, and for those once, however many ask.
    /// </summary>
    public Task WhenDecisionsInKernelAsync(CancellationToken cancellation)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _updates.Writer.TryWrite((new KernelQuestion(), done));
        return done.Task.WaitAsync(cancellation);
    }

    /// <summary>Completes when the kernel's ipcache says of the prefixes what its table does, with the same patience.</summary>
    public Task WhenAddressesInKernelAsync(IEnumerable<IpPrefix> prefixes, CancellationToken cancellation) => WaitAsync(
        async patience =>
        {
            foreach (IpPrefix prefix in prefixes)
                await WhenAddressInKernelAsync(prefix, patience);
        },
        cancellation);

    public T Read<T>(Func<PolicyEngine, T> read)
    {
        lock (_gate)
            return read(_engine);
    }

    /// <summary>Makes the endpoint subject to policy; completes when the kernel holds its policy, and those of the others know its identity.</summary>
    /// <exception cref="InvalidOperationException">The kernel refused it.</exception>
    public async Task UpsertEndpointAsync(ushort id, SecurityIdentity identity, LabelSet labels, NamedPorts ports, CancellationToken cancellation)
    {
        await ChangeAsync(engine => engine.UpsertEndpoint(id, identity, labels, ports));
        ReconcileStatus<ushort>? status = await WhenInKernelAsync(id, Table.Snapshot().RevisionOf(id), cancellation);
        if (status is { Phase: ReconcilePhase.Error })
            throw new InvalidOperationException($"the policy of endpoint {id} cannot be written: {status.Message}");
        await WhenDecisionsInKernelAsync(cancellation);
    }

    public void RemoveEndpoint(ushort id)
    {
        lock (_gate)
        {
            _engine.RemoveEndpoint(id);
            DefaultDenies.Forget(id);
            _updates.Writer.TryWrite((new EndpointRemoval(id), new TaskCompletionSource()));
        }
    }

    /// <summary>
    /// Says on which port of this node its proxy listens (TCP and UDP, host order), for entries that redirect. Known before
    /// <see cref="ReleaseAsync"/>, it spares endpoints a time without after a restart of the agent. Completes when the table has it.
    /// </summary>
    /// <param name="port">0 when nobody knows any more, which denies what would be redirected.</param>
    /// <exception cref="InvalidOperationException">The node has no proxy.</exception>
    public Task SetProxyPortAsync(ushort port)
    {
        if (!HasProxy)
            throw new InvalidOperationException("this node has no proxy");
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _updates.Writer.TryWrite((new ProxyMove(port), done));
        return done.Task;
    }

    /// <summary>Whether what policy would drop passes and is reported, at endpoints that do not say otherwise themselves.</summary>
    public bool AuditsAll => _auditsAll;

    /// <summary>Whether the endpoint's drops are only reported.</summary>
    public bool Audits(ushort endpoint) => _audit.TryGetValue(endpoint, out bool own) ? own : _auditsAll;

    /// <summary>Completes when the table has it.</summary>
    public Task SetAuditAsync(bool audit)
    {
        _auditsAll = audit;
        return QueueAudit();
    }

    /// <summary>Likewise for one endpoint, until it goes or the agent ends.</summary>
    public Task SetAuditAsync(ushort endpoint, bool audit)
    {
        _audit[endpoint] = audit;
        return QueueAudit();
    }

    private Task QueueAudit()
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _updates.Writer.TryWrite((new AuditChange(), done));
        return done.Task;
    }

    public async Task RunAsync(CancellationToken cancellation)
    {
        await foreach ((QueuedChange change, TaskCompletionSource done) in _updates.Reader.ReadAllAsync(cancellation))
        {
            switch (change)
            {
                case KernelQuestion:
                    AnswerWhenWritten(done, cancellation);
                    continue;
                case EndpointRemoval { Endpoint: var endpoint }:
                    Table.Remove(endpoint);
                    _audit.TryRemove(endpoint, out _);
                    break;
                case EngineChange { Update: var update }:
                    await PublishAsync(update, cancellation);
                    break;
                case ProxyMove { Port: var port }:
                    MoveProxy(port);
                    break;
                case AuditChange:
                    ChangeAudit();
                    break;
            }

            done.SetResult();
        }
    }

    // Those who asked before may still wait for maps that have not changed since, so that their wait is part of this one.
    private void AnswerWhenWritten(TaskCompletionSource done, CancellationToken cancellation)
    {
        _followed = Task.WhenAll(_followed, WaitForKernelAsync([.. _written], cancellation));
        _written.Clear();
        _followed.ContinueWith(
            task => _ = task.IsCompletedSuccessfully ? done.TrySetResult() : done.TrySetCanceled(CancellationToken.None),
            CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
    }

    // Inside the lock, so that updates are queued in the order of their revisions. Flows are told of the rules before the kernel is, which
    // reports by them as soon as it has them.
    private Task Commit()
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        PolicyUpdate update = _engine.Commit();
        foreach (EndpointPolicyChange change in update.Endpoints)
        {
            Cookies.Learn(change.Delta);
            Cookies.Learn(change.ShadowDelta);
        }

        Cookies.Relabel(update.Relabelled);
        Cookies.Trim(_engine);
        DefaultDenies.Learn(_engine);
        _updates.Writer.TryWrite((new EngineChange(update), done));
        return done.Task;
    }

    /// <remarks>
    /// A packet whose identity no entry knows is dropped. So a block's identity appears in the ipcache after the maps know it,
    /// and leaves it before the maps forget it.
    /// </remarks>
    private async Task PublishAsync(PolicyUpdate update, CancellationToken cancellation)
    {
        foreach (IpPrefix prefix in update.PrefixDeletes)
            _ipcache.Remove(prefix, IpcacheSource.Cidr, CidrOwner);
        await BeforeKernelAsync(update, cancellation);

        Table.Write(writer =>
        {
            foreach (EndpointPolicyChange change in update.Endpoints)
            {
                writer.TryGet(change.EndpointId, out EndpointPolicy? before);
                writer.Upsert(_translation.Apply(before, change, RevisionBase) with { Audit = Audits(change.EndpointId) });
            }
        });

        _written.UnionWith(update.Endpoints.Select(change => change.EndpointId));
        if (update.PrefixUpserts.IsEmpty)
            return;
        await WaitForKernelAsync([.. update.Endpoints.Select(change => change.EndpointId)], cancellation);
        foreach ((IpPrefix prefix, SecurityIdentity identity) in update.PrefixUpserts)
            _ipcache.Set(new IpcacheRecord(prefix, identity, Node: null, IpcacheSource.Cidr, CidrOwner));
        await WhenAddressesInKernelAsync(update.PrefixUpserts.Select(pair => pair.Key), cancellation);
    }

    private Task WaitForKernelAsync(ushort[] endpoints, CancellationToken cancellation)
    {
        TableSnapshot<ushort, EndpointPolicy> snapshot = Table.Snapshot();
        return WaitAsync(
            async patience =>
            {
                foreach (ushort endpoint in endpoints)
                    await WhenInKernelAsync(endpoint, snapshot.RevisionOf(endpoint), patience);
            },
            cancellation);
    }

    private async Task WaitAsync(Func<CancellationToken, Task> wait, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(KernelPatience);
        try
        {
            await wait(patience.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // The reconciler reports the map that is stuck.
        }
    }

    private void MoveProxy(ushort port)
    {
        if (_translation.ProxyPort == port)
            return;
        // The engine knows nothing of ports, so its next revisions would not be new to these policies.
        RevisionBase++;
        Table.Write(writer =>
        {
            foreach (EndpointPolicy moved in _translation.MoveProxy(port, Table.Snapshot().Values))
                writer.Upsert(moved);
        });
    }

    private void ChangeAudit()
    {
        // As with the proxy's port: connections are judged again by a revision that the engine does not know of.
        RevisionBase++;
        Table.Write(writer =>
        {
            foreach (EndpointPolicy policy in Table.Snapshot().Values.Where(p => p.Audit != Audits(p.EndpointId)))
                writer.Upsert(PolicyMapTranslation.Renew(policy) with { Audit = Audits(policy.EndpointId) });
        });
    }

    /// <summary>What changes the table, or asks about it, in the order in which it was decided.</summary>
    private abstract record QueuedChange;

    private sealed record EngineChange(PolicyUpdate Update) : QueuedChange;

    private sealed record EndpointRemoval(ushort Endpoint) : QueuedChange;

    private sealed record ProxyMove(ushort Port) : QueuedChange;

    private sealed record AuditChange : QueuedChange;

    /// <summary>Changes nothing.</summary>
    private sealed record KernelQuestion : QueuedChange;
}
