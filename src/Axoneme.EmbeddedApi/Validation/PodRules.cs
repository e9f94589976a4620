// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Validation;

/// <summary>Pods, and the pod templates of workloads.</summary>
internal static class PodRules
{
    public static void Prepare(JsonObject pod, bool creating)
    {
        JsonObject spec = pod.Ensure("spec");
        PrepareSpec(spec);
        if (!creating)
            return;
        if (spec.Text("serviceAccountName") is null or "")
            spec["serviceAccountName"] = "default";
        spec["serviceAccount"] = spec.Text("serviceAccountName");
        var tolerations = spec["tolerations"] as JsonArray ?? [];
        foreach (string key in (string[])["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"])
            if (!tolerations.OfType<JsonObject>().Any(t => (t.Text("key") ?? key) == key && t.Text("effect") is null or "NoExecute"))
                tolerations.Add((JsonNode)new JsonObject
                {
                    ["key"] = key,
                    ["operator"] = "Exists",
                    ["effect"] = "NoExecute",
                    ["tolerationSeconds"] = 300,
                });
        spec["tolerations"] = tolerations.Copy();
        JsonObject status = pod.Ensure("status");
        status["phase"] ??= "Pending";
        status["qosClass"] ??= QosClass(spec);
    }

    /// <summary>Defaults that depend on other fields.</summary>
    public static void PrepareSpec(JsonObject spec)
    {
        foreach (string list in (string[])["containers", "initContainers"])
            foreach (JsonObject container in spec.Objects(list))
            {
                string image = container.Text("image") ?? "";
                bool latest = image.EndsWith(":latest") || image.LastIndexOf(':') <= image.LastIndexOf('/') && !image.Contains('@');
                container["imagePullPolicy"] ??= latest ? "Always" : "IfNotPresent";
                if (spec.Flag("hostNetwork"))
                    foreach (JsonObject port in container.Objects("ports"))
                        port["hostPort"] ??= port["containerPort"]?.Copy();
            }
    }

    public static void Validate(JsonObject pod, JsonObject? old, FieldErrors errors)
    {
        ValidateSpec(pod.Map("spec")!, "spec", errors);
        if (old is not null)
            ValidateUpdate(pod.Map("spec")!, old.Map("spec")!, errors);
    }

