// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>
/// The device pairs of endpoints: links, addresses, routes, neighbours and programs. Every call can be repeated. Calls for different
/// endpoints may overlap; those for one endpoint must not.
/// </summary>
public sealed class EndpointDatapath
{
    private readonly NodeDatapath _node;
    private readonly AddressRemovals _connections;

    internal EndpointDatapath(NodeDatapath node)
    {
        _node = node;
        _connections = new AddressRemovals(node.Maps);
    }

    /// <summary>Makes the pair, with one end inside the pod's namespace, and attaches the programs.</summary>
    /// <exception cref="SystemCallException">The kernel refused something; nothing is left behind.</exception>
    public Task<EndpointInterface> CreateAsync(EndpointInterfaceSpec spec, NetworkNamespace pod)
    {
        ArgumentNullException.ThrowIfNull(spec);
        ArgumentNullException.ThrowIfNull(pod);
        return Task.Run(() =>
        {
            try
            {
                Link device = EnsurePair(spec, pod);
                ConfigurePod(spec, pod);
                ConfigureHost(spec, device.Index);
                WriteSettings(spec);
                AttachPrograms(spec, device.Index, new DatapathReport());
                return Describe(spec, device);
            }
            catch
            {
                Remove(spec);
                throw;
            }
        });
    }

    /// <summary>
    /// Takes over the pair of an endpoint of an earlier run: replaces its programs and puts its host side right. Null when the device is
    /// gone, and with it the endpoint.
    /// </summary>
    public Task<EndpointInterface?> AdoptAsync(EndpointInterfaceSpec spec, DatapathReport report)
    {
        ArgumentNullException.ThrowIfNull(spec);
        ArgumentNullException.ThrowIfNull(report);
        return Task.Run(() =>
        {
            if (_node.Netlink.FindLink(spec.HostDevice) is not { } device)
                return null;
            foreach (string difference in HostDifferences(spec, device))
                report.AddRepaired($"endpoint {spec.EndpointId}: {difference}");
            ConfigureHost(spec, device.Index);
            WriteSettings(spec);
            AttachPrograms(spec, device.Index, report);
            return Describe(spec, device);
        });
    }

    /// <summary>Gives the running programs other settings, such as another identity: the next packet sees them.</summary>
    /// <exception cref="InvalidOperationException">The endpoint has no device.</exception>
    public Task<EndpointInterface> UpdateAsync(EndpointInterfaceSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return Task.Run(() =>
        {
            Link device = _node.Netlink.FindLink(spec.HostDevice)
                ?? throw new InvalidOperationException($"endpoint {spec.EndpointId} has no device {spec.HostDevice}");
            WriteSettings(spec);
            return Describe(spec, device);
        });
    }

    /// <summary>Removes device, links, settings, policy and connections. Idempotent; the pod's namespace may be gone.</summary>
    public async Task RemoveAsync(EndpointInterfaceSpec spec, CancellationToken cancellation = default)
    {
        await DetachAsync(spec, cancellation);
        await ForgetConnectionsAsync(spec, cancellation);
    }

    /// <summary>
    /// Removes device, links, settings and policy: the endpoint is off the network. Connections of its addresses stay until
    /// <see cref="ForgetConnectionsAsync"/>, before which nobody else may have them. Idempotent.
    /// </summary>
    public Task DetachAsync(EndpointInterfaceSpec spec, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return Task.Run(() => Remove(spec), cancellation);
    }

    /// <summary>Removes the connections and translations of the endpoint's addresses, for which whole maps are walked through: endpoints share a walk.</summary>
    public async Task ForgetConnectionsAsync(EndpointInterfaceSpec spec, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(spec);
        await _connections.RemoveAsync(spec.Addresses).WaitAsync(cancellation);
    }

