// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Labels of the identities of nodes, where rules may tell one node from another.</summary>
public static class NodeLabels
{
    /// <summary>Source of labels that come from Node objects.</summary>
    public const string Source = "node";

    /// <summary>The labels of an identity for another node of the cluster, or for one of its addresses.</summary>
    /// <param name="cluster">Name of the cluster.</param>
    /// <param name="nodeLabels">Of the Node object, filtered.</param>
    /// <param name="address">Not null: address blocks may select the node.</param>
    /// <param name="isApiServer">The Kubernetes API is served from the address.</param>
    public static LabelSet ForRemoteNode(
        string cluster, IEnumerable<KeyValuePair<string, string>> nodeLabels, IpAddress? address, bool isApiServer)
    {
        ArgumentNullException.ThrowIfNull(nodeLabels);
        List<Label> labels = [new Label(Label.Reserved, "remote-node", ""), new Label(Label.Kubernetes, PodLabels.Cluster, cluster)];
        labels.AddRange(nodeLabels.Select(l => new Label(Source, l.Key, l.Value)));
        if (address is { } own)
            labels.Add(CidrLabels.Of(IpPrefix.Single(own)));
        if (isApiServer)
            labels.Add(new Label(Label.Reserved, "kube-apiserver", ""));
        return LabelSet.From(labels);
    }

    /// <summary>The labels of the own node's identity.</summary>
    /// <param name="addresses">Not empty: address blocks may select the node.</param>
    /// <param name="isApiServer">The Kubernetes API is served from one of its addresses.</param>
    public static LabelSet ForHost(IEnumerable<IpAddress> addresses, bool isApiServer)
    {
        ArgumentNullException.ThrowIfNull(addresses);
        List<Label> labels = [new Label(Label.Reserved, "host", ""), .. addresses.Select(a => CidrLabels.Of(IpPrefix.Single(a)))];
        if (isApiServer)
            labels.Add(new Label(Label.Reserved, "kube-apiserver", ""));
        return LabelSet.From(labels);
    }
}
