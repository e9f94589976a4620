// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Text.Json;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>
/// The policy scenarios of the connectivity suite, each between real pods, with the direction and reason that Hubble gives for each drop. Several
/// namespaces with the same pods work through them side by side, because most of the time goes into waiting for answers that must not come.
/// </summary>
[Collection(NativeCollection.Name)]
public sealed class PolicyScenarioTests(NativeLab lab)
{
    private const int Lanes = 4;
    private static readonly string[] Clients = ["client", "client2", "client3"];
    private static readonly string[] Servers = ["echo-same", "echo-other"];

    private sealed record Check(string From, string To, string Probe, string Outcome);

    [Fact]
    public async Task Policies_have_the_effect_that_the_connectivity_suite_expects()
    {
        await using IAsyncDisposable pods = await lab.WithAsync(string.Concat(Enumerable.Range(1, Lanes).Select(Pods)));
        await Eventually.IsAsync(
            "all pods are ready", async () => (await lab.KubectlAsync("", "get", "pods", "-A", "-l", "kind", "-o", "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}")).Output,
            s => s.Split(' ').Count(x => x == "True") == Lanes * (Clients.Length + Servers.Length));
        await lab.RefreshAddressesAsync();
        var left = new ConcurrentQueue<PolicyScenario>(PolicyScenarios.All);
        var failures = new ConcurrentBag<string>();
        await Task.WhenAll(Enumerable.Range(1, Lanes).Select(lane => RunLaneAsync($"suite{lane}", left, failures)));
        Assert.True(failures.IsEmpty, string.Join("\n\n", failures));
    }

    private async Task RunLaneAsync(string space, ConcurrentQueue<PolicyScenario> left, ConcurrentBag<string> failures)
    {
        while (left.TryDequeue(out PolicyScenario? scenario))
        {
            try
            {
                await RunAsync(space, scenario);
            }
            catch (Exception e)
            {
                failures.Add($"{scenario.Name} in {space}: {e.Message}");
            }
        }
    }

    private async Task RunAsync(string space, PolicyScenario scenario)
    {
        List<Check> checks = [.. Parse(scenario.Matrix)];
        string policies = scenario.Policies.Replace("NS", space, StringComparison.Ordinal);
        await using IAsyncDisposable? applied = policies.Length > 0 ? await lab.WithAsync(policies) : null;
        string since = DateTime.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'");
        // Once to see the policies take effect, and once more for what must go on to work then.
        await Task.WhenAll(checks.GroupBy(c => c.From).Select(of => lab.ExpectAsync(
            PlaceOf(space, of.Key), Commands(space, of, isOk: true), Commands(space, of, isOk: false))));
        if (checks.Exists(c => c.Outcome != "ok"))
            await Task.WhenAll(checks.GroupBy(c => c.From).Select(of => lab.ExpectAsync(PlaceOf(space, of.Key), Commands(space, of, isOk: true))));
        foreach (IGrouping<string, Check> drops in checks.Where(c => c.Outcome != "ok").GroupBy(NodeOfDrop))
            await ExpectDropsAsync(space, drops.Key, since, [.. drops]);
    }

    private List<string> Commands(string space, IEnumerable<Check> checks, bool isOk)
        => [.. checks.Where(c => c.Outcome == "ok" == isOk).SelectMany(c => Addresses(space, c.From, c.To).Select(a => c.Probe switch
        {
            "tcp" => $"axl tcp {a} 7 10",
            "tcp9" => $"axl tcp {a} 9 10",
            "udp" => $"axl udp {a} 7 10",
            "ping" => $"axl ping {a}",
            _ => throw new InvalidOperationException($"there is no probe {c.Probe}"),
        }))];

