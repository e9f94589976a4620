// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.LoadBalancing.Tests;

/// <summary>API objects with few words.</summary>
internal static class Objects
{
    public static Service Service(string name, string clusterIP, params IEnumerable<ServicePort> ports) => new()
    {
        Metadata = new ObjectMeta { Namespace = "shop", Name = name, Uid = name, CreationTimestamp = DateTimeOffset.UnixEpoch },
        Spec = new ServiceSpec { ClusterIP = clusterIP, ClusterIPs = [clusterIP], Ports = [.. ports] },
    };

    public static ServicePort Port(int port, string name = "", string protocol = "TCP", int? nodePort = null)
        => new() { Port = port, Name = name, Protocol = protocol, NodePort = nodePort };

    public static EndpointSlice Slice(string service, string suffix, int port, params IEnumerable<SliceEndpoint> endpoints) => new()
    {
        Metadata = new ObjectMeta
        {
            Namespace = "shop",
            Name = $"{service}-{suffix}",
            Labels = new Dictionary<string, string> { ["kubernetes.io/service-name"] = service },
        },
        AddressType = "IPv4",
        Ports = [new SlicePort { Name = "", Port = port, Protocol = "TCP" }],
        Endpoints = [.. endpoints],
    };

    public static SliceEndpoint Endpoint(string address, string node = "one", bool? ready = true, bool? serving = null, bool? terminating = null) => new()
    {
        Addresses = [address],
        NodeName = node,
        Conditions = new SliceEndpointConditions { Ready = ready, Serving = serving, Terminating = terminating },
    };
}
