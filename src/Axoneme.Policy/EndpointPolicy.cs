// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// All that the kernel needs to police one endpoint; endpoints with the same identity and container ports share one. The entries say
/// everything by themselves: a direction that is not enforced holds one entry that allows anyone, so its flag only saves the lookup.
/// </summary>
/// <param name="Identity">Of the endpoint.</param>
/// <param name="Revision">Engine revision of the last change.</param>
/// <param name="IngressEnforced">False: nothing restricts the direction.</param>
/// <param name="EgressEnforced">False: nothing restricts the direction.</param>
/// <param name="Entries">Contents of the policy map.</param>
public sealed record EndpointPolicy(
    SecurityIdentity Identity,
    ulong Revision,
    bool IngressEnforced,
    bool EgressEnforced,
    ImmutableDictionary<PolicyKey, PolicyEntry> Entries)
{
    public bool IsEnforced(TrafficDirection direction) => direction == TrafficDirection.Ingress ? IngressEnforced : EgressEnforced;
}

/// <summary>The way from one <see cref="EndpointPolicy"/> to the next. Apply the upserts first: an allow that moves never has a gap.</summary>
public sealed record PolicyDelta(ImmutableArray<KeyValuePair<PolicyKey, PolicyEntry>> Upserts, ImmutableArray<PolicyKey> Deletes)
{
    public static readonly PolicyDelta Empty = new([], []);

    public bool IsEmpty => Upserts.IsEmpty && Deletes.IsEmpty;

    public static PolicyDelta Between(EndpointPolicy? before, EndpointPolicy after)
    {
        ArgumentNullException.ThrowIfNull(after);
        if (before is null)
            return new PolicyDelta([.. after.Entries], []);
        return new PolicyDelta(
            [.. after.Entries.Where(e => !before.Entries.TryGetValue(e.Key, out PolicyEntry? old) || old != e.Value)],
            [.. before.Entries.Keys.Where(k => !after.Entries.ContainsKey(k))]);
    }
}