    private async Task ExpectDropsAsync(string space, string node, string since, List<Check> drops)
    {
        HashSet<(string, string, string)> wanted =
        [
            .. drops.SelectMany(c => Addresses(space, c.To, c.From).Zip(Addresses(space, c.From, c.To)).Select(pair => (pair.First, pair.Second, c.Outcome))),
        ];
        await Eventually.IsAsync(
            $"drops on {node}: {string.Join(", ", wanted)}",
            async () => Drops((await lab.NodeAsync(node, "hubble", "observe", "--since", since, "--verdict", "DROPPED", "--type", "drop", "-o", "json")).Require()),
            wanted.IsSubsetOf);
    }

    private static HashSet<(string, string, string)> Drops(string output)
    {
        var drops = new HashSet<(string, string, string)>();
        foreach (string line in output.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var document = JsonDocument.Parse(line);
            if (!document.RootElement.TryGetProperty("flow", out JsonElement flow) || !flow.TryGetProperty("IP", out JsonElement ip))
                continue;
            string reason = flow.GetProperty("drop_reason_desc").GetString() switch
            {
                "POLICY_DENIED" => "default",
                "POLICY_DENY" => "deny",
                { } other => other,
                null => "",
            };
            drops.Add((ip.GetProperty("source").GetString()!, ip.GetProperty("destination").GetString()!,
                $"{flow.GetProperty("traffic_direction").GetString()!.ToLowerInvariant()}-{reason}"));
        }

        return drops;
    }

    /// <summary>IPv4, then IPv6.</summary>
    private string[] Addresses(string space, string from, string to) => to switch
    {
        "host" => Node(NodeOf(from)),
        "remote" => Node(3 - NodeOf(from)),
        "node1" => Node(1),
        "node2" => Node(2),
        "outside" => [LabCluster.OutsideV4, LabCluster.OutsideV6],
        "outside2" => ["192.0.2.10", "2001:db8:2::10"],
        _ => [lab.V4(PodOf(space, to)), lab.V6(PodOf(space, to))],
    };

    private static string[] Node(int node) => [LabCluster.NodeV4(node), LabCluster.NodeV6(node)];

    private static string PodOf(string space, string name) => name.Contains('/', StringComparison.Ordinal) ? name : $"{space}/{name}";

    private static string PlaceOf(string space, string from) => from switch
    {
        "node1" or "node2" => $"node {from}",
        "outside" or "outside2" => from,
        _ => $"exec {PodOf(space, from)}",
    };

    private static int NodeOf(string name) => name is "client3" or "echo-other" or "node2" or "work/far" ? 2 : 1;

    private static string NodeOfDrop(Check check)
        => $"node{NodeOf(check.Outcome.StartsWith("ingress", StringComparison.Ordinal) ? check.To : check.From)}";

    private static IEnumerable<Check> Parse(string matrix)
    {
        foreach (string line in matrix.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            string[] parts = line.Split([" > ", " : "], StringSplitOptions.TrimEntries);
            foreach (string from in Expand(parts[0]))
                foreach (string to in Expand(parts[1]).Where(to => to != from))
                    yield return new Check(from, to, parts[2], parts[3]);
        }
    }

    private static IEnumerable<string> Expand(string names) => names.Split(' ').SelectMany(n => n switch
    {
        "*" => Clients,
        "echo" => Servers,
        _ => (string[])[n],
    });

    private static string Pods(int lane)
    {
        string space = $"suite{lane}";
        return $"---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: {space}}}}}\n"
            + Pod("client", 1, "kind: client", "client")
            + Pod("client2", 1, "kind: client, other: client", "client")
            + Pod("client3", 2, "kind: client, other: client-other-node", "client")
            + Pod("echo-same", 1, "kind: echo, other: echo", "echo")
            + Pod("echo-other", 2, "kind: echo, first: echo", "echo");

        string Pod(string name, int node, string labels, string image)
            => $"---\n{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: {space}}}}}\n"
                + $"---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {space}, labels: {{name: {name}, {labels}}}}}, "
                + $"spec: {{nodeName: node{node}, serviceAccountName: {name}, terminationGracePeriodSeconds: 0, "
                + $"containers: [{{name: c, image: axoneme.io/{image}, ports: [{{name: echo-7, containerPort: 7, protocol: TCP}}]}}]}}}}\n";
    }
}
