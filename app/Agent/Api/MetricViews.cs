// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Metrics;

namespace Axoneme.Agent.Api;

/// <summary>The metrics as they are now, series by series.</summary>
internal static class MetricViews
{
    public static IReadOnlyList<MetricSeries> All(MetricRegistry registry) => [.. MetricSnapshot.Take(registry).Select(Model)];

    private static MetricSeries Model(MetricSample sample) => new()
    {
        Name = sample.Name,
        Labels = sample.Labels.Length == 0 ? null : sample.Labels.ToDictionary(label => label.Key, label => label.Value),
        Value = sample.Value,
        // JSON has no infinity: the last bucket is known by having no bound.
        Buckets = sample.Buckets.IsEmpty
            ? null : [.. sample.Buckets.Select(bucket => new MetricBucket(double.IsInfinity(bucket.Bound) ? null : bucket.Bound, bucket.Count))],
    };
}
