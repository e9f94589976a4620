// SPDX-License-Identifier: Apache-2.0
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Patching;
using Axoneme.EmbeddedApi.Schemas;
using Axoneme.EmbeddedApi.Validation;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>What a write goes through on its way to the store: schema, defaults, admission, validation, ownership, deletion rules.</summary>
internal sealed class ApiMachinery
{
    public const string ForegroundFinalizer = "foregroundDeletion";
    public const string OrphanFinalizer = "orphan";
    private const string NameAlphabet = "bcdfghjklmnpqrstvwxz2456789";
    private readonly EmbeddedApiOptions _options;
    private readonly Admission _admission;

    public ApiMachinery(EmbeddedApiOptions options)
    {
        _options = options;
        Store = new ObjectStore(options.WatchHistoryLength);
        _admission = new Admission(this, options);
    }

    public ObjectStore Store { get; }

    public ResourceCatalog Catalog { get; } = new();

    public TimeProvider Clock => _options.Clock;

    public string Now => Timestamp(Clock.GetUtcNow());

    public static string Timestamp(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ");

    public static string RandomSuffix(int length = 5) => RandomNumberGenerator.GetString(NameAlphabet, length);

    public StoredObject Get(ResourceType type, string? ns, string name)
        => Store.Get(type, ns, name) ?? throw ApiErrors.NotFound(type, name);

    /// <exception cref="ApiException">The object is refused or exists.</exception>
    public StoredObject Create(ResourceType type, JsonObject value, WriteContext context)
    {
        value = type.Accept(value);
        ResourceType stored = type.Storage ?? type;
        JsonObject metadata = value.Ensure("metadata");
        bool generated = string.IsNullOrEmpty(metadata.Text("name")) && !string.IsNullOrEmpty(metadata.Text("generateName"));
        string? given = metadata.Text("name");
        if (metadata.Text("resourceVersion") is { Length: > 0 })
            throw ApiErrors.BadRequest("resourceVersion should not be set on objects to be created");
        for (int attempt = 0; ; attempt++)
        {
            JsonObject candidate = value.Copy();
            if (generated)
                candidate["metadata"]!["name"] = metadata.Text("generateName") + RandomSuffix();
            var reservations = new Reservations();
            StoredObject? result = null;
            try
            {
                PrepareCreate(stored, candidate, context, reservations);
                result = context.DryRun
                    ? Store.Get(stored, candidate.Text("metadata", "namespace"), candidate.Text("metadata", "name")!) is null
                        ? new StoredObject(candidate, 0) : null
                    : Store.TryPut(stored, candidate, null);
            }
            finally
            {
                reservations.Complete(result is not null && !context.DryRun);
            }
            if (result is not null)
            {
                _admission.Committed(stored, result, context.DryRun);
                return result;
            }
            if (!generated || attempt == 8)
                throw ApiErrors.AlreadyExists(type, given ?? candidate.Text("metadata", "name")!);
        }
    }

    /// <summary>Replaces by an object that a client sent.</summary>
    public StoredObject Update(ResourceType type, JsonObject value, WriteContext context)
    {
        string name = value.Text("metadata", "name") ?? "";
        return Modify(type, type.Namespaced ? value.Text("metadata", "namespace") ?? "default" : null, name, context, _ => value.Copy());
    }

    /// <summary>
    /// Writes what <paramref name="change"/> makes of the present object. When another writer comes between, the change is computed
    /// again, unless its result names a resourceVersion that has passed.
    /// </summary>
    public StoredObject Modify(
        ResourceType type, string? ns, string name, WriteContext context, Func<JsonObject, JsonObject> change)
    {
        ResourceType stored = type.Storage ?? type;
        while (true)
        {
            StoredObject old = Get(type, ns, name);
            JsonObject changed = type.Accept(change(type.Present(old).Copy()));
            string asked = changed.Text("metadata", "resourceVersion") ?? "";
            if (asked.Length > 0 && asked != old.Version.ToString())
                throw ApiErrors.Conflict(type, name);
            var reservations = new Reservations();
            StoredObject? result = null;
            try
            {
                JsonObject next = PrepareUpdate(stored, old, changed, context, reservations);
                if (SameContent(old.Value, next))
                    return result = old;
                result = context.DryRun ? new StoredObject(next, old.Version)
                    : IsFinished(stored, next) ? Remove(stored, old, next)
                    : Store.TryPut(stored, next, old);
            }
            finally
            {
                reservations.Complete(result is not null && !context.DryRun);
            }
            if (result is null)
                continue;
            _admission.Committed(stored, result, context.DryRun);
            return result;
        }
    }

    /// <returns>The object as deletion left it, and whether it is gone.</returns>
    public (StoredObject Object, bool Gone) Delete(ResourceType type, string? ns, string name, DeleteRequest request)
    {
        ResourceType stored = type.Storage ?? type;
        while (true)
        {
            StoredObject old = Get(type, ns, name);
            if (request.Uid is { } uid && uid != old.Uid)
                throw ApiErrors.Conflict(type, name, $"Precondition failed: UID in precondition: {uid}, UID in object meta: {old.Uid}");
            if (request.ResourceVersion is { } version && version != old.Version.ToString())
                throw ApiErrors.Conflict(type, name,
                    $"Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {old.Version}");
            JsonObject next = old.Copy();
            Deletion.Mark(stored, next, request, Clock.GetUtcNow());
            bool gone = IsFinished(stored, next);
            if (request.DryRun || !gone && SameContent(old.Value, next))
                return (old, gone);
            StoredObject? result = gone ? Remove(stored, old, next) : Store.TryPut(stored, next, old);
            if (result is null)
                continue;
            if (gone)
                _admission.Committed(stored, result, dryRun: false);
            return (result, gone);
        }
    }

    public void Load() => ObjectFile.Load(_options.DataFolder, this);

    public void Save() => ObjectFile.Save(_options.DataFolder, this);

    /// <summary>Takes the addresses and ports of services that came from a file.</summary>
    public void AdoptServices() => _admission.AdoptServices();

    private StoredObject? Remove(ResourceType type, StoredObject old, JsonObject last)
    {
        StoredObject? removed = Store.TryRemove(type, old);
        if (removed is not null)
            _admission.Removed(type, old, last);
        return removed;
    }

    private static bool IsFinished(ResourceType type, JsonObject value)
        => value.Text("metadata", "deletionTimestamp") is not null
            && !value.Texts("metadata", "finalizers").Any()
            && value.Whole("metadata", "deletionGracePeriodSeconds") is null or 0
            && !(type.StorageKey == "namespaces" && value.Texts("spec", "finalizers").Any());

    private void PrepareCreate(ResourceType type, JsonObject value, WriteContext context, Reservations reservations)
    {
        JsonObject metadata = value.Ensure("metadata");
        if (type.Namespaced)
            RequireNamespace(type, metadata);
        else
            metadata.Remove("namespace");
        ApplySchema(type, value, context);
        if (type.HasStatus && !context.IsInternal && type.StorageKey != "nodes")
            value.Remove("status");
        metadata = value.Ensure("metadata");
        foreach (string name in (string[])["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion", "generation"])
            metadata.Remove(name);
        metadata["uid"] = Guid.NewGuid().ToString();
        metadata["creationTimestamp"] = Now;
        if (type.HasGeneration)
            metadata["generation"] = 1;
        _admission.Prepare(type, value, null, reservations);
        Validate(type, value, null);
        _admission.Reserve(type, value, null, reservations);
        if (!context.OwnsManagedFields)
            FieldOwnership.Track(null, value, type, context, Now);
        Order(type, value);
    }

    private JsonObject PrepareUpdate(
        ResourceType type, StoredObject old, JsonObject changed, WriteContext context, Reservations reservations)
    {
        JsonObject metadata = changed.Ensure("metadata");
        if (metadata.Text("uid") is { Length: > 0 } uid && uid != old.Uid)
            throw ApiErrors.Conflict(type, old.Name, $"Precondition failed: UID in precondition: {uid}, UID in object meta: {old.Uid}");
        ApplySchema(type, changed, context);
        JsonObject next = Subresources.Restrict(type, old.Value, changed, context.Subresource);
        metadata = next.Ensure("metadata");
        foreach (string name in (string[])
            ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "generateName", "resourceVersion"])
            if (old.Value.At("metadata", name) is { } kept)
                metadata[name] = JsonAccess.CopyNode(kept);
            else
                metadata.Remove(name);
        metadata.Remove("selfLink");
        if (context.Subresource != "status")
        {
            _admission.Prepare(type, next, old, reservations);
            if (type.HasGeneration && ContentChanged(old.Value, next))
                metadata["generation"] = (old.Value.Whole("metadata", "generation") ?? 0) + 1;
        }
        else
            Admission.PrepareStatus(type, next);
        if (old.IsDeleting && next.Texts("metadata", "finalizers").Except(old.Value.Texts("metadata", "finalizers")).Any())
        {
            var errors = new FieldErrors();
            errors.Forbidden("metadata.finalizers", "no new finalizers can be added if the object is being deleted");
            throw ApiErrors.Invalid(type, old.Name, errors);
        }
        Validate(type, next, old);
        if (context.Subresource is null)
            _admission.Reserve(type, next, old, reservations);
        if (!context.OwnsManagedFields)
            FieldOwnership.Track(old.Value, next, type, context, Now);
        Order(type, next);
        return next;
    }

