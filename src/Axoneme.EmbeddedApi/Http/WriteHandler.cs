// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Patching;
using Microsoft.AspNetCore.Http;

namespace Axoneme.EmbeddedApi.Http;

/// <summary>Create, update, patch, apply and delete.</summary>
internal sealed class WriteHandler(ApiMachinery machinery, TokenBook tokens)
{
    public async Task CreateAsync(ApiRequest request)
    {
        var warnings = new List<string>();
        JsonObject value = await ReadObjectAsync(request, warnings).ConfigureAwait(false);
        StoredObject created = machinery.Create(request.Type, value, request.Write(warnings));
        Warn(request, warnings);
        await ReadHandler.AnswerObjectAsync(request, created, 201).ConfigureAwait(false);
    }

    public async Task UpdateAsync(ApiRequest request)
    {
        var warnings = new List<string>();
        WriteContext context = request.Write(warnings);
        if (request.Subresource == "scale")
        {
            JsonObject scale = await request.ReadBodyAsync().ConfigureAwait(false) as JsonObject ?? throw ApiErrors.BadRequest("a Scale is required");
            await ScaleAsync(request, context, _ => scale).ConfigureAwait(false);
            return;
        }
        JsonObject value = await ReadObjectAsync(request, warnings).ConfigureAwait(false);
        if (value.Text("metadata", "name") is { } name && name != request.Name)
            throw ApiErrors.BadRequest($"the name of the object ({name}) does not match the name on the URL ({request.Name})");
        if (request.Type.IsCustom && value.Text("metadata", "resourceVersion") is null or "" && request.Type.IsCustom)
        {
            var errors = new FieldErrors();
            errors.Invalid("metadata.resourceVersion", 0, "must be specified for an update");
            throw ApiErrors.Invalid(request.Type, request.Name!, errors);
        }
        StoredObject updated = machinery.Modify(request.Type, request.Namespace, request.Name!, context, _ => value.Copy());
        Warn(request, warnings);
        await ReadHandler.AnswerObjectAsync(request, updated, 200).ConfigureAwait(false);
    }

    public async Task PatchAsync(ApiRequest request)
    {
        var warnings = new List<string>();
        string mediaType = (request.Context.Request.ContentType ?? "").Split(';')[0];
        JsonNode patch = await request.ReadBodyAsync(warnings).ConfigureAwait(false) ?? throw ApiErrors.BadRequest("the patch is empty");
        if (mediaType == "application/apply-patch+yaml")
        {
            await ApplyAsync(request, patch as JsonObject ?? throw ApiErrors.BadRequest("the configuration is not an object"), warnings).ConfigureAwait(false);
            return;
        }
        Func<JsonObject, JsonObject> change = mediaType switch
        {
            "application/json-patch+json" when patch is JsonArray operations => live => JsonPatch.Apply(live, operations) as JsonObject
                ?? throw ApiErrors.BadRequest("the patch leaves no object"),
            "application/merge-patch+json" when patch is JsonObject merge => live => JsonMerge.Apply(live, merge),
            "application/strategic-merge-patch+json" when patch is JsonObject merge && !request.Type.IsCustom =>
                live => StrategicMerge.Apply(live, merge, request.Type.Schema),
            "application/json-patch+json" or "application/merge-patch+json" => throw ApiErrors.BadRequest("the patch has the wrong shape"),
            _ => throw ApiErrors.UnsupportedMediaType("the body of the request was in an unknown format - accepted media types include: "
                + "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"),
        };
        if (request.Subresource == "scale")
        {
            await ScaleAsync(request, request.Write(warnings), change).ConfigureAwait(false);
            return;
        }
        StoredObject patched = machinery.Modify(request.Type, request.Namespace, request.Name!, request.Write(warnings), change);
        Warn(request, warnings);
        await ReadHandler.AnswerObjectAsync(request, patched, 200).ConfigureAwait(false);
    }