    /// <summary>Compares with what is there (CNI CHECK); empty when all is well.</summary>
    /// <param name="pod">Null leaves the inside of the pod alone.</param>
    public Task<IReadOnlyList<string>> CheckAsync(EndpointInterfaceSpec spec, NetworkNamespace? pod)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return Task.Run<IReadOnlyList<string>>(() =>
        {
            if (_node.Netlink.FindLink(spec.HostDevice) is not { } device)
                return [$"device {spec.HostDevice} is missing"];
            List<string> differences = [.. HostDifferences(spec, device), .. LinkDifferences(spec, device.Index)];
            if (pod is not null)
                differences.AddRange(PodDifferences(spec, pod));
            return differences;
        });
    }

    /// <summary>Ids of endpoints that have pins; those that no endpoint owns are to be removed.</summary>
    public IEnumerable<ushort> Pinned()
    {
        if (!Directory.Exists(_node.Paths.Endpoints))
            yield break;
        foreach (string folder in Directory.EnumerateDirectories(_node.Paths.Endpoints))
        {
            if (ushort.TryParse(Path.GetFileName(folder), out ushort id))
                yield return id;
        }
    }

    /// <summary>Removes links, settings and policy of an endpoint of which nothing but the id is known.</summary>
    public void RemoveStale(ushort endpointId)
    {
        BpfFileSystem.DeleteFolder(_node.Paths.EndpointFolder(endpointId));
        _node.Maps.EndpointSettings.Update(endpointId, default);
        new PolicyTarget(_node.Maps).Remove(endpointId);
    }

    private Link EnsurePair(EndpointInterfaceSpec spec, NetworkNamespace pod)
    {
        if (_node.Netlink.FindLink(spec.HostDevice) is { } existing)
        {
            // A repeated request of the same container; anything else is a leftover.
            if (existing.PeerNamespaceId is { } id && id == _node.Netlink.FindNamespaceId(pod)
                && existing.Mac == spec.EffectiveHostMac)
                return existing;
            _node.Netlink.DeleteLink(existing.Index);
        }

        _node.Netlink.AddLink(new LinkSpec(spec.HostDevice)
        {
            Mac = spec.EffectiveHostMac,
            Mtu = _node.DeviceMtu,
            Kind = new VethKind(new LinkSpec(spec.PodDevice)
            {
                Mac = spec.EffectivePodMac,
                Mtu = _node.DeviceMtu,
                NamespaceDescriptor = pod.Descriptor,
            }),
        });
        return _node.Netlink.FindLink(spec.HostDevice)!;
    }

    private void ConfigurePod(EndpointInterfaceSpec spec, NetworkNamespace pod)
    {
        if (spec.IPv6 is not null)
        {
            // Container runtimes switch IPv6 off in namespaces that they expect none in.
            Sysctl.WriteAll(pod, [("net/ipv6/conf/all/disable_ipv6", "0"), ($"net/ipv6/conf/{spec.PodDevice}/disable_ipv6", "0")]);
        }

        using RouteNetlink netlink = RouteNetlink.Open(pod);
        int device = RequireLink(netlink, spec.PodDevice, pod).Index;
        int loopback = RequireLink(netlink, "lo", pod).Index;
        var up = new LinkChange { Up = true };
        var batch = new RequestBatch().SetLink(loopback, up).SetLink(device, up);
        foreach (LinkAddress address in PodAddresses(spec, device))
            batch.ReplaceAddress(address);
        foreach (Neighbor gateway in PodNeighbors(spec, device))
            batch.ReplaceNeighbor(gateway);
        foreach (Route route in PodRoutes(spec, device))
            batch.ReplaceRoute(route);
        netlink.Execute(batch);
    }

    private void ConfigureHost(EndpointInterfaceSpec spec, int device)
    {
        // Without the link-local address the host sends neither neighbour solicitations nor multicast reports into the pod.
        var batch = new RequestBatch()
            .SetLink(device, new LinkChange { AddressGeneration = AddressGenerationMode.None })
            .SetLink(device, new LinkChange { Up = true });
        foreach (Neighbor neighbor in HostNeighbors(spec, device))
            batch.ReplaceNeighbor(neighbor);
        foreach (Route route in HostRoutes(spec, device))
            batch.ReplaceRoute(route);
        _node.Netlink.Execute(batch);
        Sysctl.WriteAll(_node.Options.HostNamespace, [($"net/ipv4/conf/{spec.HostDevice}/rp_filter", "0")]);
    }

    // Before the programs that read them are attached.
    private void WriteSettings(EndpointInterfaceSpec spec) => _node.Maps.EndpointSettings.Update(spec.EndpointId, Settings(spec));

    private static EndpointSettings Settings(EndpointInterfaceSpec spec) => new()
    {
        Identity = spec.Identity.Value,
        Ip4 = spec.IPv4?.ToV4() ?? default,
        Ip6 = spec.IPv6?.ToV6() ?? default,
    };

    private void AttachPrograms(EndpointInterfaceSpec spec, int device, DatapathReport report)
    {
        EndpointConstants constants = _node.ConstantsFor<EndpointConstants>(EndpointObject.Image);
        constants.EndpointId = spec.EndpointId;
        using BpfObject loaded = _node.Load(EndpointObject.Image, constants);
        string folder = _node.Paths.EndpointLinks(spec.EndpointId);
        Directory.CreateDirectory(folder);
        _node.InHost(() =>
        {
            Attach(EndpointObject.EndpointIngress, TcDirection.Egress);
            Attach(EndpointObject.EndpointEgress, TcDirection.Ingress);
            return true;
        });

        void Attach(string program, TcDirection direction)
            => NodeDatapath.Note(report, $"{program} of endpoint {spec.EndpointId}",
                PinnedLinks.EnsureTcx(Path.Combine(folder, program), loaded.Program(program), device, direction));
    }

    private void Remove(EndpointInterfaceSpec spec)
    {
        // Without its map entries no other endpoint delivers to the device that is about to go.
        foreach (IpAddress address in spec.Addresses)
        {
            if (address.IsV6)
                _node.Maps.Endpoints6.TryDelete(new Endpoint6Key { Addr = address.ToV6() });
            else
                _node.Maps.Endpoints4.TryDelete(new Endpoint4Key { Addr = address.ToV4() });
        }

        _node.Netlink.DeleteLink(spec.HostDevice);
        RemoveStale(spec.EndpointId);
    }

    private IEnumerable<string> HostDifferences(EndpointInterfaceSpec spec, Link device)
    {
        if (!device.IsUp)
            yield return $"device {device.Name} is down";
        IReadOnlyList<Route> routes = _node.Netlink.ListRoutes();
        foreach (Route route in HostRoutes(spec, device.Index).Where(r => !routes.Contains(r)))
            yield return $"route {route.Destination} is missing";
        IReadOnlyList<Neighbor> neighbors = _node.Netlink.ListNeighbors(device.Index);
        foreach (Neighbor neighbor in HostNeighbors(spec, device.Index).Where(n => !neighbors.Contains(n)))
            yield return $"neighbour {neighbor.Address} is missing";
        if (!_node.Maps.EndpointSettings.TryLookup(spec.EndpointId, out EndpointSettings settings) || settings != Settings(spec))
            yield return "settings differ";
    }

    private IEnumerable<string> LinkDifferences(EndpointInterfaceSpec spec, int device)
        => new[] { EndpointObject.EndpointEgress, EndpointObject.EndpointIngress }
            .Where(pin => !PinnedLinks.IsAttached(Path.Combine(_node.Paths.EndpointLinks(spec.EndpointId), pin), device))
            .Select(pin => $"program {pin} is not attached");

    private List<string> PodDifferences(EndpointInterfaceSpec spec, NetworkNamespace pod)
    {
        using RouteNetlink netlink = RouteNetlink.Open(pod);
        if (netlink.FindLink(spec.PodDevice) is not { } device)
            return [$"device {spec.PodDevice} is missing in the pod"];
        IReadOnlyList<LinkAddress> addresses = netlink.ListAddresses(device.Index);
        IReadOnlyList<Route> routes = netlink.ListRoutes();
        IReadOnlyList<Neighbor> neighbors = netlink.ListNeighbors(device.Index);
        return
        [
            .. PodAddresses(spec, device.Index).Where(w => !addresses.Any(a => a.Address == w.Address))
                .Select(a => $"address {a.Address} is missing in the pod"),
            .. PodRoutes(spec, device.Index).Where(r => !routes.Contains(r)).Select(r => $"route {r.Destination} is missing in the pod"),
            .. PodNeighbors(spec, device.Index).Where(n => !neighbors.Contains(n))
                .Select(n => $"neighbour {n.Address} is missing in the pod"),
        ];
    }

    private static IEnumerable<LinkAddress> PodAddresses(EndpointInterfaceSpec spec, int device)
        => spec.Addresses.Select(a => new LinkAddress(device, a, a.BitCount) { Flags = a.IsV6 ? AddressFlags.NoDad : AddressFlags.None });

    private IEnumerable<(IpAddress Address, IpAddress Gateway)> Gateways(EndpointInterfaceSpec spec)
    {
        if (spec.IPv4 is { } v4 && _node.Options.RouterIPv4 is { } router4)
            yield return (v4, router4);
        if (spec.IPv6 is { } v6 && _node.Options.RouterIPv6 is { } router6)
            yield return (v6, router6);
    }

    private IEnumerable<Neighbor> PodNeighbors(EndpointInterfaceSpec spec, int device)
        => Gateways(spec).Select(g => new Neighbor(device, g.Gateway) { Mac = spec.EffectiveHostMac });

    private IEnumerable<Route> PodRoutes(EndpointInterfaceSpec spec, int device)
        => Gateways(spec).Select(g => new Route(new IpPrefix(g.Gateway.Mask(0), 0))
        {
            Device = device,
            Gateway = g.Gateway,
            OnLink = true,
            Mtu = (uint)_node.RouteMtu,
        });

    private static IEnumerable<Neighbor> HostNeighbors(EndpointInterfaceSpec spec, int device)
        => spec.Addresses.Select(a => new Neighbor(device, a) { Mac = spec.EffectivePodMac });

    private static IEnumerable<Route> HostRoutes(EndpointInterfaceSpec spec, int device)
        => spec.Addresses.Select(a => new Route(IpPrefix.Single(a)) { Device = device });

    private static Link RequireLink(RouteNetlink netlink, string name, NetworkNamespace where)
        => netlink.FindLink(name) ?? throw new InvalidOperationException($"device {name} is missing in {where.Path}");

    private static EndpointInterface Describe(EndpointInterfaceSpec spec, Link device)
        => new(spec, device.Index, spec.EffectiveHostMac, spec.EffectivePodMac);
}
