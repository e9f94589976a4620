// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>Who has an address, and behind which node it is.</summary>
/// <param name="Node">Null for addresses of this node and of the world.</param>
public sealed record IpcacheEntry(IpPrefix Prefix, SecurityIdentity Identity, IpAddress? Node = null)
{
    /// <summary>Not to be encapsulated although another node has it.</summary>
    public bool SkipTunnel { get; init; }
}

/// <summary>An address that lives on this node: of an endpoint or, with <see cref="IsHost"/>, of the node itself.</summary>
public sealed record EndpointMapEntry(IpAddress Address)
{
    public ushort EndpointId { get; init; }

    public SecurityIdentity Identity { get; init; }

    /// <summary>Index of the host side of the pair.</summary>
    public int Device { get; init; }

    public MacAddress PodMac { get; init; }

    public MacAddress HostMac { get; init; }

    public bool IsHost { get; init; }
}

/// <summary>What one entry of a policy map is about. Port 0 with <see cref="PortBits"/> 0 is any port.</summary>
/// <param name="Identity">Of the other side; 0 for anyone.</param>
/// <param name="PortBits">Leading bits of the port that count: 16 one port, 0 any.</param>
public readonly record struct PolicyMapKey(
    TrafficDirection Direction, SecurityIdentity Identity, L4Protocol Protocol, ushort Port, byte PortBits);

/// <summary>One entry of a policy map.</summary>
public sealed record PolicyMapEntry(PolicyMapKey Key)
{
    public bool Deny { get; init; }

    /// <summary>The larger one wins between the identity's entry and the wildcard's.</summary>
    public uint Precedence { get; init; }

    /// <summary>Reported in verdict events: which rules made the entry.</summary>
    public uint Cookie { get; init; }

    /// <summary>Local port of the proxy to redirect to; 0 none.</summary>
    public ushort ProxyPort { get; init; }

    /// <summary>
    /// With <see cref="Deny"/>: the rules want the proxy to decide and nobody knows its port. Drops say so (SOCKET_LOOKUP_FAILED).
    /// </summary>
    public bool LacksProxy { get; init; }
}

/// <summary>The whole policy of one endpoint.</summary>
/// <param name="Revision">Changes with every change of the policy; connections are judged again then. Not 0.</param>
public sealed record EndpointPolicy(ushort EndpointId, uint Revision)
{
    public bool IngressEnforced { get; init; }

    public bool EgressEnforced { get; init; }

    public bool Audit { get; init; }

    /// <summary>Of what the kernel has: a later policy has more entries than the map, and new connections are dropped. Not to be asked for.</summary>
    public bool Overflowed { get; init; }

    public PolicyMapEntryCollection Entries { get; init; } = PolicyMapEntryCollection.Empty;

    /// <summary>The policy as it would be with the rules that are on trial; null for endpoints that none of those concerns.</summary>
    public ShadowPolicy? Shadow { get; init; }
}

/// <summary>
/// A policy that decides nothing: events tell of new connections that it would treat otherwise (<see cref="VerdictAction.WouldDeny"/>,
/// <see cref="VerdictAction.WouldAllow"/>).
/// </summary>
public sealed record ShadowPolicy
{
    /// <summary>Whether it is asked about what the endpoint receives; what it then has no entry for would be denied.</summary>
    public bool Ingress { get; init; }

    /// <summary>Likewise, about what the endpoint sends.</summary>
    public bool Egress { get; init; }

    /// <summary>All of them, also those of rules in force; cookies are of the same kind.</summary>
    public PolicyMapEntryCollection Entries { get; init; } = PolicyMapEntryCollection.Empty;
}

/// <summary>Service address as the maps know it.</summary>
public readonly record struct ServiceMapKey(L4Address Frontend, LbScope Scope = LbScope.External)
{
    public override string ToString() => Scope == LbScope.External ? Frontend.ToString() : $"{Frontend}/i";
}

/// <summary>A backend; its id in the maps is allocated by address and survives restarts.</summary>
public sealed record BackendMapEntry(L4Address Address)
{
    public LbBackendState State { get; init; }

    public byte Zone { get; init; }

    /// <summary>Share of a Maglev table that the backend gets, relative to the others'; not in the backend map.</summary>
    public ushort Weight { get; init; } = 100;
}

/// <summary>
/// A service address with its backends, in the order of their slots. Those that take no new connections come last. Port 0 of protocol
/// <see cref="L4Protocol.Any"/> says that what is not served on the address is refused.
/// </summary>
public sealed record ServiceMapEntry(ServiceMapKey Key)
{
    public ImmutableArray<BackendMapEntry> Backends { get; init; } = [];

    /// <summary>
    /// How many of <see cref="Backends"/> new connections choose from; unless set, the active ones or else the terminating ones. Whether a service
    /// falls back to terminating backends is its own matter, while a backend has one state for all services.
    /// </summary>
    public int UsableCount { get => field >= 0 ? field : CountByState(); init; } = -1;

    public LbFlags Flags { get; init; }

    public LbFlags2 Flags2 { get; init; }

    /// <summary>Session affinity by client address in seconds; 0 none.</summary>
    public uint AffinityTimeoutSeconds { get; init; }

    public LbAlgorithm Algorithm { get; init; }

    /// <summary>Who may connect from outside, or who may not (<see cref="LbFlags2.SourceRangesDeny"/>); empty: everybody.</summary>
    public ImmutableArray<IpPrefix> SourceRanges { get; init; } = [];

    public bool Equals(ServiceMapEntry? other)
        => other is not null && Key == other.Key && Flags == other.Flags && Flags2 == other.Flags2 && Algorithm == other.Algorithm
            && AffinityTimeoutSeconds == other.AffinityTimeoutSeconds && UsableCount == other.UsableCount
            && SourceRanges.AsSpan().SequenceEqual(other.SourceRanges.AsSpan()) && Backends.AsSpan().SequenceEqual(other.Backends.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Key, Flags, Flags2, Backends.Length);

    private int CountByState()
    {
        int active = Leading(LbBackendState.Active);
        return active > 0 ? active : Leading(LbBackendState.Terminating);
    }

    private int Leading(LbBackendState state)
    {
        int count = 0;
        while (count < Backends.Length && Backends[count].State == state)
            count++;
        return count;
    }
}

/// <summary>Sockets of one network namespace that reach a frontend's own address instead of its backends.</summary>
/// <param name="NetworkNamespaceCookie">SO_NETNS_COOKIE of the namespace.</param>
public readonly record struct SkippedTranslation(ulong NetworkNamespaceCookie, L4Address Frontend);

/// <summary>Pods of another node.</summary>
/// <param name="Node">The node's address of the same family, in native routing; any in tunnel mode.</param>
public sealed record NodeRoute(IpPrefix PodPrefix, IpAddress Node);