    public async Task DeleteAsync(ApiRequest request)
    {
        DeleteRequest delete = await ReadDeleteAsync(request).ConfigureAwait(false);
        (StoredObject stored, bool gone) = machinery.Delete(request.Type, request.Namespace, request.Name!, delete);
        if (!gone || request.Type.StorageKey == "pods")
            await ReadHandler.AnswerObjectAsync(request, stored, gone ? 200 : request.Type.StorageKey == "pods" ? 200 : 202).ConfigureAwait(false);
        else
            await Responses.JsonAsync(request.Context, Success(request.Type, stored)).ConfigureAwait(false);
    }

    public async Task DeleteCollectionAsync(ApiRequest request)
    {
        DeleteRequest delete = await ReadDeleteAsync(request).ConfigureAwait(false);
        LabelSelector labels = LabelSelector.Parse(request.Query("labelSelector") ?? "");
        FieldSelector fields = FieldSelector.Parse(request.Query("fieldSelector"), request.Type);
        foreach (StoredObject each in machinery.Store.Snapshot(request.Type).InNamespace(request.Namespace).ToArray())
        {
            if (!labels.Matches(each.Labels) || !fields.Matches(each.Value))
                continue;
            try
            {
                machinery.Delete(request.Type, each.Namespace, each.Name, delete);
            }
            catch (ApiException e) when (e.Code == 404)
            {
                // Somebody else deleted it meanwhile.
            }
        }
        await Responses.JsonAsync(request.Context, new JsonObject
        {
            ["kind"] = "Status",
            ["apiVersion"] = "v1",
            ["metadata"] = new JsonObject(),
            ["status"] = "Success",
            ["code"] = 200,
        }).ConfigureAwait(false);
    }

    /// <summary>Subresources that are created: binding, eviction, tokens.</summary>
    public async Task ConnectAsync(ApiRequest request)
    {
        JsonObject body = await request.ReadBodyAsync().ConfigureAwait(false) as JsonObject ?? [];
        switch (request.Subresource)
        {
            case "binding":
                machinery.Modify(request.Type, request.Namespace, request.Name!, WriteContext.Internal, pod =>
                {
                    if (pod.Text("spec", "nodeName") is { Length: > 0 } node)
                        throw ApiErrors.Conflict(request.Type, request.Name!, $"pod {request.Name} is already assigned to node \"{node}\"");
                    pod.Ensure("spec")["nodeName"] = body.Text("target", "name");
                    return pod;
                });
                await Responses.JsonAsync(request.Context, Created(), 201).ConfigureAwait(false);
                break;
            case "eviction":
                int? grace = (int?)body.Whole("deleteOptions", "gracePeriodSeconds");
                machinery.Delete(request.Type, request.Namespace, request.Name!, new DeleteRequest { GraceSeconds = grace, DryRun = request.Query("dryRun") == "All" });
                await Responses.JsonAsync(request.Context, Created(), 201).ConfigureAwait(false);
                break;
            case "token":
                machinery.Get(request.Type, request.Namespace, request.Name!);
                long seconds = body.Whole("spec", "expirationSeconds") ?? 3600;
                body["kind"] = "TokenRequest";
                body["apiVersion"] = "authentication.k8s.io/v1";
                body["status"] = new JsonObject
                {
                    ["token"] = tokens.Issue(request.Namespace!, request.Name!),
                    ["expirationTimestamp"] = ApiMachinery.Timestamp(machinery.Clock.GetUtcNow().AddSeconds(seconds)),
                };
                await Responses.JsonAsync(request.Context, body, 201).ConfigureAwait(false);
                break;
            case "log" or "exec" or "attach" or "portforward":
                throw ApiErrors.NotAvailable($"{request.Subresource} is not available through this API; use `lab exec` and `lab logs`");
            default:
                throw ApiErrors.MethodNotAllowed();
        }
    }

