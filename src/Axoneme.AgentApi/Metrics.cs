// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.AgentApi;

/// <summary>GET /metrics: one series.</summary>
public sealed record MetricSeries
{
    public required string Name { get; init; }
    public IReadOnlyDictionary<string, string>? Labels { get; init; }

    /// <summary>Of a histogram the sum of what was observed.</summary>
    public double Value { get; init; }

    /// <summary>Of a histogram, cumulative and ascending; our own addition.</summary>
    public IReadOnlyList<MetricBucket>? Buckets { get; init; }
}

/// <param name="Bound">Upper bound; null for infinity.</param>
/// <param name="Count">Observations up to it.</param>
public sealed record MetricBucket(double? Bound, long Count);
