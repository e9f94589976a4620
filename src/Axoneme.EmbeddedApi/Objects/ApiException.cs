// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Objects
{
    /// <summary>A refused request, as the Status object that a client of the wire gets.</summary>
    internal static class ApiErrors
    {
        public static ApiException NotFound(ResourceType type, string name) => new(404, "NotFound",
            $"{type.QualifiedName} \"{name}\" not found", Details(type.Group, type.Plural, name));

        public static ApiException PageNotFound() => new(404, "NotFound", "the server could not find the requested resource", []);

        public static ApiException NoKindMatch(string? apiVersion, string? kind) => new(404, "NotFound",
            $"no matches for kind \"{kind}\" in version \"{apiVersion}\"", null);

        public static ApiException AlreadyExists(ResourceType type, string name) => new(409, "AlreadyExists",
            $"{type.QualifiedName} \"{name}\" already exists", Details(type.Group, type.Plural, name));

        public static ApiException Conflict(ResourceType type, string name, string? message = null) => new(409, "Conflict",
            $"Operation cannot be fulfilled on {type.QualifiedName} \"{name}\": "
            + (message ?? "the object has been modified; please apply your changes to the latest version and try again"),
            Details(type.Group, type.Plural, name));

        public static ApiException ApplyConflict(IReadOnlyList<(string Manager, string Field)> conflicts)
        {
            var causes = new JsonArray();
            foreach ((string manager, string field) in conflicts)
                causes.Add((JsonNode)new JsonObject
                {
                    ["reason"] = "FieldManagerConflict",
                    ["message"] = $"conflict with \"{manager}\"",
                    ["field"] = field,
                });
            string list = conflicts.Count == 1
                ? $" with \"{conflicts[0].Manager}\": {conflicts[0].Field}"
                : string.Concat(conflicts.GroupBy(c => c.Manager).Select(g => $"\nconflicts with \"{g.Key}\":" + string.Concat(g.Select(c => $"\n- {c.Field}"))));
            return new(409, "Conflict", $"Apply failed with {conflicts.Count} conflict{(conflicts.Count == 1 ? ":" : "s:")} "
                + (conflicts.Count == 1 ? "conflict" + list : list.TrimStart('\n')), new JsonObject { ["causes"] = causes });
        }

        public static ApiException Invalid(ResourceType type, string name, FieldErrors errors)
        {
            JsonObject details = Details(type.Group, type.Kind, name);
            details["causes"] = errors.ToCauses();
            string kind = type.Group.Length == 0 ? type.Kind : $"{type.Kind}.{type.Group}";
            return new(422, "Invalid", $"{kind} \"{name}\" is invalid: {errors}", details);
        }

        public static ApiException BadRequest(string message) => new(400, "BadRequest", message, null);

        public static ApiException Forbidden(ResourceType type, string name, string message) => new(403, "Forbidden",
            $"{type.QualifiedName} \"{name}\" is forbidden: {message}", Details(type.Group, type.Plural, name));

        public static ApiException NamespaceTerminating(ResourceType type, string name, string ns)
        {
            ApiException e = Forbidden(type, name, $"unable to create new content in namespace {ns} because it is being terminated");
            e.Details!["causes"] = new JsonArray(new JsonObject
            {
                ["reason"] = "NamespaceTerminating",
                ["message"] = $"namespace {ns} is being terminated",
                ["field"] = "metadata.namespace",
            });
            return e;
        }

        public static ApiException Expired(string message) => new(410, "Expired", message, null);

        public static ApiException TooLargeVersion(long asked, long current) => new(504, "Timeout",
            $"Too large resource version: {asked}, current: {current}",
            new JsonObject
            {
                ["causes"] = new JsonArray(new JsonObject { ["reason"] = "ResourceVersionTooLarge", ["message"] = "Too large resource version" }),
                ["retryAfterSeconds"] = 1,
            });

        public static ApiException MethodNotAllowed(string? what = null) => new(405, "MethodNotAllowed",
            what ?? "the server does not allow this method on the requested resource", []);

        public static ApiException UnsupportedMediaType(string what) => new(415, "UnsupportedMediaType", what, []);

        public static ApiException NotAcceptable() => new(406, "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml", []);

        public static ApiException TooLarge() => new(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728", []);

        public static ApiException Unauthorized() => new(401, "Unauthorized", "Unauthorized", null);

        public static ApiException ForbiddenToAnonymous(string path) => new(403, "Forbidden",
            $"forbidden: User \"system:anonymous\" cannot get path \"{path}\"", []);

        public static ApiException NotAvailable(string message) => new(501, "NotImplemented", message, null);

        private static JsonObject Details(string group, string kind, string name)
        {
            var details = new JsonObject { ["name"] = name };
            if (group.Length > 0)
                details["group"] = group;
            details["kind"] = kind;
            return details;
        }
    }
}

namespace Axoneme.EmbeddedApi
{
    /// <summary>A request that the API refuses: HTTP code, machine-readable reason, message and details of a Kubernetes Status.</summary>
    public sealed class ApiException : Exception
    {
        public ApiException(int code, string reason, string message, JsonObject? details) : base(message)
        {
            Code = code;
            Reason = reason;
            Details = details;
        }

        public int Code { get; }

        public string Reason { get; }

        public JsonObject? Details { get; }

        public JsonObject ToStatus()
        {
            var status = new JsonObject
            {
                ["kind"] = "Status",
                ["apiVersion"] = "v1",
                ["metadata"] = new JsonObject(),
                ["status"] = "Failure",
                ["message"] = Message,
                ["reason"] = Reason,
            };
            if (Details is not null)
                status["details"] = Details.DeepClone();
            status["code"] = Code;
            return status;
        }
    }
}
