// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.RegularExpressions;
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium metrics list</c>: the agent's metrics, also where nobody scrapes them.</summary>
internal sealed class MetricsCommand(TextWriter output)
{
    private static readonly double[] Quantiles = [0.5, 0.9, 0.99];

    // What a pattern may cost on one name.
    private static readonly TimeSpan PatternTimeout = TimeSpan.FromSeconds(1);

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags("cilium metrics list [-p PATTERN] [flags]");
        string pattern = "";
        flags.Set.Value("match-pattern", v => pattern = v, "PATTERN", "only metrics whose name this regular expression is found in", 'p');
        if (flags.Parse(arguments, output) is not { } rest)
            return 0;
        if (rest is not ["list"])
            throw new UserErrorException("usage: cilium metrics list [-p PATTERN]");
        Regex wanted = Compile(pattern);
        using AgentClient agent = flags.Connect();
        IReadOnlyList<MetricSeries> all = await agent.GetMetricsAsync(cancellation).ConfigureAwait(false);
        Print([.. all.Where(series => wanted.IsMatch(series.Name))], flags);
        return 0;
    }

    internal void Print(IReadOnlyList<MetricSeries> metrics, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, metrics, AgentJson.Default.IReadOnlyListMetricSeries);
            return;
        }

        TabWriter table = new TabWriter(output).Row("Metric", "Labels", "Value");
        foreach (MetricSeries series in metrics)
        {
            IEnumerable<string> labels = (series.Labels ?? new Dictionary<string, string>()).OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}");
            table.Row(series.Name, string.Join(' ', labels), Value(series));
        }

        table.Flush();
    }

    private static string Value(MetricSeries series)
    {
        if (series.Buckets is not { Count: > 0 } buckets)
            return series.Value.ToString("0.000000", CultureInfo.InvariantCulture);
        bool isTime = series.Name.Contains("_seconds", StringComparison.Ordinal) || series.Name.EndsWith("_delay", StringComparison.Ordinal);
        return string.Join(" / ", Quantiles.Select(share => Amount(HistogramQuantile.Of(buckets, share), isTime)));
    }

    private static string Amount(double value, bool isTime)
    {
        if (double.IsNaN(value))
            return "n/a";
        if (!isTime)
            return value.ToString("0.######", CultureInfo.InvariantCulture);
        (double scaled, string unit) = value switch
        {
            < 1e-3 => (value * 1e6, "µs"),
            < 1 => (value * 1e3, "ms"),
            _ => (value, "s"),
        };
        return scaled.ToString("0.###", CultureInfo.InvariantCulture) + unit;
    }

    private static Regex Compile(string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.CultureInvariant, PatternTimeout);
        }
        catch (ArgumentException e)
        {
            throw new UserErrorException($"invalid pattern \"{pattern}\": {e.Message}");
        }
    }
}

/// <summary>Reads quantiles off a histogram as Prometheus does: values lie evenly within their bucket.</summary>
internal static class HistogramQuantile
{
    /// <summary>NaN without observations. Beyond the last bound nothing is known, so that bound is the answer.</summary>
    public static double Of(IReadOnlyList<MetricBucket> buckets, double share)
    {
        long total = buckets[^1].Count;
        if (total == 0)
            return double.NaN;
        double rank = share * total;
        double lower = 0;
        long below = 0;
        foreach (MetricBucket bucket in buckets)
        {
            if (bucket.Bound is not { } upper)
                break;
            if (bucket.Count >= rank)
                return lower + ((upper - lower) * (rank - below) / (bucket.Count - below));
            (lower, below) = (upper, bucket.Count);
        }

        return lower;
    }
}
