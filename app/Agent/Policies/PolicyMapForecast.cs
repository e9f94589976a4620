// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using Axoneme.Agent.Cluster;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.Policies;

/// <summary>How near an endpoint's policy is to the size of its map.</summary>
internal enum PolicyMapLevel
{
    /// <summary>From 75 %.</summary>
    High,

    /// <summary>From 90 %.</summary>
    Critical,

    /// <summary>It does not fit: the endpoint's new connections are dropped.</summary>
    Overflow,
}

/// <summary>An endpoint whose policy fills its map, and the policy objects that do most of it.</summary>
internal sealed record PolicyMapFill(
    ushort EndpointId, SecurityIdentity Identity, int Entries, uint Capacity, PolicyMapLevel Level, ImmutableArray<PolicyShare> Largest)
{
    public double Ratio => (double)Entries / Capacity;

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"endpoint {EndpointId} {Need}");

    /// <summary>
    /// For the policies' objects. An endpoint that cannot start for it tries again under another number each time, and would have something new to
    /// say each time.
    /// </summary>
    public string Finding => Level == PolicyMapLevel.Overflow
        ? $"an endpoint with identity {Identity.Value} {Need}: its new connections are dropped until that fits"
        : $"an endpoint with identity {Identity.Value} {Need}: beyond that, its new connections will be dropped";

    private string Need => string.Create(
        CultureInfo.InvariantCulture,
        $"needs {Entries} of {Capacity} policy map entries ({Ratio * 100:0}%), most for {string.Join(", ", Largest.Select(s => $"{s.Policy} ({s.Entries})"))}");

    /// <summary>Null below the level that anybody needs to know of.</summary>
    public static PolicyMapLevel? LevelOf(int entries, uint capacity)
        => entries > capacity ? PolicyMapLevel.Overflow
            : entries >= capacity * 0.9 ? PolicyMapLevel.Critical
            : entries >= capacity * 0.75 ? PolicyMapLevel.High : null;
}

