// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>How services reach their backends; the names of the upstream options stand with each.</summary>
public sealed record ServiceForwarding
{
    /// <summary>kube-proxy-replacement: traffic from outside is served.</summary>
    public bool NodePorts { get; init; }

    /// <summary>bpf-lb-mode other than snat, or bpf-lb-mode-annotation: some services may be answered by the backend's node.</summary>
    public bool DirectServerReturn { get; init; }

    /// <summary>bpf-lb-acceleration.</summary>
    public AccelerationMode Acceleration { get; init; }

    /// <summary>bpf-lb-algorithm=maglev, or bpf-lb-algorithm-annotation: some services may have Maglev tables.</summary>
    public bool Maglev { get; init; }

    /// <summary>bpf-lb-maglev-table-size: slots of each table, a prime.</summary>
    public uint MaglevSlots { get; init; } = 16381;

    /// <summary>bpf-lb-maglev-hash-seed, the part that goes into the hash over connections.</summary>
    public uint MaglevSeed { get; init; }

    /// <summary>node-port-range.</summary>
    public ushort NodePortMin { get; init; } = 30000;

    /// <inheritdoc cref="NodePortMin"/>
    public ushort NodePortMax { get; init; } = 32767;

    /// <summary>service-no-backend-response: an ICMP error, else silence.</summary>
    public bool RejectWithoutBackend { get; init; } = true;

    /// <summary>
    /// enable-no-service-endpoints-routable: a packet to a service without backends is refused; otherwise it goes on as if there were no
    /// service, unless a traffic policy is Local, as other nodes may have backends then.
    /// </summary>
    public bool ClaimWithoutBackend { get; init; } = true;

    /// <summary>
    /// enable-auto-protect-node-port-range: node ports are reserved where they overlap the ports that the kernel gives to clients
    /// (net.ipv4.ip_local_port_range), which could otherwise not be reached on them.
    /// </summary>
    public bool ProtectNodePorts { get; init; }

    /// <summary>Source ports of translated connections: all above the node ports.</summary>
    public (ushort Min, ushort Max) NatPorts => ((ushort)(NodePortMax + 1), ushort.MaxValue);
}

/// <summary>Which packets leave the node with its address instead of a pod's.</summary>
public sealed record Masquerading
{
    /// <summary>enable-bpf-masquerade with enable-ipv4-masquerade.</summary>
    public bool IPv4 { get; init; }

    /// <summary>enable-bpf-masquerade with enable-ipv6-masquerade.</summary>
    public bool IPv6 { get; init; }

    /// <summary>ipv4-native-routing-cidr: destinations that know pods' addresses; null: none.</summary>
    public IpPrefix? NativeCidr4 { get; init; }

    /// <summary>ipv6-native-routing-cidr.</summary>
    public IpPrefix? NativeCidr6 { get; init; }

    /// <summary>enable-ip-masq-agent: the destinations of <see cref="MasqueradeExceptionTarget"/> are left alone too.</summary>
    public bool Exceptions { get; init; }
}