    private void RequireNamespace(ResourceType type, JsonObject metadata)
    {
        string ns = metadata.Text("namespace") is { Length: > 0 } given ? given : "default";
        metadata["namespace"] = ns;
        StoredObject holder = Store.Get(Catalog.Find("namespaces"), null, ns)
            ?? throw ApiErrors.NotFound(Catalog.Find("namespaces"), ns);
        if (holder.IsDeleting)
            throw ApiErrors.NamespaceTerminating(type, metadata.Text("name") ?? "", ns);
    }

    private static void ApplySchema(ResourceType type, JsonObject value, WriteContext context)
    {
        var unknown = new List<string>();
        SchemaCheck.Prune(value, type.Schema, "", unknown);
        if (unknown.Count > 0 && context.UnknownFields == UnknownFields.Refuse)
            throw ApiErrors.BadRequest($"{type.Kind} in version \"{type.Version}\" cannot be handled as a {type.Kind}: "
                + $"strict decoding error: {string.Join(", ", unknown.Select(u => $"unknown field \"{u}\""))}");
        if (context.UnknownFields == UnknownFields.Warn)
            context.Warnings?.AddRange(unknown.Select(u => $"unknown field \"{u}\""));
        SchemaCheck.Default(value, type.Schema);
    }

    private void Validate(ResourceType type, JsonObject value, StoredObject? old)
    {
        string name = value.Text("metadata", "name") ?? "";
        var errors = new FieldErrors();
        SchemaCheck.Check(value, type.Schema, "", errors);
        // Rules below the schema may rely on its types.
        if (!errors.Any)
            _admission.Validate(type, value, old, errors);
        if (errors.Any)
            throw ApiErrors.Invalid(type, name, errors);
    }

    private static bool ContentChanged(JsonObject old, JsonObject next)
        => !SameExcept(old, next, "metadata", "status");

    private static bool SameContent(JsonObject old, JsonObject next)
    {
        if (!SameExcept(old, next, "metadata"))
            return false;
        return SameExcept(old.Map("metadata")!, next.Map("metadata")!, "managedFields", "resourceVersion")
            && FieldOwnership.SameOwners(old, next);
    }

    private static bool SameExcept(JsonObject left, JsonObject right, params string[] ignored)
    {
        int Counted(JsonObject map) => map.Count(p => !ignored.Contains(p.Key));
        return Counted(left) == Counted(right)
            && left.All(p => ignored.Contains(p.Key) || right.TryGetPropertyValue(p.Key, out JsonNode? other) && JsonAccess.Same(p.Value, other));
    }

    // Readers see members in the order that they know from a real API.
    private static void Order(ResourceType type, JsonObject value)
    {
        value.Remove("apiVersion");
        value.Remove("kind");
        value.Remove("metadata", out JsonNode? metadata);
        value.Insert(0, "kind", type.Kind);
        value.Insert(1, "apiVersion", type.ApiVersion);
        value.Insert(2, "metadata", metadata);
        foreach (string late in (string[])["spec", "status"])
            if (value.Remove(late, out JsonNode? part))
                value.Add(late, part);
    }
}
