// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Bench.Suites;

/// <summary>What can be measured, by the name that the command line takes.</summary>
internal static class SuiteList
{
    public static readonly string[] Patterns = ["ping-pong", "connect-close", "bulk"];

    public static IReadOnlyList<(string Name, Func<BenchOptions, IEnumerable<Row>> Run)> All { get; } =
    [
        ("noise", NoiseSuite.Run),
        ("pods", PodSuite.Run),
        ("services", ServiceSuite.Run),
        ("services-scale", ServiceScaleSuite.Run),
        ("policy", PolicySuite.Run),
        ("dns", DnsSuite.Run),
        ("dns-restarts", DnsRestartSuite.Run),
        ("programs", ProgramSuite.Run),
        ("cni", CniSuite.Run),
        ("changes", ChangeSuite.Run),
    ];
}
