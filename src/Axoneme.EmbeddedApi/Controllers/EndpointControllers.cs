// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Validation;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>Endpoints of one address family with the same ports.</summary>
internal sealed record EndpointGroup(string Family, JsonArray Ports)
{
    /// <summary>By address; the order of the map is the order of discovery.</summary>
    public Dictionary<string, JsonObject> Endpoints { get; } = new(StringComparer.Ordinal);

    public string Key => Family + JsonText.ToText(Ports);
}

/// <summary>Writes groups of endpoints as slices and changes as few of the present slices as it can.</summary>
internal sealed class SliceWriter(ApiMachinery machinery, string manager)
{
    private const int MaxPerSlice = 100;
    private const string Resource = "endpointslices.discovery.k8s.io";
    public const string ServiceLabel = "kubernetes.io/service-name";
    public const string ManagerLabel = "endpointslice.kubernetes.io/managed-by";

    private ResourceType Type => machinery.Catalog.Find(Resource);

    public IEnumerable<StoredObject> Present(string ns, string service)
        => machinery.Store.Snapshot(Type).InNamespace(ns)
            .Where(s => s.Labels.GetValueOrDefault(ServiceLabel) == service && s.Labels.GetValueOrDefault(ManagerLabel) == manager);

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

/// <summary>Slices, and the older endpoints object, of services that select pods.</summary>
internal sealed class EndpointController : Controller
{
    private const string Headless = "service.kubernetes.io/headless";

    /// <summary>What the older object may hold; more must be read from slices.</summary>
    private const int MaxLegacyAddresses = 1000;

    private readonly SliceWriter _slices;

    public EndpointController(ApiMachinery machinery, Action<string>? log) : base(machinery, log)
        => _slices = new SliceWriter(machinery, "endpointslice-controller.k8s.io");

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources =>
    [
        ("services", o => [KeyOf(o)]),
        ("pods", ServicesOf),
        ("endpointslices.discovery.k8s.io", o => o.Labels.TryGetValue(SliceWriter.ServiceLabel, out string? service)
            && o.Labels.GetValueOrDefault(SliceWriter.ManagerLabel) == "endpointslice-controller.k8s.io" ? [$"{o.Namespace}/{service}"] : []),
    ];

    private IEnumerable<string> ServicesOf(StoredObject pod)
        => Store.Snapshot(Type("services")).InNamespace(pod.Namespace)
            .Where(s => s.Value.Map("spec", "selector") is { Count: > 0 } selector && LabelSelector.FromMap(selector).Matches(pod.Labels)).Select(KeyOf);

    protected override void Reconcile(string key)
    {
        (string ns, string name) = Split(key);
        StoredObject? service = Store.Get(Type("services"), ns, name);
        if (service is null || service.IsDeleting)
        {
            if (service is null && Store.Get(Type("endpoints"), ns, name) is { } stale && stale.Value.Text("metadata", "annotations", MirrorController.Marker) is not null)
                Machinery.Delete(Type("endpoints"), ns, name, new DeleteRequest());
            return;
        }
        if (service.Value.Map("spec", "selector") is not { Count: > 0 } selector || ServiceRules.IsExternalName(service.Value))
        {
            foreach (StoredObject slice in _slices.Present(ns, name).ToArray())
                _slices.Delete(slice);
            return;
        }
        LabelSelector labels = LabelSelector.FromMap(selector);
        StoredObject[] pods =
        [
            .. Store.Snapshot(Type("pods")).InNamespace(ns).Where(p => labels.Matches(p.Labels)
                && p.Value.Text("status", "phase") is not ("Succeeded" or "Failed")
                && p.Value.Objects("status", "podIPs").Any()),
        ];
        EndpointGroup[] groups = [.. Groups(service, pods)];
        var sliceLabels = new Dictionary<string, string>(service.Labels, StringComparer.Ordinal);
        sliceLabels.Remove(Headless);
        if (ServiceRules.IsHeadless(service.Value))
            sliceLabels[Headless] = "";
        _slices.Write(service, "Service", sliceLabels, groups);
        WriteLegacy(service, groups);
    }

