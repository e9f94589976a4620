// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Bench.Sites;

/// <summary>A client and two servers on one node: one server that no policy is for, and one that lets the client in by one of 10,000 rules.</summary>
internal sealed class RuledLab : IDisposable
{
    public const int Rules = 10_000;
    private const int PortsPerRule = 40;
    private const string Node = "node1";

    private readonly LabCluster _lab;

    public RuledLab()
    {
        string[] server = [Worker.Executable, "worker", "server"];
        _lab = new LabCluster(nodes: 1,
        [
            LabCluster.Pod("client", Node, ["sleep", "infinity"], "client"),
            LabCluster.Pod("free", Node, server, "free"),
            LabCluster.Pod("ruled", Node, server, "ruled"),
        ]);
        try
        {
            _lab.PodAddress("client");
            Free = new TrafficPath("pod without policy", _lab.InPod("client"), _lab.PodAddress("free"));
            Ruled = new TrafficPath("pod with 10,000 rules", _lab.InPod("client"), _lab.PodAddress("ruled"));
            _lab.Client.Of(Kinds.CiliumNetworkPolicies).CreateAsync(Policy()).GetAwaiter().GetResult();
            WaitForRules();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public TrafficPath Ruled { get; }

    public TrafficPath Free { get; }

    public void Dispose() => _lab.Dispose();

    private static CiliumNetworkPolicy Policy() => new()
    {
        Metadata = new ObjectMeta { Name = "ruled", Namespace = "default" },
        Spec = new PolicyRule
        {
            EndpointSelector = Select("ruled"),
            Ingress =
            [
                .. Enumerable.Range(0, Rules / PortsPerRule).Select(i => new IngressRule
                {
                    FromEndpoints = [Select("client")],
                    ToPorts = [new PortRule { Ports = [.. Enumerable.Range(0, PortsPerRule).Select(p => new PortProtocol { Port = $"{5001 + (i * PortsPerRule) + p}", Protocol = "TCP" })] }],
                }),
            ],
        },
    };

    private static LabelSelector Select(string app) => new() { MatchLabels = new Dictionary<string, string> { ["app"] = app } };

    private void WaitForRules()
    {
        using BpfMap<Endpoint4Key, EndpointInfo> endpoints = Maps.CiliumLxc.OpenPinned(_lab.MapsOn(Node));
        endpoints.TryLookup(new Endpoint4Key { Addr = (uint)IpAddress.Parse(Ruled.Server.ToString()).Number }, out EndpointInfo endpoint);
        LoadedLab.WaitFor(
            () =>
            {
                using BpfMap<PolicyKey, PolicyEntry> map =
                    BpfMap.OpenPinned(Path.Combine(_lab.MapsOn(Node), $"cilium_policy_v2_{endpoint.Id:D5}")).As<PolicyKey, PolicyEntry>();
                Thread.Sleep(100);
                return map.Entries().Count() >= Rules;
            },
            "a policy of 10,000 rules");
    }
}
