// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Validation;

/// <summary>Kubernetes network policies.</summary>
internal static class NetworkPolicyRules
{
    private static readonly string[] Protocols = ["SCTP", "TCP", "UDP"];

    public static void Prepare(JsonObject policy)
    {
        JsonObject spec = policy.Ensure("spec");
        spec["podSelector"] ??= new JsonObject();
        // Without policyTypes a policy is about ingress, and about egress when it has such rules.
        if (spec["policyTypes"] is null)
            spec["policyTypes"] = spec.Objects("egress").Any() ? new JsonArray("Ingress", "Egress") : new JsonArray("Ingress");
    }

    public static void Validate(JsonObject policy, FieldErrors errors)
    {
        JsonObject spec = policy.Map("spec")!;
        MetaRules.ValidateSelector(spec["podSelector"], "spec.podSelector", errors);
        int index = 0;
        foreach (string type in spec.Texts("policyTypes"))
        {
            if (type is not ("Ingress" or "Egress"))
                errors.NotSupported($"spec.policyTypes[{index}]", type, ["Egress", "Ingress"]);
            index++;
        }
        foreach ((string direction, string peers) in ((string, string)[])[("ingress", "from"), ("egress", "to")])
        {
            int rule = 0;
            foreach (JsonObject each in spec.Objects(direction))
            {
                string path = $"spec.{direction}[{rule++}]";
                int i = 0;
                foreach (JsonObject port in each.Objects("ports"))
                    ValidatePort(port, $"{path}.ports[{i++}]", errors);
                i = 0;
                foreach (JsonObject peer in each.Objects(peers))
                    ValidatePeer(peer, $"{path}.{peers}[{i++}]", errors);
            }
        }
    }

    private static void ValidatePort(JsonObject port, string path, FieldErrors errors)
    {
        if (port.Text("protocol") is { } protocol && !Protocols.Contains(protocol))
            errors.NotSupported($"{path}.protocol", protocol, Protocols);
        JsonNode? number = port["port"];
        if (number.Text() is { } name)
        {
            if (Names.PortNameProblem(name) is { } problem)
                errors.Invalid($"{path}.port", name, problem);
            if (port["endPort"] is not null)
                errors.Invalid($"{path}.endPort", port["endPort"]!.Copy(), "may not be specified when `port` is non-numeric");
        }
        else if (number is not null)
        {
            PodRules.PortNumber(number, $"{path}.port", errors);
            if (port.Whole("endPort") is { } end && (end < number.Whole() || end > 65535))
                errors.Invalid($"{path}.endPort", end, end > 65535 ? "must be between 1 and 65535, inclusive" : "must be greater than or equal to `port`");
        }
        else if (port["endPort"] is not null)
            errors.Required($"{path}.port", "must be specified when `endPort` is specified");
    }

