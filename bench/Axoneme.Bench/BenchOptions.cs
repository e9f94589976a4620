// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Axoneme.Bench.Sites;
using Axoneme.Bench.Suites;

namespace Axoneme.Bench;

internal sealed record BenchOptions
{
    public const string Help = """
        axoneme bench [NAME...] [--json FILE] [--pairs N] [--seconds S] [--services N,...]

        Measures this datapath side by side with the plain kernel and prints ratios. Without a name, everything:
          noise      the reference against itself: what differences mean nothing on this machine
          pods       pod to pod, on one node and across nodes, against routed veth pairs of the same shape
          services   services against the pod behind them and against kube-proxy's iptables and nftables rules,
                     from a pod and from outside, among 1 to 30,000 others (takes long: see --services)
          services-scale  the agent's part: from a list of 10,000 and 30,000 services to the kernel's maps, one change
                     among them, and memory
          policy     the agent's part: 5,000 policies from their objects to the kernel's maps, one change, one identity, and
                     memory; and a pod with 10,000 rules against one without
          dns        questions through the DNS proxy against the same resolver directly: added time, work, throughput
          dns-restarts  questions and connections of a minute with an agent, then a proxy, that is restarted all the time
          programs   cost of the pod program for one packet, by test run, and of loading it
          cni        ADD of the CNI plugin as a process, ten at once
          changes    from an API write to the kernel's maps, with 500 policies and 1,000 services

          --json FILE   also write the rows to FILE
          --pairs N     pairs of runs for each ratio, rounds of ten for cni (default 7)
          --seconds S   length of one run (default 1)
          --services N,...  numbers of services (default 1,100,1000,10000,30000)
        """;

    public List<string> Names { get; } = [];

    public string? JsonFile { get; private set; }

    public int Pairs { get; private set; } = 7;

    public TimeSpan RunLength { get; private set; } = TimeSpan.FromSeconds(1);

    public IReadOnlyList<int> ServiceCounts { get; private set; } = [1, 100, 1000, 10000, 30000];

    public bool ShowHelp { get; private set; }

    public static BenchOptions Parse(string[] args)
    {
        var options = new BenchOptions();
        for (int i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "-h" or "--help":
                    options.ShowHelp = true;
                    break;
                case "--json":
                    options.JsonFile = ValueOf(args, ref i);
                    break;
                case "--pairs":
                    options.Pairs = int.TryParse(ValueOf(args, ref i), out int pairs) && pairs is > 0 and < 1000
                        ? pairs
                        : throw new BenchException("--pairs takes a number from 1 to 999");
                    break;
                case "--seconds":
                    options.RunLength = double.TryParse(ValueOf(args, ref i), CultureInfo.InvariantCulture, out double seconds) && seconds is > 0 and < 600
                        ? TimeSpan.FromSeconds(seconds)
                        : throw new BenchException("--seconds takes a number between 0 and 600");
                    break;
                case "--services":
                    options.ServiceCounts = [.. ValueOf(args, ref i).Split(',').Select(
                        w => int.TryParse(w, out int count) && count is > 0 and <= 60_000
                            ? count
                            : throw new BenchException("--services takes numbers from 1 to 60000"))];
                    break;
                default:
                    if (!SuiteList.All.Any(suite => suite.Name == args[i]))
                        throw new BenchException($"'{args[i]}' is none of {string.Join(", ", SuiteList.All.Select(s => s.Name))}");
                    options.Names.Add(args[i]);
                    break;
            }
        }

        return options;
    }

    private static string ValueOf(string[] args, ref int i)
        => ++i < args.Length ? args[i] : throw new BenchException($"{args[i - 1]} needs a value");
}
