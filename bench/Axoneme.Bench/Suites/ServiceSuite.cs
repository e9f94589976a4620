// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bench.Sites;

namespace Axoneme.Bench.Suites;

/// <summary>
/// Services against the pods behind them, and against the netfilter rules that kube-proxy writes for the same services, with few and with
/// many services around.
/// </summary>
internal static class ServiceSuite
{
    private const double PingPongAim = 0.99;
    private const double ConnectAim = 1.0;
    private const double ConnectAimOfManyRules = 2.0;
    private const int ManyServices = 10_000;
    private const double GrowthAim = 0.97;

    // For the most services that the command line takes, with two backends each.
    private const string MapSize = "bpf.lbMapMax=262144";

    private static readonly (string Name, string Mode)[] Modes = [("SNAT", "snat"), ("DSR", "dsr")];

    public static IEnumerable<Row> Run(BenchOptions options)
    {
        var comparison = new Comparison(options.Pairs, options.RunLength);
        using var one = new TrafficLab();
        foreach (string pattern in SuiteList.Patterns)
            yield return comparison.Run("ClusterIP against direct,", pattern, one.ClusterIp, one.SameNode, pattern == "ping-pong" ? PingPongAim : 0);
        using var iptables = new KubeProxySite(ProxyMode.Iptables);
        using var nftables = new KubeProxySite(ProxyMode.Nftables);
        using var many = new TrafficLab("bench-many", [MapSize]);
        // Another lab, because the cables for XDP complete checksums, which costs the other rows.
        using var fast = new TrafficLab("bench-xdp", [MapSize, "loadBalancer.acceleration=native"]);
        IdleServices[] idle = [new IdleServices(many.Cluster), new IdleServices(fast.Cluster)];
        foreach (int count in options.ServiceCounts.Order())
        {
            foreach (IdleServices services in idle)
                services.GrowTo(count - 1);
            iptables.GrowTo(count);
            nftables.GrowTo(count);
            var setting = new Setting(comparison, iptables, nftables, count);
            foreach (Row row in ClusterIp(setting, many).Concat(NodePort(setting, many, "")).Concat(NodePort(setting, fast, " XDP")))
                yield return row;
            if (count > 1)
                yield return comparison.Run($"ClusterIP, {count:#,0} services against one,", "connect-close", many.ClusterIp, one.ClusterIp, GrowthAim);
        }
    }

    private static IEnumerable<Row> ClusterIp(Setting setting, TrafficLab lab)
    {
        foreach (string pattern in SuiteList.Patterns)
            foreach (Row row in setting.Comparison.RunAll($"ClusterIP, {Among(setting)}", pattern, lab.ClusterIp,
                [setting.Iptables.ClusterIp, setting.Nftables.ClusterIp], Aims(setting, pattern)))
                yield return row;
    }

    private static IEnumerable<Row> NodePort(Setting setting, TrafficLab lab, string suffix)
    {
        foreach ((string name, string mode) in Modes)
        {
            lab.Cluster.Configure([("bpf-lb-mode", mode)]);
            foreach (string pattern in SuiteList.Patterns)
                foreach (Row row in setting.Comparison.RunAll($"NodePort {name}{suffix}, {Among(setting)}", pattern, lab.NodePort,
                    [setting.Iptables.NodePort, setting.Nftables.NodePort], Aims(setting, pattern)))
                    yield return row;
        }
    }

    private static string Among(Setting setting) => setting.Count == 1 ? "1 service" : $"{setting.Count:#,0} services";

    private static double[] Aims(Setting setting, string pattern)
        => pattern != "connect-close" ? [0, 0]
            : setting.Count == 1 ? [ConnectAim, ConnectAim]
            : [setting.Count >= ManyServices ? ConnectAimOfManyRules : 0, 0];

    private sealed record Setting(Comparison Comparison, KubeProxySite Iptables, KubeProxySite Nftables, int Count);
}
