// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>What came out of a policy object: a document unless there are errors. Each text starts with the path of its field.</summary>
/// <param name="Document">Null when there are errors.</param>
/// <param name="Errors">All of them, not only the first.</param>
/// <param name="Warnings">What is accepted but does less than it says.</param>
public sealed record PolicyTranslation(PolicyDocument? Document, ImmutableArray<string> Errors, ImmutableArray<string> Warnings);

/// <summary>One object under translation: where it is from, its settings, and the findings so far.</summary>
internal sealed class TranslationContext(
    PolicyObjectKey key, ObjectMeta metadata, PolicyOptions options, IServiceDirectory? services = null)
{
    private readonly List<string> _errors = [];
    private readonly List<string> _warnings = [];

    public const string NotAvailable = "not available in this version";

    private static readonly string[] ShadowAnnotations = ["policy.cilium.io/enforcement", "axoneme.io/enforcement"];

    public PolicyObjectKey Key { get; } = key;

    public PolicyOptions Options { get; } = options;

    public IServiceDirectory Services { get; } = services ?? NoServices.Instance;

    /// <summary>What the result depends on besides the object and the options.</summary>
    public PolicyReferences References { get; } = new();

    public List<NetworkRule> Rules { get; } = [];

    public void Error(string path, string text) => _errors.Add($"{path}: {text}");

    public void Warn(string path, string text) => _warnings.Add($"{path}: {text}");

    public PolicyTranslation Finish()
    {
        bool shadow = IsShadow();
        return _errors.Count > 0
            ? new PolicyTranslation(null, [.. _errors], [.. _warnings])
            : new PolicyTranslation(
                new PolicyDocument(Key, [.. Rules.Select(rule => shadow ? rule with { Shadow = true } : rule)]), [], [.. _warnings]);
    }

    // An unknown word must not make a policy that somebody wanted to try out take effect.
    private bool IsShadow()
    {
        bool shadow = false;
        foreach (string annotation in ShadowAnnotations)
        {
            string? value = metadata.Annotation(annotation);
            shadow |= value == "shadow";
            if (value is not (null or "" or "shadow" or "enforce"))
                Error($"metadata.annotations[{annotation}]", $"'{value}' is not one of shadow, enforce");
        }

        return shadow;
    }

    public RuleOrigin Origin(string path, IEnumerable<Label>? userLabels = null, string logText = "")
    {
        const string Prefix = "io.cilium.k8s.policy.";
        string name = Key.Kind == PolicyKind.NetworkPolicy
            ? metadata.Annotations?.GetValueOrDefault("policy.cilium.io/name") ?? metadata.Annotations?.GetValueOrDefault("io.cilium.name") ?? Key.Name
            : Key.Name;
        List<Label> labels =
        [
            .. userLabels ?? [],
            new Label(Label.Kubernetes, Prefix + "derived-from", Key.Kind.ToString()),
            new Label(Label.Kubernetes, Prefix + "name", name),
            new Label(Label.Kubernetes, Prefix + "uid", metadata.Uid ?? ""),
        ];
        if (Key.Namespace.Length > 0)
            labels.Add(new Label(Label.Kubernetes, Prefix + "namespace", Key.Namespace));
        return new RuleOrigin(Key, metadata.Uid ?? "", path, LabelSet.From(labels), logText);
    }

    public IpPrefix? Prefix(string path, string? text)
    {
        if (IpPrefix.TryParse(text, out IpPrefix prefix))
            return prefix;
        Error(path, $"'{text}' is not an address block such as 10.0.0.0/8 or fd00::/8");
        return null;
    }

    public List<IpPrefix> Exceptions(string path, IReadOnlyList<string>? except, IpPrefix? inside)
    {
        var parsed = new List<IpPrefix>();
        for (int i = 0; i < (except?.Count ?? 0); i++)
        {
            if (Prefix($"{path}[{i}]", except![i]) is not { } prefix)
                continue;
            if (inside is { } outer && !outer.Contains(prefix))
                Error($"{path}[{i}]", $"{prefix} is not inside {outer}");
            else
                parsed.Add(prefix);
        }

        return parsed;
    }
}
