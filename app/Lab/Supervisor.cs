// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Axoneme.EmbeddedApi;
using Axoneme.Kubernetes.Resources;
using Axoneme.Lab.Configuration;
using Axoneme.Lab.Control;
using Axoneme.Lab.Fabric;
using Axoneme.Lab.Nodes;
using Axoneme.Network;

namespace Axoneme.Lab;

/// <summary>The process behind a running lab: the Kubernetes API, and for each node its runner.</summary>
internal sealed class Supervisor : IAsyncDisposable
{
    // Three agents load their programs on two cores within a few seconds; beyond this something is wrong.
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(90);

    private readonly LabPaths _paths;
    private readonly LabOptions _options;
    private readonly TimeProvider _clock = TimeProvider.System;
    private readonly LabFabric _fabric;
    private readonly List<NodeRunner> _nodes = [];
    private readonly StartProgress _progress = new();
    private readonly string _token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24));
    private EmbeddedApiHost? _api;
    private Uri _server = new("https://127.0.0.1");

    public Supervisor(LabPaths paths, LabOptions options)
    {
        _paths = paths;
        _options = options;
        _fabric = new LabFabric(paths) { ForXdp = options.UsesXdp };
    }

    private EmbeddedApiHost Api => _api ?? throw new UserErrorException("the lab is still starting");

    public async Task RunAsync(CancellationToken cancellation)
    {
        using var control = new ControlServer(_paths, AnswerAsync);
        control.Listen();
        Task serving = control.RunAsync(cancellation);
        try
        {
            await StartAsync(cancellation);
            _progress.Finish(null);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            Log(e.ToString());
            _progress.Finish(e.Message);
        }

        await serving;
    }

    private async Task StartAsync(CancellationToken cancellation)
    {
        _progress.Step("network between the nodes, and a host outside");
        _fabric.Create();
        _progress.Step("Kubernetes API");
        await StartApiAsync(cancellation);
        // What the operator does in a real cluster.
        foreach (string crd in typeof(Supervisor).Assembly.GetManifestResourceNames().Where(n => n.StartsWith("crds/", StringComparison.Ordinal)))
            Apply(crd);
        _progress.Step($"{_options.Nodes} nodes");
        for (int i = 0; i < _options.Nodes; i++)
            await StartNodeAsync(i, cancellation);
        _ = Watch(new ClusterDns(Api.Objects, [.. _nodes.Select(n => n.Sandbox.Folder)]).RunAsync(cancellation), "DNS zone");
        _ = Watch(new ServiceRoutes(Api.Objects, _fabric, [.. _nodes.Select(n => n.Name)]).RunAsync(cancellation), "routes to services");
        Apply("demo/system.yaml");
        _progress.Step($"agents ({(_options.Routing == "native" ? "native routing" : "VXLAN")})");
        foreach (NodeRunner node in _nodes)
            _ = Watch(node.RunAsync(cancellation), $"node {node.Name}");
        var keeper = new NodeProcess(
            _nodes[0].Sandbox,
            "operator",
            [Artifacts.Operator, $"--config-dir={NodeSandbox.FolderInside}/config", $"--k8s-kubeconfig-path={NodeSandbox.FolderInside}/kubeconfig"],
            _clock);
        _ = Watch(keeper.RunAsync(cancellation), "operator");
        await WaitForNodesAsync(cancellation);
        if (_options.Demo)
            Apply("demo/demo.yaml");
        ApplyUserManifests();
        _progress.Step("pods");
        await WaitForPodsAsync(cancellation);
    }

    private async Task StartApiAsync(CancellationToken cancellation)
    {
        var options = new EmbeddedApiOptions
        {
            Listeners = [ApiListener.On(new IPEndPoint(IPAddress.Loopback, 0)), ApiListener.FromSocket(_fabric.ListenForApi())],
            ServerNames = [LabFabric.ApiAddress.ToString()],
            Tokens = new Dictionary<string, ApiUser> { [_token] = new("lab-admin", "system:masters") },
            AdvertisedEndPoints = [new IPEndPoint(LabFabric.ApiAddress.ToIPAddress(), LabFabric.ApiPort)],
            LoadBalancerCidrs = LabFabric.LoadBalancerPools,
            Clock = _clock,
            Log = Log,
        };
        var api = new EmbeddedApiHost(options);
        await api.StartAsync(cancellation);
        _server = api.Addresses.First(a => a.Host == "127.0.0.1");
        EmbeddedApiHost.WriteKubeconfig(_paths.Kubeconfig, api.KubeconfigForToken(_server, _token));
        _api = api;
    }

    private async Task StartNodeAsync(int index, CancellationToken cancellation)
    {
        string name = $"node{index + 1}";
        var sandbox = new NodeSandbox(_paths, name);
        _fabric.CreateNode(name, index);
        await sandbox.StartAsync(cancellation);
        foreach ((string key, string value) in _options.AgentKeys(sandbox.Cgroup))
            await File.WriteAllTextAsync(Path.Combine(sandbox.Folder, "config", key), value, cancellation);
        var inside = new Uri($"https://{LabFabric.ApiAddress}:{LabFabric.ApiPort}");
        EmbeddedApiHost.WriteKubeconfig(Path.Combine(sandbox.Folder, "kubeconfig"), Api.KubeconfigForToken(inside, _token));
        var node = new NodeRunner(sandbox, index, Api.Objects, _clock, m => Log($"{name}: {m}"));
        _fabric.RoutePods(await node.RegisterAsync(cancellation), index);
        _nodes.Add(node);
    }

    private void Apply(string resource)
    {
        using Stream stream = typeof(Supervisor).Assembly.GetManifestResourceStream(resource)!;
        using var reader = new StreamReader(stream);
        Api.Objects.ApplyManifests(reader.ReadToEnd());
    }

    private void ApplyUserManifests()
    {
        if (!Directory.Exists(_paths.Manifests))
            return;
        foreach (string file in Directory.EnumerateFiles(_paths.Manifests).Order(StringComparer.Ordinal))
            try
            {
                Api.Objects.ApplyManifests(File.ReadAllText(file));
            }
            catch (Exception e) when (e is FormatException or ApiException)
            {
                throw new UserErrorException($"manifest {Path.GetFileName(file)}: {e.Message}");
            }
    }

    private async Task WaitForNodesAsync(CancellationToken cancellation)
    {
        long start = _clock.GetTimestamp();
        while (_nodes.Find(n => !n.IsReady) is { } waiting)
        {
            if (_clock.GetElapsedTime(start) > StartPatience)
                throw new UserErrorException($"the agent of {waiting.Name} did not become ready; its last lines:\n{LastLines(waiting.Agent.LogFile)}");
            if (waiting.Agent.Restarts >= 3)
                throw new UserErrorException($"the agent of {waiting.Name} ends again and again; its last lines:\n{LastLines(waiting.Agent.LogFile)}");
            await Task.Delay(20, cancellation);
        }
    }

    private async Task WaitForPodsAsync(CancellationToken cancellation)
    {
        long start = _clock.GetTimestamp();
        while (true)
        {
            PodRow? waiting = StatusReport.Pods(Api.Objects).FirstOrDefault(p => p.Status is not ("Running" or "Completed") || !IsComplete(p));
            if (waiting is null && WorkloadsHavePods())
                return;
            if (_clock.GetElapsedTime(start) > StartPatience)
                throw new UserErrorException($"pod {waiting?.Namespace}/{waiting?.Name} did not become ready: {waiting?.Status}");
            await Task.Delay(50, cancellation);
        }
    }

    private static bool IsComplete(PodRow pod) => pod.Status == "Completed" || pod.Ready.Split('/') is [var ready, var all] && ready == all;

    // The controllers may not have made the pods yet when everything that exists is ready.
    private bool WorkloadsHavePods()
        => Api.Objects.List("deployments.apps").Select(d => d.Deserialize(KubernetesJson.Lean.Deployment)!)
            .All(d => (d.Status?.ReadyReplicas ?? 0) >= (d.Spec?.Replicas ?? 1));

    private async Task AnswerAsync(ControlRequest request, Func<ControlReply, Task> reply)
    {
        switch (request.Verb)
        {
            case "progress":
                string? failure = await _progress.FollowAsync(step => reply(new ControlReply { Progress = step }));
                await reply(new ControlReply { Error = failure, IsLast = true });
                break;
            case "status":
                LabStatus status = StatusReport.Make(Api.Objects, _nodes, _server.ToString());
                await reply(new ControlReply { Status = status with { Ready = _progress.IsFinished, Kubeconfig = _paths.Kubeconfig }, IsLast = true });
                break;
            case "locate":
                await reply(new ControlReply { Location = Locate(request.Arguments), IsLast = true });
                break;
            case "agent":
                FindNode(request.Arguments[0]).Agent.Command(request.Arguments[1]);
                await reply(new ControlReply { IsLast = true });
                break;
            case "proxy":
                FindNode(request.Arguments[0]).Proxy.Command(request.Arguments[1]);
                await reply(new ControlReply { IsLast = true });
                break;
            default:
                throw new UserErrorException($"the supervisor does not know \"{request.Verb}\"");
        }
    }

    private PodLocation Locate(string[] arguments)
    {
        var name = new ResourceName(arguments[0], arguments[1]);
        string? container = arguments.Length > 2 ? arguments[2] : null;
        NodeRunner? node = _nodes.Find(n => n.FindPod(name) is not null);
        if (node?.FindPod(name) is not { } pod)
            throw new UserErrorException($"there is no pod {name} on a node");
        return pod.Locate(container) is { } at ? new PodLocation(at.Process, at.Cgroup)
            : throw new UserErrorException(container is null ? $"pod {name} does not run" : $"pod {name} has no running container {container}");
    }

    private NodeRunner FindNode(string name) => _nodes.Find(n => n.Name == name)
        ?? throw new UserErrorException($"there is no node {name}; there are {string.Join(", ", _nodes.Select(n => n.Name))}");

    private async Task Watch(Task work, string what)
    {
        try
        {
            await work;
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
        catch (Exception e)
        {
            Log($"{what}: {e}");
        }
    }

    private static string LastLines(string file)
        => File.Exists(file) ? string.Join('\n', File.ReadLines(file).TakeLast(12)) : "(it printed nothing)";

    private void Log(string message) => Console.WriteLine($"{_clock.GetUtcNow():HH:mm:ss.fff} {message}");

    /// <summary>Serves a lab until it is told to end; started by <c>lab up</c>.</summary>
    public static async Task<int> ServeAsync(LabPaths paths)
    {
        LabOptions options = JsonSerializer.Deserialize(
            await File.ReadAllTextAsync(paths.Options), LabOptionsJson.Default.LabOptions)!;
        using var end = new CancellationTokenSource();
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, c =>
        {
            c.Cancel = true;
            end.Cancel();
        });
        await File.WriteAllTextAsync(paths.SupervisorPid, $"{Environment.ProcessId}");
        await using var supervisor = new Supervisor(paths, options);
        try
        {
            await supervisor.RunAsync(end.Token);
        }
        catch (OperationCanceledException)
        {
            // Told to end.
        }

        return 0;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (NodeRunner node in _nodes)
            node.Sandbox.Dispose();
        _fabric.Dispose();
        if (_api is not null)
            await _api.DisposeAsync();
    }
}
