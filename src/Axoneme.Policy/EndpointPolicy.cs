// SPDX-License-Identifier: Apache-2.0
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
    PolicyEntryCollection Entries)
{
    /// <summary>What would be in force if the rules on trial were; null where none of those selects the endpoint.</summary>
    public EndpointPolicy? Shadow { get; init; }

    public bool IsEnforced(TrafficDirection direction) => direction == TrafficDirection.Ingress ? IngressEnforced : EgressEnforced;
}
