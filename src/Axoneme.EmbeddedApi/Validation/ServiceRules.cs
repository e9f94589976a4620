// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Validation;

/// <summary>Services: defaults of the address families and policies, and the rules between fields.</summary>
internal static class ServiceRules
{
    private static readonly string[] Protocols = ["SCTP", "TCP", "UDP"];
    private static readonly string[] Distributions = ["PreferClose", "PreferSameNode", "PreferSameZone"];

    public static bool IsHeadless(JsonNode? service) => service.Text("spec", "clusterIP") == "None";

    public static bool IsExternalName(JsonNode? service) => service.Text("spec", "type") == "ExternalName";

    public static bool HasNodePorts(JsonNode? service)
        => service.Text("spec", "type") == "NodePort"
            || service.Text("spec", "type") == "LoadBalancer" && service.At("spec", "allocateLoadBalancerNodePorts") is null
            || service.Text("spec", "type") == "LoadBalancer" && service.Flag("spec", "allocateLoadBalancerNodePorts");

    public static void Prepare(JsonObject service, JsonObject? old, IReadOnlyList<IpPrefix> cidrs)
    {
        JsonObject spec = service.Ensure("spec");
        if (old is not null)
            KeepAllocated(spec, old.Map("spec")!);
        service.Ensure("status")["loadBalancer"] ??= new JsonObject();
        foreach (JsonObject port in spec.Objects("ports"))
            if (port["targetPort"] is null || port.Whole("targetPort") == 0)
                port["targetPort"] = port["port"]?.Copy();
        if (IsExternalName(service))
        {
            foreach (string field in (string[])["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy", "externalTrafficPolicy"])
                spec.Remove(field);
            return;
        }
        spec["internalTrafficPolicy"] ??= "Cluster";
        ExternalServiceRules.Prepare(service, old);
        if (spec.Text("sessionAffinity") == "ClientIP")
            spec.Ensure("sessionAffinityConfig", "clientIP")["timeoutSeconds"] ??= 10800;
        else
            spec.Remove("sessionAffinityConfig");
        PrepareFamilies(spec, cidrs);
    }

    // An update that does not mention what was allocated keeps it; a real API does the same for old clients.
    private static void KeepAllocated(JsonObject spec, JsonObject old)
    {
        bool external = spec.Text("type") == "ExternalName", wasExternal = old.Text("type") == "ExternalName";
        if (external || wasExternal)
            return;
        if (spec.Text("clusterIP") is null or "" && !spec.Texts("clusterIPs").Any())
        {
            spec["clusterIP"] = old["clusterIP"]?.Copy();
            spec["clusterIPs"] = old["clusterIPs"]?.Copy();
        }
        spec["ipFamilyPolicy"] ??= old["ipFamilyPolicy"]?.Copy();
        spec["ipFamilies"] ??= old["ipFamilies"]?.Copy();
        if (spec.Text("type") is not ("NodePort" or "LoadBalancer"))
        {
            // A port that the user did not ask for goes when the type does.
            foreach (JsonObject port in spec.Objects("ports"))
                if (old.Objects("ports").Any(o => o.Whole("nodePort") == port.Whole("nodePort")))
                    port.Remove("nodePort");
            return;
        }
        foreach (JsonObject port in spec.Objects("ports"))
            if (port.Whole("nodePort") is null or 0)
            {
                JsonObject? before = old.Objects("ports").FirstOrDefault(o => o.Whole("port") == port.Whole("port") && o.Text("protocol") == port.Text("protocol"));
                if (before?["nodePort"] is { } kept)
                    port["nodePort"] = kept.Copy();
            }
    }

