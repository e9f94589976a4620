// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>The addresses that one service asks for on this node.</summary>
internal sealed class ServiceFrontends(
    Service service, FrontendType? onlyType, CatalogOptions options, NodeFacts node, List<string> problems)
{
    private readonly ServiceSpec _spec = service.Spec;
    private readonly List<WantedFrontend> _wanted = [];

    public ImmutableArray<WantedFrontend> Read()
    {
        List<(IpAddress Address, FrontendType Type)> addresses = Addresses();
        ImmutableArray<IpAddress> nodeAddresses = NodePortAddresses();
        for (int i = 0; i < (_spec.Ports?.Count ?? 0); i++)
        {
            ServicePort port = _spec.Ports![i];
            if (Protocol($"spec.ports[{i}].protocol", port.Protocol) is not { } protocol
                || Port($"spec.ports[{i}].port", port.Port) is not { } number)
                continue;
            foreach ((IpAddress address, FrontendType type) in addresses)
                Add($"spec.ports[{i}]", port, number, new L4Address(address, number, protocol), type);
            if (nodeAddresses.IsEmpty || port.NodePort is null or 0
                || Port($"spec.ports[{i}].nodePort", port.NodePort.Value) is not { } nodePort)
                continue;
            foreach (IpAddress address in nodeAddresses)
                Add($"spec.ports[{i}].nodePort", port, number, new L4Address(address, nodePort, protocol), FrontendType.NodePort);
        }

        AddHealthChecks(addresses);
        return [.. _wanted];
    }

    private void AddHealthChecks(List<(IpAddress Address, FrontendType Type)> addresses)
    {
        if (!options.HealthChecksOnLoadBalancers
            || _spec is not { Type: "LoadBalancer", ExternalTrafficPolicy: "Local", HealthCheckNodePort: > 0 and <= ushort.MaxValue and var port })
            return;
        foreach ((IpAddress address, FrontendType type) in addresses)
        {
            var frontend = new L4Address(address, (ushort)port, L4Protocol.Tcp);
            // A port of the service itself is what its clients mean.
            if (type == FrontendType.LoadBalancer && !_wanted.Exists(w => w.Address == frontend))
                _wanted.Add(new WantedFrontend(frontend, type, "") { ServicePort = (ushort)port, IsHealthCheck = true });
        }
    }

    private void Add(string path, ServicePort port, ushort servicePort, L4Address address, FrontendType type)
    {
        string name = port.Name ?? "";
        // A service has few addresses; a set would cost more than it saves.
        foreach (WantedFrontend present in _wanted)
        {
            if (present.Address != address)
                continue;
            // The same port by two fields, such as an external address that is an ingress address, too, is no mistake.
            if (present.PortName != name || present.Type == type)
                problems.Add($"{path}: {address} is given twice");
            return;
        }

        _wanted.Add(new WantedFrontend(address, type, name) { ServicePort = servicePort, AppProtocol = port.AppProtocol ?? "" });
    }

    private List<(IpAddress Address, FrontendType Type)> Addresses()
    {
        var addresses = new List<(IpAddress, FrontendType)>();
        IReadOnlyList<string> clusterIPs = _spec.ClusterIPs is { Count: > 0 } many ? many
            : _spec.ClusterIP is { Length: > 0 } one ? [one] : [];
        if (Wants(FrontendType.ClusterIP))
            Parse("spec.clusterIPs", clusterIPs, FrontendType.ClusterIP);
        if (!options.ServeOutside)
            return addresses;
        if (_spec.Type == "LoadBalancer" && Wants(FrontendType.LoadBalancer))
            Parse("status.loadBalancer.ingress", IngressAddresses(), FrontendType.LoadBalancer);
        if (_spec.ExternalIPs is { Count: > 0 } external && Wants(FrontendType.ExternalIPs))
            Parse("spec.externalIPs", external, FrontendType.ExternalIPs);
        return addresses;

        void Parse(string path, IReadOnlyList<string> texts, FrontendType type)
        {
            for (int i = 0; i < texts.Count; i++)
            {
                if (!IpAddress.TryParse(texts[i], out IpAddress address))
                    problems.Add($"{path}[{i}]: '{texts[i]}' is not an IP address");
                else if (address.Number == 0 || IsLoopback(address))
                    problems.Add($"{path}[{i}]: {address} is not an address that clients could use");
                else if (options.Enables(address))
                    addresses.Add((address, type));
            }
        }
    }

    // An address in proxy mode belongs to a balancer elsewhere that wants to see the traffic.
    private string[] IngressAddresses()
        => [.. (service.Status.LoadBalancer?.Ingress ?? [])
            .Where(i => i is { Ip.Length: > 0 } && i.IpMode is null or "" or "VIP").Select(i => i.Ip!)];

    private ImmutableArray<IpAddress> NodePortAddresses()
    {
        if (!options.ServeOutside || _spec.Type is not ("NodePort" or "LoadBalancer") || !Wants(FrontendType.NodePort))
            return [];
        return [.. Surrogates.With(node.NodePortAddresses, HasFamily)];
    }

    private bool Wants(FrontendType type) => onlyType is null || onlyType == type;

    private bool HasFamily(bool isV6)
    {
        if (!(isV6 ? options.EnableIPv6 : options.EnableIPv4))
            return false;
        if (_spec.IpFamilies is { Count: > 0 } families)
            return families.Contains(isV6 ? "IPv6" : "IPv4");
        // Written before there were two families: that of its address.
        return string.IsNullOrEmpty(_spec.ClusterIP) || _spec.ClusterIP.Contains(':', StringComparison.Ordinal) == isV6;
    }

    internal static bool IsLoopback(IpAddress address) => address.IsV6 ? address.Number == 1 : address.Number >> 24 == 127;

    private ushort? Port(string path, int number)
    {
        if (number is > 0 and <= ushort.MaxValue)
            return (ushort)number;
        problems.Add($"{path}: {number} is not in the range 1 to {ushort.MaxValue}");
        return null;
    }

    private L4Protocol? Protocol(string path, string? written)
    {
        if (L4Protocols.TryParse(written, out L4Protocol protocol))
            return protocol;
        problems.Add($"{path}: '{written}' is not one of TCP, UDP, SCTP");
        return null;
    }
}

/// <summary>The addresses that stand for any node's address.</summary>
internal static class Surrogates
{
    public static IpAddress Of(bool isV6) => isV6 ? IpAddress.FromV6(0) : IpAddress.FromV4(0);

    /// <summary>The node's addresses of the families, then the surrogate of each family.</summary>
    public static IEnumerable<IpAddress> With(IEnumerable<IpAddress> nodeAddresses, Func<bool, bool> hasFamily)
    {
        foreach (IpAddress address in nodeAddresses)
        {
            if (hasFamily(address.IsV6))
                yield return address;
        }

        if (hasFamily(false))
            yield return Of(isV6: false);
        if (hasFamily(true))
            yield return Of(isV6: true);
    }
}
