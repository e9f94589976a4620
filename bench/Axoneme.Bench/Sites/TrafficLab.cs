// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Bench.Sites;

/// <summary>A lab with a client and a server on the first node, a server on the second, and a service before the first server.</summary>
internal sealed class TrafficLab : IDisposable
{
    private const string ServiceManifest = """
        apiVersion: v1
        kind: Service
        metadata: {name: near, namespace: default}
        spec:
          selector: {app: near}
          ports:
          - {name: echo, port: 7001}
          - {name: one-shot, port: 7002}
          - {name: sink, port: 7003}
        """;

    private readonly LabCluster _lab;

    public TrafficLab()
    {
        string[] server = [Worker.Executable, "worker", "server"];
        _lab = new LabCluster(nodes: 2,
        [
            LabCluster.Pod("client", "node1", ["sleep", "infinity"], "client"),
            LabCluster.Pod("near", "node1", server, "near"),
            LabCluster.Pod("far", "node2", server, "far"),
            ServiceManifest,
        ]);
        try
        {
            _lab.PodAddress("client");
            SameNode = new TrafficPath("pods on one node", _lab.InPod("client"), _lab.PodAddress("near"));
            CrossNode = new TrafficPath("pods on two nodes", _lab.InPod("client"), _lab.PodAddress("far"));
            Service service = _lab.Client.Of(Kinds.Services).GetAsync(LabCluster.NameOf("near")).GetAwaiter().GetResult();
            ServiceAddress = IPAddress.Parse(service.Spec.ClusterIP ?? throw new BenchException("the service got no address"));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public TrafficPath SameNode { get; }

    public TrafficPath CrossNode { get; }

    public IPAddress ServiceAddress { get; }

    public void Dispose() => _lab.Dispose();
}