    private static void PrepareFamilies(JsonObject spec, IReadOnlyList<IpPrefix> cidrs)
    {
        if (spec.Text("clusterIP") is { Length: > 0 } single && !spec.Texts("clusterIPs").Any())
            spec["clusterIPs"] = new JsonArray(single);
        else if (spec.Text("clusterIP") is null or "" && spec.Texts("clusterIPs").FirstOrDefault() is { } first)
            spec["clusterIP"] = first;
        var families = spec.Texts("ipFamilies").ToList();
        foreach (string ip in spec.Texts("clusterIPs"))
            if (IpAddress.TryParse(ip, out IpAddress address) && !families.Contains(Family(address.IsV6)))
                families.Add(Family(address.IsV6));
        bool headlessWithoutSelector = spec.Text("clusterIP") == "None" && !spec.TextMap("selector").Any();
        string policy = spec.Text("ipFamilyPolicy")
            ?? (families.Count > 1 || headlessWithoutSelector && cidrs.Count > 1 ? headlessWithoutSelector ? "RequireDualStack" : "PreferDualStack" : "SingleStack");
        if (families.Count == 0)
            families.Add(Family(cidrs[0].IsV6));
        if (policy != "SingleStack" && families.Count == 1 && cidrs.Count > 1)
            families.Add(Family(families[0] == "IPv4"));
        // Narrowing the policy gives the secondary address back.
        if (policy == "SingleStack" && families.Count > 1 && spec.Texts("clusterIPs").Count() <= 2)
        {
            families = families[..1];
            if (spec.Text("clusterIP") is not (null or "" or "None"))
                spec["clusterIPs"] = new JsonArray(spec.Text("clusterIP"));
        }
        spec["ipFamilyPolicy"] = policy;
        spec["ipFamilies"] = JsonAccess.ToArray(families);
    }

    public static string Family(bool isV6) => isV6 ? "IPv6" : "IPv4";

