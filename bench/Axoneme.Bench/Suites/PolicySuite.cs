// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bench.Sites;

namespace Axoneme.Bench.Suites;

/// <summary>What many policies cost the agent, and what many rules cost a packet.</summary>
internal static class PolicySuite
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    public static IEnumerable<Row> Run(BenchOptions options) => Agent().Concat(Traffic(options));

    private static IEnumerable<Row> Agent()
    {
        const string With = "5,000 policies, 10,000 identities, 250 endpoints";
        using var folder = new BpfFolder();
        ILookup<string, double> figures = FigureWorker.Run(With, Patience, "policy-agent", folder.Path);
        yield return Cost($"{With}, objects to rows", "ms", figures["rows"], aim: 3000);
        yield return Cost($"{With}, objects to rows, processor time", "ms", figures["rows-cpu"]);
        yield return Cost($"{With}, objects to kernel", "ms", figures["kernel"]);
        yield return Cost($"{With}, map entries", "entries", figures["entries"]);
        yield return Row.FromSamples("one policy changed among them, to kernel, p50", "ms", figures["policy"], 0.5, aim: 0);
        yield return Row.FromSamples("one policy changed among them, to kernel, p99", "ms", figures["policy"], 0.99, aim: 100);
        yield return Row.FromSamples("one identity more among them, to kernel, p50", "ms", figures["identity"], 0.5, aim: 0);
        yield return Row.FromSamples("one identity more among them, to kernel, p99", "ms", figures["identity"], 0.99, aim: 20);
        yield return Cost($"{With}, objects in use", "MiB", figures["live"]);
        yield return Cost($"{With}, memory at most", "MiB", figures["peak"]);
        yield return Cost($"{With}, memory afterwards", "MiB", figures["memory"], aim: 400);
    }

    private static IEnumerable<Row> Traffic(BenchOptions options)
    {
        using var lab = new RuledLab();
        var comparison = new Comparison(options.Pairs, options.RunLength);
        yield return comparison.Run("pod with 10,000 rules against one with none,", "ping-pong", lab.Ruled, lab.Free, aim: 0.98);
        yield return comparison.Run("pod with 10,000 rules against one with none,", "connect-close", lab.Ruled, lab.Free, aim: 0);
    }

    private static Row Cost(string name, string unit, IEnumerable<double> samples, double aim = 0) => Row.FromSamples(name, unit, samples, 0.5, aim);
}
