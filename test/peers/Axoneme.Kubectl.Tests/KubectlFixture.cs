// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi;

[assembly: AssemblyFixture(typeof(Axoneme.Kubectl.Tests.KubectlFixture))]

namespace Axoneme.Kubectl.Tests;

/// <summary>
/// Two real kubectls: the one of this machine, and Debian's 1.20, which is unpacked into a temporary folder. One API with two nodes
/// and a node runner that only pretends to start what it is given.
/// </summary>
public sealed class KubectlFixture : IAsyncLifetime
{
    public const string Current = "current";
    public const string Old = "1.20";

    private readonly string _folder = Directory.CreateTempSubdirectory("axoneme-kubectl-").FullName;
    private readonly CancellationTokenSource _stop = new();
    private EmbeddedApiHost? _api;
    private Task _runner = Task.CompletedTask;
    private int _address = 1;

    public ObjectClient Objects => _api!.Objects;

    public async ValueTask InitializeAsync()
    {
        const string token = "admin-token";
        _api = new EmbeddedApiHost(new EmbeddedApiOptions
        {
            Listeners = [ApiListener.On(new IPEndPoint(IPAddress.Loopback, 0))],
            Tokens = new Dictionary<string, ApiUser> { [token] = new("admin", "system:masters") },
        });
        await _api.StartAsync();
        foreach (string file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "crds"), "*.yaml"))
            Objects.ApplyManifests(await File.ReadAllTextAsync(file));
        foreach (string node in (string[])["node-a", "node-b"])
            Objects.ApplyManifests($"{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}, status: {{conditions: [{{type: Ready, status: 'True'}}]}}}}");
        EmbeddedApiHost.WriteKubeconfig(Path.Combine(_folder, "config"), _api.KubeconfigForToken(_api.Addresses[0], token));
        _runner = RunPodsAsync(_stop.Token);
        await RunAsync("apt-get", _folder, null, "download", "kubernetes-client");
        string[] packages = Directory.GetFiles(_folder, "kubernetes-client_*.deb");
        if (packages.Length > 0)
            await RunAsync("dpkg", _folder, null, "-x", packages[0], Path.Combine(_folder, "old"));
    }

    /// <summary>Runs kubectl; a version that this machine cannot get skips the test.</summary>
    public Task<(int Code, string Output, string Error)> KubectlAsync(string version, string? input, params string[] arguments)
    {
        string path = version == Current ? "/usr/bin/kubectl" : Path.Combine(_folder, "old/usr/bin/kubectl");
        Assert.SkipUnless(File.Exists(path), $"kubectl {version} is not available: {path}");
        return RunAsync(path, _folder, input,
            [$"--kubeconfig={Path.Combine(_folder, "config")}", $"--cache-dir={Path.Combine(_folder, "cache-" + version)}", .. arguments]);
    }

    public async Task<string> OkAsync(string version, string? input, params string[] arguments)
    {
        (int code, string output, string error) = await KubectlAsync(version, input, arguments);
        Assert.True(code == 0, $"kubectl {string.Join(' ', arguments)}: {code}\n{output}\n{error}");
        return output;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _runner;
        if (_api is not null)
            await _api.DisposeAsync();
        _stop.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static async Task<(int, string, string)> RunAsync(string program, string folder, string? input, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        using Process process = Process.Start(start)!;
        if (input is not null)
            await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
        }
        return (process.ExitCode, await output, await error);
    }

    private async Task RunPodsAsync(CancellationToken stop)
    {
        try
        {
            await foreach (ObjectEvent each in Objects.WatchAsync("pods", cancellationToken: stop))
                Run(each);
        }
        catch (OperationCanceledException)
        {
            // The tests are over.
        }
    }

    private void Run(ObjectEvent each)
    {
        string ns = (string)each.Object["metadata"]!["namespace"]!, name = (string)each.Object["metadata"]!["name"]!;
        if (each.Type == "DELETED" || each.Object["spec"]!["nodeName"] is null || Objects.Get("pods", ns, name) is not { } pod)
            return;
        if (pod["metadata"]!["deletionTimestamp"] is not null)
            Objects.Delete("pods", ns, name, graceSeconds: 0);
        else if ((string?)pod["status"]?["phase"] == "Pending")
            Objects.Modify("pods", ns, name, p =>
            {
                p["status"]!["phase"] = "Running";
                p["status"]!["podIP"] = $"10.244.0.{++_address}";
                p["status"]!["podIPs"] = new JsonArray(new JsonObject { ["ip"] = $"10.244.0.{_address}" });
                p["status"]!["conditions"] = new JsonArray(new JsonObject { ["type"] = "Ready", ["status"] = "True" });
                p["status"]!["containerStatuses"] = new JsonArray(new JsonObject
                {
                    ["name"] = "c",
                    ["ready"] = true,
                    ["restartCount"] = 0,
                    ["image"] = "echo",
                    ["imageID"] = "",
                    ["state"] = new JsonObject { ["running"] = new JsonObject() },
                });
            }, "status");
    }
}
