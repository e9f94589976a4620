// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>A frontend that a service asks for, before it has backends and perhaps loses to another service.</summary>
internal sealed record WantedFrontend(L4Address Address, FrontendType Type, string PortName);

/// <summary>A service object after validation: what it asks for, and what is wrong with the rest of it.</summary>
internal sealed record ServiceSpecification
{
    private const uint DefaultAffinitySeconds = 10800;
    private const uint MaximalAffinitySeconds = 86400;

    public required ResourceName Name { get; init; }

    public required DateTimeOffset Created { get; init; }

    public string Uid { get; init; } = "";

    public ImmutableArray<WantedFrontend> Frontends { get; init; } = [];

    public TrafficPolicy InternalTrafficPolicy { get; init; }

    public TrafficPolicy ExternalTrafficPolicy { get; init; }

    public uint? AffinityTimeoutSeconds { get; init; }

    public ImmutableArray<IpPrefix> SourceRanges { get; init; } = [];

    public ImmutableArray<string> Problems { get; init; } = [];

    public static ServiceSpecification From(Service service, IReadOnlyList<IpAddress> nodeAddresses)
    {
        var reader = new Reader(service, nodeAddresses);
        ServiceSpec spec = service.Spec;
        return new ServiceSpecification
        {
            Name = service.ResourceName,
            Created = service.Metadata.CreationTimestamp ?? DateTimeOffset.MaxValue,
            Uid = service.Metadata.Uid ?? "",
            Frontends = [.. reader.Frontends()],
            InternalTrafficPolicy = reader.Policy("spec.internalTrafficPolicy", spec.InternalTrafficPolicy),
            ExternalTrafficPolicy = reader.Policy("spec.externalTrafficPolicy", spec.ExternalTrafficPolicy),
            AffinityTimeoutSeconds = reader.Affinity(),
            SourceRanges = [.. reader.SourceRanges()],
            Problems = [.. reader.Problems],
        };
    }

    private sealed class Reader(Service service, IReadOnlyList<IpAddress> nodeAddresses)
    {
        private readonly ServiceSpec _spec = service.Spec;

        public List<string> Problems { get; } = [];

        public List<WantedFrontend> Frontends()
        {
            var wanted = new Dictionary<L4Address, WantedFrontend>();
            // Headless and external names are for DNS alone.
            if (_spec.Type == "ExternalName" || _spec.ClusterIP == "None" || _spec.ClusterIPs is ["None", ..])
                return [];
            List<(IpAddress Address, FrontendType Type)> addresses = [.. Addresses()];
            bool nodePorts = _spec.Type is "NodePort" or "LoadBalancer";
            for (int i = 0; i < (_spec.Ports?.Count ?? 0); i++)
            {
                ServicePort port = _spec.Ports![i];
                if (Protocol($"spec.ports[{i}].protocol", port.Protocol) is not { } protocol
                    || Port($"spec.ports[{i}].port", port.Port) is not { } number)
                    continue;
                string name = port.Name ?? "";
                foreach ((IpAddress address, FrontendType type) in addresses)
                    Add($"spec.ports[{i}]", new WantedFrontend(new L4Address(address, number, protocol), type, name));
                if (!nodePorts || port.NodePort is null or 0 || Port($"spec.ports[{i}].nodePort", port.NodePort.Value) is not { } nodePort)
                    continue;
                foreach (IpAddress address in nodeAddresses.Where(HasFamily))
                    Add($"spec.ports[{i}].nodePort", new WantedFrontend(new L4Address(address, nodePort, protocol), FrontendType.NodePort, name));
            }

            return [.. wanted.Values];

            void Add(string path, WantedFrontend frontend)
            {
                if (!wanted.TryAdd(frontend.Address, frontend))
                    Problems.Add($"{path}: {frontend.Address} is given twice");
            }
        }

        public TrafficPolicy Policy(string path, string? written)
        {
            if (written is not (null or "" or "Cluster" or "Local"))
                Problems.Add($"{path}: '{written}' is not one of Cluster, Local");
            return written == "Local" ? TrafficPolicy.Local : TrafficPolicy.Cluster;
        }

