// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;

namespace Axoneme.Metrics;

/// <summary>A family whose series come into being when they are first named, and stay.</summary>
public abstract class LabelledFamily<TSeries> : MetricFamily
    where TSeries : class
{
    private readonly ConcurrentDictionary<LabelValues, TSeries> _series = new();
    private readonly Lock _gate = new();

    // In the order of their labels; made anew when a series comes or goes, which is rare, and not at each scrape.
    private KeyValuePair<LabelValues, TSeries>[] _ordered = [];

    private protected LabelledFamily(string name, string help, MetricKind kind, IReadOnlyList<string> labels)
        : base(name, help, kind, labels)
    {
    }

    /// <summary>The series with these label values. Keep it where it is used often.</summary>
    /// <exception cref="ArgumentException">Another number of values than the family has labels.</exception>
    public TSeries With(params ReadOnlySpan<string> values)
    {
        RequireLabels(values);
        var key = new LabelValues([.. values]);
        if (_series.TryGetValue(key, out TSeries? known))
            return known;
        lock (_gate)
        {
            TSeries series = _series.GetOrAdd(key, static (_, family) => family.Create(), this);
            Order();
            return series;
        }
    }

    /// <summary>Ends a series, such as that of an object that is gone.</summary>
    public void Remove(params ReadOnlySpan<string> values)
    {
        lock (_gate)
        {
            _series.TryRemove(new LabelValues([.. values]), out _);
            Order();
        }
    }

    internal override void Collect(MetricVisitor visitor)
    {
        foreach ((LabelValues labels, TSeries series) in Volatile.Read(ref _ordered))
            Visit(visitor, labels.Values, series);
    }

    private protected abstract TSeries Create();

    private protected abstract void Visit(MetricVisitor visitor, ReadOnlySpan<string> labels, TSeries series);

    private void Order() => Volatile.Write(ref _ordered, [.. _series.OrderBy(s => s.Key)]);

    private readonly struct LabelValues(string[] values) : IEquatable<LabelValues>, IComparable<LabelValues>
    {
        public string[] Values => values;

        public bool Equals(LabelValues other) => values.AsSpan().SequenceEqual(other.Values);

        public override bool Equals(object? obj) => obj is LabelValues other && Equals(other);

        public int CompareTo(LabelValues other)
        {
            for (int i = 0; i < values.Length; i++)
            {
                int order = string.CompareOrdinal(values[i], other.Values[i]);
                if (order != 0)
                    return order;
            }

            return 0;
        }

        public override int GetHashCode()
        {
            var hash = default(HashCode);
            foreach (string value in values)
                hash.Add(value);
            return hash.ToHashCode();
        }
    }
}

/// <summary>A number that many threads change.</summary>
public sealed class MetricValue
{
    private double _value;

    public double Value
    {
        get => Volatile.Read(ref _value);
        set => Volatile.Write(ref _value, value);
    }

    public void Increment() => Add(1);

    public void Add(double amount)
    {
        double seen = Volatile.Read(ref _value);
        while (true)
        {
            double before = Interlocked.CompareExchange(ref _value, seen + amount, seen);
            // Bits and not numbers: NaN would differ from itself for ever.
            if (BitConverter.DoubleToInt64Bits(before) == BitConverter.DoubleToInt64Bits(seen))
                return;
            seen = before;
        }
    }
}

/// <summary>Numbers that only grow.</summary>
public sealed class Counter : LabelledFamily<MetricValue>
{
    internal Counter(string name, string help, IReadOnlyList<string> labels)
        : base(name, help, MetricKind.Counter, labels)
    {
    }

    private protected override MetricValue Create() => new();

    private protected override void Visit(MetricVisitor visitor, ReadOnlySpan<string> labels, MetricValue series)
        => visitor.Sample(this, labels, series.Value);
}

/// <summary>Numbers that go up and down.</summary>
public sealed class Gauge : LabelledFamily<MetricValue>
{
    internal Gauge(string name, string help, IReadOnlyList<string> labels)
        : base(name, help, MetricKind.Gauge, labels)
    {
    }

    private protected override MetricValue Create() => new();

    private protected override void Visit(MetricVisitor visitor, ReadOnlySpan<string> labels, MetricValue series)
        => visitor.Sample(this, labels, series.Value);
}
