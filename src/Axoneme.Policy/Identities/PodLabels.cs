// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>What of a pod and its namespace makes its identity, and how identity objects spell it.</summary>
public static class PodLabels
{
    /// <summary>Key of the label that holds the pod's namespace.</summary>
    public const string Namespace = "io.kubernetes.pod.namespace";
    public const string NamespaceLabelPrefix = "io.cilium.k8s.namespace.labels.";
    public const string ServiceAccount = "io.cilium.k8s.policy.serviceaccount";
    public const string Cluster = "io.cilium.k8s.policy.cluster";

    private static readonly IReadOnlyDictionary<string, string> NoLabels = new Dictionary<string, string>();

    // Users cannot claim these for themselves: they would choose their own identity.
    private const string ReservedKeys = "io.cilium.k8s";

    /// <summary>The labels of the pod's identity after the filter.</summary>
    public static LabelSet For(PodIdentitySource pod, LabelFilter filter)
    {
        ArgumentNullException.ThrowIfNull(pod);
        ArgumentNullException.ThrowIfNull(filter);
        return filter.Apply(LabelSet.From(All(pod)));
    }

    /// <summary>The labels of the pod's identity; <paramref name="ns"/> is the object of the pod's namespace.</summary>
    public static LabelSet For(Pod pod, Namespace? ns, string cluster, LabelFilter filter)
    {
        ArgumentNullException.ThrowIfNull(pod);
        var source = new PodIdentitySource
        {
            Namespace = pod.Metadata.Namespace,
            Cluster = cluster,
            ServiceAccount = pod.Spec.ServiceAccountName ?? "",
            Labels = pod.Metadata.Labels ?? NoLabels,
            NamespaceLabels = ns?.Metadata.Labels ?? NoLabels,
        };
        return For(source, filter);
    }

    private static IEnumerable<Label> All(PodIdentitySource pod)
    {
        foreach ((string key, string value) in pod.Labels)
        {
            if (!key.StartsWith(ReservedKeys, StringComparison.Ordinal))
                yield return new Label(Label.Kubernetes, key, value);
        }

        foreach ((string key, string value) in pod.NamespaceLabels)
            yield return new Label(Label.Kubernetes, NamespaceLabelPrefix + key, value);
        yield return new Label(Label.Kubernetes, Namespace, pod.Namespace);
        yield return new Label(Label.Kubernetes, Cluster, pod.Cluster);
        if (pod.ServiceAccount.Length > 0)
            yield return new Label(Label.Kubernetes, ServiceAccount, pod.ServiceAccount);
    }

    /// <summary>As the <c>security-labels</c> of a CiliumIdentity: <c>k8s:app</c> to value.</summary>
    public static SortedDictionary<string, string> ToSecurityLabels(LabelSet labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        var map = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (Label label in labels)
            map[$"{label.Source}:{label.Key}"] = label.Value;
        return map;
    }

    public static LabelSet FromSecurityLabels(IReadOnlyDictionary<string, string> securityLabels)
    {
        ArgumentNullException.ThrowIfNull(securityLabels);
        return LabelSet.From(securityLabels.Select(pair => Label.Parse(pair.Key) with { Value = pair.Value }));
    }
}

/// <summary>What identity labels are made of.</summary>
public sealed record PodIdentitySource
{
    public required string Namespace { get; init; }

    public required string Cluster { get; init; }

    public string ServiceAccount { get; init; } = "";

    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    public IReadOnlyDictionary<string, string> NamespaceLabels { get; init; } = new Dictionary<string, string>();
}
