// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Policies;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Identities;

/// <summary>CiliumIdentity objects into the directory, and from there into the policy engine.</summary>
internal sealed class IdentityFollower(
    ClusterState cluster, IdentityDirectory directory, PolicyController policies, ILogger<IdentityFollower> log) : BackgroundService
{
    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(
        cluster.CiliumIdentities.FollowAsync(TakeOver, log, stoppingToken),
        directory.Table.FollowAsync(Announce, log, stoppingToken));

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
