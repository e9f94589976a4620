// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Validation;

/// <summary>Custom resource definitions. A valid one is established by the write that creates it.</summary>
internal static class DefinitionRules
{
    public const string CleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

    public static void Prepare(JsonObject definition, JsonObject? old, string now)
    {
        JsonObject names = definition.Ensure("spec", "names");
        names["singular"] ??= names.Text("kind")?.ToLowerInvariant();
        names["listKind"] ??= names.Text("kind") + "List";
        if (old is null)
            definition.Ensure("metadata")["finalizers"] = JsonAccess.ToArray(definition.Texts("metadata", "finalizers").Append(CleanupFinalizer).Distinct());
        JsonObject status = definition.Ensure("status");
        status["acceptedNames"] = names.Copy();
        var stored = definition.Objects("spec", "versions").Where(v => v.Flag("storage")).Select(v => v.Text("name") ?? "");
        status["storedVersions"] = JsonAccess.ToArray((old?.Texts("status", "storedVersions") ?? []).Concat(stored).Distinct());
        status["conditions"] ??= new JsonArray(
            Condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
            Condition("Established", "InitialNamesAccepted", "the initial names have been accepted", now));
    }

    public static void Validate(JsonObject definition, JsonObject? old, FieldErrors errors)
    {
        JsonObject spec = definition.Map("spec")!;
        string group = spec.Text("group") ?? "", plural = spec.Text("names", "plural") ?? "";
        if (definition.Text("metadata", "name") != $"{plural}.{group}")
            errors.Invalid("metadata.name", definition.Text("metadata", "name"), "must be spec.names.plural+\".\"+spec.group");
        if (Names.DnsSubdomainProblem(group) is { } groupProblem)
            errors.Invalid("spec.group", group, groupProblem);
        if (!group.Contains('.'))
            errors.Invalid("spec.group", group, "should be a domain with at least one dot");
        if (spec.Text("scope") is not ("Namespaced" or "Cluster"))
            errors.NotSupported("spec.scope", spec.Text("scope") ?? "", ["Cluster", "Namespaced"]);
        JsonObject[] versions = [.. spec.Objects("versions")];
        if (versions.Count(v => v.Flag("storage")) != 1)
            errors.Invalid("spec.versions", JsonAccess.ToArray(versions.Select(v => v.Text("name") ?? "")), "must have exactly one version marked as storage version");
        for (int i = 0; i < versions.Length; i++)
            if (versions[i].At("schema", "openAPIV3Schema") is not JsonObject)
                errors.Required($"spec.versions[{i}].schema.openAPIV3Schema", "schemas are required");
        if (errors.Any)
            return;
        try
        {
            _ = ResourceCatalog.FromDefinition(definition).Count();
        }
        catch (ArgumentException e)
        {
            errors.Invalid("spec.versions", "", e.Message);
        }
        foreach (string field in (string[])["group", "scope"])
            if (old is not null && old.Text("spec", field) != spec.Text(field))
                errors.Invalid($"spec.{field}", spec.Text(field), "field is immutable");
    }

    private static JsonObject Condition(string type, string reason, string message, string now) => new()
    {
        ["type"] = type,
        ["status"] = "True",
        ["lastTransitionTime"] = now,
        ["reason"] = reason,
        ["message"] = message,
    };
}
