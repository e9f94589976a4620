// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Policies;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Identities;

/// <summary>CiliumIdentity objects into the directory, and from there into the policy engine.</summary>
internal sealed class IdentityFollower(
    ClusterState cluster, IdentityDirectory directory, PolicyController policies, ILogger<IdentityFollower> log)
{
    public const string Initializer = "cilium-identities";

    private readonly TaskCompletionSource _complete = new();

    /// <summary>Completes when the policy engine knows every identity that existed at the start.</summary>
    public Task WhenCompleteAsync(CancellationToken cancellation) => _complete.Task.WaitAsync(cancellation);

    public Task RunAsync(CancellationToken cancellation)
    {
        var objects = new TaskCompletionSource();
        return Task.WhenAll(
            cluster.CiliumIdentities.FollowAsync(TakeOver, log, cancellation, objects),
            directory.Table.FollowAsync(Announce, log, cancellation, _complete),
            InitializeAsync(objects.Task, cancellation));
    }

    private async Task InitializeAsync(Task objects, CancellationToken cancellation)
    {
        await objects.WaitAsync(cancellation);
        directory.Table.MarkInitialized(Initializer);
    }

    private void TakeOver(Change<ResourceName, CiliumIdentity> change)
    {
        if (change.IsDelete)
            directory.Delete(change.Key);
        else
            directory.Upsert(change.Value!);
    }

    private void Announce(Change<SecurityIdentity, IdentityRecord> change)
        => _ = policies.ChangeAsync(engine =>
        {
            if (change.IsDelete)
                engine.DeleteIdentity(change.Key);
            else
                engine.UpsertIdentity(change.Key, change.Value!.Labels);
        });
}
