// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>Endpoints of one address family with the same ports.</summary>
internal sealed record EndpointGroup(string Family, JsonArray Ports)
{
    /// <summary>By address; the order of the map is the order of discovery.</summary>
    public Dictionary<string, JsonObject> Endpoints { get; } = new(StringComparer.Ordinal);

    public string Key => Family + JsonText.ToText(Ports);
}

/// <summary>Writes groups of endpoints as slices and changes as few of the present slices as it can.</summary>
internal sealed class SliceWriter(ApiMachinery machinery, SliceIndex index, string manager)
{
    private const int MaxPerSlice = 100;
    public const string Resource = "endpointslices.discovery.k8s.io";
    public const string ServiceLabel = "kubernetes.io/service-name";
    public const string ManagerLabel = "endpointslice.kubernetes.io/managed-by";

    private ResourceType Type => machinery.Catalog.Find(Resource);

    public IEnumerable<StoredObject> Present(string ns, string service)
        => index.Of(ns, service).Where(s => s.Labels.GetValueOrDefault(ManagerLabel) == manager);

    public void Delete(StoredObject slice) => machinery.Delete(Type, slice.Namespace, slice.Name, new DeleteRequest());

    /// <param name="owner">The service, or the endpoints that are mirrored.</param>
    public void Write(StoredObject owner, string ownerKind, IReadOnlyDictionary<string, string> labels, IEnumerable<EndpointGroup> groups)
    {
        ILookup<string, StoredObject> present = Present(owner.Namespace, owner.Name).Where(s => !s.IsDeleting)
            .ToLookup(s => s.Value.Text("addressType") + JsonText.ToText(s.Value["ports"] ?? new JsonArray()));
        var kept = new HashSet<string>(StringComparer.Ordinal);
        foreach (EndpointGroup group in groups)
        {
            WriteGroup(owner, ownerKind, labels, group, [.. present[group.Key]]);
            kept.Add(group.Key);
        }
        foreach (IGrouping<string, StoredObject> gone in present.Where(p => !kept.Contains(p.Key)))
            foreach (StoredObject slice in gone)
                Delete(slice);
    }

    private void WriteGroup(
        StoredObject owner, string ownerKind, IReadOnlyDictionary<string, string> labels, EndpointGroup group, StoredObject[] present)
    {
        var left = new Dictionary<string, JsonObject>(group.Endpoints, StringComparer.Ordinal);
        var contents = new List<(StoredObject? Slice, List<JsonObject> Endpoints)>();
        foreach (StoredObject slice in present)
        {
            var stay = new List<JsonObject>();
            foreach (JsonObject endpoint in slice.Value.Objects("endpoints"))
                if (left.Remove(endpoint.Texts("addresses").First(), out JsonObject? wanted))
                    stay.Add(wanted);
            contents.Add((slice, stay));
        }
        var added = new Queue<JsonObject>(left.Values);
        foreach ((_, List<JsonObject> endpoints) in contents.OrderByDescending(c => c.Endpoints.Count))
            while (added.Count > 0 && endpoints.Count < MaxPerSlice)
                endpoints.Add(added.Dequeue());
        while (added.Count > 0 || contents.Count == 0)
        {
            var endpoints = new List<JsonObject>();
            while (added.Count > 0 && endpoints.Count < MaxPerSlice)
                endpoints.Add(added.Dequeue());
            contents.Add((null, endpoints));
        }
        int filled = contents.Count(c => c.Endpoints.Count > 0);
        foreach ((StoredObject? slice, List<JsonObject> endpoints) in contents)
        {
            // One empty slice says that the service is known and has nothing.
            if (endpoints.Count == 0 && (filled > 0 || contents[0].Slice != slice) && slice is not null)
                Delete(slice);
            else
                Put(owner, ownerKind, labels, group, slice, endpoints);
        }
    }

    private void Put(
        StoredObject owner, string ownerKind, IReadOnlyDictionary<string, string> labels, EndpointGroup group, StoredObject? slice, List<JsonObject> endpoints)
    {
        var wantedLabels = new SortedDictionary<string, string>(labels.ToDictionary(), StringComparer.Ordinal) { [ServiceLabel] = owner.Name, [ManagerLabel] = manager };
        JsonObject Fill(JsonObject value)
        {
            value.Ensure("metadata")["labels"] = JsonAccess.ToMap(wantedLabels);
            value["endpoints"] = JsonAccess.ToArray(endpoints.Select(e => e.Copy()));
            value["ports"] = group.Ports.Copy();
            return value;
        }
        if (slice is not null)
        {
            machinery.Modify(Type, slice.Namespace, slice.Name, WriteContext.Internal, Fill);
            return;
        }
        var created = new JsonObject
        {
            ["apiVersion"] = "discovery.k8s.io/v1",
            ["kind"] = "EndpointSlice",
            ["metadata"] = new JsonObject
            {
                ["generateName"] = owner.Name + "-",
                ["namespace"] = owner.Namespace,
                ["ownerReferences"] = new JsonArray(PodSets.ControllerReference(owner, "v1", ownerKind)),
            },
            ["addressType"] = group.Family,
        };
        machinery.Create(Type, Fill(created), WriteContext.Internal);
    }
}
