// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi;
using Axoneme.Kubernetes.Resources;
using Axoneme.Lab.Nodes;

namespace Axoneme.Lab.Pods;

/// <summary>One pod on a node, from its sandbox to its removal; reports its status to the API.</summary>
internal sealed class PodWorker(PodHost host, Pod pod) : IDisposable
{
    private static readonly TimeSpan LongestRetry = TimeSpan.FromSeconds(10);

    private readonly PodSandbox _sandbox = new(host.Node, pod);
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _publishing = new();
    private readonly DateTimeOffset _startTime = host.Clock.GetUtcNow();
    private IReadOnlyList<ContainerRunner> _containers = [];
    private IReadOnlyList<ContainerRunner> _initContainers = [];
    private IReadOnlyList<string> _addresses = [];
    private string? _waiting = "ContainerCreating";
    private string? _message;
    private string _phase = "Pending";
    private string _published = "";
    private long _graceSeconds = pod.Spec.TerminationGracePeriodSeconds ?? 30;

    public string Uid => pod.Metadata.Uid ?? "";

    public ResourceName Name => pod.ResourceName;

    /// <summary>Process and cgroup of a running container; null names the first.</summary>
    public (int Process, string Cgroup)? Locate(string? container)
        => _containers.FirstOrDefault(c => container is null || c.Name == container) is { ProcessId: { } process } found
            ? (process, Path.Combine(_sandbox.Cgroup, found.Name)) : null;

    /// <summary>Ends the pod; calling it again can only shorten the grace.</summary>
    public void Terminate(long graceSeconds)
    {
        _graceSeconds = Math.Min(_graceSeconds, graceSeconds);
        try
        {
            _stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has ended already.
        }
    }

    public void Dispose() => _stop.Dispose();

    public async Task RunAsync()
    {
        try
        {
            Publish();
            await SetUpAsync(_stop.Token);
            if (await RunInitContainersAsync(_stop.Token))
                await RunContainersAsync(_stop.Token);
        }
        catch (OperationCanceledException)
        {
            // Told to end.
        }
        catch (FormatException e)
        {
            (_waiting, _message) = ("CreateContainerConfigError", e.Message);
            Publish();
        }

        await WaitForTerminationAsync();
        await TearDownAsync();
    }

    private async Task SetUpAsync(CancellationToken cancellation)
    {
        _sandbox.Create();
        if (_sandbox.IsHostNetwork)
            _addresses = host.Addresses;
        else
            _addresses = await AttachAsync(cancellation);
        _sandbox.WriteNameFiles(_addresses);
        _containers = [.. (pod.Spec.Containers ?? []).Select(MakeRunner)];
        _initContainers = [.. (pod.Spec.InitContainers ?? []).Select(MakeRunner)];
        (_waiting, _message) = (null, null);
    }

    private async Task<IReadOnlyList<string>> AttachAsync(CancellationToken cancellation)
    {
        var delay = TimeSpan.FromMilliseconds(100);
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                return await host.Cni.AddAsync(_sandbox.Attachment, cancellation);
            }
            catch (CniFailure e)
            {
                if (_message != e.Message)
                    host.Log($"pod {Name}: {e.Message}");
                _message = e.Message;
                Publish();
            }

