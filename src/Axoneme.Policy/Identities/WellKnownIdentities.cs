// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Pods that nearly every cluster has, with numbers that are the same everywhere: they need no CiliumIdentity object, so that a cluster's DNS
/// can start before anything allocates identities.
/// </summary>
public static class WellKnownIdentities
{
    // A number for namespaces without a label of their name, as before Kubernetes 1.21, and one for those with it.
    private const uint WithNamespaceName = 8;

    /// <summary>Each identity with all of its labels.</summary>
    /// <param name="cluster">Name of the cluster.</param>
    /// <param name="agentNamespace">Where agents and operator run.</param>
    public static IEnumerable<KeyValuePair<SecurityIdentity, LabelSet>> Of(string cluster, string agentNamespace)
    {
        const string Dns = "kube-system";
        return
        [
            .. Both(102, cluster, Dns, "kube-dns", ("k8s-app", "kube-dns")),
            .. Both(103, cluster, Dns, "kube-dns", ("k8s-app", "kube-dns"), ("eks.amazonaws.com/component", "kube-dns")),
            .. Both(104, cluster, Dns, "coredns", ("k8s-app", "kube-dns")),
            .. Both(
                105, cluster, agentNamespace, "cilium-operator", ("name", "cilium-operator"), ("io.cilium/app", "operator"),
                ("app.kubernetes.io/part-of", "cilium"), ("app.kubernetes.io/name", "cilium-operator")),
            .. Both(106, cluster, Dns, "coredns", ("k8s-app", "kube-dns"), ("eks.amazonaws.com/component", "coredns")),
        ];
    }

    private static IEnumerable<KeyValuePair<SecurityIdentity, LabelSet>> Both(
        uint number, string cluster, string space, string serviceAccount, params IEnumerable<(string Key, string Value)> podLabels)
    {
        Label[] labels =
        [
            .. podLabels.Select(l => new Label(Label.Kubernetes, l.Key, l.Value)),
            new Label(Label.Kubernetes, PodLabels.Namespace, space),
            new Label(Label.Kubernetes, PodLabels.ServiceAccount, serviceAccount),
            new Label(Label.Kubernetes, PodLabels.Cluster, cluster),
        ];
        var ofName = new Label(Label.Kubernetes, PodLabels.NamespaceLabelPrefix + "kubernetes.io/metadata.name", space);
        yield return KeyValuePair.Create(new SecurityIdentity(number), LabelSet.From(labels));
        yield return KeyValuePair.Create(new SecurityIdentity(number + WithNamespaceName), LabelSet.From([.. labels, ofName]));
    }
}
