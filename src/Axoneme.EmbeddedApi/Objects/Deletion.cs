// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>What a delete request writes into an object: time, grace period and finalizers.</summary>
internal static class Deletion
{
    private const int DefaultPodGraceSeconds = 30;

    public static void Mark(ResourceType type, JsonObject value, DeleteRequest request, DateTimeOffset now)
    {
        JsonObject metadata = value.Ensure("metadata");
        SetFinalizers(metadata, request);
        long grace = GraceSeconds(type, value, request);
        // A second request can shorten the period and never lengthen it.
        if (metadata.Text("deletionTimestamp") is not null && metadata.Whole("deletionGracePeriodSeconds") is not > 0)
            return;
        if (metadata.Text("deletionTimestamp") is not null && metadata.Whole("deletionGracePeriodSeconds") <= grace)
            return;
        metadata["deletionTimestamp"] = ApiMachinery.Timestamp(now.AddSeconds(grace));
        metadata["deletionGracePeriodSeconds"] = grace;
        if (type.StorageKey == "namespaces")
            value.Ensure("status")["phase"] = "Terminating";
    }

    private static long GraceSeconds(ResourceType type, JsonObject value, DeleteRequest request)
    {
        if (type.StorageKey != "pods")
            return 0;
        bool nobodyRuns = value.Text("spec", "nodeName") is null or "" || value.Text("status", "phase") is "Succeeded" or "Failed";
        return nobodyRuns ? 0 : request.GraceSeconds ?? value.Whole("spec", "terminationGracePeriodSeconds") ?? DefaultPodGraceSeconds;
    }

    private static void SetFinalizers(JsonObject metadata, DeleteRequest request)
    {
        if (!request.HasPropagation)
            return;
        var finalizers = metadata.Texts("finalizers")
            .Where(f => f is not (ApiMachinery.ForegroundFinalizer or ApiMachinery.OrphanFinalizer)).ToList();
        if (request.Propagation == Propagation.Foreground)
            finalizers.Add(ApiMachinery.ForegroundFinalizer);
        else if (request.Propagation == Propagation.Orphan)
            finalizers.Add(ApiMachinery.OrphanFinalizer);
        if (finalizers.Count > 0)
            metadata["finalizers"] = JsonAccess.ToArray(finalizers);
        else
            metadata.Remove("finalizers");
    }
}

/// <summary>Which part of an object a request may change.</summary>
internal static class Subresources
{
    public static JsonObject Restrict(ResourceType type, JsonObject old, JsonObject changed, string? subresource)
    {
        switch (subresource)
        {
            case "status":
                JsonObject next = old.Copy();
                if (changed["status"] is { } status)
                    next["status"] = status.Copy();
                else
                    next.Remove("status");
                // Kubelets annotate nodes and pods together with their status; custom resources keep their metadata apart.
                if (!type.IsCustom)
                    next["metadata"] = changed["metadata"]!.Copy();
                else if (changed.At("metadata", "managedFields") is { } managed)
                    next["metadata"]!["managedFields"] = managed.Copy();
                return next;
            case "finalize":
                JsonObject finalized = old.Copy();
                finalized.Ensure("spec")["finalizers"] = JsonAccess.ToArray(changed.Texts("spec", "finalizers"));
                return finalized;
            default:
                if (!type.HasStatus)
                    return changed;
                if (old["status"] is { } kept)
                    changed["status"] = kept.Copy();
                else
                    changed.Remove("status");
                return changed;
        }
    }
}
