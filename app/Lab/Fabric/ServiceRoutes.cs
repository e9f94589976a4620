// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi;
using Axoneme.Network;

namespace Axoneme.Lab.Fabric;

/// <summary>
/// Makes the router send what is for load-balancer and external addresses to a node: to the first one or, where the service wants its
/// traffic local, to the first that has a ready endpoint. One node, and not all in turn, so that it is known which one balances.
/// </summary>
internal sealed class ServiceRoutes(ObjectClient api, LabFabric fabric, IReadOnlyList<string> nodes)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, RoutedService> _services = [];
    private readonly Dictionary<string, (string Service, string[] Nodes)> _slices = [];
    private readonly Dictionary<IpAddress, int> _routes = [];

    public Task RunAsync(CancellationToken cancellation) => Task.WhenAll(
        FollowAsync("services", NoteService, cancellation), FollowAsync("endpointslices.discovery.k8s.io", NoteSlice, cancellation));

    private async Task FollowAsync(string resource, Func<string, JsonObject?, JsonObject, bool> note, CancellationToken cancellation)
    {
        await foreach (ObjectEvent change in api.WatchAsync(resource, null, cancellation))
            lock (_gate)
            {
                string key = KeyOf(change.Object, (string?)change.Object["metadata"]?["name"]);
                if (note(key, change.Type == "DELETED" ? null : change.Object, change.Object))
                    WriteRoutes();
            }
    }

    private static string KeyOf(JsonObject value, string? name) => $"{value["metadata"]?["namespace"]}/{name}";

    /// <returns>Whether routes may have to change, which with most services they never have.</returns>
    private bool NoteService(string key, JsonObject? service, JsonObject last)
    {
        IpAddress[] addresses = service is null ? [] : [.. AddressesOf(service)];
        if (addresses.Length == 0)
            return _services.Remove(key);
        _services[key] = new RoutedService(addresses, (string?)service!["spec"]?["externalTrafficPolicy"] == "Local");
        return true;
    }

    private bool NoteSlice(string key, JsonObject? slice, JsonObject last)
    {
        string service = KeyOf(last, (string?)last["metadata"]?["labels"]?["kubernetes.io/service-name"]);
        if (slice is null)
            _slices.Remove(key);
        else
            _slices[key] = (service, [.. Items(slice["endpoints"]).Where(e => (bool?)e["conditions"]?["ready"] != false)
                .Select(e => (string?)e["nodeName"]).OfType<string>()]);
        return _services.TryGetValue(service, out RoutedService? routed) && routed.IsLocal;
    }

    private static IEnumerable<JsonNode> Items(JsonNode? list) => (list as JsonArray ?? []).OfType<JsonNode>();

    private static IEnumerable<IpAddress> AddressesOf(JsonObject service)
        => Items(service["status"]?["loadBalancer"]?["ingress"]).Select(i => (string?)i["ip"])
            .Concat(Items(service["spec"]?["externalIPs"]).Select(a => (string?)a))
            .Where(t => IpAddress.TryParse(t, out _)).Select(t => IpAddress.Parse(t!)).Where(a => !LabFabric.IsOnLink(a));

    private void WriteRoutes()
    {
        ILookup<string, string> serving = _slices.Values.SelectMany(s => s.Nodes.Select(n => (s.Service, Node: n))).ToLookup(p => p.Service, p => p.Node);
        var wanted = new Dictionary<IpAddress, int>();
        foreach ((string key, RoutedService service) in _services)
        {
            int node = service.IsLocal ? Enumerable.Range(0, nodes.Count).FirstOrDefault(i => serving[key].Contains(nodes[i])) : 0;
            foreach (IpAddress address in service.Addresses)
                wanted.TryAdd(address, node);
        }

        foreach (IpAddress address in _routes.Keys.Except(wanted.Keys).ToArray())
        {
            fabric.RemoveRoute(address);
            _routes.Remove(address);
        }

        foreach ((IpAddress address, int node) in wanted.Where(w => !_routes.TryGetValue(w.Key, out int present) || present != w.Value))
        {
            fabric.RouteAddress(address, node);
            _routes[address] = node;
        }
    }

    private sealed record RoutedService(IpAddress[] Addresses, bool IsLocal);
}
