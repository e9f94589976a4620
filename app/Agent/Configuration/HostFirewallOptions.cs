// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Agent.Configuration;

/// <summary>Policy for the node itself, and what keeps a mistake in it from locking people out.</summary>
internal sealed record HostFirewallOptions
{
    /// <summary>enable-host-firewall: policies with a nodeSelector are enforced on the node's own traffic.</summary>
    public bool Enabled { get; init; }

    /// <summary>host-policy-confirm-timeout: how long a change may take to prove that it cuts nobody off; 0: nothing has to be proved.</summary>
    public TimeSpan ConfirmTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>host-firewall-management-ports: TCP ports by which people reach the node.</summary>
    public ImmutableArray<ushort> ManagementPorts { get; init; } = [22];

    /// <summary>host-firewall-management-cidrs: who reaches those ports whatever policies say. None by default.</summary>
    public ImmutableArray<IpPrefix> ManagementCidrs { get; init; } = [];
}
