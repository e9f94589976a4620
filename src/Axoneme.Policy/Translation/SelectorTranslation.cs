// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Label selectors of the API as selectors of identities, with the namespace and cluster that they do not spell out.</summary>
internal static class SelectorTranslation
{
    private static readonly LabelRequirement AnyNamespace = LabelRequirement.Exists(Label.Kubernetes, PodLabels.Namespace);

    public static LabelRequirement InNamespace(string name) => LabelRequirement.Equal(Label.Kubernetes, PodLabels.Namespace, name);

    /// <summary>The requirements as written. Keys may carry a source (<c>k8s:app</c>, <c>$host</c>); else they get the default one.</summary>
    public static List<LabelRequirement> Requirements(
        TranslationContext context, string path, LabelSelector selector, string defaultSource, string keyPrefix = "")
    {
        var requirements = new List<LabelRequirement>();
        foreach ((string key, string value) in (selector.MatchLabels ?? new Dictionary<string, string>()).OrderBy(p => p.Key, StringComparer.Ordinal))
        {
            if (TryParseKey(context, $"{path}.matchLabels", key, defaultSource, out Label label))
                requirements.Add(LabelRequirement.Equal(label.Source, keyPrefix + label.Key, value));
        }

        for (int i = 0; i < (selector.MatchExpressions?.Count ?? 0); i++)
        {
            if (Expression(context, $"{path}.matchExpressions[{i}]", selector.MatchExpressions![i], defaultSource, keyPrefix) is { } requirement)
                requirements.Add(requirement);
        }

        return requirements;
    }

    /// <summary>Who a namespaced rule is for: always inside its own namespace, whatever it says.</summary>
    public static IdentitySelector NamespacedSubject(TranslationContext context, string path, LabelSelector selector, string defaultSource)
    {
        List<LabelRequirement> requirements = Requirements(context, path, selector, defaultSource);
        string own = InNamespace(context.Key.Namespace).ToString();
        if (requirements.RemoveAll(r => IsKubernetesKey(r, PodLabels.Namespace) && r.ToString() != own) > 0)
            context.Warn(path, $"selects by namespace; the policy applies to its own namespace {context.Key.Namespace} only");
        return new LabelsSelector(requirements.Append(InNamespace(context.Key.Namespace)));
    }

    /// <summary>Who a cluster-wide rule is for: every endpoint but the node itself.</summary>
    public static IdentitySelector ClusterwideSubject(List<LabelRequirement> requirements)
        => new LabelsSelector(requirements.Append(new LabelRequirement(Label.Reserved, "host", LabelOperator.DoesNotExist)));

    /// <summary>Who a rule for nodes is for: the node itself, if it has the labels.</summary>
    public static IdentitySelector NodeSubject(List<LabelRequirement> requirements)
        => new LabelsSelector(requirements.Append(LabelRequirement.Exists(Label.Reserved, "host")));

    /// <summary>A peer of a CiliumNetworkPolicy (own namespace unless it names one) or of a cluster-wide one (any pod).</summary>
    public static IdentitySelector Peer(TranslationContext context, string path, LabelSelector selector, bool subjectIsInit)
    {
        List<LabelRequirement> requirements = Requirements(context, path, selector, Label.Any);
        if (requirements.Exists(r => r.Source == Label.Reserved))
            return new LabelsSelector(requirements);
        bool clusterwide = context.Key.Namespace.Length == 0;
        if (!requirements.Exists(r => IsKubernetesKey(r, PodLabels.Namespace)))
        {
            bool byNamespaceLabels = requirements.Exists(
                r => r.Source is Label.Kubernetes or Label.Any && r.Key.StartsWith(PodLabels.NamespaceLabelPrefix, StringComparison.Ordinal));
            if (clusterwide && !subjectIsInit)
                requirements.Add(AnyNamespace);
            else if (!clusterwide && !byNamespaceLabels)
                requirements.Add(InNamespace(context.Key.Namespace));
        }

        return InLocalCluster(context, requirements);
    }

    /// <summary>A peer of a NetworkPolicy: pods of the own namespace, or of the namespaces that a selector chooses.</summary>
    public static IdentitySelector KubernetesPeer(TranslationContext context, string path, LabelSelector? pods, LabelSelector? namespaces)
    {
        var requirements = new List<LabelRequirement>();
        if (pods is not null)
            requirements.AddRange(Requirements(context, $"{path}.podSelector", pods, Label.Kubernetes));
        if (namespaces is null)
        {
            requirements.Add(InNamespace(context.Key.Namespace));
        }
        else
        {
            List<LabelRequirement> chosen =
                Requirements(context, $"{path}.namespaceSelector", namespaces, Label.Kubernetes, PodLabels.NamespaceLabelPrefix);
            // Negative requirements alone would also hold for nodes and the world, which have no namespace.
            requirements.AddRange(chosen.Append(AnyNamespace));
        }

        return InLocalCluster(context, requirements);
    }

    /// <summary>Other nodes by the labels of their Node objects.</summary>
    public static IdentitySelector Nodes(TranslationContext context, string path, LabelSelector selector)
    {
        List<LabelRequirement> requirements = Requirements(context, path, selector, NodeLabels.Source);
        requirements.Add(LabelRequirement.Exists(Label.Reserved, "remote-node"));
        return InLocalCluster(context, requirements);
    }

    /// <summary>Adds the own cluster where none is named and the options say that this means the own one.</summary>
    public static LabelsSelector InLocalCluster(TranslationContext context, List<LabelRequirement> requirements)
    {
        if (context.Options.DefaultLocalCluster && !requirements.Exists(r => IsKubernetesKey(r, PodLabels.Cluster)))
            requirements.Add(LabelRequirement.Equal(Label.Kubernetes, PodLabels.Cluster, context.Options.ClusterName));
        return new LabelsSelector(requirements);
    }

    private static bool IsKubernetesKey(LabelRequirement requirement, string key)
        => requirement.Key == key && (requirement.Source is Label.Kubernetes or Label.Any);

    private static LabelRequirement? Expression(
        TranslationContext context, string path, LabelSelectorRequirement expression, string defaultSource, string keyPrefix)
    {
        if (!TryParseKey(context, $"{path}.key", expression.Key, defaultSource, out Label label))
            return null;
        if (!Enum.TryParse(expression.Operator, out LabelOperator comparison) || !Enum.IsDefined(comparison)
            || comparison.ToString() != expression.Operator)
        {
            context.Error($"{path}.operator", $"'{expression.Operator}' is not one of In, NotIn, Exists, DoesNotExist");
            return null;
        }

        IReadOnlyList<string> values = expression.Values ?? [];
        bool wantsValues = comparison is LabelOperator.In or LabelOperator.NotIn;
        if (wantsValues != values.Count > 0)
        {
            context.Error($"{path}.values", wantsValues ? $"{comparison} needs at least one value" : $"{comparison} takes no values");
            return null;
        }

        return new LabelRequirement(label.Source, keyPrefix + label.Key, comparison, values);
    }

    private static bool TryParseKey(TranslationContext context, string path, string key, string defaultSource, out Label label)
    {
        int colon = key.IndexOf(':', StringComparison.Ordinal);
        label = key.StartsWith('$') ? new Label(Label.Reserved, key[1..], "")
            : colon > 0 ? new Label(key[..colon], key[(colon + 1)..], "")
            : new Label(defaultSource, key, "");
        if (label.Key.Length > 0 && colon != 0)
            return true;
        context.Error(path, $"'{key}' is not a label key");
        return false;
    }
}
