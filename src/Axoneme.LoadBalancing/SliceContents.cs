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

    /// <summary>Not up yet, or not well: it may have connections, so that it is not forgotten.</summary>
    NotReady,
}

/// <summary>A port of all endpoints of a slice.</summary>
internal readonly record struct SlicePortNumber(string Name, ushort Port, L4Protocol Protocol);

/// <summary>One endpoint of a slice, on all its ports.</summary>
internal readonly record struct EndpointContents(IpAddress Address, Readiness Readiness, string NodeName, string Zone)
{
    /// <summary>Nodes that should use it; null without such a hint.</summary>
    public ImmutableArray<string>? ForNodes { get; init; }

    /// <summary>Zones that should use it; null without such a hint.</summary>
    public ImmutableArray<string>? ForZones { get; init; }
}

/// <summary>An endpoint slice after validation.</summary>
internal sealed class SliceContents
{
    private const string ServiceNameLabel = "kubernetes.io/service-name";
    private const string WeightAnnotation = "service.cilium.io/weight";

    private SliceContents(ResourceName name, ResourceName service)
    {
        Name = name;
        Service = service;
    }

    public ResourceName Name { get; }

    public ResourceName Service { get; }

    public bool IsV6 { get; private init; }

    /// <summary>Of all endpoints of the slice.</summary>
    public ushort Weight { get; private init; } = Backend.DefaultWeight;

    public ImmutableArray<SlicePortNumber> Ports { get; private init; } = [];

    public ImmutableArray<EndpointContents> Endpoints { get; private init; } = [];

    public ImmutableArray<string> Problems { get; private init; } = [];

    /// <summary>Null for a slice that belongs to no service, or has names instead of addresses.</summary>
    public static SliceContents? From(EndpointSlice slice, StringPool strings)
    {
        string? service = slice.Metadata.Label(ServiceNameLabel);
        if (string.IsNullOrEmpty(service) || slice.AddressType == "FQDN")
            return null;
        var reader = new Reader(slice, strings);
        return new SliceContents(slice.ResourceName, new ResourceName(slice.Metadata.Namespace, service))
        {
            IsV6 = slice.AddressType == "IPv6",
            Weight = reader.Weight(),
            Ports = reader.Ports(),
            Endpoints = reader.Endpoints(),
            Problems = reader.Problems is { } problems ? [.. problems.Select(p => $"endpoint slice {slice.Metadata.Name}: {p}")] : [],
        };
    }

    private sealed class Reader(EndpointSlice slice, StringPool strings)
    {
        public List<string>? Problems { get; private set; }

        public ushort Weight()
        {
            string? written = slice.Metadata.Annotation(WeightAnnotation);
            if (written is null)
                return Backend.DefaultWeight;
            if (ushort.TryParse(written, out ushort weight))
                return weight;
            Report($"metadata.annotations[{WeightAnnotation}]: '{written}' is not in the range 0 to {ushort.MaxValue}");
            return Backend.DefaultWeight;
        }

        public ImmutableArray<SlicePortNumber> Ports()
        {
            var ports = ImmutableArray.CreateBuilder<SlicePortNumber>(slice.Ports?.Count ?? 0);
            for (int i = 0; i < (slice.Ports?.Count ?? 0); i++)
            {
                SlicePort port = slice.Ports![i];
                if (port.Port is not (> 0 and <= ushort.MaxValue))
                    Report($"ports[{i}].port: {port.Port?.ToString() ?? "none"} is not in the range 1 to {ushort.MaxValue}");
                else if (!L4Protocols.TryParse(port.Protocol, out L4Protocol protocol))
                    Report($"ports[{i}].protocol: '{port.Protocol}' is not one of TCP, UDP, SCTP");
                else
                    ports.Add(new SlicePortNumber(strings.Share(port.Name), (ushort)port.Port.Value, protocol));
            }

            return ports.DrainToImmutable();
        }

        public ImmutableArray<EndpointContents> Endpoints()
        {
            bool isV6 = slice.AddressType == "IPv6";
            var endpoints = ImmutableArray.CreateBuilder<EndpointContents>(slice.Endpoints?.Count ?? 0);
            for (int i = 0; i < (slice.Endpoints?.Count ?? 0); i++)
            {
                SliceEndpoint endpoint = slice.Endpoints![i];
                if (endpoint.Addresses is null or { Count: 0 })
                    continue;
                // All addresses of an endpoint mean the same pod; the API says to take the first.
                if (!IpAddress.TryParse(endpoint.Addresses[0], out IpAddress address) || address.IsV6 != isV6)
                {
                    Report($"endpoints[{i}].addresses[0]: '{endpoint.Addresses[0]}' is not an {slice.AddressType} address");
                    continue;
                }

                endpoints.Add(new EndpointContents(
                    address, ReadinessOf(endpoint.Conditions), strings.Share(endpoint.NodeName), strings.Share(endpoint.Zone))
                {
                    ForNodes = endpoint.Hints?.ForNodes is { } nodes ? [.. nodes.Select(n => strings.Share(n.Name))] : null,
                    ForZones = endpoint.Hints?.ForZones is { } zones ? [.. zones.Select(z => strings.Share(z.Name))] : null,
                });
            }

            return endpoints.DrainToImmutable();
        }

        private void Report(string problem) => (Problems ??= []).Add(problem);
    }

    // Unknown counts as ready and serving.
    private static Readiness ReadinessOf(SliceEndpointConditions? conditions)
    {
        bool terminating = conditions?.Terminating ?? false;
        bool ready = conditions?.Ready ?? !terminating;
        if (ready)
            return Readiness.Ready;
        if (!terminating)
            return Readiness.NotReady;
        return conditions?.Serving ?? true ? Readiness.Serving : Readiness.Terminating;
    }
}
