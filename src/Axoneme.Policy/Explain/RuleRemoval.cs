// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Policy.Explain;

/// <summary>Takes one rule out of the object that it is from.</summary>
internal static class RuleRemoval
{
    public static ClusterObjects Remove(ClusterObjects objects, RuleOrigin rule)
    {
        Resource? owner = objects.Items.FirstOrDefault(i => i.Definition.Kind == rule.Policy.Kind.ToString()
            && i.ResourceName == new ResourceName(rule.Policy.Namespace, rule.Policy.Name));
        Resource? rest = owner switch
        {
            CiliumNetworkPolicy policy => policy with { Spec = Cut(policy.Spec, rule.Path, "spec"), Specs = CutAll(policy.Specs, rule.Path) },
            CiliumClusterwideNetworkPolicy policy => policy with { Spec = Cut(policy.Spec, rule.Path, "spec"), Specs = CutAll(policy.Specs, rule.Path) },
            _ => null,
        };
        if (owner is null)
            return objects;
        return rest is null || IsEmpty(rest)
            ? objects.Without(owner.Definition.Kind, owner.ResourceName) ?? objects
            : objects.With(rest);
    }

    private static List<PolicyRule>? CutAll(IReadOnlyList<PolicyRule>? specs, string path)
        => specs is null ? null : [.. specs.Select((s, i) => Cut(s, path, $"specs[{i}]")).OfType<PolicyRule>()];

    // Null when nothing is left, which would be invalid. Other rules keep their places, so that their paths stay true: an entry that is
    // taken out becomes one that says nothing.
    private static PolicyRule? Cut(PolicyRule? rule, string path, string prefix) => rule is null ? null : rule with
    {
        Ingress = Without(rule.Ingress, path, $"{prefix}.ingress", new IngressRule { FromEndpoints = [] }),
        IngressDeny = Without(rule.IngressDeny, path, $"{prefix}.ingressDeny", new IngressRule { FromEndpoints = [] }),
        Egress = Without(rule.Egress, path, $"{prefix}.egress", new EgressRule { ToEndpoints = [] }),
        EgressDeny = Without(rule.EgressDeny, path, $"{prefix}.egressDeny", new EgressRule { ToEndpoints = [] }),
    };

    private static IReadOnlyList<T>? Without<T>(IReadOnlyList<T>? rules, string path, string field, T nothing)
        => rules is null ? null : [.. rules.Select((r, i) => path == $"{field}[{i}]" ? nothing : r)];

    private static bool IsEmpty(Resource policy) => policy switch
    {
        CiliumNetworkPolicy cilium => cilium.Spec is null && cilium.Specs is null or { Count: 0 },
        CiliumClusterwideNetworkPolicy cilium => cilium.Spec is null && cilium.Specs is null or { Count: 0 },
        _ => false,
    };
}