    public static void Validate(JsonObject service, JsonObject? old, EmbeddedApiOptions options, FieldErrors errors)
    {
        JsonObject spec = service.Map("spec")!;
        if (IsExternalName(service))
        {
            string target = (spec.Text("externalName") ?? "").TrimEnd('.');
            if (target.Length == 0)
                errors.Required("spec.externalName");
            else if (Names.DnsSubdomainProblem(target) is { } problem)
                errors.Invalid("spec.externalName", target, problem);
        }
        else
            ValidateAddresses(spec, old, options.ServiceCidrs, errors);
        ValidatePorts(service, spec, errors);
        foreach ((string key, string value) in spec.TextMap("selector"))
            MetaRules.ValidateLabel(key, value, "spec.selector", errors);
        ExternalServiceRules.Validate(service, old, errors);
        if (spec.Text("trafficDistribution") is { } distribution && !Distributions.Contains(distribution))
            errors.NotSupported("spec.trafficDistribution", distribution, Distributions);
        if (spec.Whole("sessionAffinityConfig", "clientIP", "timeoutSeconds") is { } seconds && seconds is < 1 or > 86400)
            errors.Invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, "must be greater than 0 and less than 86400");
    }

    private static void ValidatePorts(JsonObject service, JsonObject spec, FieldErrors errors)
    {
        JsonObject[] ports = [.. spec.Objects("ports")];
        if (ports.Length == 0 && !IsHeadless(service) && !IsExternalName(service))
            errors.Required("spec.ports");
        var names = new HashSet<string>(StringComparer.Ordinal);
        var numbers = new HashSet<(long?, string?)>();
        var nodePorts = new HashSet<(long?, string?)>();
        for (int i = 0; i < ports.Length; i++)
        {
            string path = $"spec.ports[{i}]";
            string name = ports[i].Text("name") ?? "";
            if (name.Length == 0 && ports.Length > 1)
                errors.Required($"{path}.name");
            else if (name.Length > 0 && Names.DnsLabelProblem(name) is { } problem)
                errors.Invalid($"{path}.name", name, problem);
            else if (name.Length > 0 && !names.Add(name))
                errors.Duplicate($"{path}.name", name);
            PodRules.PortNumber(ports[i]["port"], $"{path}.port", errors);
            string? protocol = ports[i].Text("protocol");
            if (!Protocols.Contains(protocol))
                errors.NotSupported($"{path}.protocol", protocol, Protocols);
            if (!numbers.Add((ports[i].Whole("port"), protocol)))
                errors.Duplicate(path, new JsonObject { ["port"] = ports[i]["port"]?.Copy(), ["protocol"] = protocol });
            JsonNode? target = ports[i]["targetPort"];
            if (target.Text() is { } targetName)
            {
                if (Names.PortNameProblem(targetName) is { } targetProblem)
                    errors.Invalid($"{path}.targetPort", targetName, targetProblem);
            }
            else if (target is not null)
                PodRules.PortNumber(target, $"{path}.targetPort", errors);
            if (ports[i].Whole("nodePort") is > 0 and var node && !nodePorts.Add((node, protocol)))
                errors.Duplicate($"{path}.nodePort", node);
            if (ports[i].Text("appProtocol") is { } application && Names.QualifiedNameProblem(application) is { } applicationProblem)
                errors.Invalid($"{path}.appProtocol", application, applicationProblem);
            if (ports[i].Whole("nodePort") is > 0 && spec.Text("type") is "ClusterIP" or "ExternalName")
                errors.Forbidden($"{path}.nodePort", $"may not be used when `type` is '{spec.Text("type")}'");
        }
    }

    private static void ValidateAddresses(JsonObject spec, JsonObject? old, IReadOnlyList<IpPrefix> cidrs, FieldErrors errors)
    {
        string[] ips = [.. spec.Texts("clusterIPs")], families = [.. spec.Texts("ipFamilies")];
        if (ips.Length > 0 && spec.Text("clusterIP") != ips[0])
            errors.Invalid("spec.clusterIPs", JsonAccess.ToArray(ips), "first value must match `clusterIP`");
        for (int i = 0; i < families.Length; i++)
            if (families[i] is not ("IPv4" or "IPv6"))
                errors.NotSupported($"spec.ipFamilies[{i}]", families[i], ["IPv4", "IPv6"]);
            else if (!cidrs.Any(c => Family(c.IsV6) == families[i]))
                errors.Invalid($"spec.ipFamilies[{i}]", families[i], "not configured on this cluster");
        if (families.Length != families.Distinct().Count())
            errors.Duplicate("spec.ipFamilies[1]", families[1]);
        if (spec.Text("ipFamilyPolicy") == "RequireDualStack" && cidrs.Count < 2)
            errors.Invalid("spec.ipFamilyPolicy", "RequireDualStack", "Cluster is not configured for dual-stack services");
        if (ips.Length > 2)
            errors.Invalid("spec.clusterIPs", JsonAccess.ToArray(ips), "may only hold up to 2 values");
        for (int i = 0; i < ips.Length; i++)
            if (ips[i] == "None" ? i > 0 : !IpAddress.TryParse(ips[i], out IpAddress address)
                || i < families.Length && Family(address.IsV6) != families[i])
                errors.Invalid($"spec.clusterIPs[{i}]", ips[i], IpAddress.TryParse(ips[i], out _)
                    ? $"expected an {(i < families.Length ? families[i] : "IP")} value as indicated by `ipFamilies[{i}]`"
                    : "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        if (old is null || IsExternalName(old))
            return;
        string[] before = [.. old.Texts("spec", "clusterIPs")];
        if (before.Length > 0 && ips.Length > 0 && before[0] != ips[0])
            errors.Invalid("spec.clusterIPs[0]", JsonAccess.ToArray(ips), "may not change once set");
        if (before.Length > 1 && ips.Length > 1 && before[1] != ips[1])
            errors.Invalid("spec.clusterIPs[1]", JsonAccess.ToArray(ips), "may not change once set");
        if (old.Texts("spec", "ipFamilies").FirstOrDefault() is { } primary && families.Length > 0 && primary != families[0])
            errors.Invalid("spec.ipFamilies[0]", JsonAccess.ToArray(families), "may not change once set");
    }
}
