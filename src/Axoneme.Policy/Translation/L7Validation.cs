// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.RegularExpressions;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Policy;

/// <summary>What must hold for the parts of a port rule that a proxy enforces, whether or not this version has that proxy.</summary>
internal static class L7Validation
{
    private static readonly string[] MismatchActions = ["LOG", "ADD", "DELETE", "REPLACE"];

    public static void Check(TranslationContext context, CiliumEntry entry, string path, PortRule rule)
    {
        string[] kinds = [.. Kinds(rule.Rules)];
        bool http = kinds.Contains("http");
        bool dns = kinds.Contains("dns");
        if (kinds.Length > 1)
            context.Error($"{path}.rules", $"has {string.Join(" and ", kinds)}; only one of them is possible");
        if (kinds.Length > 0 && !context.Options.EnableL7Proxy)
            context.Error($"{path}.rules", "needs enable-l7-proxy");
        if (dns && entry.Direction == TrafficDirection.Ingress)
            context.Error($"{path}.rules.dns", "is for egress only");
        if (kinds.Length > 0)
            CheckPorts(context, path, rule, kinds);
        if (http)
            CheckHttp(context, $"{path}.rules.http", rule.Rules!.Http!.Value);
        CheckServerNames(context, path, rule, http);
        CheckListener(context, entry, path, rule, kinds.Length > 0);
    }

    // Lists that are empty restrict nothing and count as absent.
    private static IEnumerable<string> Kinds(L7Rules? rules)
    {
        if (rules?.Http is { ValueKind: JsonValueKind.Array } http && http.GetArrayLength() > 0)
            yield return "http";
        if (rules?.Dns is { Count: > 0 })
            yield return "dns";
        if (rules?.Kafka is { ValueKind: JsonValueKind.Array } kafka && kafka.GetArrayLength() > 0)
            yield return "kafka";
        if (rules?.L7proto is { Length: > 0 })
            yield return "l7proto";
    }

    private static void CheckPorts(TranslationContext context, string path, PortRule rule, string[] kinds)
    {
        IReadOnlyList<PortProtocol> ports = rule.Ports ?? [];
        bool dns = kinds is ["dns"];
        if (dns && ports.Count == 0)
            context.Error($"{path}.ports", "is missing: rules.dns needs a port");
        for (int i = 0; i < ports.Count; i++)
        {
            PortProtocol port = ports[i];
            string protocol = port.Protocol?.ToUpperInvariant() ?? "ANY";
            if (port.Port is "0")
                context.Error($"{path}.ports[{i}].port", $"rules.{kinds[0]} needs a port other than 0");
            if (dns && protocol is not ("TCP" or "UDP" or "ANY" or ""))
                context.Error($"{path}.ports[{i}].protocol", $"rules.dns is for TCP and UDP, not {protocol}");
            else if (!dns && protocol != "TCP")
                context.Error($"{path}.ports[{i}].protocol", $"rules.{kinds[0]} needs TCP, not {protocol}");
            if (dns && ushort.TryParse(port.Port, out ushort first) && port.EndPort > first)
                context.Error($"{path}.ports[{i}].endPort", "rules.dns takes no range of ports");
        }
    }

    private static void CheckHttp(TranslationContext context, string path, JsonElement rules)
    {
        int index = 0;
        foreach (JsonElement rule in rules.EnumerateArray())
        {
            string item = $"{path}[{index++}]";
            if (rule.ValueKind != JsonValueKind.Object)
            {
                context.Error(item, "is not an object");
                continue;
            }

            CheckExpression(context, item, rule, "path");
            CheckExpression(context, item, rule, "method");
            CheckHeaderMatches(context, item, rule);
        }
    }

    private static void CheckExpression(TranslationContext context, string path, JsonElement rule, string field)
    {
        if (!rule.TryGetProperty(field, out JsonElement value) || value.ValueKind != JsonValueKind.String)
            return;
        try
        {
            // The proxy matches in linear time, so what needs backtracking is refused as well.
            _ = new Regex(value.GetString()!, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            context.Error($"{path}.{field}", $"'{value.GetString()}' is not a regular expression: {e.Message}");
        }
    }

    private static void CheckHeaderMatches(TranslationContext context, string path, JsonElement rule)
    {
        if (!rule.TryGetProperty("headerMatches", out JsonElement matches) || matches.ValueKind != JsonValueKind.Array)
            return;
        int index = 0;
        foreach (JsonElement match in matches.EnumerateArray())
        {
            string item = $"{path}.headerMatches[{index++}]";
            if (Text(match, "name") is not { Length: > 0 })
                context.Error($"{item}.name", "is missing");
            if (Text(match, "mismatch") is { Length: > 0 } action && !MismatchActions.Contains(action))
                context.Error($"{item}.mismatch", $"'{action}' is not one of {string.Join(", ", MismatchActions)}");
            if (match.ValueKind == JsonValueKind.Object && match.TryGetProperty("secret", out JsonElement secret)
                && Text(secret, "name") is not { Length: > 0 })
                context.Error($"{item}.secret.name", "is missing");
        }
    }

    private static string? Text(JsonElement parent, string field)
        => parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(field, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;

    private static void CheckServerNames(TranslationContext context, string path, PortRule rule, bool http)
    {
        for (int i = 0; i < (rule.ServerNames?.Count ?? 0); i++)
        {
            if (string.IsNullOrEmpty(rule.ServerNames![i]))
                context.Error($"{path}.serverNames[{i}]", "is empty");
        }

        if (rule.ServerNames is { Count: > 0 } && http && rule.TerminatingTLS is null)
            context.Error($"{path}.serverNames", "cannot be combined with rules.http without terminatingTLS");
    }

    private static void CheckListener(TranslationContext context, CiliumEntry entry, string path, PortRule rule, bool hasRules)
    {
        if (rule.Listener is not { } listener)
            return;
        if (entry.Direction == TrafficDirection.Ingress)
            context.Error($"{path}.listener", "is for egress only");
        if (hasRules)
            context.Error($"{path}.listener", "cannot be combined with rules");
        if (listener.Priority is < 0 or > 100)
            context.Error($"{path}.listener.priority", $"{listener.Priority} is not in the range 1 to 100");
        if (context.Key.Namespace.Length == 0 && listener.EnvoyConfig.Kind == "CiliumEnvoyConfig")
            context.Error($"{path}.listener.envoyConfig.kind", "a cluster-wide policy needs a CiliumClusterwideEnvoyConfig");
    }
}
