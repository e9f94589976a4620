// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bench.Sites;

namespace Axoneme.Bench.Suites;

/// <summary>Pod to pod, on one node and across nodes, against routed veth pairs of the same shape.</summary>
internal static class PodSuite
{
    public static IEnumerable<Row> Run(BenchOptions options)
    {
        using var veth = new RoutedVethSite();
        using var lab = new TrafficLab();
        var comparison = new Comparison(options.Pairs, options.RunLength);
        foreach (string pattern in SuiteList.Patterns)
            yield return comparison.Run("pods, one node,", pattern, lab.SameNode, veth.SameNode, aim: 1.0);
        foreach (string pattern in SuiteList.Patterns)
            yield return comparison.Run("pods, two nodes,", pattern, lab.CrossNode, veth.CrossNode, aim: 1.0);
    }
}
