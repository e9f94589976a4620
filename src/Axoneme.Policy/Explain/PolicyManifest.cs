// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>Policies as JSON objects, in the order that people write them. A member named # is a comment of its mapping.</summary>
public static class PolicyManifest
{
    public const string Comment = "#";

    public static JsonObject Cilium(string ns, string name, IReadOnlyDictionary<string, string> subject, JsonObject rules)
    {
        var spec = new JsonObject { ["endpointSelector"] = Selector(subject) };
        foreach ((string key, JsonNode? value) in rules.ToArray())
        {
            rules.Remove(key);
            spec[key] = value;
        }

        return new JsonObject
        {
            ["apiVersion"] = "cilium.io/v2",
            ["kind"] = "CiliumNetworkPolicy",
            ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = ns },
            ["spec"] = spec,
        };
    }

    /// <summary>For nodes.</summary>
    public static JsonObject Clusterwide(string name, IReadOnlyDictionary<string, string> nodes, JsonObject rules)
    {
        JsonObject policy = Cilium("", name, nodes, rules);
        policy["kind"] = "CiliumClusterwideNetworkPolicy";
        policy["metadata"]!.AsObject().Remove("namespace");
        JsonObject spec = policy["spec"]!.AsObject();
        spec.Remove("endpointSelector");
        spec.Insert(0, "nodeSelector", Selector(nodes));
        return policy;
    }

    public static JsonObject Selector(IReadOnlyDictionary<string, string> labels)
    {
        var selector = new JsonObject();
        if (labels.Count > 0)
            selector["matchLabels"] = new JsonObject(labels.Select(l => KeyValuePair.Create(l.Key, (JsonNode?)l.Value)));
        return selector;
    }

    /// <summary>The peer part of a rule of <paramref name="ns"/> about the other end.</summary>
    /// <param name="end">The other end.</param>
    /// <param name="identity">As the policed end sees it.</param>
    /// <param name="ns">Of the policy.</param>
    /// <param name="direction">Of the rule.</param>
    /// <param name="filter">Labels that make identities.</param>
    /// <param name="nodesByLabels">Rules may tell nodes apart.</param>
    public static KeyValuePair<string, JsonNode?> Peer(
        TrafficEnd end, SecurityIdentity identity, string ns, TrafficDirection direction, LabelFilter filter, bool nodesByLabels = false)
    {
        ArgumentNullException.ThrowIfNull(end);
        string prefix = direction == TrafficDirection.Ingress ? "from" : "to";
        if (end.Pod is { } pod)
        {
            var labels = new SortedDictionary<string, string>(StringComparer.Ordinal);
            foreach ((string key, string value) in Workloads.SelectorLabels(pod.Own, filter))
                labels[key] = value;
            if (pod.Name.Namespace != ns)
                labels["k8s:" + PodLabels.Namespace] = pod.Name.Namespace;
            return KeyValuePair.Create(prefix + "Endpoints", (JsonNode?)new JsonArray(Selector(labels)));
        }

        if (end.Kind == TrafficEndKind.Address)
            return KeyValuePair.Create(prefix + "CIDR", (JsonNode?)new JsonArray(IpPrefix.Single(end.Address!.Value).ToString()));
        if (end.Kind == TrafficEndKind.DnsName)
            return KeyValuePair.Create("toFQDNs", (JsonNode?)new JsonArray(new JsonObject { ["matchName"] = end.Name }));
        bool isRemote = end.Kind == TrafficEndKind.Node && identity != SecurityIdentity.Host;
        if (isRemote && nodesByLabels && end.NodeLabels is { Count: > 0 } nodeLabels)
            return KeyValuePair.Create(prefix + "Nodes", (JsonNode?)new JsonArray(Selector(Workloads.NodeSelectorLabels(nodeLabels))));
        string entity = SecurityIdentity.ReservedNames.GetValueOrDefault(identity.Value, isRemote ? "remote-node" : "world");
        return KeyValuePair.Create(prefix + "Entities", (JsonNode?)new JsonArray(entity));
    }

    /// <summary>Members toPorts or icmps.</summary>
    public static KeyValuePair<string, JsonNode?> Ports(params IEnumerable<(L4Protocol Protocol, ushort Port)> ports)
    {
        (L4Protocol Protocol, ushort Port)[] sorted = [.. ports.Distinct().Order()];
        if (sorted.All(p => p.Protocol is L4Protocol.Icmp or L4Protocol.IcmpV6))
        {
            IEnumerable<JsonNode?> fields = sorted.Select(p => (JsonNode?)new JsonObject
            {
                ["type"] = (int)p.Port,
                ["family"] = p.Protocol == L4Protocol.Icmp ? "IPv4" : "IPv6",
            });
            return KeyValuePair.Create("icmps", (JsonNode?)new JsonArray(new JsonObject { ["fields"] = new JsonArray([.. fields]) }));
        }

        IEnumerable<JsonNode?> items = sorted.Select(p => (JsonNode?)new JsonObject
        {
            ["port"] = p.Port.ToString(),
            ["protocol"] = PortText.NameOf(p.Protocol),
        });
        return KeyValuePair.Create("toPorts", (JsonNode?)new JsonArray(new JsonObject { ["ports"] = new JsonArray([.. items]) }));
    }

    /// <summary>The object that the API would make of a Cilium policy of either kind.</summary>
    public static Resource ToResource(JsonObject manifest)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        return (string?)manifest["kind"] == nameof(CiliumClusterwideNetworkPolicy)
            ? JsonSerializer.Deserialize(WithoutComments(manifest), KubernetesJson.Lean.CiliumClusterwideNetworkPolicy)! : ToCilium(manifest);
    }

    /// <summary>The object that the API would make of it.</summary>
    public static CiliumNetworkPolicy ToCilium(JsonObject manifest)
        => JsonSerializer.Deserialize(WithoutComments(manifest), KubernetesJson.Lean.CiliumNetworkPolicy)!;

    public static NetworkPolicy ToKubernetes(JsonObject manifest)
        => JsonSerializer.Deserialize(WithoutComments(manifest), KubernetesJson.Lean.NetworkPolicy)!;

    public static JsonNode? WithoutComments(JsonNode? node) => node switch
    {
        JsonObject map => new JsonObject(map.Where(m => m.Key != Comment).Select(m => KeyValuePair.Create(m.Key, WithoutComments(m.Value)))),
        JsonArray list => new JsonArray([.. list.Select(WithoutComments)]),
        _ => node?.DeepClone(),
    };
}
