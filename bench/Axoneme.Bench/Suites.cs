// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bench.Sites;

namespace Axoneme.Bench;

/// <summary>What can be measured, by the name that the command line takes.</summary>
internal static class Suites
{
    private static readonly string[] Patterns = ["ping-pong", "connect-close", "bulk"];

    public static IReadOnlyList<(string Name, Func<BenchOptions, IEnumerable<Row>> Run)> All { get; } =
    [
        ("noise", Noise),
        ("pods", Pods),
        ("services", Services),
    ];

    private static IEnumerable<Row> Noise(BenchOptions options)
    {
        using var veth = new RoutedVethSite();
        var comparison = new Comparison(options.Pairs, options.RunLength);
        foreach (string pattern in Patterns)
            yield return comparison.Run("noise", pattern, veth.SameNode, veth.SameNode, aim: 0);
    }

    private static IEnumerable<Row> Pods(BenchOptions options)
    {
        using var veth = new RoutedVethSite();
        using var lab = new LabSite();
        var comparison = new Comparison(options.Pairs, options.RunLength);
        foreach (string pattern in Patterns)
            yield return comparison.Run("pods, one node,", pattern, lab.SameNode, veth.SameNode, aim: 1.0);
        foreach (string pattern in Patterns)
            yield return comparison.Run("pods, two nodes,", pattern, lab.CrossNode, veth.CrossNode, aim: 1.0);
    }

    private static IEnumerable<Row> Services(BenchOptions options)
    {
        using var lab = new LabSite();
        var comparison = new Comparison(options.Pairs, options.RunLength);
        foreach (string pattern in Patterns)
        {
            TrafficPath service = lab.SameNode.Via("ClusterIP", lab.ServiceAddress);
            yield return comparison.Run("ClusterIP against direct,", pattern, service, lab.SameNode, aim: pattern == "ping-pong" ? 0.98 : 0);
        }
    }
}