    private static void ValidatePeer(JsonObject peer, string path, FieldErrors errors)
    {
        MetaRules.ValidateSelector(peer["podSelector"], $"{path}.podSelector", errors);
        MetaRules.ValidateSelector(peer["namespaceSelector"], $"{path}.namespaceSelector", errors);
        bool selectors = peer["podSelector"] is not null || peer["namespaceSelector"] is not null;
        if (peer.Map("ipBlock") is not { } block)
        {
            if (!selectors)
                errors.Required(path, "must specify a peer");
            return;
        }
        if (selectors)
            errors.Forbidden(path, "may not specify both ipBlock and another peer");
        string cidr = block.Text("cidr") ?? "";
        if (!IpPrefix.TryParse(cidr, out IpPrefix prefix))
        {
            errors.Invalid($"{path}.ipBlock.cidr", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
            return;
        }
        int i = 0;
        foreach (string except in block.Texts("except"))
        {
            string at = $"{path}.ipBlock.except[{i++}]";
            if (!IpPrefix.TryParse(except, out IpPrefix hole))
                errors.Invalid(at, except, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
            else if (!prefix.Contains(hole) || hole.Length <= prefix.Length)
                errors.Invalid(at, except, $"must be a strict subset of `cidr`");
        }
    }
}

/// <summary>Endpoint slices and the older endpoints.</summary>
internal static class EndpointRules
{
    private const int MaxEndpoints = 1000;
    private const int MaxPorts = 20000;
    private static readonly string[] Protocols = ["SCTP", "TCP", "UDP"];

    public static void ValidateSlice(JsonObject slice, JsonObject? old, FieldErrors errors)
    {
        string family = slice.Text("addressType") ?? "";
        if (old is not null && old.Text("addressType") != family)
            errors.Invalid("addressType", family, "field is immutable");
        JsonObject[] endpoints = [.. slice.Objects("endpoints")];
        if (endpoints.Length > MaxEndpoints)
            errors.TooMany("endpoints", endpoints.Length, MaxEndpoints);
        for (int i = 0; i < endpoints.Length; i++)
        {
            string[] addresses = [.. endpoints[i].Texts("addresses")];
            if (addresses.Length == 0)
                errors.Required($"endpoints[{i}].addresses", "must contain at least 1 address");
            for (int a = 0; a < addresses.Length; a++)
                ValidateAddress(addresses[a], family, $"endpoints[{i}].addresses[{a}]", errors);
        }
        ValidatePorts([.. slice.Objects("ports")], "ports", required: false, errors);
    }

    public static void ValidateEndpoints(JsonObject endpoints, FieldErrors errors)
    {
        int s = 0;
        foreach (JsonObject subset in endpoints.Objects("subsets"))
        {
            string path = $"subsets[{s++}]";
            if (!subset.Objects("addresses").Any() && !subset.Objects("notReadyAddresses").Any())
                errors.Required(path, "must specify `addresses` or `notReadyAddresses`");
            foreach (string list in (string[])["addresses", "notReadyAddresses"])
            {
                int a = 0;
                foreach (JsonObject address in subset.Objects(list))
                    ValidateAddress(address.Text("ip") ?? "", "", $"{path}.{list}[{a++}].ip", errors);
            }
            ValidatePorts([.. subset.Objects("ports")], $"{path}.ports", required: true, errors);
        }
    }

    private static void ValidateAddress(string text, string family, string path, FieldErrors errors)
    {
        if (family == "FQDN")
        {
            if (Names.DnsSubdomainProblem(text) is { } problem)
                errors.Invalid(path, text, problem);
        }
        else if (!IpAddress.TryParse(text, out IpAddress address) || family == "IPv4" && address.IsV6 || family == "IPv6" && address.IsV4)
            errors.Invalid(path, text, family == "IPv6" ? "must be a valid IPv6 address" : family == "IPv4" ? "must be a valid IPv4 address"
                : "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }

    private static void ValidatePorts(JsonObject[] ports, string path, bool required, FieldErrors errors)
    {
        if (ports.Length > MaxPorts)
            errors.TooMany(path, ports.Length, MaxPorts);
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < ports.Length; i++)
        {
            string name = ports[i].Text("name") ?? "";
            if (!names.Add(name))
                errors.Duplicate(required ? $"{path}[{i}].name" : path, name);
            if (required || ports[i]["port"] is not null)
                PodRules.PortNumber(ports[i]["port"], $"{path}[{i}].port", errors);
            if (ports[i].Text("protocol") is { } protocol && !Protocols.Contains(protocol))
                errors.NotSupported($"{path}[{i}].protocol", protocol, Protocols);
        }
    }
}

/// <summary>Nodes.</summary>
internal static class NodeRules
{
    public static void Validate(JsonObject node, JsonObject? old, FieldErrors errors)
    {
        string[] cidrs = [.. node.Texts("spec", "podCIDRs")];
        for (int i = 0; i < cidrs.Length; i++)
            if (!IpPrefix.TryParse(cidrs[i], out _))
                errors.Invalid($"spec.podCIDRs[{i}]", cidrs[i], "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        if (cidrs.Length > 2)
            errors.Invalid("spec.podCIDRs", JsonAccess.ToArray(cidrs), "may specify no more than one CIDR for each IP family");
        if (old?.Texts("spec", "podCIDRs").Any() == true && !old.Texts("spec", "podCIDRs").SequenceEqual(cidrs))
            errors.Forbidden("spec", "node updates may only change labels, taints, or capacity (or configSource, if the DynamicKubeletConfig feature gate is enabled)");
        int t = 0;
        var taints = new HashSet<(string?, string?)>();
        foreach (JsonObject taint in node.Objects("spec", "taints"))
        {
            if (Names.QualifiedNameProblem(taint.Text("key") ?? "") is { } problem)
                errors.Invalid($"metadata.taints[{t}].key", taint.Text("key") ?? "", problem);
            if (!taints.Add((taint.Text("key"), taint.Text("effect"))))
                errors.Duplicate($"metadata.taints[{t}]", taint.Copy());
            t++;
        }
    }
}
