// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Microsoft.AspNetCore.Http;

namespace Axoneme.EmbeddedApi.Http;

internal sealed record Subresource(string Name, string Kind, string ApiVersion, string[] Verbs);

/// <summary>What the API serves, group by group and in the aggregated forms.</summary>
internal sealed class Discovery(ResourceCatalog catalog)
{
    private static readonly string[] Verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    private static readonly string[] Changing = ["get", "patch", "update"];
    private static readonly string[] Creating = ["create"];

    private static readonly (string Group, string Plural, string Kind)[] Reviewed =
    [
        ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
        ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
    ];

    public static JsonObject VersionInfo() => new()
    {
        ["major"] = "1",
        ["minor"] = "33",
        ["gitVersion"] = "v1.33.0+axoneme",
        ["gitCommit"] = "",
        ["gitTreeState"] = "clean",
        ["buildDate"] = "2025-08-27T00:00:00Z",
        ["goVersion"] = "",
        ["compiler"] = "",
        ["platform"] = "linux/amd64",
    };

    public static IEnumerable<Subresource> Subresources(ResourceType type)
    {
        if (type.HasStatus)
            yield return new("status", type.Kind, type.ApiVersion, Changing);
        if (type.Scale is not null)
            yield return new("scale", "Scale", "autoscaling/v1", Changing);
        switch (type.QualifiedName)
        {
            case "namespaces":
                yield return new("finalize", "Namespace", "v1", ["update"]);
                break;
            case "pods":
                yield return new("binding", "Binding", "v1", Creating);
                yield return new("eviction", "Eviction", "policy/v1", Creating);
                yield return new("log", "Pod", "v1", ["get"]);
                yield return new("exec", "PodExecOptions", "v1", ["create", "get"]);
                yield return new("attach", "PodAttachOptions", "v1", ["create", "get"]);
                yield return new("portforward", "PodPortForwardOptions", "v1", ["create", "get"]);
                break;
            case "serviceaccounts":
                yield return new("token", "TokenRequest", "authentication.k8s.io/v1", Creating);
                break;
        }
    }

    public async Task AnswerAsync(HttpContext context, string[] parts)
    {
        string accept = context.Request.Headers.Accept.ToString();
        if (parts is ["api"] or ["apis"] && AggregatedVersion(accept) is { } version)
        {
            await Responses.BytesAsync(context, JsonText.Write(Aggregated(parts[0] == "api", version)),
                $"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList").ConfigureAwait(false);
            return;
        }
        AcceptedForm.Parse(accept);
        JsonObject answer = parts switch
        {
            [] => new JsonObject { ["paths"] = JsonAccess.ToArray(Paths()) },
            ["api"] => new JsonObject
            {
                ["kind"] = "APIVersions",
                ["versions"] = new JsonArray("v1"),
                ["serverAddressByClientCIDRs"] = new JsonArray(),
            },
            ["apis"] => new JsonObject
            {
                ["kind"] = "APIGroupList",
                ["apiVersion"] = "v1",
                ["groups"] = JsonAccess.ToArray(Groups().Where(g => g.Name.Length > 0).Select(Group)),
            },
            ["apis", string group] => Named(Group(Groups().FirstOrDefault(g => g.Name == group && group.Length > 0) is { Name: not null } found
                ? found : throw ApiErrors.PageNotFound())),
            ["api", string v] => Resources("", v),
            ["apis", string group, string v] => Resources(group, v),
            _ => throw ApiErrors.PageNotFound(),
        };
        await Responses.JsonAsync(context, answer).ConfigureAwait(false);
    }

