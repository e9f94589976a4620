// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi;

/// <summary>Who a request comes from, as bearer token or client certificate say.</summary>
public sealed record ApiUser(string Name, params IReadOnlyList<string> Groups);

/// <summary>
/// Where the API listens: an address of the caller's network namespace, or a listening TCP socket that was made elsewhere (its
/// descriptor then belongs to the API).
/// </summary>
public sealed record ApiListener
{
    public IPEndPoint? EndPoint { get; private init; }

    public long? SocketHandle { get; private init; }

    public static ApiListener On(IPEndPoint endPoint) => new() { EndPoint = endPoint };

    public static ApiListener FromSocket(long listeningSocket) => new() { SocketHandle = listeningSocket };
}

/// <summary>Pod addresses of one family: the cluster's prefix, and how much of it one node gets.</summary>
public sealed record PodCidrRange(IpPrefix Prefix, int NodeMaskLength);

/// <summary>Settings of <see cref="EmbeddedApiHost"/>; the defaults are those of the lab's cluster.</summary>
public sealed record EmbeddedApiOptions
{
    public required IReadOnlyList<ApiListener> Listeners { get; init; }

    /// <summary>DNS names and addresses that the serving certificate is good for, besides those that always are.</summary>
    public IReadOnlyList<string> ServerNames { get; init; } = [];

    public IReadOnlyDictionary<string, ApiUser> Tokens { get; init; } = new Dictionary<string, ApiUser>();

    /// <summary>What the endpoints of service default/kubernetes say; none leaves the service without endpoints.</summary>
    public IReadOnlyList<IPEndPoint> AdvertisedEndPoints { get; init; } = [];

    /// <summary>One prefix per family; the first is the cluster's primary family.</summary>
    public IReadOnlyList<IpPrefix> ServiceCidrs { get; init; } = [IpPrefix.Parse("10.96.0.0/16"), IpPrefix.Parse("fd00:96::/112")];

    public IReadOnlyList<PodCidrRange> PodCidrs { get; init; } =
        [new(IpPrefix.Parse("10.244.0.0/16"), 24), new(IpPrefix.Parse("fd00:244::/48"), 64)];

    /// <summary>
    /// Where services of type LoadBalancer without a class get their addresses, at most one prefix per family. None leaves such services
    /// pending, as a cluster without a cloud does.
    /// </summary>
    public IReadOnlyList<IpPrefix> LoadBalancerCidrs { get; init; } = [];

    public int FirstNodePort { get; init; } = 30000;

    public int LastNodePort { get; init; } = 32767;

    /// <summary>Where the certificate authority and the objects survive a restart; null keeps all in memory.</summary>
    public string? DataFolder { get; init; }

    /// <summary>A node whose lease is older becomes NotReady (the default of a real control plane).</summary>
    public TimeSpan NodeMonitorGracePeriod { get; init; } = TimeSpan.FromSeconds(40);

    /// <summary>How many changes of a kind a watch can go back; older resource versions are answered by 410 Gone.</summary>
    public int WatchHistoryLength { get; init; } = 16384;

    /// <summary>Largest request body in bytes; 3 MiB is the limit of a real API server.</summary>
    public int MaxRequestBytes { get; init; } = 3 * 1024 * 1024;

    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Receives one line for each internal error; null drops them.</summary>
    public Action<string>? Log { get; init; }
}
