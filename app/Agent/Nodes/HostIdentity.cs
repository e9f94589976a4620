// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Nodes;

/// <summary>What rules may know of the own node: whether the API is served here, and its addresses where blocks of addresses select nodes.</summary>
internal sealed class HostIdentity(AgentOptions options, LocalNode node, ApiServerAddresses apiServers, Action<LabelSet> publish)
{
    public void Start()
    {
        apiServers.Changed += Publish;
        Publish();
    }

    private void Publish()
    {
        IEnumerable<IpAddress> addresses = options.Policies.CidrMatchesNodes ? node.NodeAddresses.Concat(node.Routers) : [];
        publish(NodeLabels.ForHost(addresses, node.NodeAddresses.Any(apiServers.Contains)));
    }
}
