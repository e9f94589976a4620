// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Addresses outside the cluster that reach TCP ports of nodes whatever policies say.</summary>
public sealed record ManagementAllowance(ImmutableArray<IpPrefix> Blocks, ImmutableArray<ushort> Ports)
{
    // Before all tiers that policies can be in, so that none of them can take it away.
    private const byte BeforeAll = 1;

    public static readonly ManagementAllowance None = new([], []);

    /// <summary>As a rule of the policy engine, which closes nothing that policies leave open; null when there is none.</summary>
    public PolicyDocument? ToDocument()
    {
        if (Blocks.IsEmpty || Ports.IsEmpty)
            return null;
        var key = new PolicyObjectKey(PolicyKind.CiliumClusterwideNetworkPolicy, "", "(option host-firewall-management-cidrs)");
        return new PolicyDocument(key,
        [
            new NetworkRule
            {
                Subject = new LabelsSelector(LabelRequirement.Exists(Label.Reserved, "host")),
                Direction = TrafficDirection.Ingress,
                Tier = (PolicyTier)BeforeAll,
                DefaultDeny = false,
                Peers = [.. Blocks.Select(prefix => new CidrSelector(prefix))],
                Ports = [.. Ports.Select(port => L4Match.Single(L4Protocol.Tcp, port))],
                Origin = new RuleOrigin(key, "", "", LabelSet.Empty),
            },
        ]);
    }
}
