// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Printing;

/// <summary>The columns that kubectl users know for the built-in kinds.</summary>
internal static class BuiltinColumns
{
    private const string None = "<none>";

    public static IReadOnlyList<TableColumn> Of(string plural) => plural switch
    {
        "namespaces" => [TableColumn.NameColumn, Text("Status", o => o.Text("status", "phase")), TableColumn.Age],
        "nodes" => Nodes(),
        "pods" => Pods(),
        "deployments" => Deployments(),
        "replicasets" => ReplicaSets(),
        "daemonsets" => DaemonSets(),
        "services" => Services(),
        "endpoints" => [TableColumn.NameColumn, Text("Endpoints", o => EndpointCells.Endpoints(o)), TableColumn.Age],
        "endpointslices" =>
        [
            TableColumn.NameColumn, Text("AddressType", o => o.Text("addressType")), Text("Ports", o => EndpointCells.SlicePorts(o)),
            Text("Endpoints", o => EndpointCells.SliceAddresses(o)), TableColumn.Age,
        ],
        "configmaps" =>
            [TableColumn.NameColumn, Number("Data", o => (o.Map("data")?.Count ?? 0) + (o.Map("binaryData")?.Count ?? 0)), TableColumn.Age],
        "secrets" => [TableColumn.NameColumn, Text("Type", o => o.Text("type")), Number("Data", o => o.Map("data")?.Count ?? 0), TableColumn.Age],
        "serviceaccounts" => [TableColumn.NameColumn, Number("Secrets", o => o.Objects("secrets").Count()), TableColumn.Age],
        "networkpolicies" => [TableColumn.NameColumn, Text("Pod-Selector", o => Selector(o.At("spec", "podSelector"))), TableColumn.Age],
        "leases" => [TableColumn.NameColumn, Text("Holder", o => o.Text("spec", "holderIdentity")), TableColumn.Age],
        "events" => Events(),
        "customresourcedefinitions" =>
            [TableColumn.NameColumn, new("Created At", "date", 0, (o, _) => o.Text("metadata", "creationTimestamp"))],
        "clusterroles" or "roles" => [TableColumn.NameColumn, new("Created At", "date", 0, (o, _) => o.Text("metadata", "creationTimestamp"))],
        "clusterrolebindings" or "rolebindings" =>
            [TableColumn.NameColumn, Text("Role", o => $"{o.Text("roleRef", "kind")}/{o.Text("roleRef", "name")}"), TableColumn.Age],
        _ => [TableColumn.NameColumn, TableColumn.Age],
    };

    private static TableColumn Text(string name, Func<JsonObject, string?> cell, int priority = 0)
        => new(name, "string", priority, (o, _) => cell(o));

    private static TableColumn Number(string name, Func<JsonObject, long> cell, int priority = 0)
        => new(name, "integer", priority, (o, _) => cell(o));

