// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Policies;

/// <summary>Policy objects into the engine, and what is wrong with them back into their status.</summary>
internal sealed class PolicyObjects(
    ClusterState cluster,
    AgentOptions options,
    KubernetesClient client,
    PolicyRepository repository,
    PolicyController policies,
    ILogger<PolicyObjects> log)
{
    private const string ConditionType = "Valid";

    private readonly TaskCompletionSource[] _complete = [new(), new(), new(), new()];

    public Table<PolicyObjectKey, PolicyStatus> Statuses { get; } = new(
        "policy-status",
        status => status.Policy,
        columns:
        [
            new("Policy", s => s.Policy.ToString()),
            new("Valid", s => s.Valid ? "True" : "False"),
            new("Generation", s => s.Generation.ToString()),
            new("Message", s => s.Message.Replace('\n', ';')),
        ]);

    /// <summary>Completes when every policy object and every identity that existed at the start has been taken over.</summary>
    public Task WhenCompleteAsync(CancellationToken cancellation)
        => Task.WhenAll(_complete.Select(source => source.Task)).WaitAsync(cancellation);

    public Task RunAsync(CancellationToken cancellation) => Task.WhenAll(
        options.EnableNetworkPolicy
            ? cluster.NetworkPolicies.FollowAsync(
                change => TakeAsync(change, PolicyKind.NetworkPolicy, repository.Upsert), log, cancellation, _complete[0])
            : Skip(_complete[0]),
        cluster.CiliumNetworkPolicies.FollowAsync(
            async change =>
            {
                PolicyStatus? status = await TakeAsync(change, PolicyKind.CiliumNetworkPolicy, repository.Upsert);
                await ReportAsync(Kinds.CiliumNetworkPolicies, change.Value, change.Value?.Status, status, cancellation);
            },
            log,
            cancellation,
            _complete[1]),
        cluster.CiliumClusterwideNetworkPolicies.FollowAsync(
            async change =>
            {
                PolicyStatus? status = await TakeAsync(change, PolicyKind.CiliumClusterwideNetworkPolicy, repository.Upsert);
                await ReportAsync(Kinds.CiliumClusterwideNetworkPolicies, change.Value, change.Value?.Status, status, cancellation);
            },
            log,
            cancellation,
            _complete[2]),
        cluster.CiliumCidrGroups.FollowAsync(TakeGroup, log, cancellation, _complete[3]));

    private static Task Skip(TaskCompletionSource complete)
    {
        complete.SetResult();
        return Task.CompletedTask;
    }

    private Task<PolicyStatus?> TakeAsync<T>(Change<ResourceName, T> change, PolicyKind kind, Func<T, PolicyStatus> upsert)
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
        return Task.FromResult(status);
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
        Statuses.Upsert(status);
        if (!status.Valid)
            log.LogWarning("{Policy} is invalid and its last valid version, if any, stays in force: {Problems}", status.Policy, status.Message.Replace('\n', ';'));
    }

    /// <summary>
    /// Writes the condition unless it is there already. All agents come to the same judgement; whoever is first writes, and the
    /// others see it through their watch.
    /// </summary>
    private async Task ReportAsync<T>(
        ResourceKind<T> kind, T? resource, CiliumPolicyStatus? present, PolicyStatus? status, CancellationToken cancellation)
        where T : Resource
    {
        if (resource is null || status is null)
            return;
        string value = status.Valid ? "True" : "False";
        string message = status.Message.Length > 0 ? status.Message : "Policy validation succeeded";
        Condition? condition = present?.Conditions?.FirstOrDefault(c => c.Type == ConditionType);
        if (condition is not null && condition.Status == value && condition.Message == message)
            return;

        var entry = new JsonObject
        {
            ["type"] = ConditionType,
            ["status"] = value,
            ["observedGeneration"] = status.Generation,
            ["lastTransitionTime"] = DateTimeOffset.UtcNow.ToString("yyyy-MM-ddTHH:mm:ssZ"),
            ["reason"] = status.Valid ? "Valid" : "Invalid",
            ["message"] = message,
        };
        var patch = new JsonObject { ["status"] = new JsonObject { ["conditions"] = new JsonArray(entry) } };
        try
        {
            await client.Of(kind).PatchAsync(resource.ResourceName, PatchKind.Merge, patch.ToJsonString(), "status", cancellation);
        }
        catch (Exception e) when (e is KubernetesException or HttpRequestException or TimeoutException or IOException)
        {
            log.LogWarning("The status of {Policy} cannot be written: {Reason}", status.Policy, e.Message);
        }
    }
}
