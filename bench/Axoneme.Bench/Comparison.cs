// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bench.Sites;
using Axoneme.Bench.Workers;

namespace Axoneme.Bench;

/// <summary>Measures two paths in turn, each run short, so that both see the same machine.</summary>
internal sealed class Comparison(int pairs, TimeSpan runLength)
{
    public static string UnitOf(string pattern) => pattern == "bulk" ? "Gbit/s" : pattern == "ping-pong" ? "round trips/s" : "connections/s";

    public Row Run(string name, string pattern, TrafficPath ours, TrafficPath theirs, double aim)
    {
        // One run of each that does not count: caches, neighbour entries, frequency.
        ours.Measure(pattern, runLength / 2);
        theirs.Measure(pattern, runLength / 2);
        var results = new List<(double Ours, double Theirs)>(pairs);
        for (int i = 0; i < pairs; i++)
        {
            // Who goes first changes, or a drift within a pair would always favour the same side.
            if (i % 2 == 0)
            {
                double first = ours.Measure(pattern, runLength);
                results.Add((first, theirs.Measure(pattern, runLength)));
            }
            else
            {
                double first = theirs.Measure(pattern, runLength);
                results.Add((ours.Measure(pattern, runLength), first));
            }
        }

        return Row.FromPairs($"{name} {pattern}", UnitOf(pattern), results, aim);
    }

    /// <summary>
    /// One path against several references, all measured in turn. Gives a row for each reference and, where the pattern tells them,
    /// rows of latencies, whose ratio is better when it is small.
    /// </summary>
    /// <param name="aims">The least ratio to each reference, 0 for none.</param>
    public IEnumerable<Row> RunAll(string name, string pattern, TrafficPath ours, IReadOnlyList<TrafficPath> references, IReadOnlyList<double> aims)
    {
        TrafficPath[] paths = [ours, .. references];
        foreach (TrafficPath path in paths)
            path.Measure(pattern, runLength / 2);
        var results = new TrafficResult[pairs][];
        for (int round = 0; round < pairs; round++)
        {
            results[round] = new TrafficResult[paths.Length];
            // Everybody comes first in his turn, for the reason above.
            for (int i = 0; i < paths.Length; i++)
            {
                int which = (i + round) % paths.Length;
                results[round][which] = paths[which].MeasureAll(pattern, runLength);
            }
        }

        for (int r = 1; r < paths.Length; r++)
        {
            string title = $"{name} against {paths[r].Name}, {pattern}";
            yield return Row.FromPairs(title, UnitOf(pattern), [.. results.Select(x => (x[0].Rate, x[r].Rate))], aims[r - 1]);
            for (int q = 0; q < (results[0][0].Latencies?.Count ?? 0); q++)
                yield return Row.FromPairs($"{title}, {TrafficResult.LatencyNames[q]}", "us",
                    [.. results.Select(x => (x[0].Latencies![q], x[r].Latencies![q]))], aim: 0);
        }
    }
}
