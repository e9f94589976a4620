// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Validation;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>Slices for endpoints that somebody wrote by hand, next to a service without a selector.</summary>
internal sealed class MirrorController : Controller
{
    public const string SkipLabel = "endpointslice.kubernetes.io/skip-mirror";

    /// <summary>On endpoints that the endpoint controller wrote: those have slices already.</summary>
    public const string Marker = "endpoints.axoneme.io/from-selector";

    private readonly SliceWriter _slices;

    public MirrorController(ApiMachinery machinery, SliceIndex index, Action<string>? log) : base(machinery, log)
        => _slices = new SliceWriter(machinery, index, "endpointslicemirroring-controller.k8s.io");

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
