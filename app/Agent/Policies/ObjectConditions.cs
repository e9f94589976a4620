// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.Agent.Cluster;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Policies;

/// <summary>The conditions of policy objects of one kind, as the watch has them, and their writer.</summary>
internal abstract class ObjectConditions(PolicyKind kind)
{
    public PolicyKind Kind { get; } = kind;

    public abstract IEnumerable<ResourceName> Names { get; }

    /// <summary>Null: there is no such object.</summary>
    public abstract IReadOnlyList<Condition>? Find(ResourceName name);

    /// <summary>Replaces the list by what is made of it. False: somebody else has changed the object, and the watch will bring the change.</summary>
    /// <param name="name">Of the object; nothing happens where there is none.</param>
    /// <param name="change">Null from it: nothing is to be written.</param>
    /// <param name="cancellation">Ends the request.</param>
    /// <exception cref="KubernetesException">The API refuses.</exception>
    public abstract Task<bool> TryChangeAsync(
        ResourceName name, Func<IReadOnlyList<Condition>, IReadOnlyList<Condition>?> change, CancellationToken cancellation);

    /// <summary>Calls for each object that there is, and for each that changes, until cancelled.</summary>
    public abstract Task FollowAsync(Action<ResourceName> changed, ILogger log, CancellationToken cancellation);

    public static ObjectConditions Of<T>(
        PolicyKind kind, ResourceKind<T> resources, Table<ResourceName, T> table, KubernetesClient client, Func<T, IReadOnlyList<Condition>?> conditions)
        where T : Resource
        => new TableConditions<T>(kind, client.Of(resources), table, conditions);

    /// <summary>
    /// Writes the whole list together with the version that it was read with: of several writers at once one succeeds, and none takes away what
    /// another one wrote.
    /// </summary>
    /// <returns>False where somebody was faster, or where the object is gone.</returns>
    public static async Task<bool> TryWriteAsync<T>(
        ResourceClient<T> client, T resource, IEnumerable<Condition> conditions, CancellationToken cancellation)
        where T : Resource
    {
        var patch = new JsonObject
        {
            ["metadata"] = new JsonObject { ["resourceVersion"] = resource.Metadata.ResourceVersion },
            ["status"] = new JsonObject
            {
                ["conditions"] = new JsonArray([.. conditions.Select(c => JsonSerializer.SerializeToNode(c, KubernetesJson.Default.Condition))]),
            },
        };
        try
        {
            await client.PatchAsync(resource.ResourceName, PatchKind.Merge, patch.ToJsonString(), "status", cancellation);
            return true;
        }
        catch (KubernetesException e) when (e.IsConflict || e.IsNotFound)
        {
            return false;
        }
    }

    private sealed class TableConditions<T>(
        PolicyKind kind, ResourceClient<T> client, Table<ResourceName, T> table, Func<T, IReadOnlyList<Condition>?> conditions)
        : ObjectConditions(kind)
        where T : Resource
    {
        public override IEnumerable<ResourceName> Names => table.Snapshot().Keys;

        public override IReadOnlyList<Condition>? Find(ResourceName name) => table.Snapshot().Find(name) is { } resource ? conditions(resource) ?? [] : null;

        public override async Task<bool> TryChangeAsync(
            ResourceName name, Func<IReadOnlyList<Condition>, IReadOnlyList<Condition>?> change, CancellationToken cancellation)
            => table.Snapshot().Find(name) is not { } resource
                || change(conditions(resource) ?? []) is not { } changed
                || await TryWriteAsync(client, resource, changed, cancellation);

        public override Task FollowAsync(Action<ResourceName> changed, ILogger log, CancellationToken cancellation)
            => table.FollowAsync(change => changed(change.Key), log, cancellation);
    }
}
