// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bench.Sites;

namespace Axoneme.Bench.Suites;

/// <summary>A ClusterIP against the pod behind it.</summary>
internal static class ServiceSuite
{
    private const double PingPongAim = 0.98;

    public static IEnumerable<Row> Run(BenchOptions options)
    {
        using var lab = new TrafficLab();
        var comparison = new Comparison(options.Pairs, options.RunLength);
        TrafficPath service = lab.SameNode.Via("ClusterIP", lab.ServiceAddress);
        foreach (string pattern in SuiteList.Patterns)
        {
            double aim = pattern == "ping-pong" ? PingPongAim : 0;
            yield return comparison.Run("ClusterIP against direct,", pattern, service, lab.SameNode, aim);
        }
    }
}