    private async Task ApplyAsync(ApiRequest request, JsonObject configuration, List<string> warnings)
    {
        if (request.Query("fieldManager") is not { Length: > 0 } manager)
            throw ApiErrors.BadRequest("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch");
        CheckIdentity(request, configuration);
        if (configuration.At("metadata", "managedFields") is JsonArray { Count: > 0 })
            throw ApiErrors.BadRequest("metadata.managedFields must be nil");
        configuration.Ensure("metadata")["name"] = request.Name;
        if (request.Namespace is { } ns)
            configuration.Ensure("metadata")["namespace"] = ns;
        WriteContext context = request.Write(warnings) with { OwnsManagedFields = true };
        var apply = new ApplyRequest(manager, request.Flag("force"), request.Subresource ?? "", machinery.Now);
        ResourceType type = request.Type;
        StoredObject? result = null;
        bool created = false;
        if (machinery.Store.Get(type, request.Namespace, request.Name!) is null && request.Subresource is null)
        {
            try
            {
                result = machinery.Create(type, FieldOwnership.Apply([], configuration, type, apply), context);
                created = true;
            }
            catch (ApiException e) when (e.Reason == "AlreadyExists")
            {
                // Somebody else created it meanwhile: then it is merged below.
            }
        }
        result ??= machinery.Modify(type, request.Namespace, request.Name!, context, live => FieldOwnership.Apply(live, configuration, type, apply));
        Warn(request, warnings);
        await ReadHandler.AnswerObjectAsync(request, result, created ? 201 : 200).ConfigureAwait(false);
    }

    private async Task ScaleAsync(ApiRequest request, WriteContext context, Func<JsonObject, JsonObject> change)
    {
        StoredObject result = machinery.Modify(request.Type, request.Namespace, request.Name!, context with { Subresource = null }, live =>
        {
            JsonObject scale = change(ScaleView.Of(request.Type, new StoredObject(live.Copy(), long.Parse(live.Text("metadata", "resourceVersion")!))));
            if (scale.Text("metadata", "resourceVersion") is { Length: > 0 } version)
                live["metadata"]!["resourceVersion"] = version;
            ScaleView.SetReplicas(request.Type, live, scale.Whole("spec", "replicas") ?? 0);
            return live;
        });
        await Responses.JsonAsync(request.Context, ScaleView.Of(request.Type, result)).ConfigureAwait(false);
    }

    private static async Task<JsonObject> ReadObjectAsync(ApiRequest request, List<string> warnings)
    {
        JsonObject value = await request.ReadBodyAsync(warnings).ConfigureAwait(false) as JsonObject
            ?? throw ApiErrors.BadRequest("the body of the request is not an object");
        CheckIdentity(request, value);
        if (request.Namespace is { } ns)
            value.Ensure("metadata")["namespace"] = ns;
        else if (request.Type.Namespaced)
            value.Ensure("metadata")["namespace"] ??= "default";
        return value;
    }

    private static void CheckIdentity(ApiRequest request, JsonObject value)
    {
        ResourceType type = request.Type;
        if (value["metadata"] is not (null or JsonObject))
            throw ApiErrors.BadRequest($"{type.Kind} in version \"{type.Version}\" cannot be handled as a {type.Kind}: json: cannot unmarshal into Go struct field {type.Kind}.metadata of type v1.ObjectMeta");
        string? kind = value.Text("kind"), version = value.Text("apiVersion");
        if (kind is not null && kind != type.Kind || version is not null && version != type.ApiVersion)
            throw ApiErrors.BadRequest($"the API version in the data ({version}) does not match the expected API version ({type.ApiVersion})");
        if (request.Namespace is { } ns && value.Text("metadata", "namespace") is { Length: > 0 } inBody && inBody != ns)
            throw ApiErrors.BadRequest($"the namespace of the provided object does not match the namespace sent on the request");
    }

