// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using Axoneme.Agent.Cluster;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
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
internal sealed record PolicyMapFill(ushort EndpointId, int Entries, uint Capacity, PolicyMapLevel Level, ImmutableArray<PolicyShare> Largest)
{
    public double Ratio => (double)Entries / Capacity;

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"endpoint {EndpointId} needs {Entries} of {Capacity} policy map entries ({Ratio * 100:0}%), most for {string.Join(", ", Largest.Select(s => $"{s.Policy} ({s.Entries})"))}");

    /// <summary>Null below the level that anybody needs to know of.</summary>
    public static PolicyMapLevel? LevelOf(int entries, uint capacity)
        => entries > capacity ? PolicyMapLevel.Overflow
            : entries >= capacity * 0.9 ? PolicyMapLevel.Critical
            : entries >= capacity * 0.75 ? PolicyMapLevel.High : null;
}

/// <summary>
/// Knows how full policy maps will be before anybody writes them: warns ahead, and names the policies that have to shrink. Users see it at these
/// objects as events, in the agent's log and status, and in the table.
/// </summary>
internal sealed class PolicyMapForecast(
    PolicyController policies, ClusterState cluster, EventRecorder events, Modules modules, ILogger<PolicyMapForecast> log)
{
    public const string ModuleName = "policy-map-forecast";

    private const string NearlyFullReason = "PolicyMapNearlyFull";
    private const string OverflowReason = "PolicyMapOverflow";
    private const int NamedPolicies = 3;

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
    public Task RunAsync(uint capacity, CancellationToken cancellation) => policies.Table.FollowAsync(
        change =>
        {
            Take(change.Key, change.IsDelete ? null : change.Value, capacity);
            Report();
        },
        log,
        cancellation);

    private void Take(ushort endpoint, EndpointPolicy? policy, uint capacity)
    {
        PolicyMapFill? before = Table.Snapshot().Find(endpoint);
        int entries = policy?.Entries.Count ?? 0;
        if (PolicyMapFill.LevelOf(entries, capacity) is not { } level)
        {
            if (before is null)
                return;
            Table.Remove(endpoint);
            if (policy is not null)
                log.LogInformation("Endpoint {Endpoint} needs {Entries} of {Capacity} policy map entries again", endpoint, entries, capacity);
            return;
        }

        if (before is not null && before.Entries == entries && before.Capacity == capacity)
            return;
        ImmutableArray<PolicyShare> largest = policies.Read(
            engine => engine.FindEndpoint(endpoint) is { } computed ? PolicyShares.Largest(computed.Entries, NamedPolicies) : []);
        var fill = new PolicyMapFill(endpoint, entries, capacity, level, largest);
        Table.Upsert(fill);
        if (before is not null && before.Level >= level)
            return;
        log.LogWarning("The policy of {Fill}", fill);
        foreach (PolicyShare share in level == PolicyMapLevel.High ? [] : largest)
            Announce(share, fill);
    }

    private void Announce(PolicyShare share, PolicyMapFill fill)
    {
        var name = new ResourceName(share.Policy.Namespace, share.Policy.Name);
        Resource? policy = share.Policy.Kind switch
        {
            PolicyKind.NetworkPolicy => cluster.NetworkPolicies.Snapshot().Find(name),
            PolicyKind.CiliumNetworkPolicy => cluster.CiliumNetworkPolicies.Snapshot().Find(name),
            PolicyKind.CiliumClusterwideNetworkPolicy => cluster.CiliumClusterwideNetworkPolicies.Snapshot().Find(name),
            _ => null,
        };
        if (policy is null)
            return;
        if (fill.Level == PolicyMapLevel.Overflow)
            events.Warning(policy, OverflowReason, $"{fill}: its new connections are dropped until that fits");
        else
            events.Warning(policy, NearlyFullReason, $"{fill}: beyond that, its new connections will be dropped");
    }

    private void Report()
    {
        PolicyMapFill[] fills = [.. Table.Snapshot().Values.Where(f => f.Level >= PolicyMapLevel.Critical).OrderByDescending(f => f.Entries)];
        modules.Report(ModuleName, healthy: fills.Length == 0, fills.Length == 0 ? "running" : string.Join("; ", fills.Take(NamedPolicies)));
    }
}
