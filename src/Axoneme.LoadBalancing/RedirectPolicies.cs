// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.LoadBalancing;

/// <summary>The local redirect policies and the pods of this node. A node has a few hundred pods and policies are rare, so these are scanned.</summary>
internal sealed class RedirectPolicies(CatalogOptions options)
{
    private readonly Dictionary<ResourceName, LocalPod> _pods = [];
    private readonly Dictionary<ResourceName, RedirectPolicy> _policies = [];

    public IReadOnlyCollection<LocalPod> Pods => _pods.Values;

    public RedirectPolicy? Find(ResourceName policy) => _policies.GetValueOrDefault(policy);

    /// <summary>Policies of a service, the oldest first.</summary>
    public ImmutableArray<RedirectPolicy> Of(ResourceName service)
        => [.. _policies.Values.Where(p => p.Specification is { IsValid: true } s && s.Service == service).Order()];

    /// <returns>False when the pod is as it was.</returns>
    public bool Upsert(LocalPod pod, out IReadOnlyList<RedirectPolicy> affected)
    {
        _pods.TryGetValue(pod.Name, out LocalPod? old);
        _pods[pod.Name] = pod;
        affected = pod.Equals(old) ? [] : Affected(pod, old);
        return !pod.Equals(old);
    }

    public IReadOnlyList<RedirectPolicy> DeletePod(ResourceName name)
        => _pods.Remove(name, out LocalPod? pod) ? Affected(pod, null) : [];

    public RedirectPolicy Add(CiliumLocalRedirectPolicy resource)
    {
        var policy = new RedirectPolicy(resource, options);
        policy.SetPods(_pods.Values);
        _policies.Add(resource.ResourceName, policy);
        return policy;
    }

    public RedirectPolicy? Remove(ResourceName name) => _policies.Remove(name, out RedirectPolicy? policy) ? policy : null;

    /// <summary>The policy that is there already, marked when what it says is no longer what it said; null when it is a new one.</summary>
    public RedirectPolicy? FindChanged(CiliumLocalRedirectPolicy resource)
    {
        if (!_policies.TryGetValue(resource.ResourceName, out RedirectPolicy? present) || present.Uid != (resource.Metadata.Uid ?? ""))
            return null;
        present.WasChanged = Text(present.Resource) != Text(resource);
        return present;
    }

    private static string Text(CiliumLocalRedirectPolicy policy)
        => JsonSerializer.Serialize(policy with { Metadata = ObjectMeta.Empty, Status = null }, KubernetesJson.Default.CiliumLocalRedirectPolicy);

    private List<RedirectPolicy> Affected(LocalPod pod, LocalPod? old)
    {
        List<RedirectPolicy> affected = [.. _policies.Values.Where(p => p.Selects(pod) || (old is not null && p.Selects(old)))];
        foreach (RedirectPolicy policy in affected)
            policy.SetPods(_pods.Values);
        return affected;
    }
}
