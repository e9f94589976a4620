// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.DnsProxy;

/// <summary>The proxy's first message. Its cache follows in any number of <see cref="CacheContents"/>, then <see cref="CacheEnd"/>.</summary>
/// <param name="Port">Where it listens, UDP and TCP, both families; what policy entries that redirect carry.</param>
/// <param name="Started">When the process started, seconds.</param>
public sealed record ProxyHello(ushort Port, long Started) : Hello;

/// <param name="Mappings">A part of the cache.</param>
public sealed record CacheContents(IReadOnlyList<CachedMapping> Mappings) : ProxyMessage;

/// <summary>In the state file only: what the proxy itself put into the ipcache while no agent was there, and so may replace.</summary>
public sealed record WrittenAddresses(IReadOnlyList<WrittenAddress> Written) : ProxyMessage;

public sealed record CacheEnd : ProxyMessage;

/// <summary>One address of one name, as one endpoint learned it.</summary>
/// <param name="Endpoint">Its id.</param>
/// <param name="Name">Of the question.</param>
/// <param name="Address">Of the answer.</param>
/// <param name="Expires">Seconds: lookup time + TTL, the minimal TTL applied.</param>
/// <param name="LookupTime">Seconds, of the latest answer that had the address.</param>
/// <param name="Ttl">Seconds, as applied.</param>
public sealed record CachedMapping(ushort Endpoint, string Name, IpAddress Address, long Expires, long LookupTime, int Ttl);

public sealed record WrittenAddress(IpAddress Address, SecurityIdentity Identity);

/// <summary>An answer for a name that some selector matches. Sent when an address is new, and when the time of its expiry moves.</summary>
/// <param name="Id">
/// To be acknowledged, once the addresses are in the kernel's maps: the answer is held until then or until the maximal delay is over. 0: nothing waits.
/// </param>
/// <param name="Mappings">All of one answer, or several answers with nothing new.</param>
public sealed record Learned(long Id, IReadOnlyList<LearnedName> Mappings) : ProxyMessage;

/// <param name="Endpoint">That asked.</param>
/// <param name="Name">Of the question: addresses behind CNAMEs belong to it.</param>
/// <param name="Addresses">Of the answer.</param>
/// <param name="Ttl">Seconds: the smallest of the chain, at least the minimal TTL.</param>
/// <param name="LookupTime">Seconds.</param>
public sealed record LearnedName(ushort Endpoint, string Name, IReadOnlyList<IpAddress> Addresses, int Ttl, long LookupTime);

/// <summary>What was asked and answered since the last such message, oldest first.</summary>
/// <param name="Records">At most 1000.</param>
/// <param name="Lost">Records that did not fit into the queue since the last message.</param>
public sealed record Queries(IReadOnlyList<QueryRecord> Records, long Lost) : ProxyMessage;

/// <summary>What became of a question.</summary>
public enum QueryOutcome
{
    /// <summary>Allowed, and answered by the server.</summary>
    Answered,

    /// <summary>No rule allows it.</summary>
    Refused,

    /// <summary>Allowed, and the server did not answer in time.</summary>
    TimedOut,

    /// <summary>Too many questions at once.</summary>
    Overloaded,

    /// <summary>Allowed, and could not be sent to the server.</summary>
    Failed,
}

/// <summary>A question with its answer.</summary>
public sealed record QueryRecord
{
    /// <summary>When the question came, microseconds.</summary>
    public required long Time { get; init; }

    /// <summary>0: nobody's address.</summary>
    public required ushort Endpoint { get; init; }

    public required L4Address Client { get; init; }

    /// <summary>As the pod sees it; the protocol is the same as the client's.</summary>
    public required L4Address Server { get; init; }

    /// <summary>As the ipcache knows the server.</summary>
    public required SecurityIdentity ServerIdentity { get; init; }

    public required string Name { get; init; }

    /// <summary>Type of the question (RFC 1035, 3.2.2).</summary>
    public required ushort QueryType { get; init; }

    public required QueryOutcome Outcome { get; init; }

    /// <summary>Of the answer that the pod got; null when it got none.</summary>
    public int? Rcode { get; set; }

    /// <summary>Types of the records of the answer section, without duplicates.</summary>
    public IReadOnlyList<ushort> AnswerTypes { get; set; } = [];

    /// <summary>Of the answer section, at most 64.</summary>
    public IReadOnlyList<IpAddress> Addresses { get; set; } = [];

    /// <summary>Targets, in the order of the answer, at most 16.</summary>
    public IReadOnlyList<string> Cnames { get; set; } = [];

    /// <summary>Smallest of the answer section, seconds.</summary>
    public uint Ttl { get; set; }

    /// <summary>From the question to the server's answer, microseconds.</summary>
    public long Latency { get; set; }
}

/// <summary>Totals since the start of the process, sent when they change, at most once a second.</summary>
public sealed record Counters : ProxyMessage
{
    /// <summary><c>cilium_policy_l7_total{rule="received"}</c>.</summary>
    public long Received { get; set; }

    /// <summary><c>cilium_policy_l7_total{rule="forwarded"}</c>.</summary>
    public long Forwarded { get; set; }

    /// <summary><c>cilium_policy_l7_total{rule="denied"}</c>.</summary>
    public long Denied { get; set; }

    /// <summary><c>cilium_policy_l7_total{rule="parse_errors"}</c>: malformed questions and answers.</summary>
    public long ParseErrors { get; set; }

    /// <summary>Questions from addresses of no endpoint.</summary>
    public long UnknownSource { get; set; }

    /// <summary><c>cilium_fqdn_semaphore_rejected_total</c>.</summary>
    public long Overloaded { get; set; }

    /// <summary><c>cilium_proxy_datapath_update_timeout_total</c>: answers released before the agent acknowledged.</summary>
    public long UpdateTimeouts { get; set; }

    /// <summary>Questions that the server did not answer in time.</summary>
    public long UpstreamTimeouts { get; set; }

    /// <summary>Answers that fitted no question under way: wrong server, port, id or question.</summary>
    public long UnexpectedAnswers { get; set; }

    /// <summary>Names that are remembered, of each endpoint.</summary>
    public long Names { get; set; }

    /// <summary>Memory that they take, as estimated.</summary>
    public long NameBytes { get; set; }

    /// <summary>Names that went because an endpoint, or all together, had too many or took too much memory.</summary>
    public long EvictedNames { get; set; }

    /// <summary>Addresses that went because a name had too many.</summary>
    public long EvictedAddresses { get; set; }

    /// <summary>Addresses that the proxy itself put into the ipcache.</summary>
    public long WrittenAddresses { get; set; }

    /// <summary>Addresses that it should have put there, and no set or no room was there for them.</summary>
    public long UnwrittenAddresses { get; set; }

    /// <summary><c>cilium_proxy_upstream_reply_seconds</c>: answers by <see cref="LatencyBounds"/>, the last bucket is above all of them.</summary>
    public IReadOnlyList<long> UpstreamLatency { get; set; } = [];

    /// <summary>Sum of that histogram, microseconds.</summary>
    public long UpstreamLatencySum { get; set; }

    /// <summary>Upper bounds of the buckets, seconds.</summary>
    public static IReadOnlyList<double> LatencyBounds { get; } = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
}

/// <summary>The answer to <see cref="SyncRequest"/>.</summary>
public sealed record SyncReply(long Id) : ProxyMessage;
