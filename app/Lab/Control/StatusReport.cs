// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi;
using Axoneme.Kubernetes.Resources;
using Axoneme.Lab.Nodes;

namespace Axoneme.Lab.Control;

/// <summary>The tables of <c>lab status</c>, made from the API's objects.</summary>
internal static class StatusReport
{
    public static LabStatus Make(ObjectClient api, IReadOnlyList<NodeRunner> nodes, string server)
    {
        ILookup<string, JsonObject> slices = api.List("endpointslices.discovery.k8s.io").Where(s => (string?)s["addressType"] == "IPv4")
            .ToLookup(s => $"{s["metadata"]?["namespace"]}/{s["metadata"]?["labels"]?["kubernetes.io/service-name"]}");
        return new LabStatus
        {
            Server = server.TrimEnd('/'),
            Nodes = [.. nodes.Select(n => NodeLine(api, n))],
            Pods = Pods(api),
            Services = [.. api.List("services").Select(s => ServiceLine(s, slices))],
        };
    }

    public static IReadOnlyList<PodRow> Pods(ObjectClient api) => [.. api.List("pods").Select(PodLine)];

    private static NodeRow NodeLine(ObjectClient api, NodeRunner runner)
    {
        Node node = api.Get("nodes", null, runner.Name).Deserialize(KubernetesJson.Lean.Node) ?? new Node();
        bool ready = node.Status.Conditions?.Any(c => c is { Type: "Ready", Status: "True" }) == true;
        string agent = runner.Agent.ProcessId is { } id ? $"running ({id})" : "stopped";
        return new NodeRow(runner.Name, ready ? "Ready" : "NotReady",
            string.Join(' ', (node.Status.Addresses ?? []).Where(a => a.Type == "InternalIP").Select(a => a.Address)),
            string.Join(' ', node.Spec.PodCIDRs ?? []), agent);
    }

    private static PodRow PodLine(JsonObject json)
    {
        Pod pod = json.Deserialize(KubernetesJson.Lean.Pod)!;
        IReadOnlyList<ContainerStatus> containers = pod.Status.ContainerStatuses ?? [];
        string status = pod.Metadata.DeletionTimestamp is not null ? "Terminating"
            : containers.Select(c => c.State?.Waiting?.Reason).FirstOrDefault(r => r is not null)
                ?? (pod.Status.Phase == "Succeeded" ? "Completed" : pod.Status.Phase ?? "Pending");
        return new PodRow(pod.Metadata.Namespace, pod.Metadata.Name,
            $"{containers.Count(c => c.Ready)}/{pod.Spec.Containers?.Count ?? 0}", status, containers.Sum(c => c.RestartCount),
            string.Join(' ', (pod.Status.PodIPs ?? []).Select(a => a.Ip)), pod.Spec.NodeName ?? "");
    }

    private static ServiceRow ServiceLine(JsonObject json, ILookup<string, JsonObject> slices)
    {
        Service service = json.Deserialize(KubernetesJson.Lean.Service)!;
        int backends = slices[$"{service.Metadata.Namespace}/{service.Metadata.Name}"].SelectMany(s => s["endpoints"] as JsonArray ?? [])
            .Count(e => (bool?)e!["conditions"]?["ready"] != false);
        return new ServiceRow(service.Metadata.Namespace, service.Metadata.Name, service.Spec.Type ?? "ClusterIP",
            string.Join(' ', [.. service.Spec.ClusterIPs ?? [], .. Outer(json)]),
            string.Join(',', (service.Spec.Ports ?? []).Select(p => $"{p.Port}{(p.NodePort is > 0 ? $":{p.NodePort}" : "")}/{p.Protocol ?? "TCP"}")), backends);
    }

    private static IEnumerable<string> Outer(JsonObject service)
        => (service["status"]?["loadBalancer"]?["ingress"] as JsonArray ?? []).Select(i => (string?)i!["ip"])
            .Concat((service["spec"]?["externalIPs"] as JsonArray ?? []).Select(a => (string?)a)).OfType<string>();
}
