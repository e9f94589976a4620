// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Policies;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Nodes;

/// <summary>What rules may know of the own node: whether the API is served here, and its addresses where blocks of addresses select nodes.</summary>
internal sealed class HostIdentity(AgentOptions options, LocalNode node, ApiServerAddresses apiServers, PolicyController policies)
{
    public void Start()
    {
        apiServers.Changed += Publish;
        Publish();
    }

    private void Publish()
    {
        IEnumerable<IpAddress> addresses = options.Policies.CidrMatchesNodes ? node.NodeAddresses.Concat(node.Routers) : [];
        LabelSet labels = NodeLabels.ForHost(addresses, node.NodeAddresses.Any(apiServers.Contains));
        _ = policies.ChangeAsync(engine => engine.UpsertIdentity(SecurityIdentity.Host, labels));
    }
}
