// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.DnsProxy;

/// <summary>The agent's first message; a <see cref="SnapshotBegin"/> is expected next.</summary>
public sealed record AgentHello : Hello;

/// <summary>
/// From here to <see cref="SnapshotEnd"/> the agent describes everything. The old state stays in force until then; what was not mentioned is gone.
/// </summary>
public sealed record SnapshotBegin : ProxyMessage;

/// <inheritdoc cref="SnapshotBegin"/>
public sealed record SnapshotEnd : ProxyMessage;

public sealed record SetOptions(ProxyOptions Options) : ProxyMessage;

/// <summary>How a question that no rule allows is answered (<c>tofqdns-dns-reject-response-code</c>).</summary>
public enum RejectCode
{
    Refused,
    NameError,
}

/// <summary>Settings of the proxy that change without a restart.</summary>
/// <remarks>Optional properties can be set, here and in other messages: a generated reader keeps the initial value of these only.</remarks>
public sealed record ProxyOptions
{
    public RejectCode Reject { get; set; }

    /// <summary><c>tofqdns-min-ttl</c>: mappings live at least this long, in seconds.</summary>
    public int MinimalTtlSeconds { get; set; }

    /// <summary><c>tofqdns-proxy-response-max-delay</c>: how long an answer with something new waits for the agent, in milliseconds.</summary>
    public int MaximalDelayMilliseconds { get; set; } = 100;

    /// <summary><c>tofqdns-endpoint-max-ip-per-hostname</c>.</summary>
    public int MaximalAddressesPerName { get; set; } = 1000;

    /// <summary>Names remembered for one endpoint; the one that was not asked for the longest time goes first.</summary>
    public int MaximalNamesPerEndpoint { get; set; } = 100_000;

    /// <summary>Estimated memory of one endpoint's names, beyond which they go in the same order.</summary>
    public long MaximalBytesPerEndpoint { get; set; } = 64L << 20;

    /// <summary>The same for the names of all: the endpoint with the most of it gives way.</summary>
    public long MaximalBytes { get; set; } = 256L << 20;

    /// <summary><c>dnsproxy-concurrency-limit</c>: questions under way at once; 0 is the proxy's own bound.</summary>
    public int ConcurrencyLimit { get; set; }

    /// <summary><c>dnsproxy-concurrency-processing-grace-period</c>: how long a question may wait for its turn, in milliseconds.</summary>
    public int ConcurrencyGraceMilliseconds { get; set; }

    /// <summary><c>cluster-id</c>: with <see cref="IdentityBits"/>, which identities are the own cluster's.</summary>
    public uint ClusterId { get; set; }

    /// <summary>Bits that number the identities of one cluster (<c>max-connected-clusters</c>).</summary>
    public int IdentityBits { get; set; } = 16;

    /// <summary><c>dnsproxy-socket-linger-timeout</c>: of TCP connections, in seconds; 0 resets, negative closes in the background.</summary>
    public int LingerSeconds { get; set; } = 10;

    /// <summary>Whether <see cref="Queries"/> are wanted.</summary>
    public bool ReportQueries { get; set; } = true;
}

/// <summary>Endpoints that are new or changed, and the ids of those that are gone.</summary>
public sealed record UpdateEndpoints(IReadOnlyList<ProxiedEndpoint> Upsert, IReadOnlyList<ushort> Remove) : ProxyMessage;

/// <summary>A pod whose DNS goes through the proxy, or may do so soon.</summary>
/// <param name="Id">Of the endpoint on this node.</param>
/// <param name="Identity">For flow records only.</param>
/// <param name="Addresses">Sources of its questions.</param>
/// <param name="Rules">Which names it may ask whom. Nobody may be asked anything that no rule names.</param>
public sealed record ProxiedEndpoint(
    ushort Id, SecurityIdentity Identity, IReadOnlyList<IpAddress> Addresses, IReadOnlyList<DnsRule> Rules);

/// <summary>
/// Names that may be asked of a server. Rules add up: a name is allowed if any rule for the server's identity, for the aggregate that the identity
/// belongs to, or for anyone has it.
/// </summary>
/// <param name="Peer">Identity of the server or number of an aggregate (11 to 14, as in policy maps); 0 is anyone.</param>
/// <param name="Protocol">UDP, TCP or any.</param>
/// <param name="Port">First port of the block.</param>
/// <param name="PortPrefixLength">Bits of the port that count: 16 is one port, 0 any.</param>
/// <param name="Names">Any of them.</param>
public sealed record DnsRule(
    SecurityIdentity Peer, L4Protocol Protocol, ushort Port, byte PortPrefixLength, IReadOnlyList<DnsPattern> Names);

/// <summary>Sets of FQDN selectors that are new or changed, and the identities of those that are gone.</summary>
public sealed record UpdateSets(IReadOnlyList<SelectorSet> Upsert, IReadOnlyList<SecurityIdentity> Remove) : ProxyMessage;

/// <summary>
/// The identity of addresses which have names that match all of these patterns and none of the patterns of other sets. A name is remembered only when
/// it matches a pattern of any set, so each selector has to be in one, possibly with identity 0 (not allocated yet).
/// </summary>
/// <param name="Identity">Key of the set. Sets without identity (0) are replaced as a whole by the next message that has some.</param>
/// <param name="Patterns">Without duplicates.</param>
/// <param name="Prefix">The narrowest block of CIDR policy that covers the addresses; null if none. Such a set is not assigned by the proxy.</param>
/// <param name="IsV6">Family of the addresses: with both on, there is an identity for each. Null: addresses of both.</param>
public sealed record SelectorSet(SecurityIdentity Identity, IReadOnlyList<DnsPattern> Patterns, IpPrefix? Prefix = null, bool? IsV6 = null);

/// <summary>Blocks that CIDR policy names: the proxy leaves their addresses to the agent.</summary>
public sealed record UpdatePrefixes(IReadOnlyList<IpPrefix> Add, IReadOnlyList<IpPrefix> Remove) : ProxyMessage;

/// <summary>Drops what was learned (<c>fqdn cache clean</c>). Access that addresses already have is the agent's to take.</summary>
/// <param name="Names">Those that match.</param>
/// <param name="Endpoint">Only what this endpoint learned; null is all.</param>
public sealed record Forget(DnsPattern Names, ushort? Endpoint = null) : ProxyMessage;

/// <summary>The addresses of these <see cref="Learned"/> are in the kernel's maps: their answers may go out.</summary>
public sealed record LearnedAcknowledgement(IReadOnlyList<long> Ids) : ProxyMessage;

/// <summary>Everything sent before this is in force once <see cref="SyncReply"/> with the same id comes back.</summary>
public sealed record SyncRequest(long Id) : ProxyMessage;