    private static IEnumerable<EndpointGroup> Groups(StoredObject service, StoredObject[] pods)
    {
        foreach (string family in service.Value.Texts("spec", "ipFamilies"))
        {
            var groups = new Dictionary<string, EndpointGroup>(StringComparer.Ordinal);
            foreach (StoredObject pod in pods)
            {
                string? ip = pod.Value.Objects("status", "podIPs").Select(i => i.Text("ip"))
                    .FirstOrDefault(i => IpAddress.TryParse(i, out IpAddress a) && ServiceRules.Family(a.IsV6) == family);
                if (ip is null)
                    continue;
                var group = new EndpointGroup(family, Ports(service.Value, pod.Value));
                if (!groups.TryAdd(group.Key, group))
                    group = groups[group.Key];
                group.Endpoints[ip] = Endpoint(service, pod, ip);
            }
            if (groups.Count == 0)
                groups.Add("", new EndpointGroup(family, []));
            foreach (EndpointGroup group in groups.Values)
                yield return group;
        }
    }

    private static JsonArray Ports(JsonObject service, JsonObject pod)
    {
        var ports = new JsonArray();
        foreach (JsonObject port in service.Objects("spec", "ports"))
        {
            long? number = port.Whole("targetPort") ?? NamedPort(pod, port.Text("targetPort") ?? "", port.Text("protocol"));
            if (number is null)
                continue;
            var entry = new JsonObject { ["name"] = port.Text("name") ?? "", ["port"] = number, ["protocol"] = port.Text("protocol") };
            if (port.Text("appProtocol") is { } application)
                entry["appProtocol"] = application;
            ports.Add((JsonNode)entry);
        }
        return ports;
    }

    private static long? NamedPort(JsonObject pod, string name, string? protocol)
        => pod.Objects("spec", "containers").Concat(pod.Objects("spec", "initContainers").Where(c => c.Text("restartPolicy") == "Always"))
            .SelectMany(c => c.Objects("ports")).FirstOrDefault(p => p.Text("name") == name && p.Text("protocol") == protocol).Whole("containerPort");

    private static JsonObject Endpoint(StoredObject service, StoredObject pod, string ip)
    {
        bool serving = PodSets.IsReady(pod);
        bool ready = service.Value.Flag("spec", "publishNotReadyAddresses") || serving && !pod.IsDeleting;
        var endpoint = new JsonObject
        {
            ["addresses"] = new JsonArray(ip),
            ["conditions"] = new JsonObject { ["ready"] = ready, ["serving"] = serving, ["terminating"] = pod.IsDeleting },
            ["nodeName"] = pod.Value.Text("spec", "nodeName"),
            ["targetRef"] = new JsonObject { ["kind"] = "Pod", ["namespace"] = pod.Namespace, ["name"] = pod.Name, ["uid"] = pod.Uid },
        };
        if (pod.Value.Text("spec", "hostname") is { Length: > 0 } hostname && pod.Value.Text("spec", "subdomain") == service.Name)
            endpoint["hostname"] = hostname;
        return endpoint;
    }

    private void WriteLegacy(StoredObject service, EndpointGroup[] groups)
    {
        string primary = service.Value.Texts("spec", "ipFamilies").First();
        var subsets = new JsonArray();
        int left = MaxLegacyAddresses;
        foreach (EndpointGroup group in groups.Where(g => g.Family == primary && g.Endpoints.Count > 0))
        {
            var subset = new JsonObject();
            foreach ((string list, bool ready) in ((string, bool)[])[("addresses", true), ("notReadyAddresses", false)])
            {
                JsonObject[] addresses = [.. group.Endpoints.Values.Where(e => e.Flag("conditions", "ready") == ready && !(e.Flag("conditions", "terminating") && !ready)).Take(left).Select(Legacy)];
                left -= addresses.Length;
                if (addresses.Length > 0)
                    subset[list] = JsonAccess.ToArray(addresses);
            }
            if (subset.Count == 0)
                continue;
            if (group.Ports.Count > 0)
                subset["ports"] = JsonAccess.ToArray(group.Ports.Objects().Select(LegacyPort));
            subsets.Add((JsonNode)subset);
        }
        JsonObject endpoints = ControllerHost.Object("v1", "Endpoints", service.Namespace, service.Name);
        endpoints.Ensure("metadata")["labels"] = JsonAccess.ToMap(service.Labels);
        endpoints.Ensure("metadata")["annotations"] = new JsonObject { [MirrorController.Marker] = service.Name };
        if (Store.Get(Type("endpoints"), service.Namespace, service.Name) is null)
        {
            endpoints["subsets"] = subsets;
            Machinery.Create(Type("endpoints"), endpoints, WriteContext.Internal);
            return;
        }
        Machinery.Modify(Type("endpoints"), service.Namespace, service.Name, WriteContext.Internal, live =>
        {
            live.Ensure("metadata")["labels"] = JsonAccess.ToMap(service.Labels);
            live.Ensure("metadata", "annotations")[MirrorController.Marker] = service.Name;
            live["subsets"] = subsets.Copy();
            return live;
        });
    }

