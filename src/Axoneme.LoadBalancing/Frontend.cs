// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

public enum FrontendType : byte
{
    ClusterIP,
    NodePort,
    LoadBalancer,
    ExternalIPs,
    HostPort,
    LocalRedirect,
}

public enum TrafficPolicy : byte
{
    Cluster,
    Local,
}

public enum BackendSelection : byte
{
    Random,
    Maglev,
}

/// <summary>How packets from outside reach a backend on another node.</summary>
public enum ForwardingMode : byte
{
    /// <summary>With the address of the node that got them, and so back through it.</summary>
    Snat,

    /// <summary>With the client's address; the backend's node answers the client itself.</summary>
    Dsr,
}

/// <summary>An address that clients use, and where its connections go. Compared by value.</summary>
public sealed record Frontend
{
    /// <summary>Of a node port or host port also 0.0.0.0 or ::, which stands for any node's address (<see cref="IsSurrogate"/>).</summary>
    public required L4Address Address { get; init; }

    public required FrontendType Type { get; init; }

    /// <summary>
    /// The service; of a host port its pod, as <c>POD:host-port:PORT</c>; of a redirected address the policy, as <c>POLICY:local-redirect</c>.
    /// </summary>
    public required ResourceName Service { get; init; }

    /// <summary>The policy that took the frontend away from its service's own backends; null when none did.</summary>
    public ResourceName? RedirectPolicy { get; init; }

    /// <summary>Empty for a single unnamed port.</summary>
    public string PortName { get; init; } = "";

    /// <summary>As the service's port has it; empty when it says nothing.</summary>
    public string AppProtocol { get; init; } = "";

    /// <summary>What pods and the node's own sockets reach. The same instance as <see cref="Outside"/> where the two are equal.</summary>
    public BackendSet Inside { get; init; } = BackendSet.Empty;

    /// <summary>What traffic from outside reaches.</summary>
    public BackendSet Outside { get; init; } = BackendSet.Empty;

    public TrafficPolicy InternalTrafficPolicy { get; init; }

    public TrafficPolicy ExternalTrafficPolicy { get; init; }

    /// <summary>Seconds that a client stays with its backend; null: no affinity.</summary>
    public uint? AffinityTimeoutSeconds { get; init; }

    /// <summary>Traffic from outside is asked for its source; with no range in <see cref="SourceRanges"/> nobody is on the list.</summary>
    public bool ChecksSource { get; init; }

    /// <summary>Who may connect from outside or, with <see cref="DenySourceRanges"/>, who may not. Of the frontend's family.</summary>
    public ImmutableArray<IpPrefix> SourceRanges { get; init; } = [];

    public bool DenySourceRanges { get; init; }

    public BackendSelection Selection { get; init; }

    /// <summary>Of this frontend's protocol, where the node's default depends on it.</summary>
    public ForwardingMode Forwarding { get; init; }

    /// <summary>
    /// Where the node itself is the chosen backend, packets from outside come to its stack as they were sent: a proxy there takes them.
    /// </summary>
    public bool DelegatesToNode { get; init; }

    /// <summary>Port on which every node tells whether it has ready backends; 0 none.</summary>
    public ushort HealthCheckNodePort { get; init; }

    /// <summary>Empty for the cluster's own implementation.</summary>
    public string LoadBalancerClass { get; init; } = "";

    /// <summary>Served on the loopback address only; the address is the surrogate.</summary>
    public bool IsLoopbackOnly { get; init; }

    /// <summary>
    /// The entry for 0.0.0.0 or ::, which sockets ask for a port of any node's address. No packet has such a destination, so what it says for
    /// the outside is what it says for the inside.
    /// </summary>
    public bool IsSurrogate => Address.Address.Number == 0;

    public bool Equals(Frontend? other)
        => other is not null && Address == other.Address && Type == other.Type && Service == other.Service
            && RedirectPolicy == other.RedirectPolicy && PortName == other.PortName && AppProtocol == other.AppProtocol
            && InternalTrafficPolicy == other.InternalTrafficPolicy && ExternalTrafficPolicy == other.ExternalTrafficPolicy
            && AffinityTimeoutSeconds == other.AffinityTimeoutSeconds && ChecksSource == other.ChecksSource
            && DenySourceRanges == other.DenySourceRanges && SourceRanges.AsSpan().SequenceEqual(other.SourceRanges.AsSpan())
            && Selection == other.Selection && Forwarding == other.Forwarding && DelegatesToNode == other.DelegatesToNode
            && HealthCheckNodePort == other.HealthCheckNodePort
            && LoadBalancerClass == other.LoadBalancerClass && IsLoopbackOnly == other.IsLoopbackOnly
            && Inside.Equals(other.Inside) && Outside.Equals(other.Outside);

    public override int GetHashCode() => HashCode.Combine(Address, Type, Service.Name);
}
