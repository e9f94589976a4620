// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Text.Json.Nodes;
using Axoneme.Bench.Sites;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Bench.Suites;

/// <summary>
/// The CNI plugin as a container runtime calls it: ten processes at once on a node of a lab, each for a pod and a network namespace of its
/// own, from the start of the process to its end.
/// </summary>
internal static class CniSuite
{
    private const int Parallel = 10;
    private const string Node = "node1";

    public static IEnumerable<Row> Run(BenchOptions options)
    {
        // On the host's network, because the lab's kubelet would attach any other pod itself.
        using var lab = new LabCluster(nodes: 1, Enumerable.Range(0, Parallel).Select(
            i => LabCluster.Pod(PodName(i), Node, ["sleep", "infinity"], "cni", hostNetwork: true)));
        var pods = Enumerable.Range(0, Parallel).Select(i => Prepare(lab, i)).ToList();
        string configuration = PluginConfiguration(lab);

        // The first round gives the pods their identity, and the agent its compiled code.
        Round(lab, pods, configuration, round: 0);
        List<RoundTimes> rounds = [.. Enumerable.Range(1, options.Pairs).Select(i => Round(lab, pods, configuration, i))];
        double[] adds = [.. rounds.SelectMany(r => r.Adds)];
        yield return Row.FromSamples($"CNI ADD, {Parallel} at once, p50", "ms", adds, 0.5, aim: 150);
        yield return Row.FromSamples($"CNI ADD, {Parallel} at once, p99", "ms", adds, 0.99, aim: 0);
        yield return Row.FromSamples($"CNI DEL, {Parallel} at once, p50", "ms", rounds.SelectMany(r => r.Deletes), 0.5, aim: 0);

        // The same processes without a word to the agent: what starting and ending ten of them costs here.
        double[] starts = [.. Enumerable.Range(0, options.Pairs).SelectMany(i => AtOnce(pods, pod => Call(lab, pod, "VERSION", configuration, i)))];
        yield return Row.FromSamples($"CNI VERSION, {Parallel} at once, p50", "ms", starts, 0.5, aim: 0);
        yield return Row.FromSamples("CNI ADD, one at a time, p50", "ms", OneAtATime(lab, pods, configuration), 0.5, aim: 0);
    }

    private static string PodName(int index) => $"cni-{index}";

    private static PodPlace Prepare(LabCluster lab, int index)
    {
        lab.PodAddress(PodName(index));
        Pod pod = lab.Client.Of(Kinds.Pods).GetAsync(LabCluster.NameOf(PodName(index))).GetAwaiter().GetResult();
        return new PodPlace(PodName(index), pod.Metadata.Uid ?? "", $"axb-{PodName(index)}");
    }

    private static string PluginConfiguration(LabCluster lab)
    {
        JsonNode list = JsonNode.Parse(lab.CniConfiguration(Node))!;
        JsonNode plugin = list["plugins"]![0]!.DeepClone();
        plugin["cniVersion"] = list["cniVersion"]!.DeepClone();
        plugin["name"] = list["name"]!.DeepClone();
        return plugin.ToJsonString();
    }

    private static RoundTimes Round(LabCluster lab, List<PodPlace> pods, string configuration, int round)
    {
        pods.ForEach(pod => Commands.Run([.. lab.OnNode(Node), "ip", "netns", "add", pod.Namespace]));
        double[] adds = AtOnce(pods, pod => Call(lab, pod, "ADD", configuration, round));
        double[] deletes = AtOnce(pods, pod => Call(lab, pod, "DEL", configuration, round));
        pods.ForEach(pod => Commands.Run([.. lab.OnNode(Node), "ip", "netns", "delete", pod.Namespace]));
        return new RoundTimes(adds, deletes);
    }

    private static List<double> OneAtATime(LabCluster lab, List<PodPlace> pods, string configuration)
    {
        var times = new List<double>();
        foreach (PodPlace pod in pods)
        {
            Commands.Run([.. lab.OnNode(Node), "ip", "netns", "add", pod.Namespace]);
            times.Add(Call(lab, pod, "ADD", configuration, round: -1));
            Call(lab, pod, "DEL", configuration, round: -1);
            Commands.Run([.. lab.OnNode(Node), "ip", "netns", "delete", pod.Namespace]);
        }

        return times;
    }

    private static double[] AtOnce(List<PodPlace> pods, Func<PodPlace, double> call)
    {
        var times = new double[pods.Count];
        var failures = new Exception?[pods.Count];
        using var start = new Barrier(pods.Count);
        Thread[] threads = [.. pods.Select((pod, i) => new Thread(() =>
        {
            start.SignalAndWait();
            try
            {
                times[i] = call(pod);
            }
            catch (BenchException e)
            {
                failures[i] = e;
            }
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        return failures.FirstOrDefault(f => f is not null) is { } failure ? throw new BenchException(failure.Message) : times;
    }

    private static double Call(LabCluster lab, PodPlace pod, string command, string configuration, int round)
    {
        string plugin = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../cni/cilium-cni"));
        long start = Stopwatch.GetTimestamp();
        Commands.Run([.. lab.OnNode(Node), plugin], configuration,
        [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", $"bench-{pod.Name}-{round + 1}"),
            ("CNI_NETNS", $"/run/netns/{pod.Namespace}"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", Path.GetDirectoryName(plugin)!),
            ("CNI_ARGS", $"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod.Name};K8S_POD_UID={pod.Uid}"),
        ]);
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private sealed record PodPlace(string Name, string Uid, string Namespace);

    private sealed record RoundTimes(double[] Adds, double[] Deletes);
}
