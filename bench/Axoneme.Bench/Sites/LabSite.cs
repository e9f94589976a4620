// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net;

namespace Axoneme.Bench.Sites;

/// <summary>A lab of its own with two nodes: a client and a server on the first, a server on the second, a service before the first server.</summary>
internal sealed class LabSite : IDisposable
{
    private const string Name = "bench";

    private readonly string _command = Environment.GetEnvironmentVariable("AXONEME_CLI") ?? "axoneme";
    private readonly string _manifests = Directory.CreateTempSubdirectory("axoneme-bench-").FullName;

    public LabSite()
    {
        try
        {
            File.WriteAllText(Path.Combine(_manifests, "bench.yaml"), Manifests());
            Lab("up", "--nodes", "2", "--no-demo", "--manifests", _manifests);
            SameNode = new TrafficPath("pods on one node", ExecPrefix, PodAddress("near"));
            CrossNode = new TrafficPath("pods on two nodes", ExecPrefix, PodAddress("far"));
            ServiceAddress = IPAddress.Parse(Kubectl("get", "service", "near", "-o", "jsonpath={.spec.clusterIP}"));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public TrafficPath SameNode { get; }

    public TrafficPath CrossNode { get; }

    public IPAddress ServiceAddress { get; }

    private string[] ExecPrefix => [_command, "lab", "--name", Name, "exec", "client", "--"];

    public void Dispose()
    {
        Run(_command, ["lab", "--name", Name, "down"]);
        Directory.Delete(_manifests, recursive: true);
    }

    private static string Manifests() => $$"""
        {{Pod("client", "node-1", """["sleep", "infinity"]""")}}
        ---
        {{Pod("near", "node-1", $"""["{Worker.Executable}", "worker", "server"]""")}}
        ---
        {{Pod("far", "node-2", $"""["{Worker.Executable}", "worker", "server"]""")}}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: near, namespace: default}
        spec:
          selector: {app: near}
          ports:
          - {name: echo, port: 7001}
          - {name: one-shot, port: 7002}
          - {name: sink, port: 7003}
        """;

    private static string Pod(string name, string node, string command) => $$"""
        apiVersion: v1
        kind: Pod
        metadata:
          name: {{name}}
          namespace: default
          labels:
            app: {{name}}
        spec:
          nodeName: {{node}}
          containers:
          - name: main
            image: bench
            command: {{command}}
        """;

    private IPAddress PodAddress(string pod) => IPAddress.Parse(Kubectl("get", "pod", pod, "-o", "jsonpath={.status.podIP}"));

    private string Lab(params string[] words) => Run(_command, ["lab", "--name", Name, .. words]);

    private string Kubectl(params string[] words) => Run("kubectl", ["--kubeconfig", Lab("kubeconfig"), .. words]);

    private static string Run(string file, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(file, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start) ?? throw new BenchException($"{file} did not start");
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output.Trim()
            : throw new BenchException($"{file} {string.Join(' ', start.ArgumentList)} failed: {errors.Result.Trim()} {output.Trim()}");
    }
}
