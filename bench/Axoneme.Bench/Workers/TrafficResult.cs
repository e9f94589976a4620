// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace Axoneme.Bench.Workers;

/// <summary>What a client measured, and the line by which it tells.</summary>
/// <param name="Rate">Round trips, connections or gigabits a second.</param>
/// <param name="Latencies">p50, p99 and p999 of one connection from its start to its answer, in microseconds; null where there are none.</param>
internal sealed record TrafficResult(double Rate, IReadOnlyList<double>? Latencies)
{
    public static readonly string[] LatencyNames = ["p50", "p99", "p999"];

    public static TrafficResult? TryParse(string line)
    {
        var numbers = new List<double>();
        foreach (string word in line.Split(' ', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!double.TryParse(word, CultureInfo.InvariantCulture, out double number))
                return null;
            numbers.Add(number);
        }

        return numbers.Count == 1 ? new TrafficResult(numbers[0], null)
            : numbers.Count == LatencyNames.Length + 1 ? new TrafficResult(numbers[0], numbers[1..]) : null;
    }

    public override string ToString()
        => string.Join(' ', ((double[])[Rate, .. Latencies ?? []]).Select(n => n.ToString(CultureInfo.InvariantCulture)));
}
