// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.Metrics;

/// <summary>Writes one sample of a family that is computed at a scrape.</summary>
public delegate void SampleSink(double value, params ReadOnlySpan<string> labelValues);

/// <summary>
/// The metrics of a process. Families are registered at the start; numbers that somebody keeps anyway are asked for at the scrape
/// (<see cref="AddCallback"/>). Thread-safe.
/// </summary>
/// <param name="prefix">Of every name, such as <c>cilium_</c>.</param>
/// <param name="switched">Names with prefix after <c>+</c> or <c>-</c>: families to show or to hide, whatever they do by themselves.</param>
public sealed class MetricRegistry(string prefix = "", IReadOnlyCollection<string>? switched = null)
{
    private readonly Lock _gate = new();
    private readonly HashSet<string> _shown = [.. Switched(switched, '+')];
    private readonly HashSet<string> _hidden = [.. Switched(switched, '-')];
    private readonly HashSet<string> _names = [];
    private ImmutableArray<MetricFamily> _families = [];

    public Counter AddCounter(string name, string help, params IReadOnlyList<string> labels)
        => Add(new Counter(prefix + name, help, labels), isShown: true);

    public Gauge AddGauge(string name, string help, params IReadOnlyList<string> labels)
        => Add(new Gauge(prefix + name, help, labels), isShown: true);

    public Histogram AddHistogram(string name, string help, IReadOnlyList<double> bounds, params IReadOnlyList<string> labels)
        => Add(new Histogram(prefix + name, help, bounds, labels), isShown: true);

    /// <summary>A family whose samples <paramref name="read"/> gives at each scrape. It may be called by several scrapes at once.</summary>
    /// <param name="isShown">False: only where the registry's switches ask for it.</param>
    public void AddCallback(
        string name, string help, MetricKind kind, IReadOnlyList<string> labels, Action<SampleSink> read, bool isShown = true)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(read);
        if (kind == MetricKind.Histogram)
            throw new ArgumentException("a histogram is kept and not computed", nameof(kind));
        Add(new CallbackFamily(prefix + name, help, kind, labels, read), isShown);
    }

    /// <summary>Shows all families, by name.</summary>
    public void Collect(MetricVisitor visitor)
    {
        ArgumentNullException.ThrowIfNull(visitor);
        foreach (MetricFamily family in _families)
        {
            visitor.Begin(family);
            family.Collect(visitor);
        }
    }

    private T Add<T>(T family, bool isShown)
        where T : MetricFamily
    {
        lock (_gate)
        {
            if (!_names.Add(family.Name))
                throw new ArgumentException($"there is a metric {family.Name} already");
            if (_shown.Contains(family.Name) || (isShown && !_hidden.Contains(family.Name)))
                _families = [.. _families.Add(family).OrderBy(f => f.Name, StringComparer.Ordinal)];
        }

        return family;
    }

    private static IEnumerable<string> Switched(IReadOnlyCollection<string>? switched, char sign)
        => (switched ?? []).Where(text => text.StartsWith(sign)).Select(text => text[1..]);

    private sealed class CallbackFamily(string name, string help, MetricKind kind, IReadOnlyList<string> labels, Action<SampleSink> read)
        : MetricFamily(name, help, kind, labels)
    {
        internal override void Collect(MetricVisitor visitor) => read((value, labelValues) =>
        {
            RequireLabels(labelValues);
            visitor.Sample(this, labelValues, value);
        });
    }
}
