// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Validation;

/// <summary>Deployments, replica sets and daemon sets.</summary>
internal static class WorkloadRules
{
    public static void Prepare(ResourceType type, JsonObject value)
    {
        if (value.Map("spec", "template", "spec") is { } pod)
            PodRules.PrepareSpec(pod);
        string strategy = type.Kind == "Deployment" ? "strategy" : "updateStrategy";
        if (type.Kind == "ReplicaSet" || value.Map("spec", strategy) is not { } rollout || rollout.Text("type") != "RollingUpdate")
            return;
        JsonObject rolling = rollout.Ensure("rollingUpdate");
        rolling["maxUnavailable"] ??= type.Kind == "Deployment" ? "25%" : JsonValue.Create(1);
        rolling["maxSurge"] ??= type.Kind == "Deployment" ? "25%" : JsonValue.Create(0);
    }

    public static void Validate(ResourceType type, JsonObject value, JsonObject? old, FieldErrors errors)
    {
        JsonObject spec = value.Map("spec") ?? [];
        if (spec.Whole("replicas") is < 0 and var replicas)
            errors.Invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        if (spec.Whole("minReadySeconds") is < 0 and var ready)
            errors.Invalid("spec.minReadySeconds", ready, "must be greater than or equal to 0");
        MetaRules.ValidateSelector(spec["selector"], "spec.selector", errors);
        LabelSelector? selector = LabelSelector.FromJson(spec["selector"]);
        if (selector is null)
            errors.Required("spec.selector");
        else if (selector.Requirements.Count == 0)
            errors.Invalid("spec.selector", spec["selector"]!.Copy(), "empty selector is invalid for deployment".Replace("deployment", type.Singular));
        if (spec.Map("template") is not { } template)
        {
            errors.Required("spec.template");
            return;
        }
        var labels = template.TextMap("metadata", "labels").ToDictionary(p => p.Key, p => p.Value, StringComparer.Ordinal);
        if (selector is not null && !selector.Matches(labels))
            errors.Invalid("spec.template.metadata.labels", template.Map("metadata", "labels")?.Copy(), "`selector` does not match template `labels`");
        foreach ((string key, string label) in labels)
            MetaRules.ValidateLabel(key, label, "spec.template.metadata.labels", errors);
        if (template.Map("spec") is { } pod)
        {
            PodRules.ValidateSpec(pod, "spec.template.spec", errors);
            if (pod.Text("restartPolicy") is { } restart && restart != "Always")
                errors.NotSupported("spec.template.spec.restartPolicy", restart, ["Always"]);
        }
        else
            errors.Required("spec.template.spec.containers");
        if (type.Kind == "Deployment")
            ValidateStrategy(spec, errors);
        if (old is not null && !JsonAccess.Same(old.At("spec", "selector"), spec["selector"]))
            errors.Invalid("spec.selector", spec["selector"]?.Copy(), "field is immutable");
    }

    private static void ValidateStrategy(JsonObject spec, FieldErrors errors)
    {
        if (spec.Text("strategy", "type") == "Recreate" && spec.At("strategy", "rollingUpdate") is not null)
            errors.Forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'");
        foreach (string field in (string[])["maxUnavailable", "maxSurge"])
            if (spec.At("strategy", "rollingUpdate", field) is { } value && !IsCountOrPercent(value))
                errors.Invalid($"spec.strategy.rollingUpdate.{field}", value.Copy(), "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')");
        if (IsZero(spec.At("strategy", "rollingUpdate", "maxUnavailable")) && IsZero(spec.At("strategy", "rollingUpdate", "maxSurge")))
            errors.Invalid("spec.strategy.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0");
    }

    private static bool IsZero(JsonNode? value) => value.Whole() == 0 || value.Text() == "0%";

    private static bool IsCountOrPercent(JsonNode value)
        => value.Whole() >= 0 || value.Text() is { } text && text.EndsWith('%') && uint.TryParse(text[..^1], out _);
}
