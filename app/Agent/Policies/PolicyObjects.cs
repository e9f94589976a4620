// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Kubernetes.Resources;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Policies;

/// <summary>Policy objects into the engine, and what is wrong with them back into their status.</summary>
internal sealed class PolicyObjects(
    ClusterState cluster,
    AgentOptions options,
    PolicyRepository repository,
    ServiceReferences services,
    PolicyController policies,
    PolicyReports reports,
    ILogger<PolicyObjects> log)
{
    private readonly TaskCompletionSource[] _complete = [new(), new(), new(), new(), new(), new(), new()];
    private readonly TaskCompletionSource[] _servicesComplete = [new(), new()];

    public Table<PolicyObjectKey, PolicyStatus> Statuses { get; } = new(
        "policy-status",
        status => status.Policy,
        columns:
        [
            new("Policy", s => s.Policy.ToString()),
            new("Valid", s => s.Valid ? "True" : "False"),
            new("Generation", s => s.Generation.ToString()),
            new("InForce", s => s.GenerationInForce?.ToString() ?? "none"),
            new("Mode", s => s.Shadow ? "shadow" : "enforce"),
            new("Message", s => s.Message.Replace('\n', ';')),
        ]);

    /// <summary>Completes when every policy object and every identity that existed at the start has been taken over.</summary>
    public Task WhenCompleteAsync(CancellationToken cancellation)
        => Task.WhenAll(_complete.Concat(_servicesComplete).Select(source => source.Task)).WaitAsync(cancellation);

    public Task RunAsync(CancellationToken cancellation) => Task.WhenAll(
        options.EnableNetworkPolicy
            ? Follow(cluster.NetworkPolicies, PolicyKind.NetworkPolicy, repository.Upsert, _complete[0], cancellation)
            : Skip(_complete[0]),
        Follow(
            cluster.CiliumNetworkPolicies, PolicyKind.CiliumNetworkPolicy, repository.Upsert, _complete[1], cancellation,
            (policy, status) => reports.Report(Kinds.CiliumNetworkPolicies, policy, policy.Status?.Conditions, status)),
        Follow(
            cluster.CiliumClusterwideNetworkPolicies, PolicyKind.CiliumClusterwideNetworkPolicy, repository.Upsert, _complete[2], cancellation,
            (policy, status) => reports.Report(Kinds.CiliumClusterwideNetworkPolicies, policy, policy.Status?.Conditions, status)),
        FollowTier(cluster.ClusterNetworkPolicies, PolicyKind.ClusterNetworkPolicy, Kinds.ClusterNetworkPolicies, repository.Upsert, p => p.Status, _complete[4], cancellation),
        FollowTier(cluster.AdminNetworkPolicies, PolicyKind.AdminNetworkPolicy, Kinds.AdminNetworkPolicies, repository.Upsert, p => p.Status, _complete[5], cancellation),
        FollowTier(
            cluster.BaselineAdminNetworkPolicies, PolicyKind.BaselineAdminNetworkPolicy, Kinds.BaselineAdminNetworkPolicies, repository.Upsert, p => p.Status,
            _complete[6], cancellation),
        cluster.CiliumCidrGroups.FollowAsync(TakeGroup, log, cancellation, _complete[3]),
        services.RunAsync(policies, TakeService, log, _servicesComplete, cancellation),
        reports.RunAsync(cancellation));

    private static Task Skip(TaskCompletionSource complete)
    {
        complete.SetResult();
        return Task.CompletedTask;
    }

    private Task Follow<T>(
        Table<ResourceName, T> table, PolicyKind kind, Func<T, PolicyStatus> upsert, TaskCompletionSource complete, CancellationToken cancellation,
        Action<T, PolicyStatus>? report = null)
        where T : Resource
        => table.FollowAsync(
            change =>
            {
                if (Take(change, kind, upsert) is not { } status)
                    return;
                reports.Announce(change.Value!, status);
                report?.Invoke(change.Value!, status);
            },
            log,
            cancellation,
            complete);

    private Task FollowTier<T>(
        Table<ResourceName, T>? table, PolicyKind kind, ResourceKind<T> resources, Func<T, PolicyStatus> upsert, Func<T, TierPolicyStatus?> statusOf,
        TaskCompletionSource complete, CancellationToken cancellation)
        where T : Resource
        => table is null
            ? Skip(complete)
            : Follow(
                table, kind, upsert, complete, cancellation,
                (policy, status) => reports.Report(resources, policy, statusOf(policy)?.Conditions, status));

    private PolicyStatus? Take<T>(Change<ResourceName, T> change, PolicyKind kind, Func<T, PolicyStatus> upsert)
        where T : Resource
    {
        var key = new PolicyObjectKey(kind, change.Key.Namespace, change.Key.Name);
        PolicyStatus? status = null;
        _ = policies.ChangeAsync(_ =>
        {
            if (change.IsDelete)
                repository.Delete(key);
            else
                status = upsert(change.Value!);
        });
        if (status is null)
            Statuses.Remove(key);
        else
            Note(status);
        return status;
    }

    private void TakeService(ResourceName name)
    {
        if (!policies.Read(_ => repository.Mentions(name)))
            return;
        IReadOnlyList<PolicyStatus> affected = [];
        _ = policies.ChangeAsync(_ => affected = repository.ServiceChanged(name));
        foreach (PolicyStatus status in affected)
            Note(status);
    }

    private void TakeGroup(Change<ResourceName, CiliumCIDRGroup> change)
    {
        IReadOnlyList<PolicyStatus> affected = [];
        IReadOnlyList<string> errors = [];
        _ = policies.ChangeAsync(_ => affected = change.IsDelete
            ? repository.DeleteCidrGroup(change.Key.Name)
            : repository.Upsert(change.Value!, out errors));
        foreach (string error in errors)
            log.LogWarning("CiliumCIDRGroup {Name}: {Problem}", change.Key.Name, error);
        foreach (PolicyStatus status in affected)
            Note(status);
    }

    private void Note(PolicyStatus status)
    {
        PolicyStatus? before = Statuses.Snapshot().Find(status.Policy);
        Statuses.Upsert(status);
        if (!status.Valid && before != status)
            log.LogWarning("{Policy} is invalid, {InForce}: {Problems}", status.Policy, InForce(status), status.Message.Replace('\n', ';'));
    }

    private static string InForce(PolicyStatus status)
        => status.GenerationInForce is { } generation ? $"generation {generation} stays in force" : "no version of it is in force";
}
