// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Validation;

/// <summary>The fields of a service that only matter to clients beyond the cluster: their defaults, and where they may stand.</summary>
internal static class ExternalServiceRules
{
    private const string SourceRangesAnnotation = "service.beta.kubernetes.io/load-balancer-source-ranges";

    private static readonly string[] Modes = ["Proxy", "VIP"];

    public static bool IsLoadBalancer(JsonNode? service) => service.Text("spec", "type") == "LoadBalancer";

    public static bool NeedsHealthCheck(JsonNode? service)
        => IsLoadBalancer(service) && service.Text("spec", "externalTrafficPolicy") == "Local";

    private static bool IsReachable(JsonNode? service)
        => service.Text("spec", "type") is "NodePort" or "LoadBalancer"
            || service.Text("spec", "type") == "ClusterIP" && service.Texts("spec", "externalIPs").Any();

    public static void Prepare(JsonObject service, JsonObject? old)
    {
        JsonObject spec = service.Map("spec")!;
        if (old is not null)
            FollowType(service, spec, old);
        if (IsReachable(service))
            spec["externalTrafficPolicy"] ??= "Cluster";
        if (IsLoadBalancer(service))
            spec["allocateLoadBalancerNodePorts"] ??= true;
        PrepareStatus(service);
    }

    public static void PrepareStatus(JsonObject service)
    {
        foreach (JsonObject ingress in service.Objects("status", "loadBalancer", "ingress"))
            if (ingress.Text("ip") is { Length: > 0 })
                ingress["ipMode"] ??= "VIP";
    }

    // What the new type has no use for goes with the old type, unless the same write says something else about it.
    private static void FollowType(JsonObject service, JsonObject spec, JsonObject old)
    {
        bool Unchanged(string field) => JsonAccess.Same(spec[field], old.At("spec", field));
        if (NeedsHealthCheck(old) && NeedsHealthCheck(service) && spec.Whole("healthCheckNodePort") is null or 0)
            spec["healthCheckNodePort"] = old.At("spec", "healthCheckNodePort")?.Copy();
        if (NeedsHealthCheck(old) && !NeedsHealthCheck(service) && Unchanged("healthCheckNodePort"))
            spec.Remove("healthCheckNodePort");
        if (IsReachable(old) && !IsReachable(service) && Unchanged("externalTrafficPolicy"))
            spec.Remove("externalTrafficPolicy");
        if (!IsLoadBalancer(old) || IsLoadBalancer(service))
            return;
        foreach (string field in (string[])["allocateLoadBalancerNodePorts", "loadBalancerClass"])
            if (Unchanged(field))
                spec.Remove(field);
    }

    public static void Validate(JsonObject service, JsonObject? old, FieldErrors errors)
    {
        JsonObject spec = service.Map("spec")!;
        bool balanced = IsLoadBalancer(service);
        if (ServiceRules.IsHeadless(service) && spec.Text("type") is "NodePort" or "LoadBalancer")
            errors.Invalid("spec.clusterIPs[0]", "None", $"may not be set to 'None' for {spec.Text("type")} services");
        int i = 0;
        foreach (string ip in spec.Texts("externalIPs"))
            ValidateOutsideAddress(ip, $"spec.externalIPs[{i++}]", errors);
        ValidateTrafficPolicy(service, spec, errors);
        ValidateSourceRanges(service, spec, balanced, errors);
        if (!balanced && spec.ContainsKey("allocateLoadBalancerNodePorts"))
            errors.Forbidden("spec.allocateLoadBalancerNodePorts", "may only be used when `type` is 'LoadBalancer'");
        ValidateClass(spec, old, balanced, errors);
        ValidateStatus(service, errors);
    }

    private static void ValidateOutsideAddress(string text, string path, FieldErrors errors)
    {
        if (!IpAddress.TryParse(text, out IpAddress address))
            errors.Invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        else if (SpecialRange(address.ToIPAddress()) is { } range)
            errors.Invalid(path, text, $"may not be {range}");
    }

