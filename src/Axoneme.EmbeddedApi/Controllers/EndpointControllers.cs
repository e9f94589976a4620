// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Validation;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>Slices, and the older endpoints object, of services that select pods.</summary>
internal sealed class EndpointController : Controller
{
    private const string Headless = "service.kubernetes.io/headless";
    private const string ZoneLabel = "topology.kubernetes.io/zone";

    /// <summary>What the older object may hold; more must be read from slices.</summary>
    private const int MaxLegacyAddresses = 1000;

    private readonly SliceWriter _slices;

    public EndpointController(ApiMachinery machinery, SliceIndex index, Action<string>? log) : base(machinery, log)
        => _slices = new SliceWriter(machinery, index, "endpointslice-controller.k8s.io");

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources =>
    [
        ("services", o => [KeyOf(o)]),
        ("pods", ServicesOf),
        ("nodes", ServicesOnNode),
        ("endpointslices.discovery.k8s.io", o => o.Labels.TryGetValue(SliceWriter.ServiceLabel, out string? service)
            && o.Labels.GetValueOrDefault(SliceWriter.ManagerLabel) == "endpointslice-controller.k8s.io" ? [$"{o.Namespace}/{service}"] : []),
    ];

    // For their zones. Leases are objects of their own, so nodes change seldom.
    private IEnumerable<string> ServicesOnNode(StoredObject node)
        => Store.Snapshot(Type("pods")).All.Where(p => p.Value.Text("spec", "nodeName") == node.Name).SelectMany(ServicesOf).Distinct();

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

    private IEnumerable<EndpointGroup> Groups(StoredObject service, StoredObject[] pods)
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

    private JsonObject Endpoint(StoredObject service, StoredObject pod, string ip)
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
        string? node = pod.Value.Text("spec", "nodeName");
        string? zone = Store.Get(Type("nodes"), null, node ?? "")?.Labels.GetValueOrDefault(ZoneLabel);
        if (zone is not null)
            endpoint["zone"] = zone;
        if (ready && Hints(service.Value.Text("spec", "trafficDistribution"), node, zone) is { Count: > 0 } hints)
            endpoint["hints"] = hints;
        if (pod.Value.Text("spec", "hostname") is { Length: > 0 } hostname && pod.Value.Text("spec", "subdomain") == service.Name)
            endpoint["hostname"] = hostname;
        return endpoint;
    }

    // Each endpoint is for its own place; proxies fall back to all of them where a place has none.
    private static JsonObject Hints(string? distribution, string? node, string? zone)
    {
        var hints = new JsonObject();
        if (distribution is not null && zone is not null)
            hints["forZones"] = new JsonArray(new JsonObject { ["name"] = zone });
        if (distribution == "PreferSameNode" && node is not null)
            hints["forNodes"] = new JsonArray(new JsonObject { ["name"] = node });
        return hints;
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
