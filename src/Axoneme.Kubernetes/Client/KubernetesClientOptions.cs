// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Kubernetes;

public sealed record KubernetesClientOptions
{
    /// <summary>Requests a second in the long run; 0 for no limit.</summary>
    public double Qps { get; init; } = 10;

    /// <summary>Requests at once.</summary>
    public int Burst { get; init; } = 20;

    /// <summary>For a whole request and its answer; watches are not bound by it.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A watch that delivers nothing, not even a bookmark (servers send one a minute), for this long is opened anew.</summary>
    public TimeSpan WatchIdleTimeout { get; init; } = TimeSpan.FromMinutes(3);

    /// <summary>Objects in one page of a list.</summary>
    public int PageSize { get; init; } = 500;

    /// <summary>Largest answer or watch event that is read; etcd holds objects of 1.5 MiB, a page of them may be far larger.</summary>
    public int MaximumBytes { get; init; } = 256 << 20;

    public string UserAgent { get; init; } = "axoneme";

    /// <summary>Attempts of a request that the server asked to repeat, or that another server may answer.</summary>
    public int Attempts { get; init; } = 4;

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>For jitter.</summary>
    public Random Random { get; init; } = Random.Shared;
}
