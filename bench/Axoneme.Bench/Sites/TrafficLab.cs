// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Bench.Sites;

/// <summary>A lab with a client and a server on the first node, a server on the second, and services before the servers.</summary>
internal sealed class TrafficLab : IDisposable
{
    private const int FirstNodePort = 31001;

    private const string ServiceManifests = """
        apiVersion: v1
        kind: Service
        metadata: {name: near, namespace: default}
        spec:
          selector: {app: near}
          ports:
          - {name: echo, port: 7001}
          - {name: one-shot, port: 7002}
          - {name: sink, port: 7003}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: far, namespace: default}
        spec:
          type: NodePort
          selector: {app: far}
          ports:
          - {name: echo, port: 7001, nodePort: 31001}
          - {name: one-shot, port: 7002, nodePort: 31002}
          - {name: sink, port: 7003, nodePort: 31003}
        """;

    /// <param name="name">Of the lab.</param>
    /// <param name="settings">What <c>lab up --set</c> takes.</param>
    public TrafficLab(string name = "bench", IReadOnlyList<string>? settings = null)
    {
        string[] server = [Worker.Executable, "worker", "server"];
        Cluster = new LabCluster(nodes: 2,
        [
            LabCluster.Pod("client", "node1", ["sleep", "infinity"], "client"),
            LabCluster.Pod("near", "node1", server, "near"),
            LabCluster.Pod("far", "node2", server, "far"),
            ServiceManifests,
        ], name, settings);
        try
        {
            Cluster.PodAddress("client");
            SameNode = new TrafficPath("pods on one node", Cluster.InPod("client"), Cluster.PodAddress("near"));
            CrossNode = new TrafficPath("pods on two nodes", Cluster.InPod("client"), Cluster.PodAddress("far"));
            Service service = Cluster.Client.Of(Kinds.Services).GetAsync(LabCluster.NameOf("near")).GetAwaiter().GetResult();
            ClusterIp = SameNode.Via("ClusterIP", IPAddress.Parse(service.Spec.ClusterIP ?? throw new BenchException("the service got no address")));
            Node node = Cluster.Client.Of(Kinds.Nodes).GetAsync(new ResourceName("", "node1")).GetAwaiter().GetResult();
            string address = node.Status.Addresses!.First(a => a.Type == "InternalIP").Address;
            NodePort = new TrafficPath("NodePort", Cluster.Outside, IPAddress.Parse(address)) { FirstPort = FirstNodePort };
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public LabCluster Cluster { get; }

    public TrafficPath SameNode { get; }

    public TrafficPath CrossNode { get; }

    /// <summary>From the client to the service whose backend is on its node.</summary>
    public TrafficPath ClusterIp { get; }

    /// <summary>From the host beyond the cluster to the first node, for the backend on the second.</summary>
    public TrafficPath NodePort { get; }

    public void Dispose() => Cluster.Dispose();
}
