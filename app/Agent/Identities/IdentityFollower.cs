// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Policies;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Identities;

/// <summary>CiliumIdentity objects into the directory, from there into the policy engine, and what comes out of that into the kernel.</summary>
/// <remarks>
/// A policy map that has not heard of an identity answers by the identity's class, and a rule that denies some pods would let these pass. So
/// an address gets an identity after <see cref="InForce"/> has it, and loses it before the maps forget it.
/// </remarks>
internal sealed class IdentityFollower
{
    public const string Initializer = "cilium-identities";

    private readonly ClusterState _cluster;
    private readonly IdentityDirectory _directory;
    private readonly IdentityPorts _ports;
    private readonly PolicyController _policies;
    private readonly ILogger<IdentityFollower> _log;
    private readonly TaskCompletionSource _complete = new();

    public IdentityFollower(
        ClusterState cluster, IdentityDirectory directory, IdentityPorts ports, PolicyController policies, ILogger<IdentityFollower> log)
    {
        _cluster = cluster;
        _directory = directory;
        _ports = ports;
        _policies = policies;
        _log = log;
        InForce.RegisterInitializer(Initializer);
    }

    /// <summary>Identities that the policy maps of this node's endpoints know, as far as any rule is about them.</summary>
    public Table<SecurityIdentity, IdentityRecord> InForce { get; } = new(
        "identities-in-force", record => record.Id, columns: [new("Id", r => r.Id.Value.ToString()), new("Labels", r => r.Labels.ToString())]);

    /// <summary>Completes when no address in the kernel has one of the identities any more. Set by whoever gives them to addresses.</summary>
    public Func<IReadOnlyCollection<SecurityIdentity>, CancellationToken, Task> BeforeForgottenAsync { get; set; } = static (_, _) => Task.CompletedTask;

    /// <summary>Completes when the policy engine knows every identity that existed at the start.</summary>
    public Task WhenCompleteAsync(CancellationToken cancellation) => _complete.Task.WaitAsync(cancellation);

    public Task RunAsync(CancellationToken cancellation)
    {
        var objects = new TaskCompletionSource();
        return Task.WhenAll(
            _cluster.CiliumIdentities.FollowAsync(TakeOver, _log, cancellation, objects),
            AnnounceAsync(cancellation),
            InitializeAsync(objects.Task, cancellation));
    }

    private async Task InitializeAsync(Task objects, CancellationToken cancellation)
    {
        await objects.WaitAsync(cancellation);
        _directory.Table.MarkInitialized(Initializer);
    }

    private void TakeOver(Change<ResourceName, CiliumIdentity> change)
    {
        if (change.IsDelete)
            _directory.Delete(change.Key);
        else
            _directory.Upsert(change.Value!);
    }

    // What comes while a batch is on its way into the kernel makes the next one, so a burst costs few writes.
    private async Task AnnounceAsync(CancellationToken cancellation)
    {
        using ChangeStream<SecurityIdentity, IdentityRecord> stream = _directory.Table.Watch();
        await foreach (ChangeBatch<SecurityIdentity, IdentityRecord> batch in stream.ReadAllAsync(cancellation))
        {
            await ForgetAsync([.. batch.Changes.Where(c => c.IsDelete).Select(c => c.Key)], cancellation);
            Task decided = _policies.ChangeAsync(engine =>
            {
                foreach (Change<SecurityIdentity, IdentityRecord> change in batch.Changes)
                {
                    if (change.IsDelete)
                        engine.DeleteIdentity(change.Key);
                    else
                        engine.UpsertIdentity(change.Key, change.Value!.Labels, _ports.Of(change.Key));
                }
            });
            // Policies are released when this is complete: there is nothing to wait for before.
            if (!batch.IsInitialized)
                continue;
            _complete.TrySetResult();
            await decided.WaitAsync(cancellation);
            await _policies.WhenDecisionsInKernelAsync(cancellation);
            Publish(batch);
        }
    }

    private async Task ForgetAsync(List<SecurityIdentity> gone, CancellationToken cancellation)
    {
        if (gone.Count == 0)
            return;
        InForce.Write(writer =>
        {
            foreach (SecurityIdentity id in gone)
                writer.Remove(id);
        });
        await BeforeForgottenAsync(gone, cancellation);
    }

    // From the snapshot: batches before the table was complete have not been published.
    private void Publish(ChangeBatch<SecurityIdentity, IdentityRecord> batch)
    {
        InForce.Write(writer =>
        {
            IEnumerable<IdentityRecord> records = InForce.IsInitialized
                ? batch.Changes.Where(c => !c.IsDelete).Select(c => c.Value!)
                : batch.Snapshot.Values;
            foreach (IdentityRecord record in records)
                writer.Upsert(record);
        });
        InForce.MarkInitialized(Initializer);
    }
}
