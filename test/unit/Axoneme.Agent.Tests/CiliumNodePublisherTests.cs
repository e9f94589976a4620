// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Nodes;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Agent.Tests;

/// <summary>When the object of a node has to be written.</summary>
public sealed class CiliumNodePublisherTests
{
    private static CiliumNode Node(params string[] labels) => new()
    {
        Metadata = new ObjectMeta { Name = "one", Labels = labels.ToDictionary(l => l.Split('=')[0], l => l.Split('=')[1]) },
        Spec = new CiliumNodeSpec
        {
            Addresses = [new CiliumNodeAddress { Type = "InternalIP", Ip = "192.0.2.1" }],
            Ipam = new CiliumNodeIpam { PodCIDRs = ["10.0.0.0/24"] },
        },
    };

    [Fact]
    public void Labels_are_those_of_the_Node_no_more_and_no_fewer()
    {
        Assert.True(CiliumNodePublisher.IsSame(Node("zone=a", "role=trusted"), Node("role=trusted", "zone=a")));
        Assert.False(CiliumNodePublisher.IsSame(Node("zone=a"), Node("zone=a", "role=trusted")));
        Assert.False(CiliumNodePublisher.IsSame(Node("zone=a", "role=trusted"), Node("zone=a", "role=other")));
        Assert.False(CiliumNodePublisher.IsSame(Node("zone=a", "role=trusted"), Node("zone=a")));
        Assert.False(CiliumNodePublisher.IsSame(Node("zone=a"), Node()));
    }

    [Fact]
    public void While_the_Node_is_not_known_its_labels_are_left_alone()
    {
        CiliumNode unknown = Node() with { Metadata = new ObjectMeta { Name = "one" } };
        Assert.True(CiliumNodePublisher.IsSame(Node("zone=a"), unknown));
    }
}
