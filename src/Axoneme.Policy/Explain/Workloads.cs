// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Policy.Explain;

/// <summary>What makes pods, and which of their labels stand for it.</summary>
internal static class Workloads
{
    // In the order in which people are used to tell applications apart.
    private static readonly string[] NamingLabels =
    [
        "app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/instance", "app", "k8s-app", "name", "component", "role", "tier",
    ];

    // Differ from one revision, replica or run of the same application to the next.
    private static readonly string[] PassingLabels =
    [
        "pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid", "job-name", "version",
        "app.kubernetes.io/version", "helm.sh/chart", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-completion-index",
    ];

    private const string HostNameLabel = "kubernetes.io/hostname";

    public static (string Kind, ResourceName Name) OwnerOf(Pod pod, OwnerReference owner)
    {
        string? hash = pod.Metadata.Label("pod-template-hash");
        bool isDeployment = owner.Kind == "ReplicaSet" && hash is not null && owner.Name.EndsWith("-" + hash, StringComparison.Ordinal);
        return isDeployment
            ? ("Deployment", new ResourceName(pod.Metadata.Namespace, owner.Name[..^(hash!.Length + 1)]))
            : (owner.Kind, new ResourceName(pod.Metadata.Namespace, owner.Name));
    }

    public static IEnumerable<(string Kind, ObjectMeta Metadata, PodTemplateSpec Template)> TemplatesOf(ClusterObjects objects)
    {
        foreach (Resource item in objects.Items)
        {
            // A set that belongs to a deployment is spoken for by it.
            PodTemplateSpec? template = item switch
            {
                Deployment deployment => deployment.Spec.Template,
                DaemonSet set => set.Spec.Template,
                ReplicaSet set when set.Metadata.OwnerReferences is null or { Count: 0 } => set.Spec.Template,
                _ => null,
            };
            if (template is not null)
                yield return (item.Kind, item.Metadata, template);
        }
    }

    /// <summary>What people call the application that the pod is part of.</summary>
    public static string NameOf(ClusterPod pod)
    {
        string? named = NamingLabels.Select(pod.Own.GetValueOrDefault).FirstOrDefault(v => !string.IsNullOrEmpty(v));
        return named ?? pod.Name.Name;
    }

    /// <summary>The labels by which a rule should select one node: its name, or all that it has.</summary>
    public static IReadOnlyDictionary<string, string> NodeSelectorLabels(IReadOnlyDictionary<string, string> labels)
        => labels.TryGetValue(HostNameLabel, out string? name) ? new Dictionary<string, string> { [HostNameLabel] = name }
            : new SortedDictionary<string, string>(labels.ToDictionary(), StringComparer.Ordinal);

    /// <summary>The labels by which a rule should select the application: those that name it, or all that last.</summary>
    public static IReadOnlyDictionary<string, string> SelectorLabels(IReadOnlyDictionary<string, string> own, LabelFilter filter)
    {
        var lasting = own.Where(p => !PassingLabels.Contains(p.Key) && filter.Keeps(new Network.Label(Network.Label.Kubernetes, p.Key, p.Value)))
            .OrderBy(p => p.Key, StringComparer.Ordinal).ToDictionary(p => p.Key, p => p.Value);
        var naming = lasting.Where(p => NamingLabels.Contains(p.Key)).ToDictionary(p => p.Key, p => p.Value);
        return naming.Count > 0 ? naming : lasting;
    }
}