    private static async Task<DeleteRequest> ReadDeleteAsync(ApiRequest request)
    {
        JsonObject options = await request.ReadBodyAsync().ConfigureAwait(false) as JsonObject ?? [];
        string? policy = options.Text("propagationPolicy") ?? request.Query("propagationPolicy");
        bool orphan = options.Flag("orphanDependents") || request.Flag("orphanDependents");
        int? grace = (int?)options.Whole("gracePeriodSeconds");
        if (grace is null && int.TryParse(request.Query("gracePeriodSeconds"), out int asked))
            grace = asked;
        if (policy is not (null or "Background" or "Foreground" or "Orphan"))
            throw ApiErrors.BadRequest($"invalid propagationPolicy \"{policy}\": valid values are \"Foreground\", \"Background\", \"Orphan\"");
        return new DeleteRequest
        {
            GraceSeconds = grace is < 0 ? 1 : grace,
            HasPropagation = policy is not null || orphan,
            Propagation = orphan ? Propagation.Orphan : Enum.TryParse(policy, out Propagation parsed) ? parsed : Propagation.Background,
            Uid = options.Text("preconditions", "uid"),
            ResourceVersion = options.Text("preconditions", "resourceVersion"),
            DryRun = request.Query("dryRun") == "All" || options.Texts("dryRun").Contains("All"),
        };
    }

    private static JsonObject Success(ResourceType type, StoredObject stored)
    {
        var details = new JsonObject { ["name"] = stored.Name };
        if (type.Group.Length > 0)
            details["group"] = type.Group;
        details["kind"] = type.Plural;
        details["uid"] = stored.Uid;
        return new JsonObject
        {
            ["kind"] = "Status",
            ["apiVersion"] = "v1",
            ["metadata"] = new JsonObject(),
            ["status"] = "Success",
            ["details"] = details,
        };
    }

    private static JsonObject Created() => new()
    {
        ["kind"] = "Status",
        ["apiVersion"] = "v1",
        ["metadata"] = new JsonObject(),
        ["status"] = "Success",
        ["code"] = 201,
    };

    private static void Warn(ApiRequest request, List<string> warnings)
    {
        foreach (string warning in warnings.Take(20))
            request.Context.Response.Headers.Append("Warning", $"299 - \"{warning.Replace("\\", "\\\\").Replace("\"", "\\\"")}\"");
    }
}

/// <summary>The scale subresource: replicas of an object in a form that all kinds share.</summary>
internal static class ScaleView
{
    public static JsonObject Of(ResourceType type, StoredObject stored)
    {
        ScalePaths paths = type.Scale ?? throw ApiErrors.PageNotFound();
        string selector = paths.Selector is { } path ? stored.Value.At(path.Split('.')).Text() ?? ""
            : Printing.BuiltinColumns.Selector(stored.Value.At("spec", "selector"));
        return new JsonObject
        {
            ["kind"] = "Scale",
            ["apiVersion"] = "autoscaling/v1",
            ["metadata"] = new JsonObject
            {
                ["name"] = stored.Name,
                ["namespace"] = stored.Namespace,
                ["uid"] = stored.Uid,
                ["resourceVersion"] = stored.Value.Text("metadata", "resourceVersion"),
                ["creationTimestamp"] = stored.Value.Text("metadata", "creationTimestamp"),
            },
            ["spec"] = new JsonObject { ["replicas"] = stored.Value.Whole(paths.SpecReplicas.Split('.')) ?? 0 },
            ["status"] = new JsonObject { ["replicas"] = stored.Value.Whole(paths.StatusReplicas.Split('.')) ?? 0, ["selector"] = selector },
        };
    }

    public static void SetReplicas(ResourceType type, JsonObject value, long replicas)
    {
        string[] path = type.Scale!.SpecReplicas.Split('.');
        value.Ensure(path.AsSpan(..^1))[path[^1]] = replicas;
    }
}
