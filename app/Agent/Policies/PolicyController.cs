// SPDX-License-Identifier: Apache-2.0
using System.Threading.Channels;
using Axoneme.Agent.Ipcache;
using Axoneme.Datapath;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Hosting;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.Policies;

/// <summary>
/// Owns the policy engine. Everything that can change a verdict (policy objects, identities, local endpoints) comes through
/// here in order, and leaves in the same order as rows of <see cref="Table"/> and prefixes of the ipcache.
/// </summary>
internal sealed class PolicyController(PolicyEngine engine, Ipcache.Ipcache ipcache) : BackgroundService
{
    private const string CidrOwner = "policy";

    // A map that cannot be written holds up the order of things, not the rest of the agent.
    private static readonly TimeSpan KernelPatience = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly Channel<(PolicyUpdate Update, TaskCompletionSource Done)> _updates =
        Channel.CreateUnbounded<(PolicyUpdate, TaskCompletionSource)>(new UnboundedChannelOptions { SingleReader = true });

    /// <summary>What each endpoint's map has to hold.</summary>
    public Table<ushort, EndpointPolicy> Table { get; } = new(
        "policies",
        policy => policy.EndpointId,
        columns:
        [
            new("Endpoint", p => p.EndpointId.ToString()),
            new("Ingress", p => p.IngressEnforced ? "enforced" : "open"),
            new("Egress", p => p.EgressEnforced ? "enforced" : "open"),
            new("Entries", p => p.Entries.Count.ToString()),
            new("Revision", p => p.Revision.ToString()),
        ]);

    /// <summary>What the rules behind a verdict's cookie are; for flows.</summary>
    public CookieIndex Cookies { get; } = new();

    /// <summary>Completes when the endpoint's map is as the table's revision says. Set by whoever runs the reconciler.</summary>
    public Func<ushort, long, CancellationToken, Task> WhenInKernelAsync { get; set; } = static (_, _, _) => Task.CompletedTask;

    /// <summary>Runs the change and publishes what follows from it. The task completes when that is in the table.</summary>
    public Task ChangeAsync(Action<PolicyEngine> change)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            change(engine);
            _updates.Writer.TryWrite((engine.Commit(), done));
        }

        return done.Task;
    }

    public T Read<T>(Func<PolicyEngine, T> read)
    {
        lock (_gate)
            return read(engine);
    }

    /// <summary>Makes the endpoint subject to policy; completes when the kernel holds its policy.</summary>
    public async Task UpsertEndpointAsync(ushort id, SecurityIdentity identity, LabelSet labels, NamedPorts ports, CancellationToken cancellation)
    {
        await ChangeAsync(engine => engine.UpsertEndpoint(id, identity, labels, ports));
        await WhenInKernelAsync(id, Table.Snapshot().RevisionOf(id), cancellation);
    }

    public async Task RemoveEndpointAsync(ushort id)
    {
        await ChangeAsync(engine => engine.RemoveEndpoint(id));
        Table.Remove(id);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await foreach ((PolicyUpdate update, TaskCompletionSource done) in _updates.Reader.ReadAllAsync(stoppingToken))
        {
            await PublishAsync(update, stoppingToken);
            done.SetResult();
        }
    }

    /// <remarks>
    /// A packet whose identity no entry knows is dropped. So a block's identity appears in the ipcache after the maps know it,
    /// and leaves it before the maps forget it.
    /// </remarks>
    private async Task PublishAsync(PolicyUpdate update, CancellationToken cancellation)
    {
        foreach (IpPrefix prefix in update.PrefixDeletes)
            ipcache.Remove(prefix, IpcacheSource.Cidr, CidrOwner);

        Table.Write(writer =>
        {
            foreach (EndpointPolicyChange change in update.Endpoints)
            {
                Cookies.Learn(change.Delta);
                writer.TryGet(change.EndpointId, out EndpointPolicy? before);
                writer.Upsert(PolicyMapTranslation.Apply(before, change));
            }
        });

        if (update.PrefixUpserts.IsEmpty)
            return;
        await WaitForKernelAsync(update, cancellation);
        foreach ((IpPrefix prefix, SecurityIdentity identity) in update.PrefixUpserts)
            ipcache.Set(new IpcacheRecord(prefix, identity, Node: null, IpcacheSource.Cidr, CidrOwner));
    }

    private async Task WaitForKernelAsync(PolicyUpdate update, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(KernelPatience);
        TableSnapshot<ushort, EndpointPolicy> snapshot = Table.Snapshot();
        try
        {
            foreach (EndpointPolicyChange change in update.Endpoints)
                await WhenInKernelAsync(change.EndpointId, snapshot.RevisionOf(change.EndpointId), patience.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // The reconciler reports the map that is stuck.
        }
    }
}