/// <summary>
/// Knows how full policy maps will be before anybody writes them: warns ahead, and names the policies that have to shrink. Users see it at these
/// objects as events and conditions, in the agent's log and status, and in the table.
/// </summary>
internal sealed class PolicyMapForecast(
    PolicyController policies, ClusterState cluster, EventRecorder events, NodeConditions conditions, Modules modules, ILogger<PolicyMapForecast> log)
{
    public const string ModuleName = "policy-map-forecast";

    /// <summary>Of the conditions. To be registered before these are written.</summary>
    public const string Topic = "PolicyMap";

    private const string NearlyFullReason = "PolicyMapNearlyFull";
    private const string OverflowReason = "PolicyMapOverflow";
    private const int NamedPolicies = 3;

    private readonly Lock _reporting = new();

    public Table<ushort, PolicyMapFill> Table { get; } = new(
        "policy-map-fill",
        fill => fill.EndpointId,
        columns:
        [
            new("Endpoint", f => f.EndpointId.ToString(CultureInfo.InvariantCulture)),
            new("Entries", f => f.Entries.ToString(CultureInfo.InvariantCulture)),
            new("Capacity", f => f.Capacity.ToString(CultureInfo.InvariantCulture)),
            new("Level", f => f.Level.ToString()),
            new("Largest", f => string.Join(' ', f.Largest.Select(s => $"{s.Policy}={s.Entries}"))),
        ]);

    /// <param name="capacity">Entries that each endpoint's map has room for.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task RunAsync(uint capacity, CancellationToken cancellation)
    {
        var complete = new TaskCompletionSource();
        Task following = policies.Table.FollowAsync(
            change =>
            {
                if (Take(change.Key, change.IsDelete ? null : change.Value, capacity))
                    Report(complete.Task.IsCompleted);
            },
            log,
            cancellation,
            complete);
        // Before all policies are known, what an earlier run has said of them stays.
        await Task.WhenAny(complete.Task, following);
        if (complete.Task.IsCompleted)
            Report(isComplete: true);
        await following;
    }

    // False: there is nothing new.
    private bool Take(ushort endpoint, EndpointPolicy? policy, uint capacity)
    {
        PolicyMapFill? before = Table.Snapshot().Find(endpoint);
        int entries = policy?.Entries.Count ?? 0;
        if (PolicyMapFill.LevelOf(entries, capacity) is not { } level)
        {
            if (before is null)
                return false;
            Table.Remove(endpoint);
            if (policy is not null)
                log.LogInformation("Endpoint {Endpoint} needs {Entries} of {Capacity} policy map entries again", endpoint, entries, capacity);
            return true;
        }

        if (before is not null && before.Entries == entries && before.Capacity == capacity)
            return false;
        (SecurityIdentity identity, ImmutableArray<PolicyShare> largest) = policies.Read(
            engine => engine.FindEndpoint(endpoint) is { } computed ? (computed.Identity, PolicyShares.Largest(computed.Entries, NamedPolicies)) : (default, []));
        var fill = new PolicyMapFill(endpoint, identity, entries, capacity, level, largest);
        Table.Upsert(fill);
        if (before is not null && before.Level >= level)
            return true;
        log.LogWarning("The policy of {Fill}", fill);
        foreach (PolicyShare share in level == PolicyMapLevel.High ? [] : largest)
            Announce(share, fill);
        return true;
    }

    private void Announce(PolicyShare share, PolicyMapFill fill)
    {
        var name = new ResourceName(share.Policy.Namespace, share.Policy.Name);
        Resource? policy = share.Policy.Kind switch
        {
            PolicyKind.NetworkPolicy => cluster.NetworkPolicies.Snapshot().Find(name),
            PolicyKind.CiliumNetworkPolicy => cluster.CiliumNetworkPolicies.Snapshot().Find(name),
            PolicyKind.CiliumClusterwideNetworkPolicy => cluster.CiliumClusterwideNetworkPolicies.Snapshot().Find(name),
            PolicyKind.ClusterNetworkPolicy => cluster.ClusterNetworkPolicies?.Snapshot().Find(name),
            PolicyKind.AdminNetworkPolicy => cluster.AdminNetworkPolicies?.Snapshot().Find(name),
            PolicyKind.BaselineAdminNetworkPolicy => cluster.BaselineAdminNetworkPolicies?.Snapshot().Find(name),
            _ => null,
        };
        if (policy is not null)
            events.Warning(policy, ReasonOf(fill), fill.Finding);
    }

    private static string ReasonOf(PolicyMapFill fill) => fill.Level == PolicyMapLevel.Overflow ? OverflowReason : NearlyFullReason;

    // The first complete report comes beside those of changes: whoever is last must have looked last.
    private void Report(bool isComplete)
    {
        lock (_reporting)
        {
            PolicyMapFill[] fills = [.. Table.Snapshot().Values.Where(f => f.Level >= PolicyMapLevel.Critical).OrderByDescending(f => f.Entries)];
            modules.Report(ModuleName, healthy: fills.Length == 0, fills.Length == 0 ? "running" : string.Join("; ", fills.Take(NamedPolicies)));
            if (isComplete)
                conditions.Publish(Topic, Conditions(fills));
        }
    }

    // The fullest map has the word at each of the policies that fill it.
    private static ImmutableDictionary<PolicyObjectKey, NodeCondition> Conditions(IEnumerable<PolicyMapFill> fullestFirst)
        => fullestFirst.SelectMany(fill => fill.Largest.Select(share => (share.Policy, Fill: fill)))
            .GroupBy(pair => pair.Policy, pair => pair.Fill)
            .ToImmutableDictionary(fills => fills.Key, fills => ConditionOf([.. fills]));

    private static NodeCondition ConditionOf(PolicyMapFill[] fills) => new(
        ReasonOf(fills[0]), fills.Length == 1 ? fills[0].Finding : $"{fills[0].Finding}; so do {fills.Length - 1} others, or nearly so");
}
