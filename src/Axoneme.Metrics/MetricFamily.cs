// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.Metrics;

public enum MetricKind
{
    /// <summary>Only ever grows; its name ends in <c>_total</c> where upstream's does.</summary>
    Counter,
    Gauge,
    Histogram,
}

/// <summary>All series of one name. Thread-safe.</summary>
public abstract class MetricFamily
{
    /// <exception cref="ArgumentException">A name that Prometheus does not take.</exception>
    private protected MetricFamily(string name, string help, MetricKind kind, IReadOnlyList<string> labels)
    {
        MetricNames.RequireMetric(name);
        foreach (string label in labels)
            MetricNames.RequireLabel(label);
        Name = name;
        Help = help;
        Kind = kind;
        Labels = [.. labels];
    }

    public string Name { get; }

    /// <summary>One sentence for people.</summary>
    public string Help { get; }

    public MetricKind Kind { get; }

    /// <summary>Names of the labels; every series has a value for each, in this order.</summary>
    public ImmutableArray<string> Labels { get; }

    internal abstract void Collect(MetricVisitor visitor);

    private protected void RequireLabels(ReadOnlySpan<string> values)
    {
        if (values.Length != Labels.Length)
            throw new ArgumentException($"{Name} has {Labels.Length} labels, not {values.Length}");
    }
}

/// <summary>Is told of every series at a scrape. The spans are valid during the call only.</summary>
public abstract class MetricVisitor
{
    /// <summary>Before the series of a family.</summary>
    public abstract void Begin(MetricFamily family);

    public abstract void Sample(MetricFamily family, ReadOnlySpan<string> labelValues, double value);

    /// <param name="bounds">Upper bounds of the buckets, ascending; beyond the last one is infinity.</param>
    /// <param name="cumulative">Observations up to each bound, and last all of them.</param>
    public abstract void Histogram(
        MetricFamily family, ReadOnlySpan<string> labelValues, ReadOnlySpan<double> bounds, ReadOnlySpan<long> cumulative, double sum);
}

/// <summary>What the exposition format takes for names.</summary>
internal static class MetricNames
{
    public static void RequireMetric(string name)
    {
        if (name.Length == 0 || !IsStart(name[0], colon: true) || !name.All(c => IsPart(c, colon: true)))
            throw new ArgumentException($"'{name}' is not a name for a metric");
    }

    public static void RequireLabel(string name)
    {
        // Two underscores in front are Prometheus' own; le and quantile belong to its histograms.
        if (name.Length == 0 || !IsStart(name[0], colon: false) || !name.All(c => IsPart(c, colon: false))
            || name.StartsWith("__", StringComparison.Ordinal) || name is "le" or "quantile")
            throw new ArgumentException($"'{name}' is not a name for a label");
    }

    private static bool IsStart(char c, bool colon) => char.IsAsciiLetter(c) || c == '_' || (colon && c == ':');

    private static bool IsPart(char c, bool colon) => IsStart(c, colon) || char.IsAsciiDigit(c);
}
