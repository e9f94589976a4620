// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Bench.Sites;

/// <summary>A lab of its own name, so that one of the user's stays as it is; removed with everything in it.</summary>
internal sealed class LabCluster : IDisposable
{
    private const string Name = "bench";
    private const string Namespace = "default";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _command = FindCommand();
    private readonly string _root;

    /// <param name="nodes">How many.</param>
    /// <param name="manifests">YAML documents that are there from the start.</param>
    public LabCluster(int nodes, IEnumerable<string> manifests)
    {
        string given = Environment.GetEnvironmentVariable("AXONEME_LAB_ROOT") is { Length: > 0 } root ? root : "/run/axoneme-lab";
        _root = $"{given}-{Name}";
        Leftovers.Add(this);
        try
        {
            Start(nodes, manifests);
            Client = new KubernetesClient(KubernetesConfig.Load(Lab("kubeconfig")), new KubernetesClientOptions { Qps = 0 });
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public KubernetesClient Client { get; } = null!;

    public void Dispose() => Leftovers.Remove(this, () =>
    {
        Client?.Dispose();
        Lab("down");
    });

    /// <summary>Words that start a program in a pod.</summary>
    public IReadOnlyList<string> InPod(string pod) => [_command, "lab", "--name", Name, "exec", pod, "--"];

    /// <summary>Words that start a program on a node, with nothing but nsenter in between.</summary>
    public IReadOnlyList<string> OnNode(string node) =>
        ["nsenter", $"--mount=/proc/{Holder(node)}/ns/mnt", $"--net={_root}/netns/axl-{node}", "--"];

    /// <summary>A file of the node, as this process reaches it.</summary>
    public string FileOn(string node, string path) => $"/proc/{Holder(node)}/root{path}";

    public string MapsOn(string node) => FileOn(node, "/sys/fs/bpf/tc/globals");

    /// <summary>The configuration that the node's container runtime hands to plugins.</summary>
    public string CniConfiguration(string node)
        => File.ReadAllText(Directory.EnumerateFiles($"{_root}/nodes/{node}/cni/net.d", "*.conflist").Single());

    public int AgentProcess(string node)
    {
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            string id = Path.GetFileName(folder);
            if (int.TryParse(id, out int process) && IsAgentOf(folder, node))
                return process;
        }

        throw new BenchException($"there is no agent on {node}");
    }

    public IPAddress PodAddress(string pod)
    {
        long start = Environment.TickCount64;
        while (Client.Of(Kinds.Pods).GetAsync(NameOf(pod)).GetAwaiter().GetResult().Status is var status)
        {
            if (status.Phase == "Running" && IPAddress.TryParse(status.PodIP, out IPAddress? address))
                return address;
            if (Environment.TickCount64 - start > Patience.TotalMilliseconds)
                throw new BenchException($"pod {pod} is {status.Phase} after {Patience.TotalSeconds:0} s");
            Thread.Sleep(100);
        }

        throw new BenchException($"pod {pod} has no status");
    }

    public static ResourceName NameOf(string name) => new(Namespace, name);

    /// <summary>Manifest of a pod whose command is one word after the other.</summary>
    public static string Pod(string name, string node, IEnumerable<string> command, string app, bool hostNetwork = false) => $$"""
        apiVersion: v1
        kind: Pod
        metadata:
          name: {{name}}
          namespace: {{Namespace}}
          labels:
            app: {{app}}
        spec:
          nodeName: {{node}}
          hostNetwork: {{(hostNetwork ? "true" : "false")}}
          terminationGracePeriodSeconds: 0
          containers:
          - name: main
            image: bench
            command: [{{string.Join(", ", command.Select(word => $"\"{word}\""))}}]
        """;

    private static string FindCommand()
        => Environment.GetEnvironmentVariable("AXONEME_CLI") is { Length: > 0 } given
            ? given
            : Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../cli/axoneme"));

    private void Start(int nodes, IEnumerable<string> manifests)
    {
        string folder = Directory.CreateTempSubdirectory("axoneme-bench-").FullName;
        try
        {
            // One that was killed before it could clean up would be taken for this one.
            Lab("down");
            File.WriteAllText(Path.Combine(folder, "bench.yaml"), string.Join("\n---\n", manifests));
            Lab("up", "--nodes", $"{nodes}", "--no-demo", "--manifests", folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private string Lab(params string[] words) => Commands.Run([_command, "lab", "--name", Name, .. words]);

    private string Holder(string node) => File.ReadAllText($"{_root}/nodes/{node}/holder.pid").Trim();

    private bool IsAgentOf(string process, string node)
    {
        try
        {
            return File.ReadAllText($"{process}/comm").Trim() == "cilium-agent"
                && File.ReadAllText($"{process}/cgroup").Contains($"/{Path.GetFileName(_root)}/{node}/agent", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            // It ended while we looked.
            return false;
        }
    }
}
