// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cni;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Endpoints;

internal enum EndpointState
{
    WaitingForIdentity,
    Regenerating,
    Ready,
    Restoring,
    Disconnecting,
}

/// <summary>One pod interface of this node.</summary>
internal sealed record Endpoint
{
    /// <summary>Node-local number, 1 to 65535; index of the policy maps.</summary>
    public required ushort Id { get; init; }

    public required CniAttachmentId Attachment { get; init; }

    /// <summary>The runtime's path of the pod's network namespace.</summary>
    public required string NetworkNamespace { get; init; }

    /// <summary>The number by which BPF programs know that namespace (SO_NETNS_COOKIE); 0 when it is not known.</summary>
    public ulong NetworkNamespaceCookie { get; init; }

    public required ResourceName Pod { get; init; }

    public string PodUid { get; init; } = "";

    public required string HostInterface { get; init; }

    public required MacAddress HostMac { get; init; }

    public required MacAddress PodMac { get; init; }

    public IpAddress? IPv4 { get; init; }

    public IpAddress? IPv6 { get; init; }

    /// <summary>The labels that the identity stands for.</summary>
    public LabelSet Labels { get; init; } = LabelSet.Empty;

    public SecurityIdentity Identity { get; init; } = SecurityIdentity.Init;

    /// <summary>Container ports that policies may refer to by name.</summary>
    public NamedPorts NamedPorts { get; init; } = NamedPorts.Empty;

    public EndpointState State { get; init; }

    public IEnumerable<IpAddress> Addresses
    {
        get
        {
            if (IPv4 is { } v4)
                yield return v4;
            if (IPv6 is { } v6)
                yield return v6;
        }
    }
}
