// SPDX-License-Identifier: Apache-2.0
using Axoneme.DnsProxy;
using Axoneme.Hosting;
using Axoneme.Network;

namespace Axoneme.Agent.Configuration;

/// <summary>Settings of names in policies and of the DNS proxy.</summary>
internal sealed record DnsOptions
{
    /// <summary>enable-l7-proxy: rules may name what a proxy enforces.</summary>
    public bool EnableProxy { get; init; } = true;

    /// <summary>tofqdns-min-ttl.</summary>
    public TimeSpan MinimalTtl { get; init; }

    /// <summary>tofqdns-idle-connection-grace-period.</summary>
    public TimeSpan IdleGrace { get; init; }

    /// <summary>tofqdns-endpoint-max-ip-per-hostname.</summary>
    public int MaximalAddressesPerName { get; init; } = 1000;

    /// <summary>tofqdns-max-deferred-connection-deletes.</summary>
    public int MaximalDeferred { get; init; } = 10_000;

    /// <summary>tofqdns-proxy-response-max-delay.</summary>
    public TimeSpan MaximalDelay { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>tofqdns-dns-reject-response-code.</summary>
    public RejectCode Reject { get; init; }

    /// <summary>tofqdns-preallocate-identities.</summary>
    public bool Preallocate { get; init; } = true;

    /// <summary>dnsproxy-concurrency-limit; 0: the proxy's own bound.</summary>
    public int ConcurrencyLimit { get; init; }

    /// <summary>dnsproxy-concurrency-processing-grace-period.</summary>
    public TimeSpan ConcurrencyGrace { get; init; }

    /// <summary>dnsproxy-socket-linger-timeout, in seconds.</summary>
    public int LingerSeconds { get; init; } = 10;

    public static DnsOptions Read(OptionReader reader) => new()
    {
        EnableProxy = reader.Switch("enable-l7-proxy", true),
        MinimalTtl = TimeSpan.FromSeconds(reader.Number("tofqdns-min-ttl", 0, 0, int.MaxValue)),
        IdleGrace = reader.Duration("tofqdns-idle-connection-grace-period", TimeSpan.Zero),
        MaximalAddressesPerName = reader.Number("tofqdns-endpoint-max-ip-per-hostname", 1000, 1, int.MaxValue),
        MaximalDeferred = reader.Number("tofqdns-max-deferred-connection-deletes", 10_000, 0, int.MaxValue),
        MaximalDelay = reader.Duration("tofqdns-proxy-response-max-delay", TimeSpan.FromMilliseconds(100)),
        Reject = reader.Choice("tofqdns-dns-reject-response-code", "refused", "refused", "nameError") == "nameError"
            ? RejectCode.NameError : RejectCode.Refused,
        Preallocate = reader.Switch("tofqdns-preallocate-identities", true),
        ConcurrencyLimit = reader.Number("dnsproxy-concurrency-limit", 0, 0, int.MaxValue),
        ConcurrencyGrace = reader.Duration("dnsproxy-concurrency-processing-grace-period", TimeSpan.Zero),
        LingerSeconds = reader.Number("dnsproxy-socket-linger-timeout", 10, -1, 3600),
    };

    /// <summary>What the proxy is told.</summary>
    public ProxyOptions ForProxy(bool reportQueries, IdentityNumbering cluster) => new()
    {
        ClusterId = cluster.ClusterId,
        IdentityBits = cluster.Bits,
        Reject = Reject,
        MinimalTtlSeconds = (int)MinimalTtl.TotalSeconds,
        MaximalDelayMilliseconds = (int)MaximalDelay.TotalMilliseconds,
        MaximalAddressesPerName = MaximalAddressesPerName,
        ConcurrencyLimit = ConcurrencyLimit,
        ConcurrencyGraceMilliseconds = (int)ConcurrencyGrace.TotalMilliseconds,
        LingerSeconds = LingerSeconds,
        ReportQueries = reportQueries,
    };
}
