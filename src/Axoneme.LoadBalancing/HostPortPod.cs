// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>The host ports of one pod.</summary>
internal sealed class HostPortPod : FrontendOwner
{
    private readonly LocalPod _pod;
    private readonly List<string> _problems = [];

    public HostPortPod(LocalPod pod, CatalogOptions options, NodeFacts node)
        : base(new CatalogObject(CatalogObjectKind.Pod, pod.Name))
    {
        _pod = pod;
        Created = pod.Created;
        NextWanted = Read(options, node);
    }

    /// <summary>What the pod asks for, to be claimed.</summary>
    public ImmutableArray<WantedFrontend> NextWanted { get; }

    public override IEnumerable<string> OwnProblems => _problems;

    public override string Field => "spec.containers[].ports[].hostPort";

    // While a pod and its successor overlap, the one that stays has the port.
    protected override int Rank => _pod.IsTerminating ? 1 : 0;

    public override void Refresh()
    {
    }

    public override Frontend? Build(WantedFrontend wanted)
    {
        bool isV6 = wanted.Address.Address.IsV6;
        foreach (IpAddress address in _pod.Addresses)
        {
            if (address.IsV6 != isV6)
                continue;
            var target = new L4Address(address, wanted.ServicePort, wanted.Address.Protocol);
            var set = new BackendSet([new Backend(target, _pod.IsTerminating ? BackendState.Terminating : BackendState.Active, "", "")], 1);
            return new Frontend
            {
                Address = wanted.Address,
                Type = FrontendType.HostPort,
                Service = new ResourceName(_pod.Name.Namespace, $"{_pod.Name.Name}:host-port:{wanted.Address.Port}"),
                Inside = set,
                Outside = set,
                IsLoopbackOnly = wanted.IsLoopbackOnly,
            };
        }

        return null;
    }

    private ImmutableArray<WantedFrontend> Read(CatalogOptions options, NodeFacts node)
    {
        var wanted = new List<WantedFrontend>();
        foreach (PodHostPort port in _pod.HostPorts)
        {
            if (Check(port, options) is not { } protocol)
                continue;
            foreach (IpAddress address in AddressesOf(port, node))
            {
                var frontend = new WantedFrontend(new L4Address(address, (ushort)port.HostPort, protocol), FrontendType.HostPort, "")
                {
                    ServicePort = (ushort)port.ContainerPort,
                    IsLoopbackOnly = IsLoopback(port),
                };
                if (wanted.Exists(w => w.Address == frontend.Address))
                    _problems.Add($"{Field}: {frontend.Address} is given twice");
                else
                    wanted.Add(frontend);
            }
        }

        return [.. wanted];
    }

    private L4Protocol? Check(PodHostPort port, CatalogOptions options)
    {
        if (port.HostPort is <= 0 or > ushort.MaxValue || port.ContainerPort is <= 0 or > ushort.MaxValue)
            _problems.Add($"{Field}: {port.HostPort} to {port.ContainerPort} is not in the range 1 to {ushort.MaxValue}");
        else if (port.HostPort >= options.NodePortMinimum && port.HostPort <= options.NodePortMaximum)
            _problems.Add($"{Field}: {port.HostPort} is in the range of node ports, {options.NodePortMinimum} to {options.NodePortMaximum}");
        else if (port.HostIP.Length > 0 && !IpAddress.TryParse(port.HostIP, out _))
            _problems.Add($"{Field}: hostIP '{port.HostIP}' is not an IP address");
        else if (!L4Protocols.TryParse(port.Protocol, out L4Protocol protocol))
            _problems.Add($"{Field}: protocol '{port.Protocol}' is not one of TCP, UDP, SCTP");
        else
            return protocol;
        return null;
    }

    private IEnumerable<IpAddress> AddressesOf(PodHostPort port, NodeFacts node)
    {
        if (!IpAddress.TryParse(port.HostIP, out IpAddress address))
            return Surrogates.With(node.NodePortAddresses, HasFamily);
        if (address.Number == 0)
            return Surrogates.With(node.NodePortAddresses, isV6 => isV6 == address.IsV6 && HasFamily(isV6));
        // No packet from outside has a loopback destination, and sockets ask for the surrogate.
        return [IsLoopback(port) ? Surrogates.Of(address.IsV6) : address];
    }

    private static bool IsLoopback(PodHostPort port)
        => IpAddress.TryParse(port.HostIP, out IpAddress address) && ServiceFrontends.IsLoopback(address);

    private bool HasFamily(bool isV6) => _pod.Addresses.Any(a => a.IsV6 == isV6);
}