    private static string? SpecialRange(System.Net.IPAddress address)
    {
        byte[] bytes = address.GetAddressBytes();
        bool v4 = bytes.Length == 4;
        return bytes.All(b => b == 0) ? "unspecified (0.0.0.0 or ::)"
            : System.Net.IPAddress.IsLoopback(address) ? "in the loopback range (127.0.0.0/8, ::1/128)"
            : (v4 ? bytes[0] == 169 && bytes[1] == 254 : address.IsIPv6LinkLocal) ? "in the link-local range (169.254.0.0/16, fe80::/10)"
            : (v4 ? bytes is [224, 0, 0, _] : bytes[0] == 0xff && (bytes[1] & 0x0f) == 2) ? "in the link-local multicast range (224.0.0.0/24, ff02::/10)"
            : null;
    }

    private static void ValidateTrafficPolicy(JsonObject service, JsonObject spec, FieldErrors errors)
    {
        if (!IsReachable(service) && spec.Text("externalTrafficPolicy") is { } policy)
            errors.Invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services");
        if (spec.Whole("healthCheckNodePort") is > 0 and var port && !NeedsHealthCheck(service))
            errors.Invalid("spec.healthCheckNodePort", port,
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    }

    private static void ValidateSourceRanges(JsonObject service, JsonObject spec, bool balanced, FieldErrors errors)
    {
        const string expected = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        string[] ranges = [.. spec.Texts("loadBalancerSourceRanges")];
        if (ranges.Length > 0 && !balanced)
            errors.Forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'");
        for (int i = 0; i < ranges.Length; i++)
            if (!IpPrefix.TryParse(ranges[i].Trim(), out _))
                errors.Invalid($"spec.loadBalancerSourceRanges[{i}]", ranges[i], expected);
        if (ranges.Length > 0 || service.Text("metadata", "annotations", SourceRangesAnnotation) is not { } annotation)
            return;
        if (!balanced)
            errors.Forbidden($"metadata.annotations[{SourceRangesAnnotation}]", "may only be used when `type` is 'LoadBalancer'");
        else if (annotation.Trim().Length > 0 && !annotation.Split(',').All(r => IpPrefix.TryParse(r.Trim(), out _)))
            errors.Invalid($"metadata.annotations[{SourceRangesAnnotation}]", annotation,
                "must be a comma separated list of CIDRs e.g. 192.168.0.0/16,10.0.0.0/8");
    }

    private static void ValidateClass(JsonObject spec, JsonObject? old, bool balanced, FieldErrors errors)
    {
        string? name = spec.Text("loadBalancerClass");
        if (!balanced && name is not null)
            errors.Forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'");
        else if (name is not null && Names.QualifiedNameProblem(name) is { } problem)
            errors.Invalid("spec.loadBalancerClass", name, problem);
        if (balanced && IsLoadBalancer(old) && name != old.Text("spec", "loadBalancerClass"))
            errors.Invalid("spec.loadBalancerClass", name, "may not change once set");
    }

    private static void ValidateStatus(JsonObject service, FieldErrors errors)
    {
        int i = 0;
        foreach (JsonObject ingress in service.Objects("status", "loadBalancer", "ingress"))
        {
            string path = $"status.loadBalancer.ingress[{i++}]";
            string? ip = ingress.Text("ip"), mode = ingress.Text("ipMode"), hostname = ingress.Text("hostname");
            if (ip is { Length: > 0 } && !IpAddress.TryParse(ip, out _))
                errors.Invalid($"{path}.ip", ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
            if (ip is null or "" && mode is not null)
                errors.Forbidden($"{path}.ipMode", "may not be specified when `ip` is not set");
            else if (mode is not null && !Modes.Contains(mode))
                errors.NotSupported($"{path}.ipMode", mode, Modes);
            if (hostname is { Length: > 0 } && IpAddress.TryParse(hostname, out _))
                errors.Invalid($"{path}.hostname", hostname, "must be a DNS name, not an IP address");
            else if (hostname is { Length: > 0 } && Names.DnsSubdomainProblem(hostname) is { } problem)
                errors.Invalid($"{path}.hostname", hostname, problem);
        }
    }
}
