// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Validation;

/// <summary>Names, labels, annotations and owners of every kind, and the data of config maps and secrets.</summary>
internal static class MetaRules
{
    private const int MaxAnnotationBytes = 256 * 1024;
    private const int MaxDataBytes = 1024 * 1024;

    public static void Validate(ResourceType type, JsonObject value, FieldErrors errors)
    {
        JsonObject metadata = value.Ensure("metadata");
        string name = metadata.Text("name") ?? "";
        if (name.Length == 0)
            errors.Required("metadata.name", "name or generateName is required");
        else if (NameProblem(type, name) is { } problem)
            errors.Invalid("metadata.name", name, problem);
        foreach ((string key, string label) in metadata.TextMap("labels"))
            ValidateLabel(key, label, "metadata.labels", errors);
        long size = 0;
        foreach ((string key, string text) in metadata.TextMap("annotations"))
        {
            if (Names.QualifiedNameProblem(key.ToLowerInvariant()) is { } keyProblem)
                errors.Invalid("metadata.annotations", key, keyProblem);
            size += key.Length + Encoding.UTF8.GetByteCount(text);
        }
        if (size > MaxAnnotationBytes)
            errors.TooLong("metadata.annotations", MaxAnnotationBytes);
        int index = 0, controllers = 0;
        foreach (JsonObject owner in metadata.Objects("ownerReferences"))
        {
            string path = $"metadata.ownerReferences[{index++}]";
            foreach (string field in (string[])["apiVersion", "kind", "name", "uid"])
                if (owner.Text(field) is null or "")
                    errors.Invalid($"{path}.{field}", owner.Text(field) ?? "", "must not be empty");
            controllers += owner.Flag("controller") ? 1 : 0;
        }
        if (controllers > 1)
            errors.Invalid("metadata.ownerReferences", metadata["ownerReferences"]!.Copy(), "Only one reference can have Controller set to true");
        foreach (string finalizer in metadata.Texts("finalizers"))
            if (Names.QualifiedNameProblem(finalizer) is { } finalizerProblem)
                errors.Invalid("metadata.finalizers", finalizer, finalizerProblem);
    }

    public static void ValidateLabel(string key, string value, string path, FieldErrors errors)
    {
        if (Names.QualifiedNameProblem(key) is { } keyProblem)
            errors.Invalid(path, key, keyProblem);
        if (Names.LabelValueProblem(value) is { } valueProblem)
            errors.Invalid(path, value, valueProblem);
    }

    public static void ValidateSelector(JsonNode? selector, string path, FieldErrors errors)
    {
        foreach ((string key, string value) in selector.TextMap("matchLabels"))
            ValidateLabel(key, value, $"{path}.matchLabels", errors);
        int index = 0;
        foreach (JsonObject expression in selector.Objects("matchExpressions"))
        {
            string at = $"{path}.matchExpressions[{index++}]";
            int values = expression.Texts("values").Count();
            switch (expression.Text("operator"))
            {
                case "In" or "NotIn" when values == 0:
                    errors.Required($"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'");
                    break;
                case "Exists" or "DoesNotExist" when values > 0:
                    errors.Forbidden($"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
                    break;
                case not ("In" or "NotIn" or "Exists" or "DoesNotExist"):
                    errors.Invalid($"{at}.operator", expression.Text("operator") ?? "", "not a valid selector operator");
                    break;
            }
            if (Names.QualifiedNameProblem(expression.Text("key") ?? "") is { } problem)
                errors.Invalid($"{at}.key", expression.Text("key") ?? "", problem);
        }
    }

    /// <summary>stringData is write-only: it overwrites data.</summary>
    public static void MoveStringData(JsonObject secret)
    {
        if (!secret.Remove("stringData", out JsonNode? texts))
            return;
        foreach ((string key, string text) in texts.TextMap())
            secret.Ensure("data")[key] = Convert.ToBase64String(Encoding.UTF8.GetBytes(text));
    }

    public static void ValidateData(JsonObject value, JsonObject? old, FieldErrors errors)
    {
        long size = 0;
        foreach (string field in (string[])["data", "binaryData"])
            foreach ((string key, JsonNode? item) in value.Map(field) ?? [])
            {
                if (!Names.IsConfigKey(key))
                    errors.Invalid($"{field}[{key}]", key, "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                        + "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
                size += Encoding.UTF8.GetByteCount(item.Text() ?? "");
            }
        if (size > MaxDataBytes)
            errors.TooLong("", MaxDataBytes);
        if (old is null || !old.Flag("immutable"))
            return;
        if (!value.Flag("immutable"))
            errors.Forbidden("immutable", "field is immutable when `immutable` is set");
        foreach (string field in (string[])["data", "binaryData"])
            if (!JsonAccess.Same(old[field], value[field]))
                errors.Forbidden(field, "field is immutable when `immutable` is set");
    }

    private static string? NameProblem(ResourceType type, string name) => type.StorageKey switch
    {
        "namespaces" => Names.DnsLabelProblem(name),
        "services" => Names.ServiceNameProblem(name),
        _ when type.Group == "rbac.authorization.k8s.io" => Names.PathSegmentProblem(name),
        _ => Names.DnsSubdomainProblem(name),
    };
}
