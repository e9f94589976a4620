// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>An address that an object asks for, before it has backends and perhaps loses to another object.</summary>
internal sealed record WantedFrontend(L4Address Address, FrontendType Type, string PortName)
{
    /// <summary>Port of the service, which for a node port is not that of the address.</summary>
    public ushort ServicePort { get; init; }

    public string AppProtocol { get; init; } = "";

    public bool IsLoopbackOnly { get; init; }

    /// <summary>Leads to the node's own answer on a service's health-check port.</summary>
    public bool IsHealthCheck { get; init; }

    /// <summary>Nothing but what is served on the address is to be reached there.</summary>
    public bool GuardsAddress => Type is FrontendType.ClusterIP or FrontendType.LoadBalancer or FrontendType.ExternalIPs;
}
