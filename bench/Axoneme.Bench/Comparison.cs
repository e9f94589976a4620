// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bench.Sites;

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
}