        public uint? Affinity()
        {
            if (_spec.SessionAffinity is null or "" or "None")
                return null;
            if (_spec.SessionAffinity != "ClientIP")
            {
                Problems.Add($"spec.sessionAffinity: '{_spec.SessionAffinity}' is not one of None, ClientIP");
                return null;
            }

            int seconds = _spec.SessionAffinityConfig?.ClientIP?.TimeoutSeconds ?? (int)DefaultAffinitySeconds;
            if (seconds is > 0 and <= (int)MaximalAffinitySeconds)
                return (uint)seconds;
            Problems.Add($"spec.sessionAffinityConfig.clientIP.timeoutSeconds: {seconds} is not in the range 1 to {MaximalAffinitySeconds}");
            return DefaultAffinitySeconds;
        }

        public IEnumerable<IpPrefix> SourceRanges()
        {
            for (int i = 0; i < (_spec.LoadBalancerSourceRanges?.Count ?? 0); i++)
            {
                string text = _spec.LoadBalancerSourceRanges![i].Trim();
                if (IpPrefix.TryParse(text, out IpPrefix prefix))
                    yield return prefix;
                else
                    Problems.Add($"spec.loadBalancerSourceRanges[{i}]: '{text}' is not an address block");
            }
        }

        private IEnumerable<(IpAddress Address, FrontendType Type)> Addresses()
        {
            IReadOnlyList<string> clusterIPs = _spec.ClusterIPs is { Count: > 0 } many ? many
                : _spec.ClusterIP is { Length: > 0 } one ? [one] : [];
            foreach (IpAddress address in Parse("spec.clusterIPs", clusterIPs))
                yield return (address, FrontendType.ClusterIP);
            foreach (IpAddress address in Parse("spec.externalIPs", _spec.ExternalIPs ?? []))
                yield return (address, FrontendType.ExternalIPs);
            if (_spec.Type != "LoadBalancer")
                yield break;
            // An address in proxy mode belongs to a balancer elsewhere that wants to see the traffic.
            string[] ingress = [.. (service.Status.LoadBalancer?.Ingress ?? [])
                .Where(i => i is { Ip.Length: > 0 } && i.IpMode != "Proxy").Select(i => i.Ip!)];
            foreach (IpAddress address in Parse("status.loadBalancer.ingress", ingress))
                yield return (address, FrontendType.LoadBalancer);
        }

        private IEnumerable<IpAddress> Parse(string path, IReadOnlyList<string> texts)
        {
            for (int i = 0; i < texts.Count; i++)
            {
                if (IpAddress.TryParse(texts[i], out IpAddress address))
                    yield return address;
                else
                    Problems.Add($"{path}[{i}]: '{texts[i]}' is not an IP address");
            }
        }

        private bool HasFamily(IpAddress address)
            => _spec.IpFamilies is not { Count: > 0 } families || families.Contains(address.IsV6 ? "IPv6" : "IPv4");

        private ushort? Port(string path, int number)
        {
            if (number is > 0 and <= ushort.MaxValue)
                return (ushort)number;
            Problems.Add($"{path}: {number} is not in the range 1 to {ushort.MaxValue}");
            return null;
        }

        private L4Protocol? Protocol(string path, string? written)
        {
            if (L4Protocols.TryParse(written, out L4Protocol protocol))
                return protocol;
            Problems.Add($"{path}: '{written}' is not one of TCP, UDP, SCTP");
            return null;
        }
    }
}

internal static class L4Protocols
{
    /// <summary>As services and slices write it; TCP when omitted.</summary>
    public static bool TryParse(string? written, out L4Protocol protocol)
    {
        protocol = written switch
        {
            null or "" or "TCP" => L4Protocol.Tcp,
            "UDP" => L4Protocol.Udp,
            "SCTP" => L4Protocol.Sctp,
            _ => L4Protocol.Any,
        };
        return protocol != L4Protocol.Any;
    }
}