    public static void ValidateSpec(JsonObject spec, string path, FieldErrors errors)
    {
        if (!spec.Objects("containers").Any())
            errors.Required($"{path}.containers");
        var names = new HashSet<string>(StringComparer.Ordinal);
        var volumes = spec.Objects("volumes").Select(v => v.Text("name")).ToHashSet();
        foreach (string list in (string[])["initContainers", "containers"])
        {
            int index = 0;
            foreach (JsonObject container in spec.Objects(list))
                ValidateContainer(container, $"{path}.{list}[{index++}]", names, volumes, errors);
        }
        ValidateHostPorts(spec, path, errors);
        int toleration = 0;
        foreach (JsonObject each in spec.Objects("tolerations"))
        {
            string at = $"{path}.tolerations[{toleration++}]";
            if (each.Text("operator") is { } op && op is not ("Exists" or "Equal" or ""))
                errors.NotSupported($"{at}.operator", op, ["Equal", "Exists"]);
            if (each.Text("effect") is { } effect && effect is not ("NoSchedule" or "PreferNoSchedule" or "NoExecute" or ""))
                errors.NotSupported($"{at}.effect", effect, ["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
        foreach ((string key, string value) in spec.TextMap("nodeSelector"))
            MetaRules.ValidateLabel(key, value, $"{path}.nodeSelector", errors);
        if (spec.Whole("terminationGracePeriodSeconds") is < 0 and var grace)
            errors.Invalid($"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0");
        if (spec.Text("hostname") is { } hostname && Names.DnsLabelProblem(hostname) is { } problem)
            errors.Invalid($"{path}.hostname", hostname, problem);
    }

    private static void ValidateContainer(
        JsonObject container, string path, HashSet<string> names, HashSet<string?> volumes, FieldErrors errors)
    {
        string name = container.Text("name") ?? "";
        if (name.Length == 0)
            errors.Required($"{path}.name");
        else if (Names.DnsLabelProblem(name) is { } problem)
            errors.Invalid($"{path}.name", name, problem);
        else if (!names.Add(name))
            errors.Duplicate($"{path}.name", name);
        if (container.Text("image") is null or "")
            errors.Required($"{path}.image");
        ValidatePorts(container, path, errors);
        int index = 0;
        foreach (JsonObject variable in container.Objects("env"))
        {
            string at = $"{path}.env[{index++}]";
            if (variable.Text("name") is null or "")
                errors.Required($"{at}.name");
            if (variable.Text("value") is { Length: > 0 } && variable["valueFrom"] is not null)
                errors.Invalid($"{at}.valueFrom", "", "may not be specified when `value` is not empty");
        }
        index = 0;
        foreach (JsonObject mount in container.Objects("volumeMounts"))
        {
            string at = $"{path}.volumeMounts[{index++}]";
            if (!volumes.Contains(mount.Text("name")))
                errors.Invalid($"{at}.name", mount.Text("name"), $"not found: \"{mount.Text("name")}\"");
        }
        foreach (string probe in (string[])["livenessProbe", "readinessProbe", "startupProbe"])
            if (container.Map(probe) is { } check)
                ValidateProbe(check, $"{path}.{probe}", errors);
    }

    private static void ValidatePorts(JsonObject container, string path, FieldErrors errors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        int index = 0;
        foreach (JsonObject port in container.Objects("ports"))
        {
            string at = $"{path}.ports[{index++}]";
            if (port.Text("name") is { Length: > 0 } name)
            {
                if (Names.PortNameProblem(name) is { } problem)
                    errors.Invalid($"{at}.name", name, problem);
                else if (!names.Add(name))
                    errors.Duplicate($"{at}.name", name);
            }
            PortNumber(port["containerPort"], $"{at}.containerPort", errors);
            if (port.Whole("hostPort") is not (null or 0))
                PortNumber(port["hostPort"], $"{at}.hostPort", errors);
        }
    }

    private static void ValidateHostPorts(JsonObject spec, string path, FieldErrors errors)
    {
        var taken = new HashSet<(string?, string?, long)>();
        int c = 0;
        foreach (JsonObject container in spec.Objects("containers"))
        {
            int p = 0;
            foreach (JsonObject port in container.Objects("ports"))
            {
                string at = $"{path}.containers[{c}].ports[{p++}].hostPort";
                if (port.Whole("hostPort") is not { } host || host == 0)
                    continue;
                if (!taken.Add((port.Text("hostIP"), port.Text("protocol"), host)))
                    errors.Duplicate(at, $"{port.Text("protocol")}/{port.Text("hostIP")}/{host}");
                if (spec.Flag("hostNetwork") && host != port.Whole("containerPort"))
                    errors.Invalid($"{path}.containers[{c}].ports[{p - 1}].containerPort", port["containerPort"]?.Copy(), "must match `hostPort` when `hostNetwork` is true");
            }
            c++;
        }
    }

    private static void ValidateProbe(JsonObject probe, string path, FieldErrors errors)
    {
        string[] handlers = [.. ((string[])["exec", "httpGet", "tcpSocket", "grpc"]).Where(h => probe[h] is not null)];
        if (handlers.Length == 0)
            errors.Required(path, "must specify a handler type");
        else if (handlers.Length > 1)
            errors.Forbidden($"{path}.{handlers[1]}", "may not specify more than 1 handler type");
        else if (handlers[0] is "httpGet" or "tcpSocket" && probe.At(handlers[0], "port") is { } port && port.Text() is null)
            PortNumber(port, $"{path}.{handlers[0]}.port", errors);
        foreach (string field in (string[])["timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold", "initialDelaySeconds"])
            if (probe.Whole(field) is < 0 and var number)
                errors.Invalid($"{path}.{field}", number, "must be greater than or equal to 0");
    }

    public static void PortNumber(JsonNode? port, string path, FieldErrors errors)
    {
        if (port.Whole() is not (>= 1 and <= 65535))
            errors.Invalid(path, port?.Copy() ?? JsonValue.Create(0), "must be between 1 and 65535, inclusive");
    }

    private static void ValidateUpdate(JsonObject spec, JsonObject old, FieldErrors errors)
    {
        if (JsonAccess.Same(Fixed(spec, old), Fixed(old, old)))
            return;
        errors.Forbidden("spec", "pod updates may not change fields other than `spec.containers[*].image`,"
            + "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            + "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)");
    }

    // The node is set once, by the scheduler; images, deadlines and tolerations may change.
    private static JsonObject Fixed(JsonObject spec, JsonObject old)
    {
        JsonObject copy = spec.Copy();
        foreach (string list in (string[])["containers", "initContainers"])
            foreach (JsonObject container in copy.Objects(list))
                container.Remove("image");
        foreach (string field in (string[])["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"])
            copy.Remove(field);
        if (old.Text("nodeName") is null or "")
            copy.Remove("nodeName");
        return copy;
    }

    private static string QosClass(JsonObject spec)
    {
        JsonObject[] containers = [.. spec.Objects("containers")];
        bool any = containers.Any(c => c.Map("resources", "requests") is { Count: > 0 } || c.Map("resources", "limits") is { Count: > 0 });
        bool guaranteed = containers.All(c => ((string[])["cpu", "memory"]).All(r => c.At("resources", "limits", r) is { } limit
            && JsonAccess.Same(limit, c.At("resources", "requests", r) ?? limit)));
        return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
    }
}
