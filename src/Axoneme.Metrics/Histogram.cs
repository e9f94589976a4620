// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.Metrics;

/// <summary>How often values of a size occurred.</summary>
public sealed class Histogram : LabelledFamily<HistogramSeries>
{
    private readonly ImmutableArray<double> _bounds;

    internal Histogram(string name, string help, IReadOnlyList<double> bounds, IReadOnlyList<string> labels)
        : base(name, help, MetricKind.Histogram, labels)
    {
        _bounds = [.. bounds];
        for (int i = 0; i < _bounds.Length; i++)
        {
            if (!double.IsFinite(_bounds[i]) || (i > 0 && _bounds[i] <= _bounds[i - 1]))
                throw new ArgumentException($"{name}: the bounds of buckets must be finite and ascending");
        }
    }

    /// <summary>Upper bounds in seconds for what takes from milliseconds to seconds: those that Prometheus libraries start from.</summary>
    public static ImmutableArray<double> DefaultBounds { get; } = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private protected override HistogramSeries Create() => new(_bounds);

    private protected override void Visit(MetricVisitor visitor, ReadOnlySpan<string> labels, HistogramSeries series)
    {
        Span<long> cumulative = stackalloc long[_bounds.Length + 1];
        double sum = series.Read(cumulative);
        visitor.Histogram(this, labels, _bounds.AsSpan(), cumulative, sum);
    }
}

/// <summary>One histogram.</summary>
public sealed class HistogramSeries
{
    private readonly ImmutableArray<double> _bounds;
    private readonly Lock _gate = new();
    private readonly long[] _counts;
    private double _sum;

    internal HistogramSeries(ImmutableArray<double> bounds)
    {
        _bounds = bounds;
        _counts = new long[bounds.Length + 1];
    }

    /// <summary>Counts a value; one that equals a bound belongs below it.</summary>
    public void Observe(double value)
    {
        int bucket = 0;
        while (bucket < _bounds.Length && value > _bounds[bucket])
            bucket++;
        lock (_gate)
        {
            _counts[bucket]++;
            _sum += value;
        }
    }

    // Under one lock, so that the sum and the counts are of the same observations.
    internal double Read(Span<long> cumulative)
    {
        lock (_gate)
        {
            long total = 0;
            for (int i = 0; i < _counts.Length; i++)
                cumulative[i] = total += _counts[i];
            return _sum;
        }
    }
}
