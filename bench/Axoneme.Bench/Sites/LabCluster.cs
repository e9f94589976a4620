// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Bench.Sites;

/// <summary>A lab of its own name, so that one of the user's stays as it is; removed with everything in it.</summary>
internal sealed class LabCluster : IDisposable
{
    private const string DefaultName = "bench";
    private const string Namespace = "default";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _command = FindCommand();
    private readonly string _root;
    private readonly string _name;
    private readonly int _nodes;

    /// <param name="nodes">How many.</param>
    /// <param name="manifests">YAML documents that are there from the start.</param>
    /// <param name="name">Labs with different ones live side by side.</param>
    /// <param name="settings">What <c>lab up --set</c> takes.</param>
    public LabCluster(int nodes, IEnumerable<string> manifests, string name = DefaultName, IReadOnlyList<string>? settings = null)
    {
        (_name, _nodes) = (name, nodes);
        string given = Environment.GetEnvironmentVariable("AXONEME_LAB_ROOT") is { Length: > 0 } root ? root : "/run/axoneme-lab";
        _root = $"{given}-{name}";
        Leftovers.Add(this);
        try
        {
            Start(manifests, settings ?? []);
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
    public IReadOnlyList<string> InPod(string pod) => [_command, "lab", "--name", _name, "exec", pod, "--"];

    /// <summary>Words that start a program on the host beyond the cluster.</summary>
    public IReadOnlyList<string> Outside => [_command, "lab", "--name", _name, "outside", "--"];

    /// <summary>Changes the agents' configuration and restarts them; what they hold in the kernel stays.</summary>
    public void Configure(IEnumerable<(string Key, string Value)> settings)
    {
        for (int i = 1; i <= _nodes; i++)
        {
            string node = $"node{i}";
            foreach ((string key, string value) in settings)
                File.WriteAllText($"{_root}/nodes/{node}/config/{key}", value);
            int before = AgentProcess(node);
            Lab("agent", node, "restart");
            WaitFor(() => FindAgent(node) is { } now && now != before && IsHealthy(node), $"the agent of {node}");
        }
    }

    /// <summary>Stops, starts, kills or restarts a program of a node: <c>agent</c> or <c>proxy</c>.</summary>
    public void Control(string program, string node, string action) => Lab(program, node, action);

    public void WaitForAgent(string node) => WaitFor(() => IsHealthy(node), $"the agent of {node}");

    private bool IsHealthy(string node)
    {
        try
        {
            Commands.Run([.. OnNode(node), "curl", "-sf", "-m", "2", "http://127.0.0.1:9879/healthz"]);
            return true;
        }
        catch (BenchException)
        {
            return false;
        }
    }

    private static void WaitFor(Func<bool> condition, string what)
    {
        long start = Environment.TickCount64;
        while (!condition())
        {
            if (Environment.TickCount64 - start > Patience.TotalMilliseconds)
                throw new BenchException($"{what} was not ready after {Patience.TotalSeconds:0} s");
            Thread.Sleep(100);
        }
    }


    /// <summary>Words that start a program on a node, with nothing but nsenter in between.</summary>
    public IReadOnlyList<string> OnNode(string node) =>
        ["nsenter", $"--mount=/proc/{Holder(node)}/ns/mnt", $"--net={_root}/netns/axl-{node}", "--"];

    /// <summary>A file of the node, as this process reaches it.</summary>
    public string FileOn(string node, string path) => $"/proc/{Holder(node)}/root{path}";

    public string MapsOn(string node) => FileOn(node, "/sys/fs/bpf/tc/globals");

    /// <summary>The configuration that the node's container runtime hands to plugins.</summary>
    public string CniConfiguration(string node)
        => File.ReadAllText(Directory.EnumerateFiles($"{_root}/nodes/{node}/cni/net.d", "*.conflist").Single());

    public int AgentProcess(string node) => FindAgent(node) ?? throw new BenchException($"there is no agent on {node}");

    private int? FindAgent(string node)
    {
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            string id = Path.GetFileName(folder);
            if (int.TryParse(id, out int process) && IsAgentOf(folder, node))
                return process;
        }

        return null;
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

    private void Start(IEnumerable<string> manifests, IReadOnlyList<string> settings)
    {
        string folder = Directory.CreateTempSubdirectory("axoneme-bench-").FullName;
        try
        {
            // One that was killed before it could clean up would be taken for this one.
            Lab("down");
            File.WriteAllText(Path.Combine(folder, "bench.yaml"), string.Join("\n---\n", manifests));
            Lab(["up", "--nodes", $"{_nodes}", "--no-demo", "--manifests", folder, .. settings.Select(v => $"--set={v}")]);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private string Lab(params string[] words) => Commands.Run([_command, "lab", "--name", _name, .. words]);

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