    private static JsonObject LegacyPort(JsonObject port)
    {
        JsonObject copy = port.Copy();
        if (copy.Text("name") is "")
            copy.Remove("name");
        return copy;
    }

    private static JsonObject Legacy(JsonObject endpoint)
    {
        var address = new JsonObject
        {
            ["ip"] = endpoint.Texts("addresses").First(),
            ["nodeName"] = endpoint.Text("nodeName"),
            ["targetRef"] = endpoint.Map("targetRef")!.Copy(),
        };
        if (endpoint.Text("hostname") is { } hostname)
            address["hostname"] = hostname;
        return address;
    }
}

/// <summary>Slices for endpoints that somebody wrote by hand, next to a service without a selector.</summary>
internal sealed class MirrorController : Controller
{
    public const string SkipLabel = "endpointslice.kubernetes.io/skip-mirror";

    /// <summary>On endpoints that the endpoint controller wrote: those have slices already.</summary>
    public const string Marker = "endpoints.axoneme.io/from-selector";

    private readonly SliceWriter _slices;

    public MirrorController(ApiMachinery machinery, Action<string>? log) : base(machinery, log)
        => _slices = new SliceWriter(machinery, "endpointslicemirroring-controller.k8s.io");

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources =>
        [("endpoints", o => [KeyOf(o)]), ("services", o => [KeyOf(o)])];

    protected override void Reconcile(string key)
    {
        (string ns, string name) = Split(key);
        StoredObject? endpoints = Store.Get(Type("endpoints"), ns, name), service = Store.Get(Type("services"), ns, name);
        bool mirrored = endpoints is not null && service is not null && !service.IsDeleting
            && service.Value.Map("spec", "selector") is not { Count: > 0 }
            && endpoints.Labels.GetValueOrDefault(SkipLabel) != "true"
            && endpoints.Value.Text("metadata", "annotations", Marker) is null;
        if (!mirrored)
        {
            foreach (StoredObject slice in _slices.Present(ns, name).ToArray())
                _slices.Delete(slice);
            return;
        }
        var groups = new Dictionary<string, EndpointGroup>(StringComparer.Ordinal);
        foreach (JsonObject subset in endpoints!.Value.Objects("subsets"))
            foreach ((string list, bool ready) in ((string, bool)[])[("addresses", true), ("notReadyAddresses", false)])
                foreach (JsonObject address in subset.Objects(list))
                    Add(groups, subset, address, ready);
        _slices.Write(endpoints, "Endpoints", new Dictionary<string, string>(endpoints.Labels, StringComparer.Ordinal), groups.Values);
    }

    private static void Add(Dictionary<string, EndpointGroup> groups, JsonObject subset, JsonObject address, bool ready)
    {
        string ip = address.Text("ip")!;
        JsonArray ports = JsonAccess.ToArray(subset.Objects("ports").Select(p => new JsonObject
        {
            ["name"] = p.Text("name") ?? "",
            ["port"] = p.Whole("port"),
            ["protocol"] = p.Text("protocol"),
        }));
        var group = new EndpointGroup(ServiceRules.Family(IpAddress.Parse(ip).IsV6), ports);
        if (!groups.TryAdd(group.Key, group))
            group = groups[group.Key];
        var endpoint = new JsonObject { ["addresses"] = new JsonArray(ip), ["conditions"] = new JsonObject { ["ready"] = ready } };
        foreach (string field in (string[])["nodeName", "hostname", "targetRef"])
            if (address[field] is { } value)
                endpoint[field] = value.Copy();
        group.Endpoints[ip] = endpoint;
    }
}
