// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bench.Sites;

namespace Axoneme.Bench.Suites;

/// <summary>The reference against itself: what its ratios differ from one by, a ratio of the other suites may as well.</summary>
internal static class NoiseSuite
{
    public static IEnumerable<Row> Run(BenchOptions options)
    {
        using var veth = new RoutedVethSite();
        var comparison = new Comparison(options.Pairs, options.RunLength);
        foreach (string pattern in SuiteList.Patterns)
            yield return comparison.Run("noise,", pattern, veth.SameNode, veth.SameNode, aim: 0);
    }
}
