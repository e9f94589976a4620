// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Text;

namespace Axoneme.Metrics.Tests;

public sealed class RegistryTests
{
    [Fact]
    public void Each_family_is_written_with_what_it_counts()
    {
        var registry = new MetricRegistry("cilium_");
        Counter events = registry.AddCounter("services_events_total", "Changes of services", "action");
        events.With("add").Add(2);
        events.With("delete").Increment();
        Gauge pressure = registry.AddGauge("bpf_map_pressure", "How full a map is", "map_name");
        pressure.With("ct4_global").Value = 0.25;
        pressure.With("lxc").Value = 1;
        pressure.Remove("lxc");
        Histogram delay = registry.AddHistogram("service_implementation_delay", "From event to map", [0.1, 1], "action");
        foreach (double seconds in new[] { 0.05, 0.1, 0.5, 7 })
            delay.With("update").Observe(seconds);
        registry.AddCallback("version", "The version", MetricKind.Gauge, ["version"], sink => sink(1, "0.1.0"));

        Assert.Equal(
            """
            # HELP cilium_bpf_map_pressure How full a map is
            # TYPE cilium_bpf_map_pressure gauge
            cilium_bpf_map_pressure{map_name="ct4_global"} 0.25
            # HELP cilium_service_implementation_delay From event to map
            # TYPE cilium_service_implementation_delay histogram
            cilium_service_implementation_delay_bucket{action="update",le="0.1"} 2
            cilium_service_implementation_delay_bucket{action="update",le="1"} 3
            cilium_service_implementation_delay_bucket{action="update",le="+Inf"} 4
            cilium_service_implementation_delay_sum{action="update"} 7.65
            cilium_service_implementation_delay_count{action="update"} 4
            # HELP cilium_services_events_total Changes of services
            # TYPE cilium_services_events_total counter
            cilium_services_events_total{action="add"} 2
            cilium_services_events_total{action="delete"} 1
            # HELP cilium_version The version
            # TYPE cilium_version gauge
            cilium_version{version="0.1.0"} 1

            """,
            Write(registry));
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("a \"quoted\" word")]
    [InlineData("back\\slash and\nline")]
    [InlineData("\\n")]
    [InlineData("ends with \\")]
    [InlineData("Größe 大")]
    [InlineData("")]
    public void Any_text_survives_as_label_and_help(string text)
    {
        var registry = new MetricRegistry();
        registry.AddGauge("metric", text, "label").With(text).Value = 1;
        ParsedFamily family = Assert.Single(ExpositionParser.Parse(Write(registry)));
        Assert.Equal(text, family.Help);
        Assert.Equal(text, Assert.Single(family.Samples).Label("label"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1.5)]
    [InlineData(1e300)]
    [InlineData(5e-324)]
    [InlineData(123456789012345678)]
    [InlineData(0.1)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    [InlineData(double.NaN)]
    public void Any_number_reads_back_the_same(double value)
    {
        var registry = new MetricRegistry();
        registry.AddGauge("metric", "help").With().Value = value;
        Assert.Equal(value, Assert.Single(Assert.Single(ExpositionParser.Parse(Write(registry))).Samples).Value);
    }

    [Fact]
    public void Random_registries_are_valid_and_complete()
    {
        var random = new Random(7);
        for (int round = 0; round < 50; round++)
        {
            var registry = new MetricRegistry();
            int series = 0;
            for (int f = 0; f < random.Next(1, 8); f++)
            {
                string[] labels = [.. Enumerable.Range(0, random.Next(0, 4)).Select(i => $"label{i}")];
                Histogram histogram = registry.AddHistogram($"histogram{f}", "help", Histogram.DefaultBounds, labels);
                Counter counter = registry.AddCounter($"counter{f}", "help", labels);
                for (int s = 0; s < random.Next(1, 5); s++)
                {
                    string[] values = [.. labels.Select(_ => $"{(char)random.Next(32, 127)}{s}")];
                    counter.With(values).Increment();
                    for (int o = 0; o < random.Next(1, 20); o++)
                        histogram.With(values).Observe(random.NextDouble() * 12);
                }
            }

            IReadOnlyList<ParsedFamily> parsed = ExpositionParser.Parse(Write(registry));
            series = MetricSnapshot.Take(registry).Count;
            Assert.Equal(
                series, parsed.Sum(f => f.Samples.Count(s => f.Type != "histogram" || s.Name.EndsWith("_count", StringComparison.Ordinal))));
        }
    }

    [Fact]
    public void Switches_show_what_is_off_and_hide_what_is_on()
    {
        var registry = new MetricRegistry("cilium_", ["+cilium_rare", "-cilium_common", "+cilium_unknown"]);
        registry.AddCallback("rare", "", MetricKind.Gauge, [], sink => sink(1), isShown: false);
        registry.AddCallback("off", "", MetricKind.Gauge, [], sink => sink(1), isShown: false);
        Counter hidden = registry.AddCounter("common", "");
        hidden.With().Increment();
        Assert.Equal(["cilium_rare"], ExpositionParser.Parse(Write(registry)).Select(f => f.Name));
    }

    [Fact]
    public void A_family_without_series_is_left_out()
    {
        var registry = new MetricRegistry();
        registry.AddCounter("nothing_total", "help", "label");
        Assert.Equal("", Write(registry));
    }

    [Fact]
    public void Mistakes_of_the_programmer_are_told_at_once()
    {
        var registry = new MetricRegistry();
        Counter counter = registry.AddCounter("events_total", "help", "action");
        Assert.Throws<ArgumentException>(() => registry.AddGauge("events_total", "help"));
        Assert.Throws<ArgumentException>(() => registry.AddGauge("9lives", "help"));
        Assert.Throws<ArgumentException>(() => registry.AddGauge("a-b", "help"));
        Assert.Throws<ArgumentException>(() => registry.AddGauge("gauge", "help", "le"));
        Assert.Throws<ArgumentException>(() => registry.AddGauge("gauge", "help", "__name"));
        Assert.Throws<ArgumentException>(() => registry.AddHistogram("histogram", "help", [1, 1]));
        Assert.Throws<ArgumentException>(() => counter.With());
        Assert.Throws<ArgumentException>(() => counter.With("a", "b"));
    }

    [Fact]
    public async Task Counting_from_many_threads_loses_nothing()
    {
        var registry = new MetricRegistry();
        Counter counter = registry.AddCounter("events_total", "help", "action");
        Histogram histogram = registry.AddHistogram("seconds", "help", [1]);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                counter.With("add").Increment();
                histogram.With().Observe(0.5);
            }
        })));
        Assert.Equal(80_000, counter.With("add").Value);
        Assert.Equal(80_000, MetricSnapshot.Take(registry).Single(s => s.Name == "seconds").Buckets[0].Count);
    }

    private static string Write(MetricRegistry registry)
    {
        var buffer = new ArrayBufferWriter<byte>();
        PrometheusText.Write(registry, buffer);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
