// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Bench.Sites;

/// <summary>A lab with the policies and services of a middling cluster, and an eye on the kernel's maps of its node.</summary>
internal sealed class LoadedLab : IDisposable
{
    public const int Policies = 500;
    public const int Services = 1000;
    public const int BackendsPerService = 4;
    public const ushort ServicePort = 80;
    private const int Pods = 4;

    // Policies are for fifty workloads, of which four have a pod on this node: as on a node of a cluster.
    private const int Workloads = 50;
    private const int ConcurrentWrites = 8;
    private const string Node = "node1";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    private readonly LabCluster _lab;
    private readonly BpfMap<Lb4Key, LbService> _services;
    private readonly BpfMap<LbBackendKey, Lb4Backend> _backends;
    private readonly BpfMap<PolicyKey, PolicyEntry> _policy;

    public LoadedLab()
    {
        _lab = new LabCluster(nodes: 1, Enumerable.Range(0, Pods).Select(
            i => LabCluster.Pod(Workload(i), Node, ["sleep", "infinity"], Workload(i))));
        try
        {
            _services = Maps.CiliumLb4ServicesV2.OpenPinned(_lab.MapsOn(Node));
            _backends = Maps.CiliumLb4BackendsV3.OpenPinned(_lab.MapsOn(Node));
            _policy = OpenPolicy(_lab.PodAddress(Workload(0)));
            IpAddress[] addresses = FillAsync().GetAwaiter().GetResult();
            foreach (IpAddress address in addresses)
                WaitFor(() => BackendCount(address) == BackendsPerService, $"service {address}");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public KubernetesClient Client => _lab.Client;

    /// <summary>Memory of the agent that is in the machine, in MiB.</summary>
    public double AgentMegabytes
    {
        get
        {
            string line = File.ReadLines($"/proc/{_lab.AgentProcess(Node)}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
            return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) / 1024;
        }
    }

    public static string Workload(int index) => $"workload-{index}";

    public void Dispose()
    {
        _services?.Dispose();
        _backends?.Dispose();
        _policy?.Dispose();
        _lab.Dispose();
    }

    /// <summary>Waits in steps of a millisecond.</summary>
    public static void WaitFor(Func<bool> condition, string what)
    {
        long start = Environment.TickCount64;
        while (!condition())
        {
            if (Environment.TickCount64 - start > Patience.TotalMilliseconds)
                throw new BenchException($"{what} did not reach the kernel within {Patience.TotalSeconds:0} s");
            Thread.Sleep(1);
        }
    }

    /// <summary>Whether the first workload's pod lets everybody in at the port.</summary>
    public bool IsPortOpen(ushort port)
    {
        const uint FullLength = 64;
        var key = new PolicyKey { PrefixLen = FullLength, Identity = 0, Direction = (byte)TrafficDirection.Ingress, Protocol = 6, Port = port };
        return _policy.TryLookup(key, out PolicyEntry entry) && (entry.Flags & (byte)PolicyFlags.Deny) == 0;
    }

    public bool HasBackend(IpAddress service, IpAddress backend)
    {
        for (ushort slot = 1; slot <= BackendsPerService; slot++)
        {
            bool isIt = _services.TryLookup(KeyOf(service, slot), out LbService value)
                && _backends.TryLookup(new LbBackendKey { Id = value.Backend }, out Lb4Backend found)
                && found.Addr == (NetU32)(uint)backend.Number;
            if (isIt)
                return true;
        }

        return false;
    }

    public IpAddress AddressOf(string service)
        => AddressOf(Client.Of(Kinds.Services).GetAsync(LabCluster.NameOf(service)).GetAwaiter().GetResult());

    /// <summary>A slice of one service with the given last backend.</summary>
    public static EndpointSlice Slice(int service, IpAddress last) => new()
    {
        Metadata = MetaOf($"service-{service}") with
        {
            Labels = new Dictionary<string, string> { ["kubernetes.io/service-name"] = $"service-{service}" },
        },
        AddressType = "IPv4",
        Ports = [new SlicePort { Port = 8080, Protocol = "TCP" }],
        Endpoints =
        [
            .. Enumerable.Range(1, BackendsPerService - 1).Select(i => new SliceEndpoint { Addresses = [$"198.19.{service / 250}.{(service % 250) + i}"] }),
            new SliceEndpoint { Addresses = [last.ToString()] },
        ],
    };

    public static CiliumNetworkPolicy OpenPort(string name, int workload, int port, string? peer) => new()
    {
        Metadata = MetaOf(name),
        Spec = new PolicyRule
        {
            EndpointSelector = Select(workload),
            Ingress =
            [
                new IngressRule
                {
                    FromEndpoints = peer is null ? null : [new LabelSelector { MatchLabels = Labels(peer) }],
                    ToPorts = [new PortRule { Ports = [new PortProtocol { Port = $"{port}", Protocol = "TCP" }] }],
                },
            ],
        },
    };

    private static ObjectMeta MetaOf(string name) => new() { Name = name, Namespace = "default" };

    private static Dictionary<string, string> Labels(string app) => new() { ["app"] = app };

    private static LabelSelector Select(int workload) => new() { MatchLabels = Labels(Workload(workload % Workloads)) };

    private static NetworkPolicy AllowPrefix(int index) => new()
    {
        Metadata = MetaOf($"policy-{index}"),
        Spec = new NetworkPolicySpec
        {
            PodSelector = Select(index),
            PolicyTypes = ["Ingress"],
            Ingress =
            [
                new NetworkPolicyIngressRule
                {
                    From = [new NetworkPolicyPeer { IpBlock = new IPBlock { Cidr = $"10.{index / 250}.{index % 250}.0/24" } }],
                    Ports = [new NetworkPolicyPort { Protocol = "TCP", Port = 8000 + index }],
                },
            ],
        },
    };

    private static Lb4Key KeyOf(IpAddress service, ushort slot)
        => new() { Addr = (uint)service.Number, Port = ServicePort, Slot = slot, Protocol = 6 };

    private static IpAddress AddressOf(Service service)
        => IpAddress.Parse(service.Spec.ClusterIP ?? throw new BenchException($"service {service.Metadata.Name} got no address"));

    private int BackendCount(IpAddress service) => _services.TryLookup(KeyOf(service, 0), out LbService value) ? value.Count : 0;

    private BpfMap<PolicyKey, PolicyEntry> OpenPolicy(IPAddress pod)
    {
        using BpfMap<Endpoint4Key, EndpointInfo> endpoints = Maps.CiliumLxc.OpenPinned(_lab.MapsOn(Node));
        if (!endpoints.TryLookup(new Endpoint4Key { Addr = (uint)IpAddress.Parse(pod.ToString()).Number }, out EndpointInfo endpoint))
            throw new BenchException($"pod {pod} is not in the endpoint map");
        return BpfMap.OpenPinned(Path.Combine(_lab.MapsOn(Node), $"cilium_policy_v2_{endpoint.Id:D5}")).As<PolicyKey, PolicyEntry>();
    }

    /// <summary>Returns the addresses of the services.</summary>
    private async Task<IpAddress[]> FillAsync()
    {
        var limit = new ParallelOptions { MaxDegreeOfParallelism = ConcurrentWrites };
        await Parallel.ForAsync(0, Policies, limit, async (i, cancellation) =>
        {
            if (i % 2 == 0)
                await Client.Of(Kinds.NetworkPolicies).CreateAsync(AllowPrefix(i), null, cancellation);
            else
                await Client.Of(Kinds.CiliumNetworkPolicies).CreateAsync(
                    OpenPort($"policy-{i}", i, 8000 + i, $"peer-{i % 20}"), null, cancellation);
        });
        var addresses = new IpAddress[Services];
        await Parallel.ForAsync(0, Services, limit, async (i, cancellation) =>
        {
            Service service = await Client.Of(Kinds.Services).CreateAsync(
                new Service { Metadata = MetaOf($"service-{i}"), Spec = new ServiceSpec { Ports = [new ServicePort { Port = ServicePort, TargetPort = 8080 }] } },
                null, cancellation);
            addresses[i] = AddressOf(service);
            await Client.Of(Kinds.EndpointSlices).CreateAsync(
                Slice(i, IpAddress.Parse($"198.18.{i / 250}.{(i % 250) + 1}")), null, cancellation);
        });
        return addresses;
    }
}
