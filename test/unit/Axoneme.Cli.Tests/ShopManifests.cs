// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli.Tests;

/// <summary>A small cluster in a file: cart and db in the namespace shop, a scraper in monitoring.</summary>
internal sealed class ShopManifests : IDisposable
{
    public const string Objects = """
        apiVersion: v1
        kind: Namespace
        metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop}}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: cart-0, namespace: shop, labels: {app: cart, pod-template-hash: abc}}
        spec: {nodeName: worker-1, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
        status: {phase: Running, podIP: 10.244.1.5, podIPs: [{ip: 10.244.1.5}]}
        ---
        apiVersion: v1
        kind: List
        items:
        - apiVersion: v1
          kind: Pod
          metadata: {name: db-0, namespace: shop, labels: {app: db}}
          spec: {nodeName: worker-2, containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}
          status: {phase: Running, podIP: 10.244.2.6}
        - apiVersion: v1
          kind: Pod
          metadata: {name: scraper-0, namespace: monitoring, labels: {app: scraper}}
          spec: {nodeName: worker-2, containers: [{name: c}]}
          status: {phase: Running, podIP: 10.244.2.9}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: db, namespace: shop}
        spec: {clusterIP: 10.96.0.20, selector: {app: db}, ports: [{name: sql, port: 15432, targetPort: sql}]}
        ---
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: ledger, namespace: shop}
        spec: {template: {metadata: {labels: {app: ledger}}, spec: {containers: [{name: c}]}}}
        ---
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: db, namespace: shop}
        spec:
          endpointSelector: {matchLabels: {app: db}}
          ingress:
          - fromEndpoints: [{matchLabels: {app: web}}]
            toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
          ingressDeny:
          - fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: monitoring}}]
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: egress, namespace: shop}
        spec: {podSelector: {matchLabels: {app: cart}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}
        """;

    public ShopManifests() => File.WriteAllText(Path, Objects);

    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("axoneme-shop-").FullName;

    public string Path => System.IO.Path.Combine(Directory, "shop.yaml");

    /// <summary>Writes another file into the directory.</summary>
    public string Add(string name, string text)
    {
        string path = System.IO.Path.Combine(Directory, name);
        File.WriteAllText(path, text);
        return path;
    }

    public void Dispose() => System.IO.Directory.Delete(Directory, recursive: true);
}
