// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bench.Netfilter;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Bench.Sites;

/// <summary>Services that nobody asks, in the API of a lab and in the maps of its nodes.</summary>
internal sealed class IdleServices(LabCluster cluster)
{
    private const int ConcurrentWrites = 8;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private readonly List<IpAddress> _addresses = [];

    /// <summary>Adds services until there are so many besides those that are measured; returns when both nodes have them.</summary>
    public void GrowTo(int count)
    {
        int present = _addresses.Count;
        if (count <= present)
            return;
        var added = new IpAddress[count - present];
        Parallel.ForAsync(present, count, new ParallelOptions { MaxDegreeOfParallelism = ConcurrentWrites },
            async (i, cancellation) => added[i - present] = await CreateAsync(i, cancellation)).GetAwaiter().GetResult();
        _addresses.AddRange(added);
        foreach (string node in new[] { "node1", "node2" })
            WaitUntilWritten(node, added);
    }

    private async Task<IpAddress> CreateAsync(int index, CancellationToken cancellation)
    {
        ProxiedService idle = ProxiedService.Idle(index);
        var meta = new ObjectMeta { Name = $"idle-{index}", Namespace = "default" };
        Service service = await cluster.Client.Of(Kinds.Services).CreateAsync(
            new Service { Metadata = meta, Spec = new ServiceSpec { Ports = [new ServicePort { Port = idle.Port, TargetPort = idle.EndpointPort }] } },
            null, cancellation);
        await cluster.Client.Of(Kinds.EndpointSlices).CreateAsync(new EndpointSlice
        {
            Metadata = meta with { Labels = new Dictionary<string, string> { ["kubernetes.io/service-name"] = meta.Name } },
            AddressType = "IPv4",
            Ports = [new SlicePort { Port = idle.EndpointPort, Protocol = "TCP" }],
            Endpoints = [.. idle.Endpoints.Select(e => new SliceEndpoint { Addresses = [e] })],
        }, null, cancellation);
        return IpAddress.Parse(service.Spec.ClusterIP ?? throw new BenchException($"service {meta.Name} got no address"));
    }

    private void WaitUntilWritten(string node, IReadOnlyList<IpAddress> addresses)
    {
        const byte Tcp = 6;
        using BpfMap<Lb4Key, LbService> services = Maps.CiliumLb4ServicesV2.OpenPinned(cluster.MapsOn(node));
        long start = Environment.TickCount64;
        foreach (IpAddress address in addresses)
        {
            var key = new Lb4Key { Addr = (uint)address.Number, Port = (ushort)ProxiedService.Idle(0).Port, Slot = 0, Protocol = Tcp };
            while (!(services.TryLookup(key, out LbService value) && value.Count == 2))
            {
                if (Environment.TickCount64 - start > Patience.TotalMilliseconds)
                    throw new BenchException($"{address} is not in the service map of {node} after {Patience.TotalSeconds:0} s");
                Thread.Sleep(10);
            }
        }
    }
}
