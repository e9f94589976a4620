// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Bench.Sites;

namespace Axoneme.Bench.Suites;

/// <summary>What the DNS proxy adds to a question: time and work.</summary>
internal static class DnsSuite
{
    private const int Window = 64;

    // 20,000 questions a second and core.
    private const double AimProcessorMicroseconds = 50;
    private const double AimAddedMicroseconds = 200;

    public static IEnumerable<Row> Run(BenchOptions options)
    {
        using var site = new DnsSite();
        using DnsClient proxied = site.Proxied(), direct = site.Direct();
        Rate(proxied, options.RunLength);
        Rate(direct, options.RunLength);

        var added = new List<double>();
        var theirs = new List<double>();
        for (int i = 0; i < options.Pairs; i++)
            AskInTurn(proxied, direct, options.RunLength, added, theirs);
        yield return Row.FromSamples("DNS, one question at a time, added by the proxy, p50", "us", added, 0.5, AimAddedMicroseconds);
        yield return Row.FromSamples("DNS, one question at a time, added by the proxy, p99", "us", added, 0.99, aim: 0);
        yield return Row.FromSamples("DNS, one question at a time, without proxy, p50", "us", theirs, 0.5, aim: 0);

        var rates = new List<(double Ours, double Theirs)>();
        var work = new List<double>();
        for (int i = 0; i < options.Pairs; i++)
        {
            double before = site.ProxyProcessorSeconds;
            (double rate, long questions) = Rate(proxied, options.RunLength);
            work.Add((site.ProxyProcessorSeconds - before) * 1e6 / questions);
            rates.Add((rate, Rate(direct, options.RunLength).Rate));
        }

        yield return Row.FromSamples("DNS proxy, processor time of a question", "us", work, 0.5, AimProcessorMicroseconds);
        yield return Row.FromPairs($"DNS through a proxy of one thread against without, {Window} under way", "questions/s", rates, aim: 0);
    }

    // One question each in turn: the machine is the same for both, whatever it does besides.
    private static void AskInTurn(DnsClient proxied, DnsClient direct, TimeSpan length, List<double> added, List<double> theirs)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < length;)
        {
            double without = Time(direct), with = Time(proxied);
            added.Add(with - without);
            theirs.Add(without);
        }
    }

    private static double Time(DnsClient client)
    {
        long start = Stopwatch.GetTimestamp();
        client.Ask();
        client.Await();
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds;
    }

    private static (double Rate, long Questions) Rate(DnsClient client, TimeSpan length)
    {
        long questions = 0, start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Window; i++)
            client.Ask();
        for (; Stopwatch.GetElapsedTime(start) < length; questions++)
        {
            client.Await();
            client.Ask();
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        for (int i = 0; i < Window; i++)
            client.Await();
        return (questions / seconds, questions + Window);
    }
}