            await Task.Delay(delay, host.Clock, cancellation);
            delay = delay * 2 < LongestRetry ? delay * 2 : LongestRetry;
        }
    }

    private ContainerRunner MakeRunner(Container container)
    {
        IReadOnlyList<string> line = BuiltinImages.CommandLine(container) ?? throw new FormatException(
            $"container {container.Name}: image \"{container.Image}\" brings no command: the lab pulls no images; give a command, "
            + $"or one of {string.Join(", ", BuiltinImages.Names)}");
        Dictionary<string, string> environment =
            new PodEnvironment(host.Api, pod, _addresses, host.Addresses).Build(container);
        var command = new ContainerCommand([.. line.Select(a => PodEnvironment.Expand(a, environment))], environment)
        {
            PodAddress = _addresses is [var first, ..] ? first : "127.0.0.1",
        };
        return new ContainerRunner(_sandbox, container, command, host.Clock, Publish);
    }

    private async Task<bool> RunInitContainersAsync(CancellationToken cancellation)
    {
        string policy = pod.Spec.RestartPolicy == "Never" ? "Never" : "OnFailure";
        foreach (ContainerRunner container in _initContainers)
            if (await WithTerminationAsync(container, policy, cancellation) != 0)
            {
                _phase = "Failed";
                Publish();
                return false;
            }

        return true;
    }

    private async Task RunContainersAsync(CancellationToken cancellation)
    {
        _phase = "Running";
        string policy = pod.Spec.RestartPolicy ?? "Always";
        int[] results = await Task.WhenAll(_containers.Select(c => WithTerminationAsync(c, policy, cancellation)));
        _phase = results.All(r => r == 0) ? "Succeeded" : "Failed";
        Publish();
    }

    // Between the request to end and the end of grace the containers still run; after it the cgroup is killed.
    private async Task<int> WithTerminationAsync(ContainerRunner container, string policy, CancellationToken cancellation)
    {
        await using CancellationTokenRegistration stop = cancellation.Register(() =>
        {
            container.Terminate();
            _ = KillAfterGraceAsync();
        });
        return await container.RunAsync(policy, cancellation);
    }

    private async Task KillAfterGraceAsync()
    {
        await Task.Delay(TimeSpan.FromSeconds(_graceSeconds), host.Clock);
        await Cgroup.KillAsync(_sandbox.Cgroup, CancellationToken.None);
    }

    private async Task WaitForTerminationAsync()
    {
        try
        {
            await Task.Delay(Timeout.Infinite, _stop.Token);
        }
        catch (OperationCanceledException)
        {
            // It was told to end.
        }
    }

    private async Task TearDownAsync()
    {
        var delay = TimeSpan.FromMilliseconds(200);
        while (true)
        {
            try
            {
                await _sandbox.RemoveAsync(host.Cni, CancellationToken.None);
                break;
            }
            catch (Exception e) when (e is CniFailure or IOException)
            {
                host.Log($"pod {Name}: removal is tried again: {e.Message}");
            }

            await Task.Delay(delay, host.Clock);
            delay = delay * 2 < LongestRetry ? delay * 2 : LongestRetry;
        }

        if (host.Api.Get("pods", pod.Metadata.Namespace, pod.Metadata.Name) is { } live && (string?)live["metadata"]?["uid"] == Uid)
            host.Api.Delete("pods", pod.Metadata.Namespace, pod.Metadata.Name, graceSeconds: 0);
    }

    private void Publish()
    {
        lock (_publishing)
        {
            PodStatus status = MakeStatus();
            JsonNode json = JsonSerializer.SerializeToNode(new Pod { Status = status }, KubernetesJson.Default.Pod)!["status"]!;
            string text = json.ToJsonString();
            if (text == _published)
                return;
            try
            {
                host.Api.Modify("pods", pod.Metadata.Namespace, pod.Metadata.Name, live =>
                {
                    if ((string?)live["metadata"]?["uid"] == Uid)
                        live["status"] = json.DeepClone();
                }, "status");
                _published = text;
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                // A pod that was removed by force has no status to write; its processes end all the same.
                host.Log($"pod {Name}: write status: {e.Message}");
            }
        }
    }

    private PodStatus MakeStatus()
    {
        ContainerStatus[] containers = Statuses(_containers, pod.Spec.Containers);
        ContainerStatus[] init = Statuses(_initContainers, pod.Spec.InitContainers);
        bool finished = _phase is "Succeeded" or "Failed";
        bool initialized = init.All(s => s.State?.Terminated?.ExitCode == 0);
        bool ready = !finished && containers.Length > 0 && containers.All(s => s.Ready);
        return new PodStatus
        {
            Phase = _phase,
            Message = _waiting is null ? null : _message,
            HostIP = host.Addresses[0],
            HostIPs = [.. host.Addresses.Select(a => new HostAddress { Ip = a })],
            PodIP = _addresses is [var first, ..] ? first : null,
            PodIPs = _addresses.Count == 0 ? null : [.. _addresses.Select(a => new PodAddress { Ip = a })],
            StartTime = _startTime,
            InitContainerStatuses = init.Length == 0 ? null : init,
            ContainerStatuses = containers,
            QosClass = "BestEffort",
            Conditions =
            [
                Condition("PodReadyToStartContainers", _addresses.Count > 0), Condition("Initialized", initialized),
                Condition("Ready", ready), Condition("ContainersReady", ready), Condition("PodScheduled", true),
            ],
        };
    }

    private ContainerStatus[] Statuses(IReadOnlyList<ContainerRunner> runners, IReadOnlyList<Container>? declared)
        => runners.Count > 0 ? [.. runners.Select(r => r.Status)]
            : [.. (declared ?? []).Select(c => new ContainerStatus
            {
                Name = c.Name, Image = c.Image ?? "", ImageID = "", Started = false,
                State = new() { Waiting = new ContainerWaiting { Reason = _waiting, Message = _message } },
            })];

    private readonly Dictionary<string, Condition> _conditions = [];

    private Condition Condition(string type, bool value)
    {
        string status = value ? "True" : "False";
        if (!_conditions.TryGetValue(type, out Condition? known) || known.Status != status)
            _conditions[type] = known = new Condition { Type = type, Status = status, LastTransitionTime = host.Clock.GetUtcNow() };
        return known;
    }
}

/// <summary>What all pods of a node share.</summary>
internal sealed record PodHost(NodeSandbox Node, CniRuntime Cni, ObjectClient Api, TimeProvider Clock, Action<string> Log)
{
    /// <summary>The node's own, the primary one first.</summary>
    public required IReadOnlyList<string> Addresses { get; init; }
}
