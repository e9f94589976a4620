// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.Metrics;

/// <summary>One series as it was.</summary>
/// <param name="Value">Of a histogram the sum of what was observed.</param>
public sealed record MetricSample(string Name, MetricKind Kind, ImmutableArray<KeyValuePair<string, string>> Labels, double Value)
{
    /// <summary>Upper bounds of the buckets and how many observations were up to each, the last one infinity; empty unless a histogram.</summary>
    public ImmutableArray<(double Bound, long Count)> Buckets { get; init; } = [];
}

/// <summary>Takes all series of a registry into a list, for answers other than the text format.</summary>
public sealed class MetricSnapshot : MetricVisitor
{
    private readonly List<MetricSample> _samples = [];

    public static IReadOnlyList<MetricSample> Take(MetricRegistry registry)
    {
        ArgumentNullException.ThrowIfNull(registry);
        var snapshot = new MetricSnapshot();
        registry.Collect(snapshot);
        return snapshot._samples;
    }

    public override void Begin(MetricFamily family)
    {
    }

    public override void Sample(MetricFamily family, ReadOnlySpan<string> labelValues, double value)
    {
        ArgumentNullException.ThrowIfNull(family);
        _samples.Add(new MetricSample(family.Name, family.Kind, Named(family, labelValues), value));
    }

    public override void Histogram(
        MetricFamily family, ReadOnlySpan<string> labelValues, ReadOnlySpan<double> bounds, ReadOnlySpan<long> cumulative, double sum)
    {
        ArgumentNullException.ThrowIfNull(family);
        var buckets = ImmutableArray.CreateBuilder<(double, long)>(cumulative.Length);
        for (int i = 0; i < cumulative.Length; i++)
            buckets.Add((i < bounds.Length ? bounds[i] : double.PositiveInfinity, cumulative[i]));
        _samples.Add(new MetricSample(family.Name, family.Kind, Named(family, labelValues), sum) { Buckets = buckets.ToImmutable() });
    }

    private static ImmutableArray<KeyValuePair<string, string>> Named(MetricFamily family, ReadOnlySpan<string> values)
    {
        var labels = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>(values.Length);
        for (int i = 0; i < values.Length; i++)
            labels.Add(new KeyValuePair<string, string>(family.Labels[i], values[i]));
        return labels.ToImmutable();
    }
}
