// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Api;
using Axoneme.Datapath;
using Axoneme.Metrics;

namespace Axoneme.Agent.Metrics;

/// <summary>Collection of connections and translations. One map has the connections of all protocols: a pass is a pass for each of them.</summary>
internal sealed class CollectorMetrics
{
    private const string Completed = "completed";
    private const string Uncompleted = "uncompleted";

    private static readonly string[] Protocols = ["TCP", "non-TCP"];

    // A pass rests between batches: from milliseconds to minutes.
    private static readonly double[] Bounds = [0.005, 0.025, 0.1, 0.5, 1, 5, 10, 30, 60, 120];

    private readonly Histogram _durations;

    public CollectorMetrics(MetricRegistry registry, ApiSources sources)
    {
        _durations = registry.AddHistogram(
            "datapath_conntrack_gc_duration_seconds", "Time of a pass over the connections, rests included", Bounds, "family", "protocol", "status");
        registry.AddCallback(
            "datapath_conntrack_gc_runs_total", "Passes over the connections", MetricKind.Counter, ["family", "protocol", "status"], sink =>
            {
                foreach (CollectionRuns runs in Collector()?.Connections.Runs ?? [])
                {
                    foreach (string protocol in Protocols)
                    {
                        sink(runs.Completed, runs.Family, protocol, Completed);
                        sink(runs.Failed, runs.Family, protocol, Uncompleted);
                    }
                }
            });
        registry.AddCallback(
            "datapath_conntrack_gc_entries", "Connections alive after the last pass, and removed by it", MetricKind.Gauge,
            ["family", "protocol", "status"], sink => Entries(sink, Collector()?.Connections));
        registry.AddCallback(
            "datapath_nat_gc_entries", "Translations alive after the last pass, and removed by it", MetricKind.Gauge,
            ["family", "direction", "status"], sink => Entries(sink, Collector()?.Translations));
        registry.AddCallback(
            "datapath_conntrack_gc_interval_seconds", "Time between two passes, which adapts", MetricKind.Gauge, ["global"], sink =>
            {
                if (Collector() is { } collector)
                    sink(collector.Interval.TotalSeconds, "global");
            });
        registry.AddCallback(
            "nat_endpoint_max_connection", "Share of the source ports that the busiest destination holds", MetricKind.Gauge, ["family"], sink =>
            {
                if (sources.Running?.Nat is not { } nat)
                    return;
                sink(nat.Busiest(isV6: false), "ipv4");
                sink(nat.Busiest(isV6: true), "ipv6");
            });

        ConntrackCollector? Collector() => sources.Running?.Collector;
    }

    /// <summary>A pass over the connections of one family has ended.</summary>
    public void NotePass(bool isV6, TimeSpan duration, bool isCompleted)
    {
        foreach (string protocol in Protocols)
            _durations.With(isV6 ? "ipv6" : "ipv4", protocol, isCompleted ? Completed : Uncompleted).Observe(duration.TotalSeconds);
    }

    private static void Entries(SampleSink sink, CollectionStatistics? statistics)
    {
        foreach (CollectionCount count in statistics?.Counts ?? [])
        {
            sink(count.Alive, count.Family, count.Kind, "alive");
            sink(count.LastRemoved, count.Family, count.Kind, "deleted");
        }
    }
}