    /// <summary>A LabelSelector in the form of the command line.</summary>
    public static string Selector(JsonNode? selector)
    {
        var parts = selector.TextMap("matchLabels").OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key}={p.Value}").ToList();
        foreach (JsonObject e in selector.Objects("matchExpressions"))
            parts.Add(e.Text("operator") switch
            {
                "In" => $"{e.Text("key")} in ({string.Join(",", e.Texts("values"))})",
                "NotIn" => $"{e.Text("key")} notin ({string.Join(",", e.Texts("values"))})",
                "DoesNotExist" => $"!{e.Text("key")}",
                _ => e.Text("key") ?? "",
            });
        return parts.Count == 0 ? None : string.Join(",", parts);
    }

    private static string Labels(JsonNode? map)
        => string.Join(",", map.TextMap().OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key}={p.Value}")) is { Length: > 0 } t ? t : None;

    private static TableColumn[] Nodes() =>
    [
        TableColumn.NameColumn,
        Text("Status", o =>
        {
            JsonObject? ready = o.Objects("status", "conditions").FirstOrDefault(c => c.Text("type") == "Ready");
            string status = ready is null ? "Unknown" : ready.Text("status") == "True" ? "Ready" : "NotReady";
            return o.Flag("spec", "unschedulable") ? status + ",SchedulingDisabled" : status;
        }),
        Text("Roles", o =>
        {
            const string prefix = "node-role.kubernetes.io/";
            string roles = string.Join(",", o.TextMap("metadata", "labels").Where(l => l.Key.StartsWith(prefix)).Select(l => l.Key[prefix.Length..]).Order());
            return roles.Length == 0 ? None : roles;
        }),
        TableColumn.Age,
        Text("Version", o => o.Text("status", "nodeInfo", "kubeletVersion")),
        Text("Internal-IP", o => NodeAddress(o, "InternalIP"), 1),
        Text("External-IP", o => NodeAddress(o, "ExternalIP"), 1),
        Text("OS-Image", o => o.Text("status", "nodeInfo", "osImage") ?? "<unknown>", 1),
        Text("Kernel-Version", o => o.Text("status", "nodeInfo", "kernelVersion") ?? "<unknown>", 1),
        Text("Container-Runtime", o => o.Text("status", "nodeInfo", "containerRuntimeVersion") ?? "<unknown>", 1),
    ];

    private static string NodeAddress(JsonObject node, string type)
        => node.Objects("status", "addresses").FirstOrDefault(a => a.Text("type") == type).Text("address") ?? None;

    private static TableColumn[] Pods() =>
    [
        TableColumn.NameColumn,
        Text("Ready", PodCells.Ready),
        Text("Status", PodCells.Status),
        new("Restarts", "string", 0, (o, _) => PodCells.Restarts(o).ToString()),
        TableColumn.Age,
        Text("IP", o => o.Text("status", "podIP") ?? None, 1),
        Text("Node", o => o.Text("spec", "nodeName") ?? None, 1),
        Text("Nominated Node", o => o.Text("status", "nominatedNodeName") ?? None, 1),
        Text("Readiness Gates", _ => None, 1),
    ];

    private static TableColumn[] Deployments() =>
    [
        TableColumn.NameColumn,
        Text("Ready", o => $"{o.Whole("status", "readyReplicas") ?? 0}/{o.Whole("spec", "replicas") ?? 0}"),
        Number("Up-to-date", o => o.Whole("status", "updatedReplicas") ?? 0),
        Number("Available", o => o.Whole("status", "availableReplicas") ?? 0),
        TableColumn.Age,
        Text("Containers", Containers, 1),
        Text("Images", Images, 1),
        Text("Selector", o => Selector(o.At("spec", "selector")), 1),
    ];

    private static TableColumn[] ReplicaSets() =>
    [
        TableColumn.NameColumn,
        Number("Desired", o => o.Whole("spec", "replicas") ?? 0),
        Number("Current", o => o.Whole("status", "replicas") ?? 0),
        Number("Ready", o => o.Whole("status", "readyReplicas") ?? 0),
        TableColumn.Age,
        Text("Containers", Containers, 1),
        Text("Images", Images, 1),
        Text("Selector", o => Selector(o.At("spec", "selector")), 1),
    ];

    private static TableColumn[] DaemonSets() =>
    [
        TableColumn.NameColumn,
        Number("Desired", o => o.Whole("status", "desiredNumberScheduled") ?? 0),
        Number("Current", o => o.Whole("status", "currentNumberScheduled") ?? 0),
        Number("Ready", o => o.Whole("status", "numberReady") ?? 0),
        Number("Up-to-date", o => o.Whole("status", "updatedNumberScheduled") ?? 0),
        Number("Available", o => o.Whole("status", "numberAvailable") ?? 0),
        Text("Node Selector", o => Labels(o.At("spec", "template", "spec", "nodeSelector"))),
        TableColumn.Age,
        Text("Containers", Containers, 1),
        Text("Images", Images, 1),
        Text("Selector", o => Selector(o.At("spec", "selector")), 1),
    ];

    private static string Containers(JsonObject o)
        => string.Join(",", o.Objects("spec", "template", "spec", "containers").Select(c => c.Text("name")));

    private static string Images(JsonObject o)
        => string.Join(",", o.Objects("spec", "template", "spec", "containers").Select(c => c.Text("image")));

    private static TableColumn[] Services() =>
    [
        TableColumn.NameColumn,
        Text("Type", o => o.Text("spec", "type")),
        Text("Cluster-IP", o => o.Text("spec", "clusterIP") is { Length: > 0 } ip ? ip : None),
        Text("External-IP", EndpointCells.ExternalIp),
        Text("Port(s)", o => string.Join(",", o.Objects("spec", "ports").Select(p => p.Whole("nodePort") is > 0 and var node
            ? $"{p.Whole("port")}:{node}/{p.Text("protocol")}" : $"{p.Whole("port")}/{p.Text("protocol")}")) is { Length: > 0 } t ? t : None),
        TableColumn.Age,
        Text("Selector", o => Labels(o.At("spec", "selector")), 1),
    ];

    private static TableColumn[] Events() =>
    [
        new("Last Seen", "string", 0, (o, now) => TableColumn.AgeOf(
            o.Text("series", "lastObservedTime") ?? o.Text("lastTimestamp") ?? o.Text("deprecatedLastTimestamp") ?? o.Text("eventTime"), now)),
        Text("Type", o => o.Text("type")),
        Text("Reason", o => o.Text("reason")),
        Text("Object", o =>
        {
            JsonNode? involved = o.At("involvedObject") ?? o.At("regarding");
            return $"{involved.Text("kind")?.ToLowerInvariant()}/{involved.Text("name")}";
        }),
        Text("Subobject", o => (o.At("involvedObject") ?? o.At("regarding")).Text("fieldPath") ?? "", 1),
        Text("Source", o => o.Text("source", "component") ?? o.Text("reportingController") ?? o.Text("reportingComponent") ?? "", 1),
        Text("Message", o => (o.Text("message") ?? o.Text("note"))?.Trim()),
        new("First Seen", "string", 1, (o, now) => TableColumn.AgeOf(o.Text("firstTimestamp") ?? o.Text("deprecatedFirstTimestamp") ?? o.Text("eventTime"), now)),
        Number("Count", o => o.Whole("series", "count") ?? o.Whole("count") ?? o.Whole("deprecatedCount") ?? 1, 1),
        Text("Name", o => o.Text("metadata", "name"), 1),
    ];
}
