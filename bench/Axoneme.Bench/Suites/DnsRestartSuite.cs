// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Text.RegularExpressions;
using Axoneme.Bench.Sites;

namespace Axoneme.Bench.Suites;

/// <summary>
/// An hour of restarts in a minute: a pod asks for names, each question once, and connects to what it learns, while the agent of its node is killed or
/// restarted every second or two. Another minute restarts the DNS proxy as an upgrade does.
/// </summary>
internal static partial class DnsRestartSuite
{
    private const int Seconds = 60;
    private const int PerSecond = 20;
    private const string Node = "node1";

    private const string Names = """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: lab-names, namespace: kube-system}
        data:
          one.restarts.test: "203.0.113.10 2001:db8::10 ttl=2"
          two.restarts.test: "203.0.113.10 2001:db8::10"
        """;

    private const string Policy = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: names, namespace: default}
        spec:
          endpointSelector: {matchLabels: {app: client}}
          egress:
          - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system}}]
            toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
          - {toFQDNs: [{matchPattern: "*.restarts.test"}], toPorts: [{ports: [{port: "7", protocol: TCP}]}]}
        """;

    public static IEnumerable<Row> Run(BenchOptions options)
    {
        using var lab = new LabCluster(1, [Names, Policy, LabCluster.Pod("client", Node, ["axl", "idle"], "client")]);
        using Process server = Start([.. lab.Outside, "axl", "echo"]);
        try
        {
            lab.PodAddress("client");
            Warm(lab);
            yield return Measure(lab, "agent", killing: true);
            lab.WaitForAgent(Node);
            yield return Measure(lab, "proxy", killing: false);
        }
        finally
        {
            server.Kill(entireProcessTree: true);
        }
    }

    // The names are known, and the pod reaches them.
    private static void Warm(LabCluster lab)
    {
        for (int attempt = 0; ; attempt++)
        {
            (string report, bool isWhole) = Ask(lab, seconds: 1).Result;
            if (isWhole)
                return;
            if (attempt == 30)
                throw new BenchException($"names are not answered: {report}");
        }
    }

    private static Row Measure(LabCluster lab, string what, bool killing)
    {
        Task<(string Report, bool IsWhole)> asking = Ask(lab, Seconds);
        int restarts = 0;
        for (; !asking.IsCompleted; restarts++)
        {
            lab.Control(what, Node, killing && restarts % 2 == 0 ? "kill" : "restart");
            // The lab lets programs wait that end often.
            for (int i = Random.Shared.Next(3, 8); i > 0; i--)
            {
                Thread.Sleep(200);
                lab.Control(what, Node, "start");
            }
        }

        (string report, bool isWhole) = asking.Result;
        Match counts = Counts().Match(report);
        if (!counts.Success)
            throw new BenchException($"the client says: {report}");
        if (!isWhole)
            Console.Error.WriteLine(report);
        double answered = int.Parse(counts.Groups[1].Value) - int.Parse(counts.Groups[3].Value), asked = answered + int.Parse(counts.Groups[2].Value) + int.Parse(counts.Groups[3].Value);
        return new Row(
            $"DNS, answered and reached of all asked in {Seconds} s with {restarts} restarts of the {what}", "questions", answered, asked, answered / asked, 1, restarts, 0);
    }

    private static async Task<(string Report, bool IsWhole)> Ask(LabCluster lab, int seconds)
    {
        using Process asking = Start([.. lab.InPod("default/client"), "axl", "asking", "one.restarts.test.,two.restarts.test.", $"{seconds}", $"{PerSecond}", "7"]);
        string report = await asking.StandardOutput.ReadToEndAsync();
        await asking.WaitForExitAsync();
        return (report, asking.ExitCode == 0);
    }

    private static Process Start(IReadOnlyList<string> command)
        => Process.Start(new ProcessStartInfo(command[0], command.Skip(1)) { RedirectStandardOutput = true })
            ?? throw new BenchException($"{command[0]} did not start");

    [GeneratedRegex("([0-9]+) answered, ([0-9]+) lost, ([0-9]+) without connection")]
    private static partial Regex Counts();
}
