// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Validation;

/// <summary>What the kinds demand beyond their schema: computed defaults, rules between fields, allocations, effects of a commit.</summary>
internal sealed class Admission(ApiMachinery machinery, EmbeddedApiOptions options)
{
    private readonly ServiceAllocation _services = new(options);

    /// <summary>Fills in what depends on other fields.</summary>
    public void Prepare(ResourceType type, JsonObject value, StoredObject? old, Reservations reservations)
    {
        switch (type.StorageKey)
        {
            case "namespaces":
                PrepareNamespace(value, old);
                break;
            case "pods":
                PodRules.Prepare(value, old is null);
                break;
            case "services":
                ServiceRules.Prepare(value, old?.Value, options.ServiceCidrs);
                break;
            case "deployments.apps":
            case "daemonsets.apps":
            case "replicasets.apps":
                WorkloadRules.Prepare(type, value);
                break;
            case "networkpolicies.networking.k8s.io":
                NetworkPolicyRules.Prepare(value);
                break;
            case "secrets":
                MetaRules.MoveStringData(value);
                break;
            case "customresourcedefinitions.apiextensions.k8s.io":
                DefinitionRules.Prepare(value, old?.Value, machinery.Now);
                break;
        }
    }

    /// <summary>The same for a write that changes the status and nothing else.</summary>
    public static void PrepareStatus(ResourceType type, JsonObject value)
    {
        if (type.StorageKey == "services")
            ExternalServiceRules.PrepareStatus(value);
    }

    public void Validate(ResourceType type, JsonObject value, StoredObject? old, FieldErrors errors)
    {
        MetaRules.Validate(type, value, errors);
        switch (type.StorageKey)
        {
            case "pods":
                PodRules.Validate(value, old?.Value, errors);
                break;
            case "services":
                ServiceRules.Validate(value, old?.Value, options, errors);
                break;
            case "deployments.apps":
            case "daemonsets.apps":
            case "replicasets.apps":
                WorkloadRules.Validate(type, value, old?.Value, errors);
                break;
            case "networkpolicies.networking.k8s.io":
                NetworkPolicyRules.Validate(value, errors);
                break;
            case "endpointslices.discovery.k8s.io":
                EndpointRules.ValidateSlice(value, old?.Value, errors);
                break;
            case "endpoints":
                EndpointRules.ValidateEndpoints(value, errors);
                break;
            case "configmaps":
            case "secrets":
                MetaRules.ValidateData(value, old?.Value, errors);
                break;
            case "nodes":
                NodeRules.Validate(value, old?.Value, errors);
                break;
            case "leases.coordination.k8s.io":
                if (value.Whole("spec", "leaseDurationSeconds") is <= 0 and var seconds)
                    errors.Invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0");
                break;
            case "customresourcedefinitions.apiextensions.k8s.io":
                DefinitionRules.Validate(value, old?.Value, errors);
                break;
        }
    }

    /// <summary>Takes addresses and ports for a valid object.</summary>
    public void Reserve(ResourceType type, JsonObject value, StoredObject? old, Reservations reservations)
    {
        if (type.StorageKey == "services")
            _services.Reserve(type, value, old?.Value, reservations);
    }

    public void Committed(ResourceType type, StoredObject stored, bool dryRun)
    {
        if (!dryRun && type.Kind == "CustomResourceDefinition" && type.Group == "apiextensions.k8s.io")
        {
            if (machinery.Store.Get(type, null, stored.Name) is { } current)
                machinery.Catalog.SetCustom(current.Value);
            else
                machinery.Catalog.RemoveCustom(stored.Name);
        }
    }

    public void Removed(ResourceType type, StoredObject old, JsonObject last)
    {
        if (type.StorageKey == "services")
            _services.Release(old.Value);
        else if (type.StorageKey == "customresourcedefinitions.apiextensions.k8s.io")
            machinery.Catalog.RemoveCustom(old.Name);
    }

    public void AdoptServices()
    {
        foreach (StoredObject service in machinery.Store.Snapshot(machinery.Catalog.Find("services")).All)
            _services.Adopt(service.Value);
    }

    private static void PrepareNamespace(JsonObject value, StoredObject? old)
    {
        value.Ensure("metadata", "labels")["kubernetes.io/metadata.name"] = value.Text("metadata", "name");
        if (old is null)
        {
            value.Ensure("spec")["finalizers"] = new JsonArray("kubernetes");
            value.Ensure("status")["phase"] = "Active";
        }
    }
}
