// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Printing;
using Axoneme.EmbeddedApi.Schemas;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>The kinds that every cluster has.</summary>
internal static class BuiltinResources
{
    private static readonly string[] NoNames = [];
    private static readonly string[] EventFields =
    [
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
        "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
    ];

    private static readonly ScalePaths Replicas = new("spec.replicas", "status.replicas", null);

    public static IReadOnlyList<ResourceType> All { get; } = [.. Core(), .. Groups()];

    private static IEnumerable<ResourceType> Core()
    {
        string[] all = ["all"];
        ResourceType events = Kind("", "v1", "events", "Event", ["ev"]) with { SelectableFields = EventFields };
        yield return Kind("", "v1", "namespaces", "Namespace", ["ns"], namespaced: false) with
        {
            HasStatus = true,
            SelectableFields = ["status.phase"],
        };
        yield return Kind("", "v1", "nodes", "Node", ["no"], namespaced: false) with
        {
            HasStatus = true,
            SelectableFields = ["spec.unschedulable"],
        };
        yield return Kind("", "v1", "pods", "Pod", ["po"], categories: all) with
        {
            HasStatus = true,
            SelectableFields =
            [
                "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
                "status.phase", "status.podIP", "status.nominatedNodeName",
            ],
        };
        yield return Kind("", "v1", "services", "Service", ["svc"], categories: all) with
        {
            HasStatus = true,
            SelectableFields = ["spec.clusterIP", "spec.type"],
        };
        yield return Kind("", "v1", "endpoints", "Endpoints", ["ep"]) with { Singular = "endpoints" };
        yield return Kind("", "v1", "configmaps", "ConfigMap", ["cm"]);
        yield return Kind("", "v1", "secrets", "Secret", []) with { SelectableFields = ["type"] };
        yield return Kind("", "v1", "serviceaccounts", "ServiceAccount", ["sa"]);
        yield return events;
        yield return Kind("events.k8s.io", "v1", "events", "Event", ["ev"], schema: "EventsEvent") with
        {
            Storage = events,
            FromStorage = EventForms.ToNew,
            ToStorage = EventForms.ToCore,
            SelectableFields = EventFields,
        };
    }

    private static IEnumerable<ResourceType> Groups()
    {
        string[] all = ["all"];
        yield return Kind("apps", "v1", "deployments", "Deployment", ["deploy"], categories: all) with
        {
            HasStatus = true,
            HasGeneration = true,
            Scale = Replicas,
        };
        yield return Kind("apps", "v1", "replicasets", "ReplicaSet", ["rs"], categories: all) with
        {
            HasStatus = true,
            HasGeneration = true,
            Scale = Replicas,
            SelectableFields = ["status.replicas"],
        };
        yield return Kind("apps", "v1", "daemonsets", "DaemonSet", ["ds"], categories: all) with { HasStatus = true, HasGeneration = true };
        yield return Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", []) with { HasGeneration = true };
        yield return Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", ["netpol"]) with
        {
            Singular = "networkpolicy",
            HasGeneration = true,
        };
        yield return Kind("coordination.k8s.io", "v1", "leases", "Lease", []);
        yield return Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", [], namespaced: false);
        yield return Kind("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", [], namespaced: false);
        yield return Kind("rbac.authorization.k8s.io", "v1", "roles", "Role", []);
        yield return Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", []);
        yield return Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", ["crd", "crds"],
            namespaced: false, categories: ["api-extensions"]) with
        { HasStatus = true, HasGeneration = true };
    }

    private static ResourceType Kind(
        string group, string version, string plural, string kind, string[] shortNames,
        bool namespaced = true, string[]? categories = null, string? schema = null)
    {
        Schema type = SchemaText.Builtin[schema ?? kind];
        type.Properties["apiVersion"] = new Schema { Type = "string" };
        type.Properties["kind"] = new Schema { Type = "string" };
        type.Properties["metadata"] = SchemaText.Builtin["ObjectMeta"];
        return new ResourceType
        {
            Group = group,
            Version = version,
            Plural = plural,
            Kind = kind,
            ShortNames = shortNames,
            Namespaced = namespaced,
            Categories = categories ?? NoNames,
            Schema = type,
            Singular = kind.ToLowerInvariant(),
            ListKind = kind + "List",
            Columns = BuiltinColumns.Of(plural),
        };
    }
}

/// <summary>Events have two forms: the core one, which is stored, and that of events.k8s.io.</summary>
internal static class EventForms
{
    private static readonly (string Core, string New)[] Renamed =
    [
        ("involvedObject", "regarding"), ("message", "note"), ("source", "deprecatedSource"), ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"), ("count", "deprecatedCount"), ("reportingComponent", "reportingController"),
    ];

    public static JsonObject ToNew(JsonObject value)
    {
        foreach ((string core, string name) in Renamed)
            Rename(value, core, name);
        return value;
    }

    public static JsonObject ToCore(JsonObject value)
    {
        foreach ((string core, string name) in Renamed)
            Rename(value, name, core);
        if (value["involvedObject"] is null)
            value["involvedObject"] = new JsonObject();
        return value;
    }

    private static void Rename(JsonObject value, string from, string to)
    {
        if (value.Remove(from, out JsonNode? node))
            value[to] = node;
    }
}
