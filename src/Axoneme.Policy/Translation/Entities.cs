// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Named classes of peers.</summary>
internal static class Entities
{
    private static readonly string[] InCluster = ["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"];

    /// <summary>Null for a name that is no entity, and for "all", which no selector stands for.</summary>
    public static IEnumerable<IdentitySelector>? Find(string name, string clusterName) => name switch
    {
        "world" => [Reserved(name, "world", "world-ipv4", "world-ipv6")],
        "cluster" => [new EntitySelector(name, Labels(InCluster).Append(new Label(Label.Kubernetes, PodLabels.Cluster, clusterName)))],
        "cluster-mesh" =>
        [
            Reserved(name, InCluster), new LabelsSelector(LabelRequirement.Exists(Label.Kubernetes, PodLabels.Cluster)),
        ],
        "none" => [new EntitySelector(name)],
        "world-ipv4" or "world-ipv6" or "host" or "remote-node" or "kube-apiserver" or "init" or "health" or "unmanaged" or "ingress"
            => [Reserved(name, name)],
        _ => null,
    };

    private static EntitySelector Reserved(string name, params IEnumerable<string> labels) => new(name, Labels(labels));

    private static IEnumerable<Label> Labels(IEnumerable<string> names) => names.Select(n => new Label(Label.Reserved, n, ""));
}
