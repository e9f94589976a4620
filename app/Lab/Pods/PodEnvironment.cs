// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Lab.Pods;

/// <summary>A container's environment variables and the <c>$(NAME)</c> references of its command line.</summary>
internal sealed class PodEnvironment(ObjectClient api, Pod pod, IReadOnlyList<string> podAddresses, IReadOnlyList<string> nodeAddresses)
{
    /// <exception cref="FormatException">A reference leads nowhere; the message names it.</exception>
    public Dictionary<string, string> Build(Container container)
    {
        var environment = new Dictionary<string, string>(Artifacts.BaseEnvironment)
        {
            ["HOSTNAME"] = pod.Spec.Hostname ?? pod.Metadata.Name,
        };
        foreach (EnvFromSource source in container.EnvFrom ?? [])
            AddAll(environment, source);
        foreach (EnvVar variable in container.Env ?? [])
            if (variable.ValueFrom is null)
                environment[variable.Name] = Expand(variable.Value ?? "", environment);
            else if (Resolve(container, variable) is { } value)
                environment[variable.Name] = value;
        return environment;
    }

    /// <summary>Replaces <c>$(NAME)</c> where NAME is set; <c>$$(</c> is a literal <c>$(</c>.</summary>
    public static string Expand(string text, IReadOnlyDictionary<string, string> environment)
    {
        var result = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            int end;
            if (text[i] == '$' && i + 1 < text.Length && text[i + 1] == '$')
            {
                result.Append('$');
                i++;
            }
            else if (text[i] == '$' && i + 1 < text.Length && text[i + 1] == '(' && (end = text.IndexOf(')', i)) > 0
                && environment.TryGetValue(text[(i + 2)..end], out string? value))
            {
                result.Append(value);
                i = end;
            }
            else
            {
                result.Append(text[i]);
            }
        }

        return result.ToString();
    }

    private string? Resolve(Container container, EnvVar variable)
    {
        EnvVarSource source = variable.ValueFrom!;
        if (source.FieldRef is { } field)
            return Field(field.FieldPath)
                ?? throw new FormatException($"container {container.Name}: env {variable.Name}: unknown field path \"{field.FieldPath}\"");
        if (source.ConfigMapKeyRef is { } map)
            return Key("configmaps", map, decode: false);
        if (source.SecretKeyRef is { } secret)
            return Key("secrets", secret, decode: true);
        throw new FormatException($"container {container.Name}: env {variable.Name}: valueFrom has no source that the lab knows");
    }

    private string? Field(string path) => path switch
    {
        "metadata.name" => pod.Metadata.Name,
        "metadata.namespace" => pod.Metadata.Namespace,
        "metadata.uid" => pod.Metadata.Uid ?? "",
        "spec.nodeName" => pod.Spec.NodeName ?? "",
        "spec.serviceAccountName" => pod.Spec.ServiceAccountName ?? "default",
        "status.podIP" => podAddresses is [var first, ..] ? first : "",
        "status.podIPs" => string.Join(',', podAddresses),
        "status.hostIP" => nodeAddresses[0],
        "status.hostIPs" => string.Join(',', nodeAddresses),
        _ => Subscript(path, "metadata.labels", pod.Metadata.Labels) ?? Subscript(path, "metadata.annotations", pod.Metadata.Annotations),
    };

    private static string? Subscript(string path, string map, IReadOnlyDictionary<string, string>? values)
        => path.StartsWith(map + "['", StringComparison.Ordinal) && path.EndsWith("']", StringComparison.Ordinal)
            ? values?.GetValueOrDefault(path[(map.Length + 2)..^2]) ?? "" : null;

    private string? Key(string resource, KeySelector selector, bool decode)
    {
        if (Data(resource, selector.Name)?[selector.Key] is { } value)
            return Text(value, decode);
        return selector.Optional == true ? null : throw new FormatException($"{resource} {selector.Name} has no key {selector.Key}");
    }

    private void AddAll(Dictionary<string, string> environment, EnvFromSource source)
    {
        (string resource, KeySource? reference) = source.ConfigMapRef is { } map ? ("configmaps", map) : ("secrets", source.SecretRef);
        if (reference is null)
            return;
        JsonObject? data = Data(resource, reference.Name);
        if (data is null && reference.Optional != true)
            throw new FormatException($"{resource} \"{reference.Name}\" not found");
        foreach ((string key, JsonNode? value) in data ?? [])
            environment[source.Prefix + key] = Text(value!, resource == "secrets");
    }

    private JsonObject? Data(string resource, string name)
        => api.Get(resource, pod.Metadata.Namespace, name) is { } found ? found["data"] as JsonObject ?? [] : null;

    private static string Text(JsonNode value, bool decode)
        => decode ? Encoding.UTF8.GetString(Convert.FromBase64String(value.GetValue<string>())) : value.GetValue<string>();
}
