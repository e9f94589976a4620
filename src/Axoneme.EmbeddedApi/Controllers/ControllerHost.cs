// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>The controllers of the cluster, and the objects that a cluster has from the start.</summary>
internal sealed class ControllerHost(ApiMachinery machinery, EmbeddedApiOptions options, string caPem) : IDisposable
{
    private static readonly string[] Namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];
    private readonly CancellationTokenSource _stopping = new();
    private Task _running = Task.CompletedTask;

    public void Start()
    {
        Bootstrap();
        var slices = new SliceIndex(machinery);
        Controller[] controllers =
        [
            new NamespaceController(machinery, options.Log, caPem),
            new GarbageController(machinery, options.Log),
            new SchedulerController(machinery, options.Log),
            new ReplicaSetController(machinery, options.Log),
            new DeploymentController(machinery, options.Log),
            new DaemonSetController(machinery, options.Log),
            new EndpointController(machinery, slices, options.Log),
            new MirrorController(machinery, slices, options.Log),
            new LoadBalancerController(machinery, options),
            new NodeController(machinery, options),
            new DefinitionController(machinery, options.Log),
        ];
        _running = Task.WhenAll(controllers.Select(c => c.RunAsync(_stopping.Token)));
    }

    public async Task StopAsync()
    {
        if (!_stopping.IsCancellationRequested)
            await _stopping.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
    }

    public void Dispose() => _stopping.Dispose();

    private void Bootstrap()
    {
        foreach (string name in Namespaces)
            CreateMissing("namespaces", Object("v1", "Namespace", null, name));
        JsonObject role = Object("rbac.authorization.k8s.io/v1", "ClusterRole", null, "cluster-admin");
        role["rules"] = new JsonArray(new JsonObject
        {
            ["apiGroups"] = new JsonArray("*"),
            ["resources"] = new JsonArray("*"),
            ["verbs"] = new JsonArray("*"),
        });
        CreateMissing("clusterroles.rbac.authorization.k8s.io", role);
        JsonObject service = Object("v1", "Service", "default", "kubernetes");
        service.Ensure("metadata")["labels"] = new JsonObject { ["component"] = "apiserver", ["provider"] = "kubernetes" };
        int port = options.AdvertisedEndPoints.Count > 0 ? options.AdvertisedEndPoints[0].Port : 6443;
        service["spec"] = new JsonObject
        {
            ["type"] = "ClusterIP",
            ["ipFamilyPolicy"] = "SingleStack",
            ["clusterIP"] = options.ServiceCidrs[0].Address.Add(1).ToString(),
            ["ports"] = new JsonArray(new JsonObject { ["name"] = "https", ["protocol"] = "TCP", ["port"] = 443, ["targetPort"] = port }),
        };
        CreateMissing("services", service);
        if (options.AdvertisedEndPoints.Count > 0)
            AdvertiseService(options.AdvertisedEndPoints, options.ServiceCidrs[0].IsV6);
    }

    private void AdvertiseService(IReadOnlyList<IPEndPoint> endPoints, bool v6)
    {
        IPEndPoint[] family = [.. endPoints.Where(e => e.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 == v6)];
        if (family.Length == 0)
            return;
        var client = new ObjectClient(machinery);
        JsonObject slice = Object("discovery.k8s.io/v1", "EndpointSlice", "default", "kubernetes");
        slice.Ensure("metadata")["labels"] = new JsonObject { ["kubernetes.io/service-name"] = "kubernetes" };
        slice["addressType"] = v6 ? "IPv6" : "IPv4";
        slice["endpoints"] = JsonAccess.ToArray(family.Select(e => new JsonObject
        {
            ["addresses"] = new JsonArray(e.Address.ToString()),
            ["conditions"] = new JsonObject { ["ready"] = true },
        }));
        slice["ports"] = new JsonArray(new JsonObject { ["name"] = "https", ["port"] = family[0].Port, ["protocol"] = "TCP" });
        client.Apply(slice);
        JsonObject endpoints = Object("v1", "Endpoints", "default", "kubernetes");
        endpoints.Ensure("metadata")["labels"] = new JsonObject { [MirrorController.SkipLabel] = "true" };
        endpoints["subsets"] = new JsonArray(new JsonObject
        {
            ["addresses"] = JsonAccess.ToArray(family.Select(e => new JsonObject { ["ip"] = e.Address.ToString() })),
            ["ports"] = new JsonArray(new JsonObject { ["name"] = "https", ["port"] = family[0].Port, ["protocol"] = "TCP" }),
        });
        client.Apply(endpoints);
    }

    private void CreateMissing(string resource, JsonObject value)
    {
        ResourceType type = machinery.Catalog.Find(resource);
        if (machinery.Store.Get(type, value.Text("metadata", "namespace"), value.Text("metadata", "name")!) is null)
            machinery.Create(type, value, WriteContext.Internal);
    }

    public static JsonObject Object(string apiVersion, string kind, string? ns, string name)
    {
        var metadata = new JsonObject { ["name"] = name };
        if (ns is not null)
            metadata["namespace"] = ns;
        return new JsonObject { ["apiVersion"] = apiVersion, ["kind"] = kind, ["metadata"] = metadata };
    }
}
