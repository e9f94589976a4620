// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using Axoneme.Metrics;

namespace Axoneme.Hosting;

/// <summary>A program as a process, in the words of Prometheus' libraries.</summary>
public static class ProcessMetrics
{
    public static void Register(MetricRegistry registry)
    {
        DateTime started = Process.GetCurrentProcess().StartTime.ToUniversalTime();
        Gauge("start_time_seconds", "Start of the process, in seconds since 1970", () => (started - DateTime.UnixEpoch).TotalSeconds);
        registry.AddCallback(
            "process_cpu_seconds_total", "Processor time that the process used", MetricKind.Counter, [],
            sink => sink(Environment.CpuUsage.TotalTime.TotalSeconds));
        Gauge("resident_memory_bytes", "Memory of the process that is in RAM", () => Environment.WorkingSet);
        Gauge("virtual_memory_bytes", "Address space of the process", () => Statistic(0) * Environment.SystemPageSize);
        Gauge("open_fds", "Open file descriptors", () => Directory.GetFileSystemEntries("/proc/self/fd").Length);
        Gauge("max_fds", "How many file descriptors may be open", MaximalDescriptors);

        void Gauge(string name, string help, Func<double> read)
            => registry.AddCallback("process_" + name, help, MetricKind.Gauge, [], sink => sink(read()));
    }

    // Pages; the first number is the whole address space.
    private static double Statistic(int index)
        => double.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[index], CultureInfo.InvariantCulture);

    private static double MaximalDescriptors()
    {
        string? line = File.ReadLines("/proc/self/limits").FirstOrDefault(l => l.StartsWith("Max open files", StringComparison.Ordinal));
        string[] words = line?.Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];
        return words.Length > 3 && double.TryParse(words[3], CultureInfo.InvariantCulture, out double limit) ? limit : double.PositiveInfinity;
    }
}
