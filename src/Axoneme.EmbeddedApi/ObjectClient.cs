// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi;

/// <summary>A change that a watch of <see cref="ObjectClient"/> delivers.</summary>
public sealed record ObjectEvent(string Type, JsonObject Object);

/// <summary>
/// The API without the wire: same admission, validation, versions and controllers as a request over HTTP has. Objects that it returns
/// are the caller's own copies. Errors are <see cref="ApiException"/>.
/// </summary>
public sealed class ObjectClient
{
    private readonly ApiMachinery _machinery;

    internal ObjectClient(ApiMachinery machinery) => _machinery = machinery;

    /// <param name="resource">Plural name, with the group after a dot unless it is the core group: "pods", "deployments.apps".</param>
    /// <returns>The object, or null where there is none.</returns>
    public JsonObject? Get(string resource, string? @namespace, string name)
        => _machinery.Store.Get(_machinery.Catalog.Find(resource), @namespace, name)?.ToCaller();

    /// <param name="namespace">null lists all namespaces.</param>
    public IReadOnlyList<JsonObject> List(string resource, string? @namespace = null, string? labelSelector = null)
    {
        ResourceType type = _machinery.Catalog.Find(resource);
        LabelSelector labels = LabelSelector.Parse(labelSelector ?? "");
        return [.. _machinery.Store.Snapshot(type).InNamespace(@namespace).Where(o => labels.Matches(o.Labels)).Select(o => o.ToCaller())];
    }

    /// <summary>Creates; the kind is taken from the object's apiVersion and kind, the namespace from its metadata.</summary>
    public JsonObject Create(JsonObject value) => _machinery.Create(TypeOf(value), value.Copy(), WriteContext.Internal).ToCaller();

    /// <summary>Replaces; a resourceVersion in the object makes it conditional.</summary>
    public JsonObject Update(JsonObject value, string? subresource = null)
        => _machinery.Update(TypeOf(value), value.Copy(), WriteContext.Internal with { Subresource = subresource }).ToCaller();

    /// <summary>Creates, or merges onto what is there (RFC 7386: lists are replaced). A status is taken only at creation.</summary>
    public JsonObject Apply(JsonObject value)
    {
        ResourceType type = TypeOf(value);
        JsonObject copy = value.Copy();
        string? ns = type.Namespaced ? copy.Text("metadata", "namespace") ?? "default" : null;
        if (_machinery.Store.Get(type, ns, copy.Text("metadata", "name") ?? "") is not { } current)
            return _machinery.Create(type, copy, WriteContext.Internal).ToCaller();
        copy["metadata"]!.AsObject().Remove("resourceVersion");
        return _machinery.Modify(type, ns, current.Name, WriteContext.Internal, live => JsonMerge.Apply(live, copy)).ToCaller();
    }

    /// <summary>Reads, changes and writes the object until no other writer interferes.</summary>
    /// <param name="subresource">"status" changes the status and nothing else; null everything else.</param>
    public JsonObject Modify(string resource, string? @namespace, string name, Action<JsonObject> change, string? subresource = null)
    {
        WriteContext context = WriteContext.Internal with { Subresource = subresource };
        return _machinery.Modify(_machinery.Catalog.Find(resource), @namespace, name, context, live =>
        {
            var own = (JsonObject)JsonNode.Parse(JsonText.Write(live))!;
            change(own);
            return own.Copy();
        }).ToCaller();
    }

    /// <param name="graceSeconds">null: what the object asks for (pods); 0 removes at once.</param>
    /// <returns>false where there was no such object.</returns>
    public bool Delete(string resource, string? @namespace, string name, int? graceSeconds = null)
    {
        try
        {
            _machinery.Delete(_machinery.Catalog.Find(resource), @namespace, name, new DeleteRequest { GraceSeconds = graceSeconds });
            return true;
        }
        catch (ApiException e) when (e.Code == 404)
        {
            return false;
        }
    }

    /// <summary>Everything present as ADDED, then changes. Ends with the token, or when the reader falls too far behind.</summary>
    public async IAsyncEnumerable<ObjectEvent> WatchAsync(
        string resource, string? @namespace = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ResourceType type = _machinery.Catalog.Find(resource);
        (ObjectSnapshot present, ObjectWatch watch) = _machinery.Store.ListAndWatch(type);
        using (watch)
        {
            foreach (StoredObject each in present.InNamespace(@namespace))
                yield return new("ADDED", each.ToCaller());
            await foreach (ObjectChange change in watch.Changes.ReadAllAsync(cancellationToken).ConfigureAwait(false))
                if (@namespace is null || change.Object.Namespace == @namespace)
                    yield return new(change.TypeName, change.Object.ToCaller());
        }
    }

    /// <summary>Applies every document of a YAML or JSON text in order (CRDs become usable at once).</summary>
    /// <param name="defaultNamespace">Where objects go that name no namespace.</param>
    /// <exception cref="FormatException">The text is not YAML.</exception>
    public IReadOnlyList<JsonObject> ApplyManifests(string yaml, string defaultNamespace = "default")
    {
        var applied = new List<JsonObject>();
        foreach (JsonObject document in YamlDocuments.Read(yaml))
            foreach (JsonObject each in YamlDocuments.Items(document))
            {
                if (TypeOf(each).Namespaced && each.Text("metadata", "namespace") is null && each["metadata"] is JsonObject metadata)
                    metadata["namespace"] = defaultNamespace;
                applied.Add(Apply(each));
            }
        return applied;
    }

    private ResourceType TypeOf(JsonObject value)
        => _machinery.Catalog.FindKind(value.Text("apiVersion") ?? "", value.Text("kind") ?? "")
            ?? throw ApiErrors.NoKindMatch(value.Text("apiVersion"), value.Text("kind"));
}
