// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Validation;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>What every namespace has from the start, and the end of namespaces: their content goes first.</summary>
internal sealed class NamespaceController(ApiMachinery machinery, Action<string>? log, string caPem) : Controller(machinery, log)
{
    private static readonly TimeSpan ContentPoll = TimeSpan.FromMilliseconds(200);

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources =>
    [
        ("namespaces", o => [o.Name]),
        ("serviceaccounts", o => o.Name == "default" ? [o.Namespace] : []),
        ("configmaps", o => o.Name == "kube-root-ca.crt" ? [o.Namespace] : []),
    ];

    protected override void Reconcile(string key)
    {
        if (Store.Get(Type("namespaces"), null, key) is not { } ns)
            return;
        if (ns.IsDeleting)
        {
            End(ns);
            return;
        }
        CreateMissing("serviceaccounts", ControllerHost.Object("v1", "ServiceAccount", key, "default"));
        JsonObject ca = ControllerHost.Object("v1", "ConfigMap", key, "kube-root-ca.crt");
        ca["data"] = new JsonObject { ["ca.crt"] = caPem };
        CreateMissing("configmaps", ca);
    }

    private void CreateMissing(string resource, JsonObject value)
    {
        if (Store.Get(Type(resource), value.Text("metadata", "namespace"), value.Text("metadata", "name")!) is null)
            Machinery.Create(Type(resource), value, WriteContext.Internal);
    }

    private void End(StoredObject ns)
    {
        int left = 0;
        foreach (ResourceType type in Machinery.Catalog.All.Where(t => t.Namespaced && t.Storage is null))
            foreach (StoredObject each in Store.Snapshot(type).InNamespace(ns.Name).ToArray())
            {
                if (!each.IsDeleting)
                    Machinery.Delete(type, each.Namespace, each.Name, new DeleteRequest { HasPropagation = false });
                left += Store.Get(type, each.Namespace, each.Name) is null ? 0 : 1;
            }
        if (left > 0)
            EnqueueAfter(ns.Name, ContentPoll);
        else
            Machinery.Modify(Type("namespaces"), null, ns.Name, WriteContext.Internal with { Subresource = "finalize" }, live =>
            {
                live.Ensure("spec")["finalizers"] = new JsonArray(
                    [.. live.Texts("spec", "finalizers").Where(f => f != "kubernetes").Select(f => (JsonNode)f)]);
                return live;
            });
    }
}

/// <summary>Deletes the instances of a definition that is being deleted, then lets the definition go.</summary>
internal sealed class DefinitionController(ApiMachinery machinery, Action<string>? log) : Controller(machinery, log)
{
    private const string Resource = "customresourcedefinitions.apiextensions.k8s.io";
    private static readonly TimeSpan InstancePoll = TimeSpan.FromMilliseconds(200);

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources => [(Resource, o => [o.Name])];

    protected override void Reconcile(string key)
    {
        if (Store.Get(Type(Resource), null, key) is not { IsDeleting: true } definition)
            return;
        ResourceType? type = Machinery.Catalog.All.FirstOrDefault(t => t.QualifiedName == key && t.IsCustom && t.Storage is null);
        StoredObject[] instances = type is null ? [] : [.. Store.Snapshot(type).All];
        foreach (StoredObject each in instances.Where(i => !i.IsDeleting))
            Machinery.Delete(type!, each.Namespace, each.Name, new DeleteRequest());
        if (type is not null && Store.Snapshot(type).All.Any())
            EnqueueAfter(key, InstancePoll);
        else
            Machinery.Modify(Type(Resource), null, key, WriteContext.Internal, live => FinalizerChange.Without(live, DefinitionRules.CleanupFinalizer));
    }
}

internal static class FinalizerChange
{
    public static JsonObject Without(JsonObject value, string finalizer)
    {
        string[] left = [.. value.Texts("metadata", "finalizers").Where(f => f != finalizer)];
        if (left.Length > 0)
            value.Ensure("metadata")["finalizers"] = JsonAccess.ToArray(left);
        else
            value.Ensure("metadata").Remove("finalizers");
        return value;
    }
}

/// <summary>Objects go with their owners: in the background, before the owner (foreground), or not at all (orphan).</summary>
internal sealed class GarbageController : Controller
{
    // What an object is found by again: its kind cannot be told from its name alone.
    private sealed record Place(ResourceType Type, string Namespace, string Name);

