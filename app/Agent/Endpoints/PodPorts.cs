// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Endpoints;

/// <summary>Container ports with names, as pods declare them and as CiliumEndpoints carry them.</summary>
internal static class PodPorts
{
    public static NamedPorts Read(Pod pod) => NamedPorts.From(
        from container in pod.Spec.Containers ?? []
        from port in container.Ports ?? []
        where !string.IsNullOrEmpty(port.Name) && port.Number is > 0 and <= ushort.MaxValue
        select new NamedPort(port.Name!, ProtocolOf(port.Protocol), (ushort)port.Number));

    public static NamedPorts Read(IEnumerable<EndpointNamedPort> ports)
        => NamedPorts.From(
            from port in ports
            where !string.IsNullOrEmpty(port.Name) && port.Port is > 0 and <= ushort.MaxValue
            select new NamedPort(port.Name!, ProtocolOf(port.Protocol), (ushort)port.Port!.Value));

    private static L4Protocol ProtocolOf(string? text) => text?.ToUpperInvariant() switch
    {
        "UDP" => L4Protocol.Udp,
        "SCTP" => L4Protocol.Sctp,
        _ => L4Protocol.Tcp,
    };
}
