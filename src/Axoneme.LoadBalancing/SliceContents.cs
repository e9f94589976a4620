// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>How willing an endpoint is; a smaller one wins when several slices name the same endpoint.</summary>
internal enum Readiness : byte
{
    Ready,

    /// <summary>On its way out but still answering.</summary>
    Serving,

    /// <summary>Still open for what it has.</summary>
    Terminating,
}

/// <summary>One endpoint on one port.</summary>
internal sealed record SliceBackend(string PortName, L4Address Address, Readiness Readiness, string NodeName, string Zone);

/// <summary>An endpoint slice after validation.</summary>
internal sealed record SliceContents(
    ResourceName Name, ResourceName Service, ImmutableArray<SliceBackend> Backends, ImmutableArray<string> Problems)
{
    private const string ServiceNameLabel = "kubernetes.io/service-name";

    /// <summary>Null for a slice that belongs to no service, or has names instead of addresses.</summary>
    public static SliceContents? From(EndpointSlice slice)
    {
        string? service = slice.Metadata.Labels?.GetValueOrDefault(ServiceNameLabel);
        if (string.IsNullOrEmpty(service) || slice.AddressType == "FQDN")
            return null;
        var problems = new List<string>();
        List<(string Name, ushort Port, L4Protocol Protocol)> ports = Ports(slice, problems);
        var backends = ImmutableArray.CreateBuilder<SliceBackend>();
        for (int i = 0; i < (slice.Endpoints?.Count ?? 0); i++)
        {
            SliceEndpoint endpoint = slice.Endpoints![i];
            if (ReadinessOf(endpoint.Conditions) is not { } readiness || endpoint.Addresses is null or { Count: 0 })
                continue;
            // All addresses of an endpoint mean the same pod; the API says to take the first.
            if (!IpAddress.TryParse(endpoint.Addresses[0], out IpAddress address) || address.IsV6 != (slice.AddressType == "IPv6"))
            {
                problems.Add($"endpoints[{i}].addresses[0]: '{endpoint.Addresses[0]}' is not an {slice.AddressType} address");
                continue;
            }

            foreach ((string name, ushort port, L4Protocol protocol) in ports)
            {
                backends.Add(new SliceBackend(
                    name, new L4Address(address, port, protocol), readiness, endpoint.NodeName ?? "", endpoint.Zone ?? ""));
            }
        }

        return new SliceContents(
            slice.ResourceName, new ResourceName(slice.Metadata.Namespace, service), backends.ToImmutable(),
            [.. problems.Select(p => $"endpoint slice {slice.Metadata.Name}: {p}")]);
    }

    private static List<(string Name, ushort Port, L4Protocol Protocol)> Ports(EndpointSlice slice, List<string> problems)
    {
        var ports = new List<(string, ushort, L4Protocol)>();
        for (int i = 0; i < (slice.Ports?.Count ?? 0); i++)
        {
            SlicePort port = slice.Ports![i];
            if (port.Port is not (> 0 and <= ushort.MaxValue))
                problems.Add($"ports[{i}].port: {port.Port?.ToString() ?? "none"} is not in the range 1 to {ushort.MaxValue}");
            else if (!L4Protocols.TryParse(port.Protocol, out L4Protocol protocol))
                problems.Add($"ports[{i}].protocol: '{port.Protocol}' is not one of TCP, UDP, SCTP");
            else
                ports.Add((port.Name ?? "", (ushort)port.Port.Value, protocol));
        }

        return ports;
    }

    // Unknown counts as ready and serving. An endpoint that is neither ready nor on its way out is not up yet.
    private static Readiness? ReadinessOf(SliceEndpointConditions? conditions)
    {
        bool terminating = conditions?.Terminating ?? false;
        bool ready = conditions?.Ready ?? !terminating;
        if (ready)
            return Readiness.Ready;
        if (!terminating)
            return null;
        return conditions?.Serving ?? true ? Readiness.Serving : Readiness.Terminating;
    }
}