    private readonly ConcurrentDictionary<string, Place> _places = new(StringComparer.Ordinal);
    private readonly Dictionary<string, HashSet<string>> _dependents = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    public GarbageController(ApiMachinery machinery, Action<string>? log) : base(machinery, log)
    {
        machinery.Store.Changed += Note;
        foreach (ResourceType type in machinery.Catalog.All.Where(t => t.Storage is null))
            foreach (StoredObject each in machinery.Store.Snapshot(type).All)
                Note(type, new(ChangeKind.Added, each, null));
    }

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources => [];

    protected override void Reconcile(string key)
    {
        if (!_places.TryGetValue(key, out Place? place) || Store.Get(place.Type, place.Namespace, place.Name) is not { } stored || stored.Uid != key)
            return;
        if (stored.IsDeleting)
            Finish(place, stored);
        else
            CheckOwners(place, stored);
    }

    private void Note(ResourceType type, ObjectChange change)
    {
        StoredObject stored = change.Object;
        string uid = stored.Uid;
        var owners = stored.Value.Objects("metadata", "ownerReferences").Select(o => o.Text("uid") ?? "");
        if (change.Kind != ChangeKind.Deleted)
        {
            _places[uid] = new(type, stored.Namespace, stored.Name);
            bool any = false;
            lock (_gate)
                foreach (string owner in owners)
                {
                    any = true;
                    if (!_dependents.TryGetValue(owner, out HashSet<string>? set))
                        _dependents[owner] = set = new(StringComparer.Ordinal);
                    set.Add(uid);
                }
            if (any || stored.IsDeleting)
                Enqueue(uid);
            return;
        }
        _places.TryRemove(uid, out _);
        string[] left;
        lock (_gate)
        {
            left = _dependents.Remove(uid, out HashSet<string>? dependents) ? [.. dependents] : [];
            foreach (string owner in owners)
                if (_dependents.TryGetValue(owner, out HashSet<string>? set) && set.Remove(uid) && set.Count == 0)
                    _dependents.Remove(owner);
        }
        // Dependents have lost an owner; owners that wait for their dependents may go on.
        foreach (string each in left.Concat(owners))
            Enqueue(each);
    }

    private void CheckOwners(Place place, StoredObject stored)
    {
        JsonObject[] owners = [.. stored.Value.Objects("metadata", "ownerReferences")];
        if (owners.Length > 0 && !owners.Any(o => _places.ContainsKey(o.Text("uid") ?? "")))
            Machinery.Delete(place.Type, place.Namespace, place.Name, new DeleteRequest { Uid = stored.Uid, HasPropagation = false });
    }

    private void Finish(Place place, StoredObject owner)
    {
        string[] finalizers = [.. owner.Value.Texts("metadata", "finalizers")];
        string? finalizer = finalizers.FirstOrDefault(f => f is ApiMachinery.ForegroundFinalizer or ApiMachinery.OrphanFinalizer);
        if (finalizer is null)
            return;
        string[] dependents;
        lock (_gate)
            dependents = _dependents.TryGetValue(owner.Uid, out HashSet<string>? set) ? [.. set] : [];
        int left = 0;
        foreach (string uid in dependents)
        {
            if (!_places.TryGetValue(uid, out Place? at) || Store.Get(at.Type, at.Namespace, at.Name) is not { } dependent || dependent.Uid != uid)
                continue;
            left++;
            if (finalizer == ApiMachinery.OrphanFinalizer)
                Machinery.Modify(at.Type, at.Namespace, at.Name, WriteContext.Internal, live => Disown(live, owner.Uid));
            else if (!dependent.IsDeleting)
                Machinery.Delete(at.Type, at.Namespace, at.Name, new DeleteRequest { HasPropagation = true, Propagation = Propagation.Foreground });
        }
        if (left == 0 || finalizer == ApiMachinery.OrphanFinalizer)
            Machinery.Modify(place.Type, place.Namespace, place.Name, WriteContext.Internal, live => FinalizerChange.Without(live, finalizer));
        // Otherwise each dependent's end comes back to this owner.
    }

    private JsonObject Disown(JsonObject value, string ownerUid)
    {
        JsonObject[] left = [.. value.Objects("metadata", "ownerReferences").Where(o => o.Text("uid") != ownerUid).Select(o => o.Copy())];
        if (left.Length > 0)
            value.Ensure("metadata")["ownerReferences"] = JsonAccess.ToArray(left);
        else
            value.Ensure("metadata").Remove("ownerReferences");
        lock (_gate)
            if (_dependents.TryGetValue(ownerUid, out HashSet<string>? set))
                set.Remove(value.Text("metadata", "uid") ?? "");
        return value;
    }
}