    private IEnumerable<string> Paths()
        => ["/api", "/api/v1", "/apis", .. Groups().Where(g => g.Name.Length > 0).SelectMany(g => g.Versions.Select(v => $"/apis/{g.Name}/{v}")),
            "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];

    private IEnumerable<(string Name, IReadOnlyList<string> Versions)> Groups()
        => catalog.Groups.Concat(Reviewed.Select(r => r.Group).Distinct().Select(g => (g, (IReadOnlyList<string>)["v1"])));

    private static JsonObject Group((string Name, IReadOnlyList<string> Versions) group) => new()
    {
        ["name"] = group.Name,
        ["versions"] = JsonAccess.ToArray(group.Versions.Select(v => GroupVersion(group.Name, v))),
        ["preferredVersion"] = GroupVersion(group.Name, group.Versions[0]),
    };

    private static JsonObject Named(JsonObject group)
    {
        group.Insert(0, "kind", "APIGroup");
        group.Insert(1, "apiVersion", "v1");
        return group;
    }

    private static JsonObject GroupVersion(string group, string version) => new() { ["groupVersion"] = $"{group}/{version}", ["version"] = version };

    private JsonObject Resources(string group, string version)
    {
        ResourceType[] types = [.. catalog.All.Where(t => t.Group == group && t.Version == version)];
        var reviewed = Reviewed.Where(r => r.Group == group && version == "v1").ToArray();
        if (types.Length == 0 && reviewed.Length == 0)
            throw ApiErrors.PageNotFound();
        var resources = new JsonArray();
        foreach (ResourceType type in types)
        {
            var resource = new JsonObject
            {
                ["name"] = type.Plural,
                ["singularName"] = type.Singular,
                ["namespaced"] = type.Namespaced,
                ["kind"] = type.Kind,
                ["verbs"] = JsonAccess.ToArray(Verbs),
            };
            if (type.ShortNames.Count > 0)
                resource["shortNames"] = JsonAccess.ToArray(type.ShortNames);
            if (type.Categories.Count > 0)
                resource["categories"] = JsonAccess.ToArray(type.Categories);
            resources.Add((JsonNode)resource);
            foreach (Subresource sub in Subresources(type))
                resources.Add((JsonNode)SubresourceEntry(type, sub));
        }
        foreach ((_, string plural, string kind) in reviewed)
            resources.Add((JsonNode)new JsonObject
            {
                ["name"] = plural,
                ["singularName"] = kind.ToLowerInvariant(),
                ["namespaced"] = false,
                ["kind"] = kind,
                ["verbs"] = new JsonArray("create"),
            });
        return new JsonObject
        {
            ["kind"] = "APIResourceList",
            ["apiVersion"] = "v1",
            ["groupVersion"] = group.Length == 0 ? version : $"{group}/{version}",
            ["resources"] = resources,
        };
    }

    private static JsonObject SubresourceEntry(ResourceType type, Subresource sub)
    {
        var entry = new JsonObject
        {
            ["name"] = $"{type.Plural}/{sub.Name}",
            ["singularName"] = "",
            ["namespaced"] = type.Namespaced,
            ["kind"] = sub.Kind,
            ["verbs"] = JsonAccess.ToArray(sub.Verbs),
        };
        if (sub.ApiVersion != type.ApiVersion)
        {
            (string group, string version) = Split(sub.ApiVersion);
            entry["group"] = group;
            entry["version"] = version;
        }
        return entry;
    }

    private static string? AggregatedVersion(string accept)
    {
        foreach (string part in accept.Split(','))
            if (part.Contains("as=APIGroupDiscoveryList", StringComparison.Ordinal) && part.TrimStart().StartsWith("application/json", StringComparison.Ordinal))
            {
                if (part.Contains("v=v2beta1", StringComparison.Ordinal))
                    return "v2beta1";
                if (part.Contains("v=v2", StringComparison.Ordinal))
                    return "v2";
            }
        return null;
    }

    private JsonObject Aggregated(bool core, string version)
    {
        var items = new JsonArray();
        foreach ((string name, IReadOnlyList<string> versions) in Groups().Where(g => g.Name.Length == 0 == core))
        {
            var entries = new JsonArray();
            foreach (string each in versions)
                entries.Add((JsonNode)new JsonObject { ["version"] = each, ["resources"] = AggregatedResources(name, each), ["freshness"] = "Current" });
            var metadata = new JsonObject { ["creationTimestamp"] = null };
            if (name.Length > 0)
                metadata.Insert(0, "name", name);
            items.Add((JsonNode)new JsonObject { ["metadata"] = metadata, ["versions"] = entries });
        }
        return new JsonObject
        {
            ["kind"] = "APIGroupDiscoveryList",
            ["apiVersion"] = $"apidiscovery.k8s.io/{version}",
            ["metadata"] = new JsonObject(),
            ["items"] = items,
        };
    }

    private JsonArray AggregatedResources(string group, string version)
    {
        var resources = new JsonArray();
        foreach (ResourceType type in catalog.All.Where(t => t.Group == group && t.Version == version))
        {
            JsonObject resource = AggregatedResource(type.Plural, Kind(group, version, type.Kind), type.Namespaced, type.Singular, Verbs);
            if (type.ShortNames.Count > 0)
                resource["shortNames"] = JsonAccess.ToArray(type.ShortNames);
            if (type.Categories.Count > 0)
                resource["categories"] = JsonAccess.ToArray(type.Categories);
            var subresources = new JsonArray();
            foreach (Subresource sub in Subresources(type))
            {
                (string g, string v) = Split(sub.ApiVersion);
                subresources.Add((JsonNode)new JsonObject { ["subresource"] = sub.Name, ["responseKind"] = Kind(g, v, sub.Kind), ["verbs"] = JsonAccess.ToArray(sub.Verbs) });
            }
            if (subresources.Count > 0)
                resource["subresources"] = subresources;
            resources.Add((JsonNode)resource);
        }
        foreach ((_, string plural, string kind) in Reviewed.Where(r => r.Group == group))
            resources.Add((JsonNode)AggregatedResource(plural, Kind(group, version, kind), false, kind.ToLowerInvariant(), Creating));
        return resources;
    }

    private static JsonObject AggregatedResource(string plural, JsonObject kind, bool namespaced, string singular, string[] verbs) => new()
    {
        ["resource"] = plural,
        ["responseKind"] = kind,
        ["scope"] = namespaced ? "Namespaced" : "Cluster",
        ["singularResource"] = singular,
        ["verbs"] = JsonAccess.ToArray(verbs),
    };

    private static JsonObject Kind(string group, string version, string kind) => new() { ["group"] = group, ["version"] = version, ["kind"] = kind };

    private static (string Group, string Version) Split(string apiVersion)
        => apiVersion.Split('/') is [string group, string version] ? (group, version) : ("", apiVersion);
}

/// <summary>Reviews of who one is and what one may: everybody who is known may do everything.</summary>
internal static class Reviews
{
    public static async Task AnswerAsync(HttpContext context, ApiUser user, string kind)
    {
        if (!HttpMethods.IsPost(context.Request.Method))
            throw ApiErrors.MethodNotAllowed();
        using var memory = new MemoryStream();
        await context.Request.Body.CopyToAsync(memory, context.RequestAborted).ConfigureAwait(false);
        JsonObject review;
        try
        {
            review = (ProtobufBody.Is(context.Request.ContentType) ? ProtobufBody.Read(memory.ToArray()) : JsonText.Parse(memory.ToArray())) as JsonObject ?? throw ApiErrors.BadRequest("the body of the request is not an object");
        }
        catch (System.Text.Json.JsonException e)
        {
            throw ApiErrors.BadRequest(e.Message);
        }
        var identity = new JsonObject { ["username"] = user.Name, ["groups"] = JsonAccess.ToArray(user.Groups) };
        review["status"] = kind switch
        {
            "selfsubjectaccessreviews" => new JsonObject { ["allowed"] = true },
            "selfsubjectrulesreviews" => new JsonObject
            {
                ["resourceRules"] = new JsonArray(new JsonObject
                {
                    ["verbs"] = new JsonArray("*"),
                    ["apiGroups"] = new JsonArray("*"),
                    ["resources"] = new JsonArray("*"),
                }),
                ["nonResourceRules"] = new JsonArray(new JsonObject { ["verbs"] = new JsonArray("*"), ["nonResourceURLs"] = new JsonArray("*") }),
                ["incomplete"] = false,
            },
            "selfsubjectreviews" => new JsonObject { ["userInfo"] = identity },
            _ => throw ApiErrors.PageNotFound(),
        };
        await Responses.JsonAsync(context, review, 201).ConfigureAwait(false);
    }
}
