// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Axoneme.Bench.Sites;

namespace Axoneme.Bench.Suites;

/// <summary>What many services cost the agent: time from the API's list to the kernel's maps, one change among them, and memory.</summary>
internal static class ServiceScaleSuite
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private static readonly (int Services, double AimMilliseconds)[] Sizes = [(10_000, 2_000), (30_000, 6_000)];

    public static IEnumerable<Row> Run(BenchOptions options)
    {
        foreach ((int services, double aim) in Sizes.Where(s => options.ServiceCounts.Contains(s.Services)))
        {
            string with = $"{services:#,0} services of {ServiceApi.Endpoints} endpoints";
            ILookup<string, double> figures = Measure(services);
            yield return Cost($"{with}, objects to rows, processor time", "ms", figures["feature"]);
            yield return Cost($"{with}, list to rows", "ms", figures["rows"]);
            yield return Cost($"{with}, list to rows, processor time", "ms", figures["rows-cpu"]);
            yield return Cost($"{with}, list to kernel", "ms", figures["kernel"], aim);
            yield return Cost($"{with}, list to kernel, processor time", "ms", figures["cpu"]);
            yield return Cost($"{with}, map entries written", "entries", figures["entries"]);
            yield return Row.FromSamples($"one change among {with}, p50", "ms", figures["change"], 0.5, aim: 0);
            yield return Row.FromSamples($"one change among {with}, p99", "ms", figures["change"], 0.99, aim: 50);
            yield return Row.FromSamples($"one change among {with}, most writes", "entries", figures["writes"], 1, aim: 0);
            yield return Cost($"{with}, objects in use", "MiB", figures["live"]);
            yield return Cost($"{with}, memory at most", "MiB", figures["peak"]);
            yield return Cost($"{with}, memory afterwards", "MiB", figures["memory"], aim: 600);
        }
    }

    private static Row Cost(string name, string unit, IEnumerable<double> samples, double aim = 0)
        => Row.FromSamples(name, unit, samples, 0.5, aim);

    private static ILookup<string, double> Measure(int services)
    {
        using var folder = new BpfFolder();
        using var api = new ServiceApi(services);
        return FigureWorker.Run(
            $"{services} services", Patience, "service-agent", api.Address.ToString(), folder.Path, services.ToString(CultureInfo.InvariantCulture));
    }
}
